/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The program that a preloaded object finds itself in: its C library, its file, its
 * environment, and the subscription to it.  Runs at attaching and in forked children, and may
 * allocate.  Tests: tests/system/trace_*.py, tests/system/audit.py.
 */
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <mmunotify/primary.h>
#include <mmunotify/self.h>

#include <atomic.h>

#include "tracer.h"

static struct mmu_notifier notifier;
static struct mm_struct *subscribed;

/* libc's own, not a sanitizer's or another library's, whichever comes first. */
static void prepare_libc(void)
{
	void *libc = dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD);
	const unsigned int *thread_size;

	if (!libc)
		return;
	emit_set_clock((int (*)(int, void *))dlsym(libc, "clock_gettime"));
	thread_size = dlsym(libc, "_thread_db_sizeof_pthread");
	if (thread_size)
		mapping_set_thread_size(*thread_size);
	dlclose(libc);
}

/* The program's environment as it was without us; in place, so that main's is too. */
static void clean_environment(void)
{
	char *preload = getenv("LD_PRELOAD"), *rest;

	if (preload) {
		rest = strchr(preload, ':');
		if (rest)
			memmove(preload, rest + 1, strlen(rest));
		else
			unsetenv("LD_PRELOAD");
	}
	unsetenv(RING_ENV);
	unsetenv(MMUN_SURVEY_VARIABLE);
}

static void prepare_stacks(void)
{
	static char program_path[RING_MAX_TEXT];
	char *path = realpath("/proc/self/exe", NULL);

	if (path && strlen(path) < sizeof(program_path))
		memcpy(program_path, path, strlen(path) + 1);
	free(path);
	stack_prepare(program_path);
}

/* The allocator's own fork handlers come first: ours allocates. */
static void warm_allocator(void)
{
	void *volatile memory = malloc(1);

	free(memory);
}

void program_attach(const char *ring, void (*forked_child)(void))
{
	unsigned int wants = emit_wants();

	inherited_watch();
	prepare_libc();
	if (wants & RING_WANT_STACKS)
		prepare_stacks();
	if (wants & RING_FOLLOW) {
		warm_allocator();
		pthread_atfork(NULL, NULL, forked_child);
		exec_follow(RING_ENV, ring);
	} else {
		clean_environment();
	}
}

int program_subscribe(const struct mmu_notifier_ops *ops)
{
	struct mm_struct *mm = mmun_self();
	int error = -ENOMEM;

	memset(&notifier, 0, sizeof(notifier));
	notifier.ops = ops;
	if (mm)
		error = emit_wants() & RING_STRICT ? mmun_self_start_strict() : 0;
	if (!error)
		error = mmu_notifier_register(&notifier, mm);
	mmun_store_full(&subscribed, error ? NULL : mm);
	return error;
}

void program_unsubscribe(void)
{
	if (subscribed)
		mmu_notifier_unregister(&notifier, subscribed);
}

bool program_is_subscribed(void)
{
	struct mm_struct *mm = mmun_load_relaxed(&subscribed);

	return mm && !mmun_mm_is_stale(mm);
}

/*
 * AddressSanitizer's run-time refuses to start unless it is the first library
 * of all, which a preloaded one makes impossible.  It asks this function for
 * options; a program that has its own keeps it.
 */
__attribute__((visibility("default"))) const char *__asan_default_options(void);

const char *__asan_default_options(void)
{
	return "verify_asan_link_order=0";
}
