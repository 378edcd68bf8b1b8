/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Contract: a plug-in that brings its own copy of the library may be closed.
 *
 * It registers and unregisters and does not stop: the C library still jumps into it,
 * and other threads are at work meanwhile.
 */
#include <dlfcn.h>
#include <pthread.h>

#include "scene.h"

#define ROUNDS 10
#define PAGE   4096UL

static int leave;

static void *work(void *unused)
{
	while (!__atomic_load_n(&leave, __ATOMIC_RELAXED))
		munmap(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), PAGE);
	return NULL;
}

static bool come_and_go(void)
{
	void *handle = dlopen(TEST_PLUGIN, RTLD_NOW | RTLD_LOCAL);
	int (*begin)(void) = handle ? (int (*)(void))dlsym(handle, "plugin_begin") : NULL;
	void (*end)(void) = handle ? (void (*)(void))dlsym(handle, "plugin_end") : NULL;

	if (!begin || !end || begin())
		return false;
	end();
	return !dlclose(handle);
}

static void closed(void)
{
	pthread_t thread;
	int rounds = 0;

	pthread_create(&thread, NULL, work, NULL);
	for (int i = 0; i < ROUNDS; i++) {
		rounds += come_and_go();
		usleep(5000);
	}
	__atomic_store_n(&leave, 1, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	check(rounds == ROUNDS, "it comes and goes (%d of %d)", rounds, ROUNDS);
}

int main(void)
{
	scene("a static copy", closed);
	return tap_done();
}
