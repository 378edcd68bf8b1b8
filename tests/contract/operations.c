/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Contract: each operation that changes an address space, on each route into
 * the kernel, is reported exactly as the source declares.
 *
 *	operations [ROUTE...]
 *
 * Each case runs in two fresh children, with a notifier and without; the truth
 * is the kernel's (watch.h), the judgement is verdict.c, and at the end the
 * declared coverage of the source is compared with what was observed.  The
 * routes "inline" and "generated-code" are seen in strict mode.  Does not test
 * fork (fork.c) and the end of processes (ends.c).
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <mmunotify/primary.h>

#include "../tap.h"
#include "conditions.h"
#include "plugin.h"
#include "sanitizer.h"
#include "verdict.h"

struct attempt {
	struct region region;
	struct outcome *out;
	void (*run)(void (*fn)(struct attempt *), struct attempt *a);
};

struct route {
	const char *name;
	/* Not the plain call of the program: cases of OP_PLAIN do not apply. */
	bool plain;
	/* Before and after the registration; NULL or the reason to skip. */
	const char *(*before)(struct calls *c);
	const char *(*after)(struct calls *c);
	void (*run)(void (*fn)(struct attempt *), struct attempt *a);
};

static struct watch watch;

static void directly(void (*fn)(struct attempt *), struct attempt *a)
{
	fn(a);
}

static struct {
	void (*fn)(struct attempt *);
	struct attempt *a;
} pending;

static void handler(int sig)
{
	pending.fn(pending.a);
}

static void in_signal_handler(void (*fn)(struct attempt *), struct attempt *a)
{
	struct sigaction action = { .sa_handler = handler };

	pending.fn = fn;
	pending.a = a;
	sigaction(SIGUSR1, &action, NULL);
	raise(SIGUSR1);
}

__attribute__((noinline)) static void in_vfork_child(void (*fn)(struct attempt *),
						     struct attempt *a)
{
	pid_t child = vfork();

	if (!child) {
		fn(a);
		_exit(0);
	}
	waitpid(child, NULL, 0);
}

static void *thread_main(void *arg)
{
	pending.fn(arg);
	return NULL;
}

static void in_thread(void (*fn)(struct attempt *), struct attempt *a)
{
	pthread_t thread;

	pending.fn = fn;
	pthread_create(&thread, NULL, thread_main, a);
	pthread_join(thread, NULL);
}

static const char *from_libc(struct calls *c)
{
	*c = calls_libc;
	return NULL;
}

static const char *from_syscall(struct calls *c)
{
	*c = calls_syscall;
	return NULL;
}

static const char *from_inline(struct calls *c)
{
	setenv("MMUNOTIFY_STRICT", "1", 1);
	calls_enter = calls_inline;
	return from_syscall(c);
}

static const char *from_generated(struct calls *c)
{
	setenv("MMUNOTIFY_STRICT", "1", 1);
	calls_enter = calls_generated;
	return from_syscall(c);
}

static const char *from_dlsym(struct calls *c)
{
	void *libc = dlopen("libc.so.6", RTLD_NOW | RTLD_NOLOAD);

	return libc && !calls_by_name(c, libc) ? NULL : "no libc.so.6 to look into";
}

static const char *from_plugin(struct calls *c, void *handle)
{
	const struct plugin *plugin = handle ? dlsym(handle, "plugin_info") : NULL;

	if (!plugin)
		return "cannot load the test library";
	*c = *plugin->calls;
	return NULL;
}

static const char *from_library(struct calls *c)
{
	return from_plugin(c, dlopen(TEST_PLUGIN, RTLD_NOW | RTLD_LOCAL));
}

static const char *from_second_libc(struct calls *c)
{
	return from_plugin(c, dlmopen(LM_ID_NEWLM, TEST_PLUGIN, RTLD_NOW | RTLD_LOCAL));
}

static const struct route routes[] = {
	{ "libc", true, NULL, from_libc, directly },
	{ "syscall", false, NULL, from_syscall, directly },
	{ "dlsym", false, NULL, from_dlsym, directly },
	{ "later-library", false, NULL, from_library, directly },
	{ "second-libc-before", false, from_second_libc, NULL, directly },
	{ "second-libc-after", false, NULL, from_second_libc, directly },
	{ "signal-handler", false, NULL, from_libc, in_signal_handler },
	{ "vfork-child", false, NULL, from_libc, in_vfork_child },
	{ "thread", false, NULL, from_libc, in_thread },
	{ "inline", false, from_inline, NULL, directly },
	{ "inline-signal-handler", false, from_inline, NULL, in_signal_handler },
	{ "inline-thread", false, from_inline, NULL, in_thread },
	{ "generated-code", false, from_generated, NULL, directly },
};

static const struct operation *const tables[] = {
	operations_map, operations_move, operations_advice,
	operations_shm, operations_file, operations_libc,
};

static void act(struct attempt *a)
{
	int *error = a->region.c->errno_at();

	*error = 0;
	a->out->ret = a->region.op->act(&a->region);
	a->out->error = *error;
	a->out->moved = watch_moved(&watch);
	watch_disarm(&watch);
}

static void attempt_case(const struct route *route, const struct operation *op, bool notified,
			 struct outcome *out)
{
	struct attempt a = { .out = out, .run = route->run };
	struct calls calls;
	const char *why = NULL;
	int error;

	a.region.op = op;
	a.region.c = &calls;
	pagemap_open();
	if (route->before)
		why = route->before(&calls);
	error = notified ? watch_register(&watch) : 0;
	if (error)
		verdict_fail(out, "cannot register: %s", strerror(-error));
	if (!why && route->after)
		why = route->after(&calls);
	if (!why)
		why = op->prepare(&a.region);
	if (why) {
		out->skipped = true;
		snprintf(out->text, sizeof(out->text), "%s", why);
		region_clean_up(&a.region);
		return;
	}
	watch_arm(&watch, &a.region.area);
	a.run(act, &a);
	out->contents = verdict_contents(&a.region.area);
	if (notified)
		verdict_judge(out, &a.region, &watch);
	region_clean_up(&a.region);
}

static void run_child(const struct route *route, const struct operation *op, bool notified,
		      struct outcome *out)
{
	int status;
	pid_t child;

	memset(out, 0, sizeof(*out));
	fflush(stdout);
	child = fork();
	if (!child) {
		alarm(60);
		attempt_case(route, op, notified, out);
		_exit(0);
	}
	waitpid(child, &status, 0);
	if (status)
		verdict_fail(out, "the process ended with status %x", status);
}

static struct {
	bool before, notified, missed, tried;
} seen[MMUN_NR_OPS];

static void account(const struct operation *op, const struct outcome *out)
{
	bool loud = !(op->flags & (OP_QUIET | OP_FAILS));

	if (out->skipped || op->op == MMUN_OP_NONE)
		return;
	seen[op->op].tried |= loud;
	seen[op->op].before |= out->notified_before;
	seen[op->op].notified |= out->notified_return;
	seen[op->op].missed |= out->missed;
}

static void print_lines(const char *text)
{
	while (*text) {
		size_t len = strcspn(text, "\n");

		diag("%.*s", (int)len, text);
		text += len + (text[len] == '\n');
	}
}

static void run_case(const struct route *route, const struct operation *op, struct outcome *out)
{
	char name[200];

	snprintf(name, sizeof(name), "%s: %s", route->name, op->name);
	if (THREAD_SANITIZED && op->flags & OP_THREAD) {
		skip(name, THREAD_END_REASON);
		return;
	}
	if (SANITIZED && op->flags & OP_MALLOC) {
		skip(name, "the sanitizer's allocator makes its own system calls");
		return;
	}
	run_child(route, op, false, &out[1]);
	run_child(route, op, true, &out[0]);
	account(op, &out[0]);
	if (out[0].skipped && !out[0].failed) {
		skip(name, out[0].text);
		return;
	}
	verdict_compare(&out[0], &out[1], op);
	if (!ok(!out[0].failed, "%s", name))
		print_lines(out[0].text);
}

static void run_route(const struct route *route, struct outcome *out)
{
	for (size_t t = 0; t < sizeof(tables) / sizeof(tables[0]); t++)
		for (const struct operation *op = tables[t]; op->name; op++)
			if (route->plain || !(op->flags & OP_PLAIN))
				run_case(route, op, out);
}

/*
 * Fork, exec and exit are subjects of their own; poisoning takes a page frame
 * away from the machine for good.
 */
static bool is_in_tables(enum mmun_op op)
{
	/* From COW on they are not system calls. */
	return op < MMUN_OP_COW && op != MMUN_OP_FORK && op != MMUN_OP_EXEC && op != MMUN_OP_EXIT &&
	       op != MMUN_OP_MADV_POISON;
}

static void compare_declared(void)
{
	const struct mmun_primary_ops *source = mmun_source_at(0);

	for (int op = 1; op < MMUN_NR_OPS; op++) {
		enum mmun_coverage declared = source->coverage[op];
		bool right;

		if (!is_in_tables(op))
			continue;
		if (!seen[op].tried) {
			skip(mmun_op_name(op), "could not be done here");
			continue;
		}
		right = declared == MMUN_COVERS_NEVER ? !seen[op].notified
						      : !seen[op].missed && seen[op].notified;
		ok(right, "declared and observed agree for %s", mmun_op_name(op));
		if (!right)
			diag("declared %d, notified %d, missed %d", declared, seen[op].notified,
			     seen[op].missed);
	}
}

static bool chosen(const char *route, int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (!strcmp(argv[i], route))
			return true;
	return argc < 2;
}

int main(int argc, char **argv)
{
	char hugetlb_before[32] = "";
	struct outcome *out = mmap(NULL, 2 * sizeof(*out), PROT_READ | PROT_WRITE,
				   MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (THREAD_SANITIZED && getenv("MMUNOTIFY_STRICT"))
		skip_all(STRICT_REASON);
	if (pagemap_open() || !pagemap_shows_frames())
		skip_all("frame numbers need CAP_SYS_ADMIN (run as root)");
	lend_hugetlb("4", hugetlb_before, sizeof(hugetlb_before));
	for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
		if (!chosen(routes[i].name, argc, argv))
			continue;
		if (SANITIZED && strstr(routes[i].name, "second-libc"))
			skip(routes[i].name, "a sanitizer cannot live in two namespaces");
		else if (THREAD_SANITIZED && !strcmp(routes[i].name, "vfork-child"))
			skip(routes[i].name, "ThreadSanitizer makes a fork of each vfork");
		else if (THREAD_SANITIZED && !strcmp(routes[i].name, "thread"))
			skip(routes[i].name, THREAD_END_REASON);
		else
			run_route(&routes[i], out);
	}
	lend_hugetlb(hugetlb_before, NULL, 0);
	compare_declared();
	return tap_done();
}
