/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A registration cache that does a bit of everything, with a counter of the kernel (perf, a
 * uprobe) on each probe point.
 *
 *   probes-workload LIBRARY NAME:OFFSET...   "NAME COUNT" for each; 77: no uprobes here
 */
#include <errno.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <mmunotify/rcache.h>
#include <mmunotify/self.h>

#define MAX_PROBES 16
#define PAGE       4096ul

static int failures;

static int register_memory(void *arg, struct mmun_registration *reg)
{
	return failures-- > 0 ? -EIO : 0;
}

static void deregister_memory(void *arg, struct mmun_registration *reg)
{
}

static int open_counter(unsigned int type, const char *library, unsigned long offset)
{
	struct perf_event_attr attr = {
		.size = sizeof(attr),
		.type = type,
		.config1 = (unsigned long)library,
		.config2 = offset,
	};

	return (int)syscall(SYS_perf_event_open, &attr, getpid(), -1, -1, PERF_FLAG_FD_CLOEXEC);
}

static char *map(void)
{
	char *memory =
		mmap(NULL, 16 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

static void get_put(struct mmun_rcache *cache, char *memory, unsigned int access)
{
	struct mmun_registration *reg =
		mmun_rcache_get(cache, (unsigned long)memory, PAGE, MMUN_RCACHE_READ | access);

	if (!mmun_is_err(reg))
		mmun_rcache_put(cache, reg);
}

/* 5 misses that succeed, one that fails, one for one use; 2 evictions; one invalidation. */
static int work(void)
{
	const struct mmun_rcache_ops ops = { register_memory, deregister_memory, NULL };
	const struct mmun_rcache_options options = { .flags = MMUN_RCACHE_NO_REAPER,
						     .limits.regions = 3 };
	char *memory = map();
	struct mmun_rcache *cache;

	if (!memory || mmun_rcache_create(mmun_self(), &ops, NULL, &options, &cache))
		return 1;
	for (int i = 0; i < 5; i++)
		get_put(cache, memory + 2 * i * PAGE, 0);
	madvise(memory + 8 * PAGE, PAGE, MADV_DONTNEED);
	mmun_rcache_progress(cache);
	failures = 1;
	get_put(cache, memory + 12 * PAGE, 0);
	get_put(cache, memory + 12 * PAGE, MMUN_RCACHE_UNCACHED);
	mmun_rcache_progress(cache);
	return mmun_rcache_destroy(cache) != 0;
}

int main(int argc, char **argv)
{
	int counter[MAX_PROBES], nr = argc - 2;
	unsigned int type;
	FILE *file = fopen("/sys/bus/event_source/devices/uprobe/type", "r");

	if (!file || fscanf(file, "%u", &type) != 1 || nr < 1 || nr > MAX_PROBES) {
		printf("no uprobe event source\n");
		return 77;
	}
	fclose(file);
	for (int i = 0; i < nr; i++) {
		const char *offset = strchr(argv[2 + i], ':');

		if (!offset)
			return 2;
		counter[i] = open_counter(type, argv[1], strtoul(offset + 1, NULL, 0));
		if (counter[i] < 0) {
			printf("perf_event_open: %s\n", strerror(errno));
			return errno == EPERM || errno == EACCES || errno == ENOSYS ? 77 : 1;
		}
	}
	if (work())
		return 1;
	for (int i = 0; i < nr; i++) {
		unsigned long count;

		if (read(counter[i], &count, sizeof(count)) != sizeof(count))
			return 1;
		printf("%.*s %lu\n", (int)strcspn(argv[2 + i], ":"), argv[2 + i], count);
	}
	return 0;
}
