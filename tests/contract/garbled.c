/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Contract: objects that are truncated or garbled.
 *
 * An ELF file may say anything.  Whatever it says, the scan reads nothing outside of
 * it (behind it lies a page that cannot be read) and comes to an end.  The mutations
 * are the same in every run.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "scan.h"

#include "../tap.h"

#define PAGE 4096UL

static unsigned int state = 20260101;

static unsigned int any(unsigned int below)
{
	state ^= state << 13;
	state ^= state >> 17;
	state ^= state << 5;
	return state % below;
}

static int count;

static int count_finding(const struct mmun_finding *finding, void *arg)
{
	const struct mmun_object *object = arg;
	unsigned long offset;

	mmun_object_name(object, finding->address, &offset);
	count += finding->verdict == MMUN_VERDICT_SITE;
	return 0;
}

/* @size bytes in front of a page that cannot be read. */
static unsigned char *fenced(size_t size)
{
	size_t pages = (size + PAGE - 1) & ~(PAGE - 1);
	unsigned char *at = mmap(NULL, pages + PAGE, PROT_READ | PROT_WRITE,
				 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	mprotect(at + pages, PAGE, PROT_NONE);
	/* Where a header may lie. */
	return at + (pages - ((size + 7) & ~7UL));
}

static void look(const unsigned char *bytes, size_t size)
{
	struct mmun_object object;

	if (mmun_object_open_file(&object, bytes, size))
		return;
	mmun_object_soname(&object);
	mmun_scan(&object, false, count_finding, &object);
	mmun_scan(&object, true, count_finding, &object);
}

static unsigned int special(void)
{
	static const unsigned int values[] = { 0,          1,          0x7f,       0x80,
					       0xff,       0x7fffffff, 0x80000000, 0xffffffff,
					       0xfffffff8, 0x1000,     0x10000000 };

	return values[any(sizeof(values) / sizeof(values[0]))];
}

/* Most of what matters stands in front. */
static size_t place(size_t size)
{
	return any(4) ? any(size < 1024 ? (unsigned int)size - 8 : 1024)
		      : any((unsigned int)size - 8);
}

static void garble(unsigned char *bytes, size_t size)
{
	for (unsigned int n = 1 + any(8); n; n--) {
		unsigned int value = special();
		size_t at = place(size);

		if (any(2))
			bytes[at] = (unsigned char)any(256);
		else
			memcpy(bytes + (at & ~3UL), &value, 4);
	}
}

static const unsigned char *read_all(const char *path, size_t *size)
{
	int fd = open(path, O_RDONLY);
	struct stat file;
	void *at;

	if (fd < 0 || fstat(fd, &file))
		bail_out("the object cannot be read");
	at = mmap(NULL, (size_t)file.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	close(fd);
	*size = (size_t)file.st_size;
	return at;
}

int main(int argc, char **argv)
{
	size_t size;
	const unsigned char *good;
	unsigned char *bytes;
	int rounds = argc > 2 ? atoi(argv[2]) : 3000;

	if (argc < 2)
		bail_out("usage: contract-garbled OBJECT [ROUNDS]");
	good = read_all(argv[1], &size);
	bytes = fenced(size);
	if (argc > 3)
		state = (unsigned int)atoi(argv[3]);
	memcpy(bytes, good, size);
	look(bytes, size);
	ok(count > 0, "the object has sites (%d)", count);
	for (int i = 0; i < rounds; i++) {
		memcpy(bytes, good, size);
		garble(bytes, size);
		look(bytes, size);
	}
	ok(true, "%d garbled ones are read to their end", rounds);
	for (size_t length = 0; length < size; length += length < 2048 ? 8 : 509) {
		unsigned char *part = fenced(length);

		memcpy(part, good, length);
		look(part, length);
		munmap((void *)((unsigned long)part & ~(PAGE - 1)),
		       ((length + PAGE - 1) & ~(PAGE - 1)) + PAGE);
	}
	ok(true, "and so are truncated ones");
	return tap_done();
}
