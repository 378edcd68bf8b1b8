/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Contract: what is patched, when, and that all of it is put back.
 *
 * The text of libc and of the dynamic linker in memory is compared with their
 * files byte for byte: equal before the first registration, different while
 * one is there, equal again after mmun_self_stop().  No page is ever writable
 * and executable at once, not even for a moment.
 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>

#include <mmunotify/self.h>

#include "scene.h"
#include "watch.h"

#define MAX_TEXTS 8

struct text {
	unsigned long start, end, offset;
	char path[200];
};

static struct text texts[MAX_TEXTS];
static unsigned int nr_texts;
static struct watch watch;

static bool is_ours(const char *path)
{
	return strstr(path, "/libc.so.6") || strstr(path, "/ld-linux-x86-64.so.2");
}

/* The executable mappings of the files that get patched, before that happens. */
static void find_texts(void)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[512], perms[8], path[300];

	while (maps && fgets(line, sizeof(line), maps) && nr_texts < MAX_TEXTS) {
		struct text *t = &texts[nr_texts];

		path[0] = 0;
		if (sscanf(line, "%lx-%lx %7s %lx %*s %*s %299s", &t->start, &t->end, perms,
			   &t->offset, path) < 5)
			continue;
		if (strchr(perms, 'x') && is_ours(path)) {
			snprintf(t->path, sizeof(t->path), "%.199s", path);
			nr_texts++;
		}
	}
	if (maps)
		fclose(maps);
}

/* Bytes of @t in memory that are not the file's; -1 if the file cannot be read. */
static long differences(const struct text *t)
{
	size_t size = t->end - t->start;
	int fd = open(t->path, O_RDONLY | O_CLOEXEC);
	const unsigned char *memory = (const unsigned char *)t->start, *file;
	long count = 0;

	if (fd < 0)
		return -1;
	file = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, (off_t)t->offset);
	close(fd);
	if (file == MAP_FAILED)
		return -1;
	for (size_t i = 0; i < size; i++)
		count += memory[i] != file[i];
	munmap((void *)(unsigned long)file, size);
	return count;
}

static long all_differences(void)
{
	long sum = 0;

	for (unsigned int i = 0; i < nr_texts; i++) {
		long d = differences(&texts[i]);

		if (d < 0)
			return -1;
		sum += d;
	}
	return sum;
}

/* Mappings with all of @perms, by the kernel's list. */
static int count_mappings(const char *wanted)
{
	char buffer[1 << 16], *line = buffer;
	int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC), count = 0;
	size_t used = 0;
	ssize_t got;

	while (fd >= 0 && used < sizeof(buffer) - 1 &&
	       (got = read(fd, buffer + used, sizeof(buffer) - 1 - used)) > 0)
		used += (size_t)got;
	buffer[used] = 0;
	close(fd);
	while ((line = strchr(line, ' '))) {
		count += !strncmp(line + 1, wanted, strlen(wanted));
		line = strchr(line, '\n');
		if (!line)
			break;
	}
	return count;
}

static void put_back(void)
{
	void *at;

	find_texts();
	check(nr_texts >= 2, "the text of libc and of the dynamic linker is found");
	check(mmun_self() != NULL, "mmun_self()");
	check(all_differences() == 0, "nothing is patched before the first registration");
	pagemap_open();
	check(watch_register(&watch) == 0, "registers");
	check(all_differences() > 0, "patched while a notifier is there");
	check(mmun_self_stop() == -EBUSY, "cannot stop while a notifier is there");
	watch_unregister(&watch);
	check(mmun_self_stop() == 0, "stops");
	check(all_differences() == 0, "every byte is the file's again");
	check(mmun_self_stop() == 0, "stopping again is no error");
	at = mmap(NULL, PAGE_BYTES, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	check(munmap(at, PAGE_BYTES) == 0, "calls work afterwards");
	check(mmun_self_start() == 0 && mmun_self_start() == 0, "starts again, twice");
	check(all_differences() > 0, "patched again");
	check(mmun_self_stop() == 0 && all_differences() == 0, "and put back again");
}

/* Permissions of the replaced pages: those of the original text. */
static void permissions(void)
{
	int before, after, wx;

	before = count_mappings("r-x");
	check(mmun_self_start() == 0, "starts");
	wx = count_mappings("rwx");
	check(wx == 0, "no mapping is writable and executable while patched");
	check(mmun_self_stop() == 0, "stops");
	after = count_mappings("r-x");
	check(count_mappings("rwx") == 0, "none is afterwards");
	diag("executable mappings before %d, after %d", before, after);
}

static int looking = 1;

static void *look_for_wx(void *arg)
{
	long seen = 0;

	while (__atomic_load_n(&looking, __ATOMIC_RELAXED))
		seen += count_mappings("rwx");
	return (void *)seen;
}

static void never_writable(void)
{
	pthread_t thread;
	void *seen = NULL;
	int failed = 0;

	pthread_create(&thread, NULL, look_for_wx, NULL);
	for (int i = 0; i < 200; i++) {
		failed += mmun_self_start() != 0;
		failed += mmun_self_stop() != 0;
	}
	__atomic_store_n(&looking, 0, __ATOMIC_RELAXED);
	pthread_join(thread, &seen);
	check(failed == 0, "200 rounds of start and stop");
	check(seen == NULL, "no page was writable and executable at any time");
}

/* Every round must leave as many mappings as it found: nothing is leaked. */
static void no_leak(void)
{
	int before, after;

	mmun_self_start();
	mmun_self_stop();
	before = count_mappings("");
	for (int i = 0; i < 50; i++) {
		mmun_self_start();
		mmun_self_stop();
	}
	after = count_mappings("");
	check(before == after, "50 rounds leave no mapping behind (%d, %d)", before, after);
}

int main(void)
{
	scene("bytes", put_back);
	scene("permissions", permissions);
	scene("writable and executable", never_writable);
	scene("leaks", no_leak);
	return tap_done();
}
