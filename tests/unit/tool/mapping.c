/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the tracer says of a range: each kind of mapping, and that the two ways
 * to ask the kernel agree on every mapping of this process.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <unistd.h>

#include "tap.h"

#include "tracer.h"

#define PAGE 4096ul

static unsigned long here(void)
{
	return (unsigned long)__builtin_frame_address(0);
}

static void is_kind(const void *start, size_t size, enum mapping_kind kind, const char *what)
{
	struct mapping mapping;

	mapping_find((unsigned long)start, (unsigned long)start + size, here(), &mapping);
	if (!ok(mapping.kind == kind, "%s", what))
		diag("kind %d, name '%s'", mapping.kind, mapping.name);
}

static void *map_anonymous(size_t size, int flags)
{
	return mmap(NULL, size, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, -1, 0);
}

static void test_anonymous(void)
{
	char *area = map_anonymous(3 * PAGE, MAP_PRIVATE);
	struct mapping mapping;
	int local;

	is_kind(area, PAGE, MAPPING_ANONYMOUS, "private anonymous memory");
	munmap(area + PAGE, PAGE);
	is_kind(area + PAGE, PAGE, MAPPING_NONE, "a hole");
	mapping_find((unsigned long)area, (unsigned long)area + 3 * PAGE, here(), &mapping);
	ok(mapping.more, "two mappings in a range are more than one");
	mapping_find((unsigned long)area, (unsigned long)area + 2 * PAGE, here(), &mapping);
	ok(!mapping.more, "one mapping and a hole are not");
	munmap(area, 3 * PAGE);
	area = map_anonymous(PAGE, MAP_SHARED);
	is_kind(area, PAGE, MAPPING_SHARED_ANONYMOUS, "shared anonymous memory");
	munmap(area, PAGE);
	is_kind((char *)sbrk(PAGE), PAGE, MAPPING_HEAP, "the heap");
	is_kind((void *)((unsigned long)&local & -PAGE), PAGE, MAPPING_STACK, "the stack");
	is_kind(NULL, -PAGE, MAPPING_ALL, "the whole address space");
}

static void test_files(void)
{
	char path[] = "/tmp/mapping-XXXXXX";
	int file = mkstemp(path), memory = memfd_create("thing", 0);
	struct mapping mapping;
	char *area;
	int id;

	if (ftruncate(file, 8 * PAGE) || ftruncate(memory, PAGE))
		bail_out("no temporary files");
	area = mmap(NULL, 4 * PAGE, PROT_READ, MAP_SHARED, file, 2 * PAGE);
	mapping_find((unsigned long)area + PAGE, (unsigned long)area + 2 * PAGE, here(), &mapping);
	ok(mapping.kind == MAPPING_FILE && !strcmp(mapping.name, path), "a file by its name");
	is(mapping.offset, 3 * PAGE, "with the offset of the range's first byte");
	munmap(area, 4 * PAGE);
	area = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, memory, 0);
	mapping_find((unsigned long)area, (unsigned long)area + PAGE, here(), &mapping);
	ok(mapping.kind == MAPPING_MEMFD && strstr(mapping.name, "thing"), "a memfd by its name");
	munmap(area, PAGE);
	unlink(path);
	close(file);
	close(memory);
	id = shmget(IPC_PRIVATE, PAGE, 0600);
	area = shmat(id, NULL, 0);
	shmctl(id, IPC_RMID, NULL);
	is_kind(area, PAGE, MAPPING_SYSV, "System V shared memory");
	shmdt(area);
}

static void *own_stack(void *unused)
{
	int local;

	is_kind((void *)((unsigned long)&local & -PAGE), PAGE, MAPPING_THREAD_STACK,
		"a thread's own stack");
	return NULL;
}

static void *wait_for_lock(void *lock)
{
	pthread_mutex_lock(lock);
	pthread_mutex_unlock(lock);
	return NULL;
}

/* With threads, so that any anonymous memory might be a stack. */
static void test_untouched(void)
{
	unsigned char resident[16], any = 0;
	char *area = map_anonymous(sizeof(resident) * PAGE, MAP_PRIVATE);

	is_kind(area, sizeof(resident) * PAGE, MAPPING_ANONYMOUS, "memory that nobody has touched");
	mincore(area, sizeof(resident) * PAGE, resident);
	for (size_t i = 0; i < sizeof(resident); i++)
		any |= resident[i] & 1;
	ok(!any, "to ask about it brings no page in");
	munmap(area, sizeof(resident) * PAGE);
}

static void test_thread_stacks(void)
{
	const unsigned int *size = dlsym(RTLD_DEFAULT, "_thread_db_sizeof_pthread");
	pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	pthread_attr_t attr;
	pthread_t thread;
	size_t length;
	void *stack;

	pthread_create(&thread, NULL, own_stack, NULL);
	pthread_join(thread, NULL);
	if (!size) {
		skip("another thread's stack", "this C library does not say its thread size");
		return;
	}
	mapping_set_thread_size(*size);
	pthread_mutex_lock(&lock);
	pthread_create(&thread, NULL, wait_for_lock, &lock);
	pthread_getattr_np(thread, &attr);
	pthread_attr_getstack(&attr, &stack, &length);
	is_kind(stack, length, MAPPING_THREAD_STACK, "another thread's whole stack");
	is_kind((char *)stack - PAGE, length + PAGE, MAPPING_THREAD_STACK, "with its guard page");
	test_untouched();
	pthread_mutex_unlock(&lock);
	pthread_join(thread, NULL);
	pthread_attr_destroy(&attr);
}

/* Both answers about one range; false when the query does not work here. */
static bool agree(unsigned long start, unsigned long end, bool *same)
{
	struct mapping asked = { .kind = MAPPING_UNKNOWN }, parsed = { .kind = MAPPING_UNKNOWN };
	struct span last[2] = { { 0, 0 }, { 0, 0 } };
	int maps = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
	bool works = mapping_query(maps, start, end, &asked, &last[0]);

	*same = mapping_parse(maps, start, end, &parsed, &last[1]) && works &&
		asked.kind == parsed.kind && asked.more == parsed.more &&
		!strcmp(asked.name, parsed.name) &&
		(asked.kind == MAPPING_NONE ||
		 (asked.offset == parsed.offset && last[0].start == last[1].start &&
		  last[0].end == last[1].end));
	if (works && !*same)
		diag("%lx-%lx: %d '%s' +%lx more %d, %d '%s' +%lx more %d", start, end, asked.kind,
		     asked.name, (long)asked.offset, asked.more, parsed.kind, parsed.name,
		     (long)parsed.offset, parsed.more);
	close(maps);
	return works;
}

static void test_agreement(void)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	unsigned long start, end;
	bool same, all = true;
	char line[1024];
	int nr = 0;

	while (fgets(line, sizeof(line), maps) && sscanf(line, "%lx-%lx", &start, &end) == 2) {
		const unsigned long ranges[][2] = {
			{ start, end },
			{ start, start + PAGE },
			{ end - PAGE, end + PAGE },
			{ start - PAGE, start },
			{ start - PAGE, end + PAGE },
		};

		/* The vsyscall page is listed, but no mapping. */
		if (start >= 1ul << 47)
			continue;
		for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
			if (!agree(ranges[i][0], ranges[i][1], &same)) {
				skip("query and text agree", "this kernel has no PROCMAP_QUERY");
				fclose(maps);
				return;
			}
			all &= same;
			nr++;
		}
	}
	fclose(maps);
	ok(all && nr > 20, "query and text agree on all mappings of this process (%d ranges)", nr);
}

int main(void)
{
	test_anonymous();
	test_files();
	test_thread_stacks();
	test_agreement();
	return tap_done();
}
