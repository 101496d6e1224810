/*
 * serve.c: a server as a program: settings from all their sources, signals, exit codes.
 *
 * Signals are taken by this thread alone, with sigwaitinfo; every other thread blocks them. The
 * first SIGTERM or SIGINT drains; they then mean what they mean everywhere, so that a second one
 * ends the process at once. SIGHUP reads the settings again.
 */
#include "serve.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "process.h"

struct program {
	const struct serve_args *args;
	char sets[2][64]; /* of --log-format and --log-level */
	const char *all_sets[OPTIONS_LIST_MAX + 2];
	struct settings_sources sources;
	struct settings settings;
	struct env *env;
	struct log log;
	sigset_t signals;
};

static bool
sources_fill(struct program *program)
{
	const struct serve_args *args = program->args;
	const struct {
		const char *name, *value;
	} more[2] = {{"log.format", args->log_format}, {"log.level", args->log_level}};
	size_t count = 0;
	for (; count < args->sets.count; count++)
		program->all_sets[count] = args->sets.items[count];
	for (size_t i = 0; i < 2; i++) {
		if (!more[i].value)
			continue;
		snprintf(program->sets[i], sizeof program->sets[i], "%s=%s", more[i].name,
		    more[i].value);
		program->all_sets[count++] = program->sets[i];
	}
	program->sources = (struct settings_sources){
	    .env = program->env,
	    .file = args->config,
	    .environment = (const char *const *)environ,
	    .sets = program->all_sets,
	    .set_count = count,
	};
	struct buf errors;
	buf_init(&errors, 0);
	bool good = settings_load(&program->sources, &program->settings, &errors);
	fprintf(stderr, "%.*s", (int)errors.len, errors.ptr ? errors.ptr : "");
	buf_finish(&errors);
	return good;
}

/* A bad file changes nothing; its errors go to the log, a line each. */
static void
reload(struct program *program, struct server *server)
{
	struct settings settings;
	struct buf errors;
	buf_init(&errors, 0);
	if (settings_load(&program->sources, &settings, &errors)) {
		server_reload(server, &settings);
	} else {
		buf_append_byte(&errors, '\0');
		char *line = buf_ok(&errors) ? errors.ptr : NULL;
		for (char *rest; line && *line; line = rest) {
			rest = line + strcspn(line, "\n");
			if (*rest)
				*rest++ = '\0';
			log_event(&program->log, LOG_ERROR, "reload_refused",
			    LOG_FIELDS(LOG_TEXT("error", line)));
		}
	}
	buf_finish(&errors);
}

static void
signals_block(struct program *program)
{
	sigemptyset(&program->signals);
	sigaddset(&program->signals, SIGTERM);
	sigaddset(&program->signals, SIGINT);
	sigaddset(&program->signals, SIGHUP);
	pthread_sigmask(SIG_BLOCK, &program->signals, NULL);
	signal(SIGPIPE, SIG_IGN); /* a log whose reader left is no reason to die */
}

/* Until a signal asks for the end. */
static void
signals_wait(struct program *program, struct server *server)
{
	for (;;) {
		int number = sigwaitinfo(&program->signals, NULL);
		if (number == SIGHUP)
			reload(program, server);
		else if (number > 0)
			break;
	}
	/* The next one ends at once. */
	sigset_t ends;
	sigemptyset(&ends);
	sigaddset(&ends, SIGTERM);
	sigaddset(&ends, SIGINT);
	pthread_sigmask(SIG_UNBLOCK, &ends, NULL);
}

static int
run(struct program *program, const struct serve_hooks *hooks)
{
	static const char *const listen_default[] = {SERVE_LISTEN_DEFAULT};
	const struct serve_args *args = program->args;
	char reason[SERVER_REASON_BYTES];
	struct server *server;
	struct server_options options = {
	    .data = args->data,
	    .listen = args->listen.count ? args->listen.items : listen_default,
	    .listen_count = args->listen.count ? args->listen.count : 1,
	    .settings = &program->settings,
	    .env = program->env,
	    .log = &program->log,
	    .demo_key = hooks->demo_key,
	    .progress = isatty(STDERR_FILENO) && program->settings.log.format == LOG_FORMAT_TEXT,
	};
	signals_block(program);
	int error = program->settings.process.dumpable ? 0 : process_protect();
	if (error)
		log_event(&program->log, LOG_WARN, "not_protected",
		    LOG_FIELDS(LOG_TEXT("error", strerror(-error))));
	error = server_start(&options, &server, reason);
	if (error) {
		fprintf(stderr, "weir: %s\n", reason);
		return 1;
	}
	error = hooks->started ? hooks->started(hooks->ctx, server, &program->log) : 0;
	if (!error)
		signals_wait(program, server);
	if (hooks->stopping)
		hooks->stopping(hooks->ctx);
	int end_error = server_stop(server);
	return error || end_error ? 1 : 0;
}

int
serve_program(struct serve_args *args, const struct serve_hooks *hooks)
{
	struct program program = {.args = args};
	int code = 1;
	program.env = env_create();
	if (!program.env) {
		fprintf(stderr, "weir: out of memory\n");
		return 1;
	}
	if (!sources_fill(&program))
		goto end;
	if (args->check_config) {
		printf("the settings are good\n");
		code = 0;
		goto end;
	}
	log_init(&program.log, program.env, STDERR_FILENO);
	atomic_store(&program.log.level, (unsigned)program.settings.log.level);
	atomic_store(&program.log.format, (unsigned)program.settings.log.format);
	if (log_ring_create(program.settings.log.ring_bytes, &program.log.ring)) {
		fprintf(stderr, "weir: out of memory\n");
		goto end;
	}
	code = run(&program, hooks);
end:
	log_ring_destroy(program.log.ring);
	env_destroy(program.env);
	return code;
}

int
serve_main(int argc, char **argv)
{
	struct serve_args args = {0};
	const struct options_entry options[] = {
	    {"data", "DIR", OPTIONS_TEXT, false, &args.data,
		"where everything is kept; made when it is missing"},
	    {"listen", "URL", OPTIONS_LIST, false, &args.listen,
		"http://127.0.0.1:8080 (the default), http://[::1]:8080, unix:PATH;\n"
		"may be repeated; port 0: any free one, see the log"},
	    SERVE_OPTIONS(&args),
	    {0},
	};
	const struct options_command command = {
	    .usage = "weir serve --data DIR [OPTIONS]",
	    .help =
		"Serves: takes readings in, keeps them in DIR, answers questions, streams live.",
	    .more = "Without a key only /, /healthz, /readyz and /version answer; make one with\n"
		    "  weir admin key create --data DIR --name NAME --rights read,write\n"
		    "SIGTERM drains and ends with 0; SIGHUP reads the settings again.",
	    .options = options,
	};
	enum options_result result = options_parse(&command, argc, argv, stdout, stderr);
	if (result != OPTIONS_OK)
		return result == OPTIONS_HELP ? 0 : 2;
	if (!args.data && !args.check_config) {
		fprintf(stderr,
		    "weir serve: --data DIR is missing: say where readings are to be kept, "
		    "like --data /var/lib/weir\n");
		return 2;
	}
	return serve_program(&args, &(struct serve_hooks){0});
}
