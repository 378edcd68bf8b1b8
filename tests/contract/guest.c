/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Contract: LD_PRELOAD, alone and together with other allocators.
 *
 * Not linked with libmmunotify: the build runs it with the watcher preloaded,
 * and jemalloc or tcmalloc behind it.  Whatever the allocator gives back to the
 * kernel must have been reported; the truth is pagemap.
 */
#include <dlfcn.h>
#include <malloc.h>
#include <pthread.h>
#include <sys/mman.h>

#include "../tap.h"
#include "scene.h"
#include "pagemap.h"

#define BIG     (64UL << 20)
#define SAMPLES 32

static struct {
	int (*registered)(void);
	int (*notified)(unsigned long, unsigned long);
	unsigned long (*open)(void);
	void (*forget)(void);
} watcher;

static bool find_watcher(void)
{
	watcher.registered = (int (*)(void))dlsym(RTLD_DEFAULT, "guest_watch_registered");
	watcher.notified =
		(int (*)(unsigned long, unsigned long))dlsym(RTLD_DEFAULT, "guest_watch_notified");
	watcher.open = (unsigned long (*)(void))dlsym(RTLD_DEFAULT, "guest_watch_open");
	watcher.forget = (void (*)(void))dlsym(RTLD_DEFAULT, "guest_watch_forget");
	return watcher.registered && watcher.notified && watcher.open && watcher.forget;
}

/* Asks the allocator at hand to give back what it has free. */
static const char *purge(void)
{
	int (*mallctl)(const char *, void *, size_t *, void *, size_t) =
		(int (*)(const char *, void *, size_t *, void *, size_t))dlsym(RTLD_DEFAULT,
									       "mallctl");
	void (*release)(void) =
		(void (*)(void))dlsym(RTLD_DEFAULT, "MallocExtension_ReleaseFreeMemory");

	if (mallctl) {
		mallctl("arena.4096.purge", NULL, NULL, NULL, 0);
		return "jemalloc";
	}
	if (release) {
		release();
		return "tcmalloc";
	}
	malloc_trim(0);
	return "libc";
}

static void block_given_back(void)
{
	char *block = malloc(BIG);
	unsigned long first = ((unsigned long)block + PAGE_BYTES) & ~(PAGE_BYTES - 1);
	unsigned long stride = (BIG / SAMPLES) & ~(PAGE_BYTES - 1);
	uint64_t before[SAMPLES];
	int moved = 0, missed = 0;
	const char *who;

	for (unsigned int i = 0; i < SAMPLES - 1; i++) {
		*(volatile char *)(first + i * stride) = 1;
		before[i] = page_state(first + i * stride, 0);
	}
	watcher.forget();
	free(block);
	who = purge();
	for (unsigned int i = 0; i < SAMPLES - 1; i++) {
		unsigned long page = first + i * stride;

		if (page_state(page, 0) == before[i])
			continue;
		moved++;
		missed += !watcher.notified(page, page + PAGE_BYTES);
	}
	diag("the allocator is %s; %d of %d pages went", who, moved, SAMPLES - 1);
	ok(moved > 0, "a freed block of 64 MiB goes back to the kernel");
	ok(missed == 0, "each page of it was reported (%d were not)", missed);
}

static void unmapped(void)
{
	char *at = mmap(NULL, 37 * PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			-1, 0);

	munmap(at, 37 * PAGE_BYTES);
	ok(watcher.notified((unsigned long)at, (unsigned long)at + 37 * PAGE_BYTES),
	   "the program's munmap is notified");
}

static void *churn(void *arg)
{
	unsigned int seed = (unsigned int)(unsigned long)arg;

	for (int i = 0; i < 4000; i++) {
		size_t size = (size_t)(rand_r(&seed) % 1024) << 9;
		char *block = malloc(size + 1);

		block[size] = 1;
		free(block);
		if (i % 200 == 0)
			purge();
	}
	return NULL;
}

static void churning(void)
{
	pthread_t threads[4];

	for (unsigned long i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, churn, (void *)(i + 1));
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	ok(watcher.open() == 0, "four threads allocate and free: each start has its end");
}

static void fork_and_churn(void)
{
	int status = -1;
	pid_t child = fork();

	if (!child) {
		alarm(60);
		churn((void *)7);
		exit(0);
	}
	waitpid(child, &status, 0);
	is(status, 0, "a child allocates, frees and exits");
}

int main(void)
{
	if (!find_watcher())
		bail_out("the watcher is not preloaded");
	is(watcher.registered(), 0, "a preloaded library registers before main");
	unmapped();
	if (pagemap_open() || !pagemap_shows_frames())
		skip("the allocator's memory", "frame numbers need CAP_SYS_ADMIN (run as root)");
	else
		block_given_back();
	churning();
	fork_and_churn();
	return tap_done();
}
