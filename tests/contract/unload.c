/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Contract: what is mapped executable may be no library, and a library may be unloaded
 * while its text is read, replaced and put back.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <sys/stat.h>
#include <time.h>

#include <mmunotify/mmu_notifier.h>
#include <mmunotify/self.h>

#include "conditions.h"
#include "sanitizer.h"
#include "scene.h"

#define PAGE    4096UL
#define SECONDS 4

static int is_libc(struct dl_phdr_info *info, size_t size, void *path)
{
	const char *slash = strrchr(info->dlpi_name, '/');

	if (!slash || strcmp(slash, "/libc.so.6"))
		return 0;
	*(const char **)path = info->dlpi_name;
	return 1;
}

/* As a debugger, a profiler or an emulator looks at a file: @size bytes of it. */
static char *map_libc(size_t size)
{
	const char *path = NULL;
	int fd;
	/* Nothing else is behind it by accident. */
	char *room = mmap(NULL, 64 << 20, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	dl_iterate_phdr(is_libc, &path);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	room = mmap(room, size, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_FIXED, fd, 0);
	close(fd);
	return room;
}

static void with_mapping(size_t size)
{
	char *map = map_libc(size), *copy = malloc(size);

	check(map != MAP_FAILED, "%zu bytes of the C library's file are mapped, executable", size);
	memcpy(copy, map, size);
	check(mmun_self_start() == 0, "start");
	check(!memcmp(copy, map, size), "that mapping is left alone");
	check(mmun_self_stop() == 0, "stop");
}

static void first_page(void)
{
	with_mapping(PAGE);
}

static void whole_file(void)
{
	const char *path = NULL;
	struct stat file;

	dl_iterate_phdr(is_libc, &path);
	check(path && !stat(path, &file), "the file is found");
	with_mapping(file.st_size & -PAGE);
}

static int leave;
static volatile unsigned long loads;

/* With a C library of its own. */
static void *load(void *unused)
{
	while (!__atomic_load_n(&leave, __ATOMIC_RELAXED)) {
		void *handle = dlmopen(LM_ID_NEWLM, "libm.so.6", RTLD_NOW);

		if (!handle)
			continue;
		dlclose(handle);
		loads++;
	}
	return NULL;
}

static void beside_dlclose(void)
{
	unsigned long starts = 0, failed = 0;
	time_t begin = time(NULL), now;
	pthread_t thread;

	pthread_create(&thread, NULL, load, NULL);
	/* On a busy machine longer, until both have done something. */
	while ((now = time(NULL)) < begin + SECONDS ||
	       (now < begin + 10 * SECONDS && (starts < 2 || loads < 2))) {
		failed += mmun_self_start() != 0;
		failed += mmun_self_stop() != 0;
		starts++;
	}
	__atomic_store_n(&leave, 1, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	check(starts > 1 && loads > 1,
	      "libraries come and go (%lu) while it starts and stops (%lu)", loads, starts);
	check(failed == 0, "start and stop always succeed (%lu failed)", failed);
}

/* What was made for a library is used for the next, or given back. */
static void again_and_again(void)
{
	long before = 0, after;

	check(mmun_self_start() == 0, "start");
	for (int i = 0; i < 60; i++) {
		void *handle = dlmopen(LM_ID_NEWLM, "libm.so.6", RTLD_NOW);

		if (handle)
			dlclose(handle);
		if (i == 9)
			before = count_mappings();
	}
	after = count_mappings();
	check(before && after <= before + 2,
	      "50 libraries that came and went leave no mappings (%ld, then %ld)", before, after);
	check(mmun_self_stop() == 0, "stop");
}

int main(void)
{
	if (SANITIZED)
		skip_all("a sanitizer cannot live in two namespaces");
	scene("first page", first_page);
	scene("whole file", whole_file);
	scene("beside dlclose", beside_dlclose);
	scene("again and again", again_and_again);
	return tap_done();
}
