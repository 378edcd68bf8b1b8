/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A peer of the rude kind: overwrites the first 13 bytes of functions with a
 * load and an indirect jump, keeps what was there, and on leaving puts back
 * exactly that, whatever has been there since.
 */
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "peer.h"

#define PROLOGUE 13
#define PAGE     4096UL

static struct {
	unsigned long from, to;
} seen[256];
static unsigned int nr_seen;

static void note(const void *at, unsigned long size)
{
	unsigned int i = __atomic_fetch_add(&nr_seen, 1, __ATOMIC_SEQ_CST) % 256;

	seen[i].from = (unsigned long)at;
	seen[i].to = (unsigned long)at + size;
}

static int my_munmap(void *at, size_t size)
{
	note(at, size);
	return (int)syscall(SYS_munmap, at, size);
}

static int my_madvise(void *at, size_t size, int advice)
{
	note(at, size);
	return (int)syscall(SYS_madvise, at, size, advice);
}

static void *my_mmap(void *at, size_t size, int prot, int flags, int fd, off_t offset)
{
	__atomic_add_fetch(&nr_seen, 1, __ATOMIC_SEQ_CST);
	return (void *)syscall(SYS_mmap, at, size, prot, flags, fd, offset);
}

/* Without the fifth argument, as some have it. */
static void *my_mremap(void *at, size_t old_size, size_t size, int flags)
{
	note(at, old_size);
	return (void *)syscall(SYS_mremap, at, old_size, size, flags, NULL);
}

static int my_mprotect(void *at, size_t size, int prot)
{
	__atomic_add_fetch(&nr_seen, 1, __ATOMIC_SEQ_CST);
	return (int)syscall(SYS_mprotect, at, size, prot);
}

static struct {
	void *function, *replacement;
	unsigned char before[PROLOGUE];
} patches[] = {
	{ (void *)munmap, (void *)my_munmap, { 0 } },
	{ (void *)madvise, (void *)my_madvise, { 0 } },
	{ (void *)mmap, (void *)my_mmap, { 0 } },
	{ (void *)mremap, (void *)my_mremap, { 0 } },
	{ (void *)mprotect, (void *)my_mprotect, { 0 } },
};

static void write_text(void *at, const void *bytes)
{
	unsigned long page = (unsigned long)at & ~(PAGE - 1);

	mprotect((void *)page, 2 * PAGE, PROT_READ | PROT_WRITE | PROT_EXEC);
	memcpy(at, bytes, PROLOGUE);
	mprotect((void *)page, 2 * PAGE, PROT_READ | PROT_EXEC);
}

static const char *start(void)
{
	for (size_t i = 0; i < sizeof(patches) / sizeof(patches[0]); i++) {
		/* movabs $replacement, %r11; jmp *%r11 */
		unsigned char jump[PROLOGUE] = { 0x49, 0xbb, [10] = 0x41, 0xff, 0xe3 };

		memcpy(jump + 2, &patches[i].replacement, 8);
		memcpy(patches[i].before, patches[i].function, PROLOGUE);
		write_text(patches[i].function, jump);
	}
	return NULL;
}

static void stop(void)
{
	for (size_t i = 0; i < sizeof(patches) / sizeof(patches[0]); i++)
		write_text(patches[i].function, patches[i].before);
}

static unsigned int calls(void)
{
	return __atomic_load_n(&nr_seen, __ATOMIC_SEQ_CST);
}

static unsigned int saw(unsigned long from, unsigned long to)
{
	unsigned int count = 0;

	for (unsigned int i = 0; i < 256; i++)
		count += seen[i].from < to && from < seen[i].to;
	return count;
}

const struct peer peer_prologue = { "prologue patcher", start, stop, saw, calls };
