/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Contract: where the adapter is preloaded, a registration ends up where it would have
 * without it: past other wrappers, and in libraries that come and go.
 *
 * Usage: fi_loaded ADAPTER WRAPPER USER VERBS; VERBS stands in for libibverbs.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../tap.h"

typedef int use_fn(void);

static use_fn *load(const char *file, void **handle)
{
	*handle = dlopen(file, RTLD_NOW | RTLD_LOCAL);
	return *handle ? (use_fn *)dlsym(*handle, "user_registers") : NULL;
}

/* 0: registered, and the wrapper was asked if there is one. */
static int run_wrapped(const char *user)
{
	const int *calls = dlsym(RTLD_DEFAULT, "wrapper_calls");
	void *handle;
	use_fn *use = load(user, &handle);

	if (!use || !use())
		return 1;
	return calls && *calls == 1 ? 0 : 2;
}

/* Where the library is that defines @name, of those loaded with @handle. */
static char *base_of(void *handle, const char *name)
{
	Dl_info info;

	return dladdr(dlsym(handle, name), &info) ? info.dli_fbase : NULL;
}

/* The library comes again at the same place, and what it depends on at another one. */
static int run_unloaded(const char *user)
{
	unsigned int i;

	for (i = 0; i < 20; i++) {
		void *handle;
		use_fn *use = load(user, &handle);
		char *base;

		if (!use || !use())
			return 1;
		base = base_of(handle, "contract_fi_verbs");
		dlclose(handle);
		/* Fails if it is still there. */
		mmap(base, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1,
		     0);
	}
	return 0;
}

static void check(const char *name, const char *part, const char *user, const char *preload)
{
	int status = 0;
	pid_t pid = fork();

	if (!pid) {
		setenv("LD_PRELOAD", preload, 1);
		execl("/proc/self/exe", "fi_loaded", part, user, NULL);
		_exit(127);
	}
	waitpid(pid, &status, 0);
	if (!ok(status == 0, "%s", name))
		diag("status %x", status);
}

int main(int argc, char **argv)
{
	char list[4096];

	if (argc == 3)
		return strcmp(argv[1], "wrapped") ? run_unloaded(argv[2]) : run_wrapped(argv[2]);
	if (argc != 5)
		return 1;
	snprintf(list, sizeof(list), "%s:%s", argv[2], argv[4]);
	check("another wrapper alone is asked", "wrapped", argv[3], list);
	snprintf(list, sizeof(list), "%s:%s:%s", argv[1], argv[2], argv[4]);
	check("behind the adapter too", "wrapped", argv[3], list);
	snprintf(list, sizeof(list), "%s:%s:%s", argv[2], argv[1], argv[4]);
	check("and in front of it", "wrapped", argv[3], list);
	check("libraries that register may be unloaded and loaded again", "unloaded", argv[3], "");
	check("with the adapter too", "unloaded", argv[3], argv[1]);
	return tap_done();
}
