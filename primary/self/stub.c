/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The stubs of an image: a few instructions per site, in memory that a 32-bit
 * jump from the image reaches.  They pass r11 = site to the entry code and hold
 * the system call instruction for unnoticed calls.  Written before they become executable,
 * never both; kept as long as the image is loaded.
 * Tests: tests/contract (patching), tests/torture/patch.c.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "call.h"
#include "emit.h"
#include "insn.h"
#include "scan.h"
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
 * The first room of [low, high), from the low end: next to the text is where the
 * kernel puts the program's next mappings, which grow and shrink more cheaply
 * beside their like than beside us.
 */
static unsigned long find_gap(unsigned long low, unsigned long high, size_t size)
{
	struct mmun_vma_walk walk;
	unsigned long gap = 0;
	struct mmun_vma vma;

	if (mmun_vma_walk_start(&walk, low, false))
		return 0;
	low = mmun_page_up(low);
	while (!gap && mmun_vma_walk_next(&walk, &vma) && low + size <= high) {
		if (vma.start > low && vma.start - low >= size)
			gap = low;
		if (vma.end > low)
			low = vma.end;
	}
	mmun_vma_walk_end(&walk);
	return gap;
}

static long map_within(unsigned long low, unsigned long high, size_t size)
{
	/* Another thread may take the gap: look again. */
	for (int attempt = 0; attempt < 16; attempt++) {
		unsigned long gap = find_gap(low, high, size);
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

long mmun_self_map_near(unsigned long text, size_t size)
{
	return map_within(text > REACH ? text - REACH : 0x10000, text + REACH, size);
}

/* Of the distances whose last byte is the opcode of a short jump. */
#define WINDOW_LOW  0x15000000UL
#define WINDOW_HIGH 0x14000000UL

/* Where the stubs of all sites of that form reach; the highest address is not above the
 * lowest where there is none, or no such place. */
static void window_bounds(const struct mmun_image *image, unsigned long *low, unsigned long *high)
{
	*low = 0;
	*high = -1UL;
	for (int i = 0; i < image->nr_sites; i++) {
		unsigned long behind = (unsigned long)image->sites[i].at + 5;

		if (image->sites[i].form != MMUN_FORM_WINDOW)
			continue;
		if (behind < WINDOW_LOW + 0x10000) {
			*high = 0;
			return;
		}
		*low = behind - WINDOW_LOW > *low ? behind - WINDOW_LOW : *low;
		*high = behind - WINDOW_HIGH < *high ? behind - WINDOW_HIGH : *high;
	}
}

static bool has_window(const struct mmun_image *image)
{
	for (int i = 0; i < image->nr_sites; i++)
		if (image->sites[i].form == MMUN_FORM_WINDOW)
			return true;
	return false;
}

/* They are left as they are. */
static void drop_windows(struct mmun_image *image)
{
	int kept = 0;

	for (int i = 0; i < image->nr_sites; i++) {
		if (image->sites[i].form == MMUN_FORM_WINDOW)
			continue;
		if (kept != i)
			image->sites[kept] = image->sites[i];
		kept++;
	}
	image->nr_sites = kept;
}

static long map_stubs(struct mmun_image *image)
{
	unsigned long low, high;
	long ret;

	if (has_window(image)) {
		window_bounds(image, &low, &high);
		ret = low < high ? map_within(low, high, image->stubs_size) : -ENOMEM;
		if (ret > 0)
			return ret;
		drop_windows(image);
	}
	return image->nr_sites ? mmun_self_map_near(image->text_start, image->stubs_size) : 0;
}

static bool may_block(int nr)
{
	const struct mmun_call *call = mmun_call_of(nr);

	return call && call->is_cancellation_point;
}

/* The program's own call, unnoticed. */
static void emit_raw(struct mmun_code *code, struct mmun_site *site)
{
	site->raw = code->at;
	if (site->kind == MMUN_SITE_CANCEL) {
		site->raw = (void *)mmun_self_cancel_raw;
		return;
	}
	/* Where the instruction has stayed, it makes the call. */
	if (site->form == MMUN_FORM_RUN) {
		site->raw = (unsigned char *)site->resume - 2;
		return;
	}
	if (site->kind == MMUN_SITE_FIXED && may_block(site->nr)) {
		site->raw = (void *)mmun_self_raw;
		return;
	}
	if (site->nr >= 0)
		mmun_emit_number(code, site->nr);
	mmun_emit(code, 0x0f, 0x05);
	mmun_emit_jump(code, site->resume);
}

/* The displaced instructions, with distances from here instead of from there. */
static int emit_run(struct mmun_code *code, const struct mmun_site *site)
{
	for (unsigned int at = 0; at < site->run_length;) {
		struct mmun_insn insn;
		unsigned char *copy = code->at;
		long distance;
		int old;

		if (!mmun_insn_decode(&insn, site->run + at, site->run_length - at))
			return -ENOTSUP;
		mmun_emit_bytes(code, site->run + at, insn.length);
		if (insn.rip_relative) {
			memcpy(&old, copy + insn.displacement_at, sizeof(old));
			distance = (site->at + at) - copy + old;
			if (distance != (int)distance)
				return -ENOMEM;
			old = distance;
			memcpy(copy + insn.displacement_at, &old, sizeof(old));
		}
		at += insn.length;
	}
	return 0;
}

static void (*entry_of(const struct mmun_site *site))(void)
{
	switch (site->kind) {
	case MMUN_SITE_CLONES:
		return mmun_self_clone_entry;
	case MMUN_SITE_SYSCALL:
		return mmun_self_syscall_entry;
	case MMUN_SITE_CANCEL:
		return mmun_self_cancel_entry;
	case MMUN_SITE_FIXED:
		break;
	}
	if (site->is_plain)
		return mmun_self_plain_entry;
	return site->nr == SYS_mmap && !site->in_linker ? mmun_self_mmap_entry : mmun_self_entry;
}

/* Of the function itself, for the numbers that are none of our business. */
static void *called_function(const struct mmun_site *site)
{
	int distance;

	memcpy(&distance, site->saved + 1, sizeof(distance));
	return site->at + 5 + distance;
}

static int write_stub(struct mmun_site *site, unsigned char *at)
{
	struct mmun_code code = { at };
	int ret;

	site->stub = at;
	ret = emit_run(&code, site);
	if (ret)
		return ret;
	/* Through rax where rcx holds an argument. */
	mmun_emit_entry(&code, site, site->kind == MMUN_SITE_CANCEL ? MMUN_RAX : MMUN_RCX,
			entry_of(site));
	emit_raw(&code, site);
	if (site->kind == MMUN_SITE_CANCEL)
		site->called = called_function(site);
	return 0;
}

static void write_jump(unsigned char *bytes_at, unsigned char opcode, const unsigned char *at,
		       const void *to)
{
	int distance = (const unsigned char *)to - (at + 5);

	bytes_at[0] = opcode;
	memcpy(bytes_at + 1, &distance, sizeof(distance));
}

/* At each place of a window where a thread may stand. */
static void write_jumps_back(struct mmun_site *site)
{
	struct mmun_insn insn;

	for (unsigned int at = 0; at < site->run_length;) {
		if (!mmun_insn_decode(&insn, site->run + at, site->run_length - at))
			break;
		at += insn.length;
		site->bytes[at] = 0xeb;
		site->bytes[at + 1] = -(at + 2);
	}
}

void mmun_self_write_jump(struct mmun_site *site)
{
	memcpy(site->bytes, site->saved, sizeof(site->bytes));
	memcpy(site->pad_bytes, site->saved_pad, sizeof(site->pad_bytes));
	switch (site->form) {
	case MMUN_FORM_BACK:
		write_jump(site->bytes, 0xe9, site->at, site->stub);
		if (site->length <= site->run_length || !site->run_length)
			break;
		site->bytes[site->length - 2] = 0xeb;
		site->bytes[site->length - 1] = -site->length;
		break;
	case MMUN_FORM_PAD:
		site->bytes[0] = 0xeb;
		site->bytes[1] = site->pad - (site->at + 2);
		write_jump(site->pad_bytes, 0xe9, site->pad, site->stub);
		break;
	case MMUN_FORM_RUN:
		write_jump(site->bytes, 0xe9, site->at, site->stub);
		break;
	case MMUN_FORM_WINDOW:
		write_jump(site->bytes, 0xe9, site->at, site->stub);
		write_jumps_back(site);
		break;
	case MMUN_FORM_CALL:
		/* A call stays one, and a jump one. */
		write_jump(site->bytes, site->saved[0], site->at, site->stub);
		break;
	}
}

static int write_site(struct mmun_site *site, unsigned char *at)
{
	int ret = write_stub(site, at);

	if (!ret)
		mmun_self_write_jump(site);
	return ret;
}

void mmun_self_free_stubs(struct mmun_image *image)
{
	if (image->stubs)
		mmun_syscall3(SYS_munmap, (unsigned long)image->stubs, image->stubs_size, 0);
	image->stubs = NULL;
	image->stubs_ready = false;
}

int mmun_self_make_stubs(struct mmun_image *image)
{
	long ret;

	/* Of an image that was unloaded; no thread can be in them. */
	mmun_self_free_stubs(image);
	image->stubs_size = 0;
	image->stubs_ready = !image->nr_sites;
	if (image->stubs_ready)
		return 0;
	image->stubs_size = mmun_page_up((unsigned long)image->nr_sites * MMUN_STUB_SIZE);
	ret = map_stubs(image);
	if (ret <= 0) {
		image->stubs_ready = !ret;
		return ret;
	}
	image->stubs = (unsigned char *)ret;
	ret = 0;
	for (int i = 0; !ret && i < image->nr_sites; i++)
		ret = write_site(&image->sites[i], image->stubs + i * MMUN_STUB_SIZE);
	if (!ret)
		ret = mmun_syscall6(SYS_mprotect, (long)image->stubs, image->stubs_size,
				    PROT_READ | PROT_EXEC, 0, 0, 0);
	if (ret) {
		mmun_self_free_stubs(image);
		return ret;
	}
	image->stubs_ready = true;
	return 0;
}
