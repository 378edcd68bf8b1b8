/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The stubs of an image: a few instructions per site, in memory that a 32-bit
 * jump from the image reaches.  They pass r11 = site to the entry code and hold
 * the system call instruction for unnoticed calls.  Written before they become executable, never both; kept as long as the
 * image is loaded.
 * Tests: tests/contract (patching), tests/torture/patch.c.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "call.h"
#include "state.h"
#include "vma.h"

/* Leaves room for the size of the text and the stubs themselves. */
#define REACH (0x7fffffffUL - 0x4000000UL)

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

static long map_at(unsigned long address, size_t size)
{
	return mmun_syscall6(SYS_mmap, address, size, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
}

/*
 * The first room within reach, from the far end: next to the text is where the
 * kernel puts the program's next mappings, which grow and shrink more cheaply
 * beside their like than beside us.
 */
static unsigned long find_gap(unsigned long text, size_t size)
{
	unsigned long low = text > REACH ? text - REACH : 0x10000;
	unsigned long high = text + REACH, gap = 0;
	struct mmun_vma_walk walk;
	struct mmun_vma vma;

	if (mmun_vma_walk_start(&walk, low, false))
		return 0;
	low &= MMUN_PAGE_MASK;
	while (!gap && mmun_vma_walk_next(&walk, &vma) && low < high) {
		if (vma.start > low && vma.start - low >= size)
			gap = low;
		if (vma.end > low)
			low = vma.end;
	}
	mmun_vma_walk_end(&walk);
	return gap;
}

long mmun_self_map_near(unsigned long text, size_t size)
{
	/* Another thread may take the gap: look again. */
	for (int attempt = 0; attempt < 16; attempt++) {
		unsigned long gap = find_gap(text, size);
		long ret;

		if (!gap)
			return -ENOMEM;
		ret = map_at(gap, size);
		if (ret == (long)gap)
			return ret;
		if (ret > 0)
			mmun_syscall6(SYS_munmap, ret, size, 0, 0, 0, 0);
		else if (ret != -EEXIST)
			return ret;
	}
	return -ENOMEM;
}

struct code {
	unsigned char *at;
};

static void bytes(struct code *code, const void *data, size_t size)
{
	memcpy(code->at, data, size);
	code->at += size;
}
#define emit(code, ...) do { \
	const unsigned char emitted[] = { __VA_ARGS__ }; \
	bytes(code, emitted, sizeof(emitted)); \
} while (0)

static void emit_jump(struct code *code, const void *to)
{
	int distance = (const unsigned char *)to - (code->at + 5);

	emit(code, 0xe9);
	bytes(code, &distance, sizeof(distance));
}

static void emit_load(struct code *code, unsigned char opcode, const void *value)
{
	emit(code, opcode == 11 ? 0x49 : 0x48, opcode == 11 ? 0xbb : 0xb9);
	bytes(code, &value, sizeof(value));
}

/* movabs $site,%r11; movabs $entry,%rcx; jmp *%rcx */
static void emit_entry(struct code *code, const struct mmun_site *site, void (*entry)(void))
{
	emit_load(code, 11, site);
	emit_load(code, 1, (const void *)entry);
	emit(code, 0xff, 0xe1);
}

static void emit_number(struct code *code, const struct mmun_site *site)
{
	if (site->nr < 0)
		return;
	emit(code, 0xb8);
	bytes(code, &site->nr, sizeof(site->nr));
}

static bool may_block(int nr)
{
	const struct mmun_call *call = mmun_call_of(nr);

	return call && call->is_cancellation_point;
}

/* The program's own call, unnoticed. */
static void emit_raw(struct code *code, struct mmun_site *site)
{
	site->raw = code->at;
	if (site->kind == MMUN_SITE_FIXED && may_block(site->nr)) {
		site->raw = (void *)mmun_self_raw;
		return;
	}
	if (site->kind == MMUN_SITE_EXIT) {
		bytes(code, site->saved, 5);
	} else {
		emit_number(code, site);
		emit(code, 0x0f, 0x05);
	}
	emit_jump(code, site->resume);
}

static void (*entry_of(const struct mmun_site *site))(void)
{
	switch (site->kind) {
	case MMUN_SITE_CLONES: return mmun_self_clone_entry;
	case MMUN_SITE_SYSCALL: return mmun_self_syscall_entry;
	case MMUN_SITE_EXIT: return mmun_self_exit_entry;
	case MMUN_SITE_FIXED: break;
	}
	return site->nr == SYS_mmap ? mmun_self_mmap_entry : mmun_self_entry;
}

static void write_stub(struct mmun_site *site, unsigned char *at)
{
	struct code code = { at };

	site->stub = at;
	/* The displaced instruction: only syscall()'s does more than we redo. */
	if (site->kind == MMUN_SITE_SYSCALL)
		bytes(&code, site->saved, 5);
	emit_entry(&code, site, entry_of(site));
	emit_raw(&code, site);
}

/* What will stand at the site: a jump to the stub, and where the system call
 * instruction was, one back to that jump. */
void mmun_self_write_jump(struct mmun_site *site)
{
	int distance = (unsigned char *)site->stub - (site->at + 5);

	site->bytes[0] = 0xe9;
	memcpy(site->bytes + 1, &distance, sizeof(distance));
	site->bytes[5] = 0xeb;
	site->bytes[6] = 0xf9;
}

static void write_site(struct mmun_site *site, unsigned char *at)
{
	write_stub(site, at);
	mmun_self_write_jump(site);
}

int mmun_self_make_stubs(struct mmun_image *image)
{
	long ret;

	/* Of an image that was unloaded; no thread can be in them. */
	if (image->stubs) {
		mmun_syscall6(SYS_munmap, (long)image->stubs, image->stubs_size, 0, 0, 0, 0);
		image->stubs = NULL;
	}
	image->stubs_size = mmun_page_up((unsigned long)image->nr_sites * MMUN_STUB_SIZE);
	ret = mmun_self_map_near(image->text_start, image->stubs_size);
	if (ret < 0)
		return ret;
	image->stubs = (unsigned char *)ret;
	for (int i = 0; i < image->nr_sites; i++)
		write_site(&image->sites[i], image->stubs + i * MMUN_STUB_SIZE);
	ret = mmun_syscall6(SYS_mprotect, (long)image->stubs, image->stubs_size,
			    PROT_READ | PROT_EXEC, 0, 0, 0);
	if (ret) {
		mmun_syscall6(SYS_munmap, (long)image->stubs, image->stubs_size, 0, 0, 0, 0);
		image->stubs = NULL;
		return ret;
	}
	image->stubs_ready = true;
	return 0;
}
