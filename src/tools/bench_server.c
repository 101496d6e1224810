/*
 * bench_server.c: servers of a bench: child processes of this program's own file.
 *
 * A child dies with its parent (PR_SET_PDEATHSIG), whatever ends it. Its log comes through a pipe
 * that a thread empties, so that it never waits for us.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"
#include "check.h"
#include "http_client.h"
#include "thread.h"

enum { ARGS_MAX = 48, LOG_BYTES_MAX = 1 << 20, OUT_FD_STDERR = 2, OUT_FD_STDOUT = 1 };

/* Runs this program with `args`; its stdout or stderr (`out_fd`) goes to *ret_pipe. */
static int
spawn(struct bench *b, const char *const args[], int out_fd, pid_t *ret_pid, int *ret_pipe)
{
	int fds[2];
	if (pipe2(fds, O_CLOEXEC) < 0)
		return bench_fail(b, -errno, "pipe: %s", strerror(errno));
	pid_t parent = getpid(), pid = fork();
	if (pid == 0) {
		sigset_t none;
		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() == parent && dup2(fds[1], out_fd) == out_fd)
			execv("/proc/self/exe", (char *const *)(uintptr_t)args);
		_exit(127);
	}
	int error = pid < 0 ? bench_fail(b, -errno, "fork: %s", strerror(errno)) : 0;
	close(fds[1]);
	if (error) {
		close(fds[0]);
		return error;
	}
	*ret_pid = pid;
	*ret_pipe = fds[0];
	return 0;
}

static int
wait_end(pid_t pid)
{
	int status = 0;
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return status;
}

/* The last word that `weir admin ARGS` prints. */
static int
admin_word(struct bench *b, const char *const args[], char *ret_word, size_t size)
{
	pid_t pid;
	int fd, error = spawn(b, args, OUT_FD_STDOUT, &pid, &fd);
	if (error)
		return error;
	char text[1024];
	size_t len = 0;
	ssize_t n;
	while (len < sizeof(text) - 1 && (n = read(fd, text + len, sizeof(text) - 1 - len)) > 0)
		len += (size_t)n;
	close(fd);
	text[len] = '\0';
	int status = wait_end(pid);
	while (len > 0 && strchr(" \r\n\t", text[len - 1]))
		text[--len] = '\0';
	const char *word = text + len;
	while (word > text && !strchr(" \r\n\t", word[-1]))
		word--;
	if (status != 0 || !*word || strlen(word) >= size)
		return bench_fail(b, -EPROTO, "weir admin %s create failed: '%s'", args[2], text);
	memcpy(ret_word, word, strlen(word) + 1);
	return 0;
}

int
bench_server_init(struct bench *b, struct bench_server *s)
{
	*s = (struct bench_server){.log_fd = -1};
	buf_init(&s->log, LOG_BYTES_MAX);
	int len = snprintf(s->data, sizeof(s->data), "%s/data", b->home);
	check(len > 0 && len < (int)sizeof(s->data));
	const char *key[] = {"weir", "admin", "key", "create", "--data", s->data, "--name",
	    "bench", "--rights", "read,write,publish,subscribe", NULL};
	const char *secret[] = {"weir", "admin", "secret", "create", "--data", s->data, "--name",
	    "bench", NULL};
	int error = admin_word(b, key, s->key, sizeof(s->key));
	return error ? error : admin_word(b, secret, s->secret, sizeof(s->secret));
}

/* Takes the log's bytes as they come; what is beyond the limit is forgotten. */
static ssize_t
read_log(struct bench_server *s)
{
	char bytes[4096];
	ssize_t n = read(s->log_fd, bytes, sizeof(bytes));
	if (n > 0 && buf_append(&s->log, bytes, (size_t)n) != 0)
		buf_clear(&s->log);
	return n;
}

static void
drain(void *ctx)
{
	struct bench_server *s = ctx;
	ssize_t n;
	do {
		n = read_log(s);
	} while (n > 0 || (n < 0 && errno == EINTR));
}

/* The address in the line with event=listening. */
static bool
find_address(struct bench_server *s)
{
	static const char event[] = "event=listening", member[] = "address=";
	const char *at = s->log.len ? memmem(s->log.ptr, s->log.len, event, strlen(event)) : NULL;
	if (!at)
		return false;
	const char *end = s->log.ptr + s->log.len;
	const char *line_end = memchr(at, '\n', (size_t)(end - at));
	if (!line_end)
		return false;
	const char *address = memmem(at, (size_t)(line_end - at), member, strlen(member));
	if (!address)
		return false;
	address += strlen(member);
	size_t len = 0;
	while (address + len < line_end && address[len] != ' ' && address[len] != '"')
		len++;
	if (len >= sizeof(s->address))
		return false;
	memcpy(s->address, address, len);
	s->address[len] = '\0';
	return true;
}

/* "a=b,c=d" to --set a=b --set c=d; cuts `text`. */
static size_t
add_sets(char *text, const char **args, size_t count)
{
	char *rest = NULL;
	for (char *word = strtok_r(text, ",", &rest); word && count < ARGS_MAX - 3;
	     word = strtok_r(NULL, ",", &rest)) {
		args[count++] = "--set";
		args[count++] = word;
	}
	return count;
}

int
bench_server_start(struct bench *b, struct bench_server *s, bool only_listening)
{
	const char *args[ARGS_MAX] = {
	    "weir", "serve", "--data", s->data, "--listen", "http://127.0.0.1:0",
	    /* Its memory is measured, and keys that are gone are tried. */
	    "--set", "process.dumpable=yes", "--set", "rate.failures_per_s=0"};
	char sets[1024];
	snprintf(sets, sizeof(sets), "%s", b->options.set ? b->options.set : "");
	args[add_sets(sets, args, 10)] = NULL;
	buf_clear(&s->log);
	int error = spawn(b, args, OUT_FD_STDERR, &s->pid, &s->log_fd);
	if (error)
		return error;
	while (!find_address(s)) {
		ssize_t n = read_log(s);
		if (n > 0 || (n < 0 && errno == EINTR))
			continue;
		wait_end(s->pid);
		s->pid = 0;
		close(s->log_fd);
		return bench_fail(
		    b, -EPROTO, "the server did not start: %.*s", SPAN_ARG(buf_span(&s->log)));
	}
	error = thread_start(&s->drain, "drain", drain, s);
	if (error) {
		kill(s->pid, SIGKILL);
		wait_end(s->pid);
		s->pid = 0;
		close(s->log_fd);
		return bench_fail(b, error, "thread: %s", strerror(-error));
	}
	return only_listening ? 0 : bench_server_wait_ready(b, s);
}

int
bench_server_wait_ready(struct bench *b, struct bench_server *s)
{
	struct http_client_options options = {.address = s->address, .stop_fd = b->stop_fd};
	struct http_client *client;
	struct http_client_reply reply;
	int error = http_client_create(&options, &client);
	while (!error) {
		error = http_client_call(client, "GET", "/readyz", NULL, SPAN(""), &reply);
		if (error || reply.status == 200)
			break;
		usleep(1000);
	}
	if (error)
		bench_fail(b, error, "%s/readyz: %s", s->address, strerror(-error));
	http_client_destroy(client);
	return error;
}

int
bench_server_end(struct bench *b, struct bench_server *s, int signal)
{
	if (s->pid == 0)
		return 0;
	kill(s->pid, signal);
	int status = wait_end(s->pid);
	s->pid = 0;
	thread_join(s->drain);
	close(s->log_fd);
	if (signal == SIGTERM && !(WIFEXITED(status) && WEXITSTATUS(status) == 0))
		return bench_fail(b, -EPROTO, "the server ended with status %d: %.*s", status,
		    SPAN_ARG(buf_span(&s->log)));
	return 0;
}

void
bench_server_finish(struct bench *b, struct bench_server *s)
{
	bench_server_end(b, s, SIGKILL);
	buf_finish(&s->log);
	bench_remove(b->env, s->data);
}

void
bench_authorization(const struct bench_server *s, char *out, size_t len)
{
	int written = snprintf(out, len, "Bearer %s", s->key);
	check(written > 0 && (size_t)written < len);
}

/* ── processes ── */

static size_t
read_proc(pid_t pid, const char *name, char *out, size_t len)
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	size_t got = 0;
	ssize_t n;
	while (got < len - 1 && (n = read(fd, out + got, len - 1 - got)) > 0)
		got += (size_t)n;
	close(fd);
	out[got] = '\0';
	return got;
}

double
bench_cpu_seconds(pid_t pid)
{
	clockid_t clock;
	struct timespec used;
	if (clock_getcpuclockid(pid, &clock) || clock_gettime(clock, &used) < 0)
		return 0;
	return (double)used.tv_sec + (double)used.tv_nsec / 1e9;
}

double
bench_memory_kb(pid_t pid, const char *name)
{
	char text[4096], wanted[32];
	snprintf(wanted, sizeof(wanted), "\n%s:", name);
	if (!read_proc(pid, "smaps_rollup", text, sizeof(text)))
		return 0;
	const char *at = strstr(text, wanted);
	return at ? strtod(at + strlen(wanted), NULL) : 0;
}

struct removal {
	struct env *env;
	const char *path;
};

static int
remove_entry(void *ctx, const char *name)
{
	struct removal *r = ctx;
	char path[2 * BENCH_PATH_BYTES];
	int len = snprintf(path, sizeof(path), "%s/%s", r->path, name);
	if (len > 0 && (size_t)len < sizeof(path) && unlink(path) < 0 && errno == EISDIR)
		bench_remove(r->env, path);
	return 0;
}

void
bench_remove(struct env *env, const char *path)
{
	struct removal r = {env, path};
	env_list_dir(env, path, remove_entry, &r);
	rmdir(path);
}

int
bench_spawn_self(struct bench *b, const char *what, pid_t *ret_pid, int *ret_out)
{
	const char *args[] = {"weir", "bench", what, NULL};
	return spawn(b, args, OUT_FD_STDOUT, ret_pid, ret_out);
}

int
bench_nothing_start(struct bench *b, pid_t *ret_pid)
{
	int fd, error = bench_spawn_self(b, "nothing", ret_pid, &fd);
	if (!error)
		close(fd);
	return error;
}

void
bench_nothing_end(pid_t pid)
{
	kill(pid, SIGKILL);
	wait_end(pid);
}
