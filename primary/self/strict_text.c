/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What strict mode writes in and beside the text of the C library.
 *
 * The cave: the rest of the last page of the text, which belongs to no function.
 *	plain	syscall, for calls that do not come back (rt_sigreturn)
 *	notified syscall; back to entry.S, for the call inside a section
 *	forked	the same for one that may return in a child
 *	own	syscall; jmp *%r12, for the library's own calls
 *	spare	syscall; on to the address below the red zone
 *	compat	int $0x80; jmp *%r11, for a call by the numbers of 32-bit programs
 *	then, for each slot, one that goes on behind the trapped call and one that goes to
 *	mmun_strict_child in a new thread.
 * Where it goes on is read from the area, so the cave is written once.  A slot is
 * taken for an address at its first trap and never changes again.
 *
 * The C library's own sites keep their system call instruction: an unnoticed call goes
 * back to it, because it lies in the range and the unwind tables know it.
 * Tests: tests/contract/strict.c.
 */
#include <elf.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "atomic.h"
#include "emit.h"
#include "scan.h"
#include "strict.h"

#define CAVE_PLAIN     0
#define CAVE_NOTIFIED  8
#define CAVE_OWN       16
#define CAVE_SPARE     24
#define CAVE_FORKED    32
#define CAVE_COMPAT    40
#define CAVE_SLOTS     48
#define CAVE_SLOT_SIZE 16
/* With fewer there is hardly room for the threads' calls. */
#define MIN_SLOTS 8

/* Code beside the text: for each slot, for each site of the C library, and for each
 * site of strict mode. */
#define SLOT_CODE    48
#define SITE_CODE    64
#define STRICT_SITES 96

struct mmun_strict_text mmun_strict_text;
unsigned char mmun_strict_on;
void *mmun_strict_notified, *mmun_strict_forked, *mmun_strict_cancel_function;

static unsigned char *code_area(void)
{
	return (unsigned char *)mmun_strict_text.area +
	       mmun_page_up(sizeof(struct mmun_strict_area));
}

/* The stub of site @i of strict mode. */
static unsigned char *strict_code(int i)
{
	return code_area() + MMUN_STRICT_SLOTS * SLOT_CODE + i * SITE_CODE;
}

/* Where the unnoticed calls of site @i of the C library are. */
static unsigned char *site_code(int i)
{
	return strict_code(STRICT_SITES + i);
}

static size_t code_size(const struct mmun_image *image)
{
	return mmun_page_up(MMUN_STRICT_SLOTS * SLOT_CODE +
			    (STRICT_SITES + image->nr_sites) * SITE_CODE);
}

/* The end of the last executable segment's contents. */
static unsigned long end_of_text(const struct mmun_image *image)
{
	const Elf64_Ehdr *header = (const Elf64_Ehdr *)image->base;
	const Elf64_Phdr *program = (const Elf64_Phdr *)(image->base + header->e_phoff);

	for (int i = 0; i < header->e_phnum; i++)
		if (program[i].p_type == PT_LOAD && program[i].p_flags & PF_X)
			return image->base + program[i].p_vaddr + program[i].p_memsz;
	return image->text_end;
}

static bool has_copys_cave(const struct mmun_image *image)
{
	unsigned long cave = (end_of_text(image) + 15) & ~15ul;

	return cave + CAVE_SLOTS < image->text_end && !memcmp((void *)cave, "\x0f\x05\x0f\x0b", 4);
}

/* The unused rest of the last page; 0 if there is none. */
static unsigned long find_cave(const struct mmun_image *image)
{
	unsigned long cave = (end_of_text(image) + 15) & ~15ul;

	for (unsigned long at = cave; at < image->text_end; at++)
		if (*(const unsigned char *)at)
			return 0;
	return cave;
}

/* mov $15,%rax; syscall: every unwinder knows a signal frame by these bytes. */
static void *find_restorer(const struct mmun_image *image)
{
	static const unsigned char restorer[] = { 0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05 };

	return memmem((void *)image->text_start, image->text_end - image->text_start, restorer,
		      sizeof(restorer));
}

/* syscall; jmp *@to(%rip) */
static void emit_call(struct mmun_code *code, unsigned char *copy, unsigned long cave, int offset,
		      const void *to)
{
	code->at = copy + offset;
	mmun_emit(code, 0x0f, 0x05, 0xff, 0x25);
	mmun_emit_distance(code, (unsigned char *)cave + offset + 4, to);
}

static int write_cave(const struct mmun_image *image, unsigned long cave)
{
	struct mmun_strict_area *area = mmun_strict_text.area;
	unsigned char copy[CAVE_SLOTS + MMUN_STRICT_SLOTS * CAVE_SLOT_SIZE];
	struct mmun_code code = { copy + CAVE_PLAIN };

	memset(copy, 0xcc, sizeof(copy));
	mmun_emit(&code, 0x0f, 0x05, 0x0f, 0x0b);
	emit_call(&code, copy, cave, CAVE_NOTIFIED, &area->notified_return);
	emit_call(&code, copy, cave, CAVE_FORKED, &area->forked_return);
	code.at = copy + CAVE_OWN;
	mmun_emit(&code, 0x0f, 0x05, 0x41, 0xff, 0xe4);
	code.at = copy + CAVE_COMPAT;
	mmun_emit(&code, 0xcd, 0x80, 0x41, 0xff, 0xe3);
	emit_call(&code, copy, cave, CAVE_SPARE, &area->spare.site.resume);
	for (int i = 0; i < mmun_strict_text.nr_slots; i++) {
		int offset = CAVE_SLOTS + i * CAVE_SLOT_SIZE;

		emit_call(&code, copy, cave, offset, &area->slots[i].site.resume);
		emit_call(&code, copy, cave, offset + 8, &area->slots[i].after_thread);
	}
	return mmun_self_write_text(image, cave, copy,
				    CAVE_SLOTS + mmun_strict_text.nr_slots * CAVE_SLOT_SIZE);
}

/* test %rax,%rax; jz 1f; jmp *resume; 1: to mmun_strict_child */
static void write_slot_code(struct mmun_strict_slot *slot, unsigned char *at)
{
	struct mmun_code code = { at };

	mmun_emit(&code, 0x48, 0x85, 0xc0, 0x74, 0x06, 0xff, 0x25);
	mmun_emit_distance(&code, code.at, &slot->site.resume);
	mmun_emit_entry(&code, &slot->site, MMUN_RCX, mmun_strict_child);
	slot->after_thread = at;
}

static void fill_slots(unsigned long cave)
{
	struct mmun_strict_area *area = mmun_strict_text.area;

	for (int i = 0; i < mmun_strict_text.nr_slots; i++) {
		struct mmun_strict_slot *slot = &area->slots[i];

		slot->last = (void *)(cave + CAVE_SLOTS + i * CAVE_SLOT_SIZE);
		slot->thread = (char *)slot->last + 8;
		slot->site.raw = (void *)mmun_strict_last_entry;
		slot->site.nr = -1;
		slot->site.kind = MMUN_SITE_SYSCALL;
		write_slot_code(slot, code_area() + i * SLOT_CODE);
	}
	area->notified_return = (void *)mmun_strict_notified_return;
	area->forked_return = (void *)mmun_strict_forked_return;
	area->spare.site.resume = (void *)mmun_strict_spare_resume;
	area->spare.site.raw = (void *)mmun_strict_last_entry;
	area->spare.site.nr = -1;
	area->spare.site.kind = MMUN_SITE_SYSCALL;
	area->spare.last = (void *)(cave + CAVE_SPARE);
}

struct mmun_strict_slot *mmun_strict_slot_of(unsigned long resume, bool makes_child)
{
	const int nr = mmun_strict_text.nr_slots;
	unsigned int hash = (resume ^ resume >> 7) % nr;
	int *taken = &mmun_strict_text.area->taken;

	for (int i = 0; i < nr; i++) {
		struct mmun_strict_slot *slot = &mmun_strict_text.area->slots[(hash + i) % nr];
		void *is = mmun_load_acquire(&slot->site.resume);

		if (!is && !makes_child && mmun_load_relaxed(taken) >= nr - nr / 8)
			return NULL;
		if (!is && mmun_cas_full(&slot->site.resume, &is, (void *)resume)) {
			(void)mmun_add_relaxed(taken, 1);
			return slot;
		}
		if (is == (void *)resume)
			return slot;
	}
	return NULL;
}

static const short signal_calls[] = {
	SYS_rt_sigprocmask, SYS_rt_sigaction, SYS_rt_sigsuspend,      SYS_ppoll,
	SYS_pselect6,       SYS_epoll_pwait,  441 /* epoll_pwait2 */, SYS_clone3,
};

/* Between the number and the call the compiler may load arguments. */
#define MAX_BETWEEN 24

static bool is_strict_number(const unsigned char *load)
{
	int nr;

	memcpy(&nr, load + 1, sizeof(nr));
	for (size_t i = 0; load[0] == 0xb8 && i < sizeof(signal_calls) / sizeof(*signal_calls); i++)
		if (signal_calls[i] == nr)
			return true;
	return false;
}

/* Of the operand at @at, its ModRM byte; 0 for a form that is not known. */
static int length_of_operand(const unsigned char *at)
{
	static const unsigned char displacement[] = { 0, 1, 4, 0 };
	int mode = *at >> 6, rm = *at & 7;

	if (mode == 3)
		return 1;
	if (mode == 0 && rm == 5)
		return 5;
	if (rm == 4 && mode == 0 && (at[1] & 7) == 5)
		return 0;
	return 1 + (rm == 4) + displacement[mode];
}

static bool is_rip_relative(const unsigned char *operand)
{
	return (*operand & 0xc7) == 5;
}

/*
 * Of an instruction that prepares an argument: it changes another register than eax,
 * or memory.  0 for any other.  @operand: where its ModRM byte is, 0 without one.
 */
static int length_of_insn(const unsigned char *at, int *operand)
{
	int rex = (*at & 0xf0) == 0x40 ? *at : 0, prefix = rex != 0;
	unsigned char opcode = at[prefix], modrm = at[prefix + 1];
	int reg = (modrm >> 3 & 7) | (rex & 4) << 1, rm = (modrm & 7) | (rex & 1) << 3;
	bool register_only = modrm >> 6 == 3, to_eax;
	int length, immediate = 0;

	*operand = 0;
	if ((opcode & 0xf8) == 0xb8)
		return (opcode & 7) == 0 && !(rex & 1) ? 0 : rex & 8 ? 0 : prefix + 5;
	switch (opcode) {
	case 0x33:
	case 0x8b:
	case 0x8d:
		to_eax = reg == 0;
		break;
	case 0x31:
	case 0x89:
		to_eax = register_only && rm == 0;
		break;
	case 0x80:
	case 0x83:
	case 0xc6:
		to_eax = register_only && rm == 0;
		immediate = 1;
		break;
	case 0x81:
	case 0xc7:
		to_eax = register_only && rm == 0;
		immediate = 4;
		break;
	default:
		return 0;
	}
	*operand = prefix + 1;
	length = length_of_operand(at + *operand);
	return to_eax || !length ? 0 : *operand + length + immediate;
}

/* The instruction in front of @syscall that loads one of our numbers, or NULL. */
static const unsigned char *find_load(const unsigned char *syscall)
{
	for (int between = 0; between <= MAX_BETWEEN; between++) {
		const unsigned char *load = syscall - 5 - between, *at = load + 5;

		if (!is_strict_number(load))
			continue;
		for (int length = 1, operand; length && at < syscall; at += length)
			length = length_of_insn(at, &operand);
		if (at == syscall)
			return load;
	}
	return NULL;
}

/* The instructions between, with distances from here instead of from there. */
static void emit_between(struct mmun_code *code, const unsigned char *from, const unsigned char *to)
{
	for (int length, operand; from < to; from += length) {
		unsigned char *copy = code->at;
		int distance;

		length = length_of_insn(from, &operand);
		mmun_emit_bytes(code, from, length);
		if (!operand || !is_rip_relative(from + operand))
			continue;
		memcpy(&distance, from + operand + 1, sizeof(distance));
		distance += from - copy;
		memcpy(copy + operand + 1, &distance, sizeof(distance));
	}
}

static void write_strict_stub(struct mmun_site *site, unsigned char *at)
{
	unsigned char *syscall = (unsigned char *)site->resume - 2;
	struct mmun_code code = { at };

	site->stub = at;
	site->raw = syscall;
	emit_between(&code, site->at + 5, syscall);
	if (site->nr == SYS_clone3) {
		mmun_emit_number(&code, site->nr);
		mmun_emit_jump(&code,
			       mmun_strict_slot_of((unsigned long)site->resume, true)->thread);
	} else if (site->nr == SYS_rt_sigprocmask || site->nr == SYS_rt_sigaction) {
		mmun_emit_entry(&code, site, MMUN_RCX, mmun_strict_call_entry);
	} else {
		mmun_emit_entry(&code, site, MMUN_RCX, mmun_strict_wait_entry);
	}
}

/* Return 0, or -ENOTSUP where a call that matters has no site. */
static int find_strict_sites(const struct mmun_image *libc)
{
	static struct mmun_site sites[STRICT_SITES];
	struct mmun_image *image = &mmun_strict_text.image;
	unsigned char *p = (unsigned char *)libc->text_start + 32,
		      *end = (unsigned char *)libc->text_end - 8;
	bool masks = false, actions = false;

	*image = *libc;
	image->next = NULL;
	image->stubs = NULL;
	image->sites = sites;
	image->nr_sites = 0;
	while ((p = memchr(p, 0x0f, end - p))) {
		struct mmun_site *site = &sites[image->nr_sites];
		const unsigned char *load = p[1] == 0x05 ? find_load(p) : NULL;

		if (!load) {
			p++;
			continue;
		}
		if (image->nr_sites == STRICT_SITES)
			return -ENOTSUP;
		memset(site, 0, sizeof(*site));
		site->at = (unsigned char *)load;
		site->resume = p + 2;
		site->length = 5;
		memcpy(&site->nr, load + 1, sizeof(site->nr));
		memcpy(site->saved, load, 7);
		masks |= site->nr == SYS_rt_sigprocmask;
		actions |= site->nr == SYS_rt_sigaction;
		write_strict_stub(site, strict_code(image->nr_sites));
		mmun_self_write_jump(site);
		image->nr_sites++;
		p += 2;
	}
	return masks && actions ? 0 : -ENOTSUP;
}

static size_t area_size(const struct mmun_image *image)
{
	return mmun_page_up(sizeof(struct mmun_strict_area)) + code_size(image);
}

static int map_area(const struct mmun_image *image)
{
	long area = mmun_self_map_near(image->text_start, area_size(image));

	if (area < 0)
		return area;
	mmun_strict_text.area = (struct mmun_strict_area *)area;
	return 0;
}

/* Where an unnoticed call of a C library's site goes. */
static void write_site_code(struct mmun_site *site, unsigned char *at)
{
	unsigned long resume = (unsigned long)site->resume;
	struct mmun_code code = { at };
	struct mmun_strict_slot *slot;
	/* Where the instruction has become a jump to padding, one of the cave is its like. */
	bool has_own = site->form != MMUN_FORM_PAD;

	if (site->kind == MMUN_SITE_FIXED) {
		mmun_emit_number(&code, site->nr);
		mmun_emit_jump(&code, has_own ? (unsigned char *)site->resume - 2
					      : mmun_strict_slot_of(resume, true)->last);
	} else if (site->kind == MMUN_SITE_CLONES) {
		mmun_emit_number(&code, site->nr);
		mmun_emit_jump(&code, mmun_strict_slot_of(resume, true)->thread);
	} else if (site->kind == MMUN_SITE_SYSCALL) {
		slot = mmun_strict_slot_of(resume, true);
		if (has_own)
			slot->last = (unsigned char *)site->resume - 2;
		mmun_emit_entry(&code, &slot->site, MMUN_RCX, mmun_strict_last_entry);
	}
}

/* The code is written: from now on its way. */
static int lead_site(const struct mmun_image *image, struct mmun_site *site, unsigned char *at)
{
	int ret = 0;

	/* Goes back to the function itself, with a mask without SIGSYS. */
	if (site->kind == MMUN_SITE_CANCEL) {
		if (site->called == (void *)mmun_strict_cancel_entry)
			return 0;
		mmun_store_release(&mmun_strict_cancel_function, site->called);
		mmun_store_release(&site->called, (void *)mmun_strict_cancel_entry);
		return 0;
	}
	if (site->form == MMUN_FORM_BACK && site->length > site->run_length) {
		if (site->patched)
			ret = mmun_self_write_text(image, (unsigned long)site->resume - 2,
						   site->saved + site->run_length, 2);
		if (ret)
			return ret;
		site->length = 5;
	}
	mmun_store_release(&site->raw, (void *)at);
	return 0;
}

static int lead_sites(struct mmun_image *image)
{
	int ret = 0;

	for (int i = 0; !ret && i < image->nr_sites; i++)
		ret = lead_site(image, &image->sites[i], site_code(i));
	return ret;
}

int mmun_strict_build(struct mmun_image *image, struct mmun_refusal *refusal)
{
	unsigned long cave = find_cave(image);
	long room = image->text_end - cave, slots = (room - CAVE_SLOTS) / CAVE_SLOT_SIZE;
	int ret;

	/* An earlier strict mode of this process, or of the one that forked it. */
	if (mmun_strict_text.area)
		return 0;
	mmun_strict_text.restorer = find_restorer(image);
	if (has_copys_cave(image)) {
		mmun_self_refuse(
			refusal, -EBUSY, "another copy of libmmunotify has patched this process",
			"link or preload one shared libmmunotify.so instead of several copies");
		return -EBUSY;
	}
	if (!cave || slots < MIN_SLOTS || !mmun_strict_text.restorer) {
		mmun_self_refuse(refusal, -ENOTSUP,
				 "strict mode finds no room behind the text of this C library",
				 "run without strict mode");
		return -ENOTSUP;
	}
	ret = map_area(image);
	if (ret)
		return ret;
	mmun_strict_text.nr_slots = slots < MMUN_STRICT_SLOTS ? slots : MMUN_STRICT_SLOTS;
	fill_slots(cave);
	for (int i = 0; i < image->nr_sites; i++)
		write_site_code(&image->sites[i], site_code(i));
	ret = find_strict_sites(image);
	if (!ret)
		ret = write_cave(image, cave);
	if (!ret)
		ret = mmun_syscall3(SYS_mprotect, (unsigned long)code_area(), code_size(image),
				    PROT_READ | PROT_EXEC);
	if (ret) {
		mmun_syscall3(SYS_munmap, (unsigned long)mmun_strict_text.area, area_size(image),
			      0);
		mmun_strict_text.area = NULL;
		mmun_self_refuse(refusal, ret, "strict mode cannot redirect this C library's calls",
				 "run without strict mode");
		return ret;
	}
	mmun_strict_text.plain = (void *)(cave + CAVE_PLAIN);
	mmun_strict_text.compat = (void *)(cave + CAVE_COMPAT);
	mmun_strict_text.start = image->text_start;
	mmun_strict_text.length = image->text_end - image->text_start;
	mmun_strict_notified = (void *)(cave + CAVE_NOTIFIED);
	mmun_strict_forked = (void *)(cave + CAVE_FORKED);
	mmun_syscall_gadget = (void *)(cave + CAVE_OWN);
	mmun_store_full(&mmun_strict_on, 1);
	return lead_sites(image);
}
