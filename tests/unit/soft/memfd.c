/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * primary/soft: a shmem file and a memfd of the kernel under the same random
 * writes, truncations and holes; size, contents and mappings are the same after
 * every step.
 */
#include <fcntl.h>

#include "soft.h"

#define STEPS 20000
#define SPAN  (8 * PAGE)

struct pair {
	struct mmun_soft *soft;
	struct mm_struct *mm;
	struct file *file;
	unsigned long shared, private;
	int fd;
	char *real_shared, *real_private;
	unsigned int random;
};

static unsigned int draw(struct pair *p, unsigned int below)
{
	p->random = p->random * 1664525 + 1013904223;
	return (unsigned int)((uint64_t)p->random * below >> 32);
}

static void pair_create(struct pair *p)
{
	p->soft = soft_machine(NULL);
	p->mm = soft_new_mm(p->soft);
	p->file = soft_new_file(p->soft, "pair", MMUN_SOFT_FILE_SHMEM, 0);
	p->shared = soft_map(p->mm, 0, SPAN / PAGE, RW, MAP_SHARED, p->file);
	p->private = soft_map(p->mm, 0, SPAN / PAGE, RW, MAP_PRIVATE, p->file);
	p->fd = memfd_create("pair", MFD_CLOEXEC);
	p->real_shared = mmap(NULL, SPAN, RW, MAP_SHARED, p->fd, 0);
	p->real_private = mmap(NULL, SPAN, RW, MAP_PRIVATE, p->fd, 0);
	if (p->fd < 0 || p->real_shared == MAP_FAILED || p->real_private == MAP_FAILED)
		bail_out("cannot map a memfd");
}

static void pair_destroy(struct pair *p)
{
	mmput(p->mm);
	mmun_soft_file_put(p->file);
	mmun_soft_destroy(p->soft);
	munmap(p->real_shared, SPAN);
	munmap(p->real_private, SPAN);
	close(p->fd);
}

/* An offset that both mappings may touch, or -1. */
static long mapped_offset(struct pair *p)
{
	const uint64_t end = (mmun_soft_file_size(p->file) + PAGE - 1) & ~(PAGE - 1);
	const unsigned int offset = draw(p, SPAN - 8);

	return offset + 8 <= end ? (long)offset : -1;
}

static bool step_write(struct pair *p, long offset, bool private)
{
	const unsigned long word = 0x0101010101010101ul * (1 + draw(p, 255));

	if (offset < 0)
		return true;
	memcpy((private ? p->real_private : p->real_shared) + offset, &word, sizeof(word));
	return !mmun_soft_write(p->mm, (private ? p->private : p->shared) + (unsigned long)offset,
				&word, sizeof(word), NULL);
}

static bool step_resize(struct pair *p, unsigned int length)
{
	return mmun_soft_ftruncate(p->file, length) == ftruncate(p->fd, length);
}

static bool step_punch(struct pair *p, unsigned int offset, unsigned int length)
{
	int got = mmun_soft_punch_hole(p->file, offset, length);
	int real = fallocate(p->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, length);

	return got == (real ? -errno : 0);
}

static bool step_pwrite(struct pair *p, unsigned int offset, unsigned int length)
{
	char data[2 * PAGE];

	memset(data, (int)draw(p, 256), sizeof(data));
	return mmun_soft_pwrite(p->file, data, length, offset) ==
	       pwrite(p->fd, data, length, offset);
}

static bool step(struct pair *p)
{
	switch (draw(p, 8)) {
	case 0:
		return step_resize(p, draw(p, SPAN));
	case 1:
		return step_punch(p, draw(p, SPAN), draw(p, 3 * PAGE));
	case 2:
		return step_pwrite(p, draw(p, SPAN - 2 * PAGE), draw(p, 2 * PAGE));
	case 3:
	case 4:
		return step_write(p, mapped_offset(p), true);
	default:
		return step_write(p, mapped_offset(p), false);
	}
}

static bool same_bytes(struct pair *p)
{
	static char got[SPAN + PAGE], real[SPAN + PAGE];
	const ssize_t length = pread(p->fd, real, sizeof(real), 0);
	const size_t pages = ((size_t)length + PAGE - 1) & ~(PAGE - 1);

	if (mmun_soft_pread(p->file, got, sizeof(got), 0) != length ||
	    memcmp(got, real, (size_t)length))
		return false;
	if (mmun_soft_read(p->mm, p->shared, got, pages, NULL) ||
	    memcmp(got, p->real_shared, pages))
		return false;
	return !mmun_soft_read(p->mm, p->private, got, pages, NULL) &&
	       !memcmp(got, p->real_private, pages);
}

static void test_against_memfd(void)
{
	struct pair p = { .random = 2008 };
	int i;

	pair_create(&p);
	for (i = 0; i < STEPS; i++) {
		if (!step(&p) || (i % 4 == 0 && !same_bytes(&p)))
			break;
	}
	is(i, STEPS, "a memfd does the same, step by step");
	pair_destroy(&p);
}

int main(void)
{
	test_against_memfd();
	return tap_done();
}
