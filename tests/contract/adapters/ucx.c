/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Contract: UCX's registration cache, fed by the adapter.
 *
 *     ucx WORKER [refuse=LIBRARY] [asan=WORKER] [linked=WORKER] [static=PROGRAM]
 *
 * An entry that was there before a change of its memory is not found afterwards, however the
 * change was made, in each hook mode of UCX; with UCX's own hooks, in the same program, those
 * ways are stale of which that is known.  Where the adapter cannot work, and where it is
 * switched off, UCX works as without it.  Nothing is printed when all is well.
 *
 * The program under test is run anew for each question.  TEST_LINKER and TEST_LIBRARIES, if
 * set, run it by another dynamic linker, with other libraries (ucx.sh).
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../tap.h"

#define ADAPTER TEST_ADAPTER

static const char *const modes[] = { "bistro", "reloc", "none" };

static struct {
	const char *worker;
	const char *preload;
	const char *mode;
	/* "global", "local" or "deep". */
	const char *scope;
	/* NAME=VALUE, or NULL. */
	const char *variable;
	/* No mapping may be moved to a given place: the event source cannot start. */
	bool forbid_moves;
	/* Of stderr. */
	bool nobody_reads;
} how;

static struct {
	char out[16384], err[8192];
	int status;
	bool hangs;
} did;

static void as_usual(const char *preload, const char *mode)
{
	memset(&how, 0, sizeof(how));
	how.worker = NULL;
	how.preload = preload;
	how.mode = mode;
	how.scope = "local";
}

static const char *default_worker;

static void forbid_moves(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mremap, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[3])),
		BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, MREMAP_FIXED, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof(code) / sizeof(code[0]), code };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
		_exit(120);
}

/* A pipe that nobody reads from. */
static int end_of_nobody(void)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC))
		_exit(122);
	close(ends[0]);
	return ends[1];
}

static void become_worker(const char *subject, const char *arg, int out, int err)
{
	const char *worker = how.worker ? how.worker : default_worker;
	const char *linker = getenv("TEST_LINKER"), *libraries = getenv("TEST_LIBRARIES");
	const char *argv[16];
	int n = 0;

	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	dup2(out, STDOUT_FILENO);
	dup2(how.nobody_reads ? end_of_nobody() : err, STDERR_FILENO);
	unsetenv("LD_PRELOAD");
	unsetenv("MMUNOTIFY_UCX");
	setenv("UCX_MEM_MMAP_HOOK_MODE", how.mode, 1);
	/* Complaints of a UCX that was built for more than there is here. */
	setenv("UCX_LOG_LEVEL", "error", 1);
	if (how.preload)
		setenv("LD_PRELOAD", how.preload, 1);
	if (how.variable)
		putenv((char *)how.variable);
	if (linker) {
		argv[n++] = linker;
		argv[n++] = "--library-path";
		argv[n++] = libraries;
	}
	argv[n++] = worker;
	argv[n++] = "libucs.so.0";
	argv[n++] = how.scope;
	argv[n++] = subject;
	argv[n++] = arg;
	argv[n] = NULL;
	if (how.forbid_moves)
		forbid_moves();
	execv(argv[0], (char **)argv);
	_exit(121);
}

static size_t add(int fd, char *text, size_t length, size_t size)
{
	ssize_t got = read(fd, text + length, size - 1 - length);

	return length + (got > 0 ? (size_t)got : 0);
}

/* Runs the worker; a minute and a half without a word is a hang. */
static void run(const char *subject, const char *arg)
{
	size_t out_length = 0, err_length = 0;
	int out[2], err[2];
	struct pollfd ends[2];
	pid_t pid;

	memset(&did, 0, sizeof(did));
	if (pipe2(out, O_CLOEXEC) || pipe2(err, O_CLOEXEC))
		bail_out("no pipe");
	fflush(stdout);
	pid = fork();
	if (!pid)
		become_worker(subject, arg, out[1], err[1]);
	close(out[1]);
	close(err[1]);
	ends[0] = (struct pollfd){ .fd = out[0], .events = POLLIN };
	ends[1] = (struct pollfd){ .fd = err[0], .events = POLLIN };
	while (ends[0].fd >= 0 || ends[1].fd >= 0) {
		size_t before = out_length + err_length;

		if (poll(ends, 2, 90000) == 0) {
			did.hangs = true;
			break;
		}
		if (ends[0].revents)
			out_length = add(out[0], did.out, out_length, sizeof(did.out));
		if (ends[1].revents)
			err_length = add(err[0], did.err, err_length, sizeof(did.err));
		if (out_length + err_length > before)
			continue;
		for (int i = 0; i < 2; i++)
			if (ends[i].revents)
				ends[i].fd = -1;
	}
	close(out[0]);
	close(err[0]);
	/* And its children, which may hang as well. */
	if (did.hangs)
		kill(-pid, SIGKILL);
	waitpid(pid, &did.status, 0);
}

/* Did the run say "@name @result", and never "@name something else"? */
static bool says(const char *name, const char *result)
{
	char line[128], *next;
	bool found = false;

	for (char *p = did.out; *p; p = next) {
		next = strchr(p, '\n');
		next = next ? next + 1 : p + strlen(p);
		snprintf(line, sizeof(line), "%.*s", (int)(next - p), p);
		line[strcspn(line, "\n")] = '\0';
		if (strncmp(line, name, strlen(name)) != 0 || line[strlen(name)] != ' ')
			continue;
		if (strcmp(line + strlen(name) + 1, result) != 0)
			return false;
		found = true;
	}
	return found;
}

static void show(void)
{
	char *text[] = { did.out, did.err }, *line, *rest;

	diag("status 0x%x%s", did.status, did.hangs ? ", hangs" : "");
	for (int i = 0; i < 2; i++)
		for (rest = text[i]; (line = strsep(&rest, "\n"));)
			if (*line)
				diag("%s", line);
}

/* All of @results: "name=result ...". */
static void expect(const char *what, const char *results)
{
	char list[512], *rest = list, *word, *result;
	bool good = did.status == 0 && !did.hangs;

	snprintf(list, sizeof(list), "%s", results);
	while ((word = strsep(&rest, " "))) {
		result = strchr(word, '=');
		*result++ = '\0';
		if (says(word, result))
			continue;
		good = false;
		diag("not: %s %s", word, result);
	}
	if (!ok(good, "%s", what))
		show();
}

static void expect_quiet(const char *what)
{
	if (!ok(!strstr(did.err, "mmunotify"), "%s: nothing is printed", what))
		show();
}

static void expect_sentence(const char *what, const char *part)
{
	const char *said = strstr(did.err, "mmunotify: ucx: ");

	if (!ok(said && strstr(said, part) && !strstr(said + 1, "mmunotify:"), "%s: says so once",
		what))
		show();
}

/* With UCX's own hooks, whatever the mode; reloc may miss what is called by another name. */
#define OWN_STALE  "mremap=stale syscall=stale punch=stale inline=stale other=stale"
#define OWN_BISTRO "munmap=fresh fixed=fresh dontneed=fresh failing=fresh " OWN_STALE
#define OWN_RELOC  "munmap=fresh dontneed=fresh failing=fresh " OWN_STALE
/* Fed by us; what fails and what is elsewhere changes nothing. */
#define OURS \
	"munmap=fresh fixed=fresh dontneed=fresh mremap=fresh syscall=fresh punch=fresh " \
	"blind=fresh failing=stale other=stale"
#define OURS_STRICT OURS " inline=fresh"
/* A number that nobody can know before it is used. */
#define OURS_PLAIN OURS " inline=stale"
#define SILENT \
	"munmap=stale fixed=stale dontneed=stale mremap=stale syscall=stale punch=stale " \
	"inline=stale"
#define CHILD \
	"child-munmap=fresh child-fixed=fresh child-dontneed=fresh child-mremap=fresh " \
	"child-syscall=fresh child-punch=fresh child-failing=stale child-other=stale child=ends "
#define SECOND \
	"second-munmap=fresh second-fixed=fresh second-dontneed=fresh second-mremap=fresh " \
	"second-syscall=fresh second-punch=fresh second-failing=stale second-other=stale "

static const char *own(const char *mode)
{
	return !strcmp(mode, "none")    ? "cache=refused"
	       : !strcmp(mode, "reloc") ? OWN_RELOC
					: OWN_BISTRO;
}

static void test_ways(const char *mode)
{
	char what[80];

	as_usual(NULL, mode);
	run("ways", NULL);
	snprintf(what, sizeof(what), "%s, own hooks: stale where they are known to be", mode);
	expect(what, own(mode));
	run("race", NULL);
	snprintf(what, sizeof(what), "%s, own hooks: stale after a registration in between", mode);
	expect(what, strcmp(mode, "none") ? "race=stale" : "cache=refused");

	as_usual(ADAPTER, mode);
	run("ways", NULL);
	snprintf(what, sizeof(what), "%s, ours", mode);
	expect(what, OURS_PLAIN);
	expect_quiet(what);
	run("race", NULL);
	snprintf(what, sizeof(what), "%s, ours: not after a registration in between", mode);
	expect(what, "race=fresh");
	how.variable = "MMUNOTIFY_STRICT=1";
	run("ways", NULL);
	snprintf(what, sizeof(what), "%s, ours, strict", mode);
	expect(what, OURS_STRICT);
	expect_quiet(what);

	as_usual(ADAPTER, mode);
	how.variable = "MMUNOTIFY_UCX=off";
	run("ways", NULL);
	snprintf(what, sizeof(what), "%s, off: as without us", mode);
	expect(what, own(mode));
	expect_quiet(what);
	how.variable = "MMUNOTIFY_UCX=silent";
	run("ways", NULL);
	snprintf(what, sizeof(what), "%s, silent: stale everywhere", mode);
	expect(what, SILENT);
	expect_sentence(what, "silent");
	how.variable = "UCX_MEM_EVENTS=n";
	run("ways", NULL);
	snprintf(what, sizeof(what), "%s, UCX_MEM_EVENTS=n: no cache, as without us", mode);
	expect(what, "cache=refused");
	expect_quiet(what);
}

static void test_processes(const char *mode)
{
	static const char *const forks[] = { "fork", "raw-fork" };
	char what[80];

	as_usual(ADAPTER, mode);
	for (int i = 0; i < 2; i++) {
		run(forks[i], NULL);
		snprintf(what, sizeof(what), "%s, %s: a cache of the child's, and the parent's",
			 mode, forks[i]);
		expect(what, CHILD OURS);
		expect_quiet(what);
	}
	run("crowd", NULL);
	snprintf(what, sizeof(what), "%s: eight threads make the first cache at once", mode);
	expect(what, OURS);
	run("copies", NULL);
	snprintf(what, sizeof(what), "%s: a second UCX under another name", mode);
	expect(what, SECOND OURS);
	expect_quiet(what);
	how.scope = "global";
	run("ways", NULL);
	snprintf(what, sizeof(what), "%s: loaded for everybody", mode);
	expect(what, OURS);
	run("alone", NULL);
	snprintf(what, sizeof(what), "%s: libucm without libucs", mode);
	expect(what, "alone=heard");
	expect_quiet(what);
}

/* What the chain does not report is reported by UCX's hooks. */
static void test_calls(const char *mode)
{
	static const char *const subjects[] = { "calls", "cache-then-calls", "calls-no-install" };
	static const char *const scopes[] = { "global", "local" };
	char before[sizeof(did.out)], what[80];

	for (int i = 0; i < 3; i++) {
		for (int j = 0; j < 2; j++) {
			/* Behind our back: nobody asks to install anything. */
			if (i == 2 && j == 1)
				continue;
			/* There is no cache without us. */
			if (i == 1 && !strcmp(mode, "none"))
				continue;
			as_usual(NULL, mode);
			how.scope = scopes[j];
			run(subjects[i], NULL);
			memcpy(before, did.out, sizeof(before));
			how.preload = ADAPTER;
			run(subjects[i], NULL);
			snprintf(what, sizeof(what), "%s, %s, %s: single calls as without us", mode,
				 scopes[j], subjects[i]);
			if (!ok(!did.status && !strcmp(before, did.out), "%s", what))
				show();
			expect_quiet(what);
		}
	}
}

static void test_standing_aside(const char *mode, const char *refuse)
{
	char what[80], preload[512];

	/* The event source does not start. */
	as_usual(ADAPTER, mode);
	how.forbid_moves = true;
	run("ways", NULL);
	snprintf(what, sizeof(what), "%s, not watched: UCX's own hooks", mode);
	expect(what, !strcmp(mode, "none") ? "cache=refused"
		     : !strcmp(mode, "reloc")
			     ? "munmap=fresh dontneed=fresh syscall=stale"
			     : "munmap=fresh fixed=fresh dontneed=fresh syscall=stale");
	expect_sentence(what, "UCX's own hooks are used");
	how.nobody_reads = true;
	run("ways", NULL);
	snprintf(what, sizeof(what), "%s, not watched, and nobody reads it", mode);
	expect(what, !strcmp(mode, "none") ? "cache=refused" : "munmap=fresh syscall=stale");
	if (!refuse)
		return;
	/* It does, and then there is no registering. */
	as_usual(preload, mode);
	snprintf(preload, sizeof(preload), "%s %s", refuse, ADAPTER);
	run("ways", NULL);
	snprintf(what, sizeof(what), "%s, not registered: UCX's own hooks", mode);
	expect(what, own(mode));
	expect_sentence(what, "UCX's own hooks are used");
}

/* UCX that does not call through symbols: seen at the end, by what it has patched. */
static void test_unseen(const char *program)
{
	static const char said[] = "calls its own functions";

	as_usual(ADAPTER, "bistro");
	how.scope = "deep";
	run("ways", NULL);
	expect("RTLD_DEEPBIND: UCX's own hooks", OWN_BISTRO);
	expect_sentence("RTLD_DEEPBIND", said);
	how.variable = "MMUNOTIFY_UCX=off";
	run("ways", NULL);
	expect("RTLD_DEEPBIND, off", OWN_BISTRO);
	expect_quiet("RTLD_DEEPBIND, off");
	how.variable = NULL;
	how.preload = NULL;
	run("exits", NULL);
	expect("RTLD_DEEPBIND, without us: forked children end", "exits=end");
	how.preload = ADAPTER;
	run("exits", NULL);
	expect("RTLD_DEEPBIND: forked children end", "exits=end");
	if (!program)
		return;
	as_usual(ADAPTER, "bistro");
	how.worker = program;
	run("calls", NULL);
	expect("linked statically: UCX's own hooks", "calls=heard");
	expect_sentence("linked statically", said);
}

static void test_stress(const char *mode)
{
	char what[80];

	as_usual(ADAPTER, mode);
	run("stress", "4");
	snprintf(what, sizeof(what), "%s: lookups, allocations, handlers, caches and forks", mode);
	expect(what, "stress=works");
	expect_quiet(what);
}

/* Another build of the worker. */
static void test_build(const char *name, const char *worker, const char *mode)
{
	char what[80];

	as_usual(ADAPTER, mode);
	how.worker = worker;
	run("ways", NULL);
	snprintf(what, sizeof(what), "%s, worker: %s", mode, name);
	expect(what, OURS);
	expect_quiet(what);
	run("stress", "2");
	snprintf(what, sizeof(what), "%s, worker: %s: many threads", mode, name);
	expect(what, "stress=works");
}

int main(int argc, char **argv)
{
	const char *refuse = NULL, *statically = NULL;

	if (argc < 2)
		bail_out("usage: ucx WORKER [refuse=LIBRARY] [asan=WORKER] [linked=WORKER] "
			 "[static=PROGRAM]");
	default_worker = argv[1];
	as_usual(NULL, "bistro");
	run("ways", NULL);
	if (!strncmp(did.out, "missing ", 8)) {
		diag("%s", did.out);
		skip_all("UCX is not installed");
	}
	for (int i = 2; i < argc; i++)
		if (!strncmp(argv[i], "refuse=", 7))
			refuse = argv[i] + 7;
		else if (!strncmp(argv[i], "static=", 7))
			statically = argv[i] + 7;
	for (int i = 0; i < 3; i++) {
		test_ways(modes[i]);
		test_processes(modes[i]);
		test_calls(modes[i]);
		test_standing_aside(modes[i], refuse);
		test_stress(modes[i]);
		for (int j = 2; j < argc; j++)
			if (!strncmp(argv[j], "asan=", 5))
				test_build("with AddressSanitizer", argv[j] + 5, modes[i]);
			else if (!strncmp(argv[j], "linked=", 7))
				test_build("linked to UCX", argv[j] + 7, modes[i]);
	}
	test_unseen(statically);
	return tap_done();
}
