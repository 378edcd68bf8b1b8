/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The program that a preloaded object finds itself in: its C library, its file, its
 * environment.  Runs at attaching only, and may allocate.  Tests: tests/system/trace_*.py.
 */
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include <mmunotify/self.h>

#include "tracer.h"

/* libc's own, not a sanitizer's or another library's, whichever comes first. */
void program_prepare_libc(void)
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
void program_clean_environment(void)
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

void program_prepare_stacks(void)
{
	static char program_path[RING_MAX_TEXT];
	char *path = realpath("/proc/self/exe", NULL);

	if (path && strlen(path) < sizeof(program_path))
		memcpy(program_path, path, strlen(path) + 1);
	free(path);
	stack_prepare(program_path);
}

void program_warm_allocator(void)
{
	void *volatile memory = malloc(1);

	free(memory);
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
