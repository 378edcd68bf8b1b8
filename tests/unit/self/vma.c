/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* primary/self/vma.c: both ways of reading the mappings give the same answer. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../../primary/self/descriptor.c"
#include "../../../primary/self/vma.c"
#include "tap.h"

#define PAGE 4096UL

struct found {
	int count;
	struct mmun_vma vma[4];
};

/* The mappings that overlap [start,end), found in one of the two ways. */
static struct found find(unsigned long start, unsigned long end, bool text, bool files_only)
{
	struct mmun_vma_walk walk;
	struct mmun_vma vma;
	struct found found = { 0 };

	if (mmun_vma_walk_start(&walk, start, files_only))
		return found;
	walk.text = text;
	while (mmun_vma_walk_next(&walk, &vma) && vma.start < end)
		if (found.count < 4)
			found.vma[found.count++] = vma;
	mmun_vma_walk_end(&walk);
	return found;
}

static void check_file(const char *way, bool text)
{
	char path[] = "/tmp/mmunotify-vma-XXXXXX";
	int fd = mkstemp(path);
	struct stat file;
	struct found found;
	char *p;

	if (fd < 0 || ftruncate(fd, 8 * PAGE) || fstat(fd, &file))
		bail_out("cannot make a temporary file");
	p = mmap(NULL, 4 * PAGE, PROT_READ, MAP_SHARED, fd, 2 * PAGE);
	found = find((unsigned long)p, (unsigned long)p + PAGE, text, true);
	if (ok(found.count == 1, "%s: a file mapping is found", way)) {
		is(found.vma[0].start, (unsigned long)p, "%s: start", way);
		is(found.vma[0].end, (unsigned long)p + 4 * PAGE, "%s: end", way);
		is(found.vma[0].offset, 2 * PAGE, "%s: file offset", way);
		is(found.vma[0].inode, file.st_ino, "%s: inode", way);
		is(found.vma[0].prot, PROT_READ, "%s: protection", way);
		ok(found.vma[0].shared, "%s: shared", way);
		ok(!strcmp(found.vma[0].name, path), "%s: name %s", way, found.vma[0].name);
	}
	munmap(p, 4 * PAGE);
	close(fd);
	unlink(path);
}

static void check_anonymous(const char *way, bool text)
{
	char *p = mmap(NULL, 5 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned long middle = (unsigned long)p + 2 * PAGE;
	struct found found;

	mprotect(p + 2 * PAGE, PAGE, PROT_READ | PROT_WRITE);
	found = find(middle, middle + PAGE, text, false);
	if (ok(found.count == 1, "%s: the mapping that holds an address", way)) {
		is(found.vma[0].start, middle, "%s: anonymous start", way);
		is(found.vma[0].prot, PROT_READ | PROT_WRITE, "%s: anonymous protection", way);
		is(found.vma[0].inode, 0, "%s: anonymous memory has no inode", way);
	}
	found = find(middle, middle + PAGE, text, true);
	is(found.count, 0, "%s: files only", way);
	munmap(p, 5 * PAGE);
}

static int count_all(bool text)
{
	struct mmun_vma_walk walk;
	struct mmun_vma vma;
	int count = 0;

	if (mmun_vma_walk_start(&walk, 0, false))
		return -1;
	walk.text = text;
	/* The query does not show [vsyscall], which no program can change. */
	while (mmun_vma_walk_next(&walk, &vma))
		count += vma.start < 1UL << 47;
	mmun_vma_walk_end(&walk);
	return count;
}

static void check_one(void)
{
	char *p = mmap(NULL, 4 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned long at = (unsigned long)p;

	mprotect(p + 2 * PAGE, 2 * PAGE, PROT_READ);
	ok(mmun_vma_is_one(at, at + 2 * PAGE), "two pages of one mapping");
	ok(!mmun_vma_is_one(at, at + 3 * PAGE), "three pages of two");
	munmap(p, 4 * PAGE);
	ok(!mmun_vma_is_one(at, at + PAGE), "nothing is no mapping");
}

/* The text form over a file that is not about this process, or breaks off. */
static void check_not_ours(void)
{
	static const char line[] = "1000-2000 r--p 00000000 00:00 0 \n";
	int fd = memfd_create("unit", 0);
	struct mmun_vma_walk walk = { .fd = fd, .text = true };
	struct mmun_vma vma;

	if (write(fd, line, sizeof(line) - 1) < 0 || lseek(fd, 0, SEEK_SET))
		bail_out("cannot make a memfd");
	ok(mmun_vma_walk_next(&walk, &vma) && vma.end == 0x2000, "a mapping is read");
	ok(!mmun_vma_walk_next(&walk, &vma), "and no other");
	ok(mmun_vma_walk_end(&walk) != 0,
	   "B14: our stack is not there: these are not our mappings");
	walk = (struct mmun_vma_walk){ .fd = -1, .text = true, .ours = true };
	ok(!mmun_vma_walk_next(&walk, &vma), "nothing can be read");
	ok(mmun_vma_walk_end(&walk) != 0, "B14: which is not the end of the mappings");
	ok(!mmun_vma_walk_start(&walk, 0, false), "a walk that stops early");
	walk.text = true;
	walk.ours = false;
	ok(mmun_vma_walk_next(&walk, &vma) && !mmun_vma_walk_end(&walk),
	   "finds out at its end that it was over our mappings");
}

int main(void)
{
	check_one();
	check_not_ours();
	check_file("query", false);
	check_file("text", true);
	check_anonymous("query", false);
	check_anonymous("text", true);
	ok(count_all(true) > 10, "a whole walk of the text form");
	is(count_all(false), count_all(true), "both ways see the same number of mappings");
	return tap_done();
}
