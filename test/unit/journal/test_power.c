/*
 * test_power.c: the power goes in the middle of anything, or the process is killed, by seed.
 *
 * What was acknowledged is there after, once, equal, in order. What was not is there whole or not
 * at all, and what recovery once showed or once did not show stays so. WEIR_SEEDS: how many,
 * WEIR_SEED: the first; each seed is several lives of one journal.
 */
#include "journal_test.h"

#include "check.h"
#include "sim.h"

#define SEEDS_DEFAULT 200
#define LIVES 3

struct life {
	struct env *env;
	struct journal_options options;
	struct journal *journal;
	struct journal_reader *reader; /* follows */
	struct test_model model;
	uint64_t seals; /* of all lives */
};

static uint64_t
number_from(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);
	return text && *text ? strtoull(text, NULL, 10) : otherwise;
}

/* Mostly small, often around a block, sometimes large, seldom more than a segment. */
static size_t
random_len(struct env *env)
{
	uint64_t kind = sim_random_below(env, 100);
	uint64_t bound = kind < 50 ? 300 : kind < 80 ? 5000 : kind < 93 ? 60000 :
	    kind < 99 ? 400000 : 1200000;
	return (size_t)sim_random_below(env, bound);
}

/* One random step. 0 or what the journal returned. */
static int
life_step(struct life *life)
{
	size_t lens[8], count = 1 + (size_t)sim_random_below(life->env, ARRAY_COUNT(lens));
	switch (sim_random_below(life->env, 23)) {
	case 0:
	case 1:
		return journal_prepare(life->journal);
	case 2:
	case 3: {
		uint64_t count_all = life->model.count;
		uint64_t upto = count_all - sim_random_below(life->env, count_all + 1) / 4;
		upto = MIN(upto, count_all - (count_all > 0));
		uint64_t seq = count_all ? life->model.expects[upto].seq : 0;
		for (size_t i = 0; i < upto; i++) {
			if (life->model.expects[i].fate == TEST_ACKED)
				life->model.expects[i].fate = TEST_TRIMMED;
		}
		return journal_trim(life->journal, seq);
	}
	case 4:
	case 5:
	case 6: {
		int r = test_seal(life->journal);
		life->seals += r == 1;
		return MIN(r, 0);
	}
	case 7:
		return test_read_on(life->reader, &life->model).error;
	default:
		for (size_t i = 0; i < count; i++)
			lens[i] = random_len(life->env);
		return test_commit(life->journal, &life->model, lens, count);
	}
}

enum death {
	DEATH_POWER,      /* in the middle of anything */
	DEATH_KILL,       /* between two steps: all that was written is still in memory */
	DEATH_KILL_WRITE, /* in the middle of a write */
	DEATH_KILL_NAME,  /* before a new name is on disk */
	DEATH_COUNT
};

/* From opening to death. */
static void
life_live(struct life *life, enum death death)
{
	if (death == DEATH_POWER)
		sim_crash_after(life->env, sim_random_below(life->env, 120));
	if (death == DEATH_KILL_WRITE)
		sim_fail(life->env, SIM_WRITE, sim_random_below(life->env, 40), -EIO, true);
	if (death == DEATH_KILL_NAME) {
		sim_fail(life->env, SIM_SYNC_DIR, sim_random_below(life->env, 5), -EIO, true);
		sim_fail(life->env, SIM_UNLINK, 0, -EIO, true);
	}
	test_model_unsee(&life->model);
	int r = journal_open(life->env, &life->options, NULL, NULL, &life->journal);
	if (r == 0)
		r = journal_reader_open(life->journal, 0, &life->reader);
	for (size_t steps = sim_random_below(life->env, 50); steps > 0 && r == 0; steps--)
		r = life_step(life);
	journal_reader_close(life->reader);
	journal_close(life->journal);
	life->reader = NULL;
	life->journal = NULL;
	if (death == DEATH_POWER)
		sim_power_cut(life->env);
	sim_heal(life->env);
}

/* What the journal shows now is what it holds from now on. */
static void
life_settle(struct life *life)
{
	struct test_reports reports = {.torn = 0};
	life->journal = test_open(life->env, &life->options, &reports);
	assert_int_equal(reports.damaged, 0);
	struct test_pass pass = test_read_all(life->journal, &life->model, 0);
	assert_int_equal(pass.error, 0);
	assert_int_equal(pass.damages, 0);
	test_all_seen(&life->model, 0);
	assert_true(journal_next_seq(life->journal) > pass.last_seq);
	assert_true(journal_next_seq(life->journal) <= MAX(life->model.next_seq, 1));
	size_t kept = 0;
	for (size_t i = 0; i < life->model.count; i++) {
		struct test_expect expect = life->model.expects[i];
		if (expect.fate == TEST_FAILED && !expect.seen)
			continue; /* never again, or it is a record nobody made */
		if (expect.fate == TEST_FAILED)
			expect.fate = TEST_ACKED;
		life->model.expects[kept++] = expect;
	}
	life->model.count = kept;
	journal_close(life->journal);
	life->journal = NULL;
}

/* How many segments were sealed. */
static uint64_t
live_by_seed(uint64_t seed)
{
	struct life life = {.env = sim_create(seed)};
	assert_non_null(life.env);
	life.options = (struct journal_options){
		.dir = "journal", .segment_bytes = 1 << 20, .direct = seed % 2,
	};
	for (int i = 0; i < LIVES; i++) {
		enum death death = (enum death)sim_random_below(life.env, DEATH_COUNT);
		life_live(&life, death);
		life_settle(&life);
		/* What was shown after a kill is on disk. */
		if (death != DEATH_POWER && sim_random_below(life.env, 2)) {
			sim_power_cut(life.env);
			life_settle(&life);
		}
	}
	test_model_finish(&life.model);
	env_destroy(life.env);
	return life.seals;
}

static void
acknowledged_records_survive_a_power_cut(void **state)
{
	(void)state;
	uint64_t first = number_from("WEIR_SEED", 1), count = number_from("WEIR_SEEDS",
	    SEEDS_DEFAULT), seals = 0;
	for (uint64_t seed = first; seed < first + count; seed++) {
		print_message("seed %llu\r", (unsigned long long)seed);
		seals += live_by_seed(seed);
	}
	print_message("seeds %llu to %llu, %llu segments sealed\n", (unsigned long long)first,
	    (unsigned long long)(first + count - 1), (unsigned long long)seals);
	assert_true(seals >= count / 10);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(acknowledged_records_survive_a_power_cut),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
