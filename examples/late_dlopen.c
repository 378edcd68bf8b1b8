/* cc -pthread -o late_dlopen late_dlopen.c $(pkg-config --cflags mmunotify) -ldl */
/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Bring the library into a program that runs already, with threads, and was
 * not linked to it: what a plug-in or a language binding does.
 *
 * After registration the changes made by every thread are seen, also by those
 * that were started before.  An argument names the library's path.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <mmunotify/mmu_notifier.h>
#include <mmunotify/self.h>

#define NR_THREADS 3
#define ENOUGH     100UL

static unsigned long seen[NR_THREADS];
static unsigned long areas[NR_THREADS];
static int stop;

static int on_start(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	(void)mn;
	for (int i = 0; i < NR_THREADS; i++)
		if (__atomic_load_n(&areas[i], __ATOMIC_RELAXED) == range->start)
			__atomic_add_fetch(&seen[i], 1, __ATOMIC_RELAXED);
	return 0;
}

static const struct mmu_notifier_ops ops = { .invalidate_range_start = on_start };

static void *map_and_unmap(void *arg)
{
	int self = (int)(long)arg;

	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		void *p = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			       0);

		if (p == MAP_FAILED)
			break;
		__atomic_store_n(&areas[self], (unsigned long)p, __ATOMIC_RELAXED);
		munmap(p, 65536);
	}
	return NULL;
}

static int all_seen(void)
{
	for (int i = 0; i < NR_THREADS; i++)
		if (__atomic_load_n(&seen[i], __ATOMIC_RELAXED) < ENOUGH)
			return 0;
	return 1;
}

int main(int argc, char **argv)
{
	static struct mmu_notifier mn = { .ops = &ops };
	__typeof__(mmun_self) *get_self;
	__typeof__(mmu_notifier_register) *do_register;
	__typeof__(mmu_notifier_unregister) *do_unregister;
	pthread_t threads[NR_THREADS];
	struct mm_struct *mm;
	void *library;
	int error;

	for (long i = 0; i < NR_THREADS; i++)
		if (pthread_create(&threads[i], NULL, map_and_unmap, (void *)i))
			return 1;

	library = dlopen(argc > 1 ? argv[1] : "libmmunotify.so.0", RTLD_NOW | RTLD_LOCAL);
	if (!library) {
		fprintf(stderr, "%s\n", dlerror());
		return 1;
	}
	*(void **)&get_self = dlsym(library, "mmun_self");
	*(void **)&do_register = dlsym(library, "mmu_notifier_register");
	*(void **)&do_unregister = dlsym(library, "mmu_notifier_unregister");
	if (!get_self || !do_register || !do_unregister)
		return 1;
	mm = get_self();
	error = mm ? do_register(&mn, mm) : -1;
	if (error) {
		fprintf(stderr, "cannot register: %s ('mmunotify probe' says why)\n",
			strerror(-error));
		return 1;
	}
	while (!all_seen())
		usleep(1000);
	do_unregister(&mn, mm);

	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	for (int i = 0; i < NR_THREADS; i++)
		pthread_join(threads[i], NULL);
	dlclose(library);
	printf("sections seen per thread:");
	for (int i = 0; i < NR_THREADS; i++)
		printf(" %lu", seen[i]);
	putchar('\n');
	return 0;
}
