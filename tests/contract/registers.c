/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Contract: a redirected system call disturbs no more than the call without it.
 *
 * The kernel preserves every register but rax, rcx and r11, and never touches
 * the 128 bytes below the stack pointer; compilers inline system calls into
 * libc's functions and rely on it.  Each function is called with a pattern in
 * every register, first as it is, then redirected with a callback that does its
 * best to leave other values: what survived the first must survive the second.
 * Where the site is the function's first instruction the caller does not
 * expect vector and x87 registers to survive, and they are not compared.
 */
#include <fcntl.h>
#include <linux/falloc.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>

#include <mmunotify/self.h>

#include "sanitizer.h"
#include "scene.h"
#include "watch.h"

#define REDZONE 128

struct registers {
	uint64_t rbx, rbp, r8, r9, r10, r12, r13, r14, r15, rdi, rsi, rdx;
	uint32_t mxcsr, pad;
	uint16_t fcw, pad2[3];
	uint8_t ymm[16][32];
	uint8_t redzone[REDZONE];
	uint64_t flags;
	double st0;
} __attribute__((aligned(64)));

struct call {
	void *fn;
	uint64_t rdi, rsi, rdx, rcx;
	uint64_t rax;
};

/* Loads a pattern into everything, calls, stores what is there afterwards. */
void call_with_patterns(struct call *call, const struct registers *in, struct registers *out);

__attribute__((naked, noinline, used)) void
call_with_patterns(struct call *call, const struct registers *in, struct registers *out)
{
	/* clang-format off */
	__asm__ volatile(
		"push %%rbx\n push %%rbp\n push %%r12\n push %%r13\n push %%r14\n push %%r15\n"
		"push %%rdi\n push %%rdx\n sub $8, %%rsp\n stmxcsr (%%rsp)\n fnstcw 4(%%rsp)\n"
		/* The red zone of the function that is called lies below its return address. */
		"xor %%ecx, %%ecx\n"
		"1: movb %c[redzone](%%rsi,%%rcx), %%al\n movb %%al, -136(%%rsp,%%rcx)\n"
		"inc %%ecx\n cmp $128, %%ecx\n jb 1b\n"
		"fldl %c[st0](%%rsi)\n"
		"ldmxcsr %c[mxcsr](%%rsi)\n fldcw %c[fcw](%%rsi)\n"
#define LOAD(n) "vmovdqu %c[ymm]+" #n "*32(%%rsi), %%ymm" #n "\n"
		LOAD(0) LOAD(1) LOAD(2) LOAD(3) LOAD(4) LOAD(5) LOAD(6) LOAD(7)
		LOAD(8) LOAD(9) LOAD(10) LOAD(11) LOAD(12) LOAD(13) LOAD(14) LOAD(15)
		"mov (%%rdi), %%rax\n mov 8(%%rdi), %%r11\n mov 24(%%rdi), %%rdx\n"
		"mov 16(%%rdi), %%rcx\n mov 32(%%rdi), %%rdi\n"
		"mov %c[rbx](%%rsi), %%rbx\n mov %c[rbp](%%rsi), %%rbp\n"
		"mov %c[r8](%%rsi), %%r8\n mov %c[r9](%%rsi), %%r9\n mov %c[r10](%%rsi), %%r10\n"
		"mov %c[r12](%%rsi), %%r12\n mov %c[r13](%%rsi), %%r13\n"
		"mov %c[r14](%%rsi), %%r14\n mov %c[r15](%%rsi), %%r15\n"
		"mov %%rcx, %%rsi\n mov %%rdi, %%rcx\n mov %%r11, %%rdi\n"
		"call *%%rax\n"
		/* out is at 8(%rsp), call at 16(%rsp). */
		"mov 16(%%rsp), %%rcx\n mov %%rax, 40(%%rcx)\n mov 8(%%rsp), %%rcx\n"
		"mov %%rbx, %c[rbx](%%rcx)\n mov %%rbp, %c[rbp](%%rcx)\n"
		"mov %%r8, %c[r8](%%rcx)\n mov %%r9, %c[r9](%%rcx)\n mov %%r10, %c[r10](%%rcx)\n"
		"mov %%r12, %c[r12](%%rcx)\n mov %%r13, %c[r13](%%rcx)\n"
		"mov %%r14, %c[r14](%%rcx)\n mov %%r15, %c[r15](%%rcx)\n"
		"mov %%rdi, %c[rdi](%%rcx)\n mov %%rsi, %c[rsi](%%rcx)\n mov %%rdx, %c[rdx](%%rcx)\n"
		"stmxcsr %c[mxcsr](%%rcx)\n fnstcw %c[fcw](%%rcx)\n"
		"fstpl %c[st0](%%rcx)\n"
#define STORE(n) "vmovdqu %%ymm" #n ", %c[ymm]+" #n "*32(%%rcx)\n"
		STORE(0) STORE(1) STORE(2) STORE(3) STORE(4) STORE(5) STORE(6) STORE(7)
		STORE(8) STORE(9) STORE(10) STORE(11) STORE(12) STORE(13) STORE(14) STORE(15)
		"xor %%edx, %%edx\n"
		"2: movb -136(%%rsp,%%rdx), %%al\n movb %%al, %c[redzone](%%rcx,%%rdx)\n"
		"inc %%edx\n cmp $128, %%edx\n jb 2b\n"
		"pushfq\n pop %c[flags](%%rcx)\n"
		"ldmxcsr (%%rsp)\n fldcw 4(%%rsp)\n vzeroupper\n"
		"add $24, %%rsp\n"
		"pop %%r15\n pop %%r14\n pop %%r13\n pop %%r12\n pop %%rbp\n pop %%rbx\n ret\n"
		:
		: [rbx] "i"(__builtin_offsetof(struct registers, rbx)),
		  [rbp] "i"(__builtin_offsetof(struct registers, rbp)),
		  [r8] "i"(__builtin_offsetof(struct registers, r8)),
		  [r9] "i"(__builtin_offsetof(struct registers, r9)),
		  [r10] "i"(__builtin_offsetof(struct registers, r10)),
		  [r12] "i"(__builtin_offsetof(struct registers, r12)),
		  [r13] "i"(__builtin_offsetof(struct registers, r13)),
		  [r14] "i"(__builtin_offsetof(struct registers, r14)),
		  [r15] "i"(__builtin_offsetof(struct registers, r15)),
		  [rdi] "i"(__builtin_offsetof(struct registers, rdi)),
		  [rsi] "i"(__builtin_offsetof(struct registers, rsi)),
		  [rdx] "i"(__builtin_offsetof(struct registers, rdx)),
		  [mxcsr] "i"(__builtin_offsetof(struct registers, mxcsr)),
		  [fcw] "i"(__builtin_offsetof(struct registers, fcw)),
		  [ymm] "i"(__builtin_offsetof(struct registers, ymm)),
		  [redzone] "i"(__builtin_offsetof(struct registers, redzone)),
		  [flags] "i"(__builtin_offsetof(struct registers, flags)),
		  [st0] "i"(__builtin_offsetof(struct registers, st0)));
	/* clang-format on */
}

static struct watch watch;

/* Leaves nothing in the registers that was there before. */
__attribute__((target("avx"))) static void
scramble(struct watch *w, const struct mmu_notifier_range *range, bool end)
{
	volatile long double sum = 1;

	__asm__ volatile("vzeroall" ::: "memory");
	for (int i = 0; i < 20; i++)
		sum = sum * 1.5L + i;
}

static void fill(struct registers *r)
{
	uint8_t *bytes = (uint8_t *)r;

	for (size_t i = 0; i < sizeof(*r); i++)
		bytes[i] = (uint8_t)(i * 7 + 3);
	/* All exceptions masked, rounding up: legal and not the default. */
	r->mxcsr = 0x5f80;
	r->fcw = 0x0b7f;
	r->st0 = 42.5;
}

struct subject {
	const char *name;
	void *fn;
	/* The system call is the whole function: vector registers are dead. */
	bool bare;
	enum mmun_op op;
	/* Sets up the arguments; the watched range starts at the result. */
	void *(*prepare)(struct call *call);
};

static void *pages(void)
{
	return mmap(NULL, 4 * PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		    0);
}

static void *for_munmap(struct call *call)
{
	void *at = pages();

	call->rdi = (uint64_t)at;
	call->rsi = 4 * PAGE_BYTES;
	call->rdx = 0x1234567;
	return at;
}

static void *for_madvise(struct call *call)
{
	void *at = for_munmap(call);

	call->rdx = MADV_DONTNEED;
	return at;
}

static void *for_mremap(struct call *call)
{
	char *at = for_munmap(call);

	call->rdx = 2 * PAGE_BYTES;
	return at + 2 * PAGE_BYTES;
}

static int file_to_punch = -1;

static void *for_fallocate(struct call *call)
{
	if (file_to_punch < 0)
		file_to_punch = memfd_create("registers", MFD_CLOEXEC);
	if (ftruncate(file_to_punch, 4 * PAGE_BYTES))
		return NULL;
	call->rdi = (uint64_t)file_to_punch;
	call->rsi = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
	call->rdx = 0;
	call->rcx = 4 * PAGE_BYTES;
	return mmap(NULL, 4 * PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, file_to_punch, 0);
}

static void *for_ftruncate(struct call *call)
{
	void *at = for_fallocate(call);

	call->rsi = 0;
	return at;
}

static const struct subject subjects[] = {
	{ "munmap", (void *)munmap, true, MMUN_OP_MUNMAP, for_munmap },
	{ "madvise", (void *)madvise, true, MMUN_OP_MADV_DONTNEED, for_madvise },
	{ "mremap", (void *)mremap, false, MMUN_OP_MREMAP, for_mremap },
	{ "ftruncate", (void *)ftruncate, true, MMUN_OP_TRUNCATE, for_ftruncate },
	{ "fallocate", (void *)fallocate, false, MMUN_OP_FALLOCATE, for_fallocate },
};

/* The arguments are not compared as patterns but as what was passed. */
static void expect_arguments(struct registers *in, const struct call *call)
{
	in->rdi = call->rdi;
	in->rsi = call->rsi;
	in->rdx = call->rdx;
}

static void call_once(const struct subject *subject, struct registers *in, struct registers *out,
		      bool notified)
{
	struct call call = { .fn = subject->fn };
	void *at = subject->prepare(&call);
	struct watch_area area = { (unsigned long)at, PAGE_BYTES, 1, 0 };

	fill(in);
	expect_arguments(in, &call);
	memset(out, 0, sizeof(*out));
	if (notified) {
		watch_arm(&watch, &area);
		watch.edge = scramble;
	}
	call_with_patterns(&call, in, out);
	watch_disarm(&watch);
	check(call.rax < (uint64_t)-4095, "%s: works", subject->name);
	if (notified)
		check(watch_find(&watch, area.start, area.start + 1) >= 0 &&
			      watch.records[0].op == subject->op,
		      "%s: was redirected", subject->name);
}

/* Did everything of one kind that survived the plain call survive this one? */
static bool survived(const struct registers *in, const struct registers *plain,
		     const struct registers *out, size_t offset, size_t size, size_t unit)
{
	const char *i = (const char *)in + offset, *p = (const char *)plain + offset;
	const char *o = (const char *)out + offset;

	for (size_t at = 0; at < size; at += unit)
		if (!memcmp(i + at, p + at, unit) && memcmp(i + at, o + at, unit))
			return false;
	return true;
}

#define SURVIVED(field, unit) \
	survived(&in, plain, &out, offsetof(struct registers, field), sizeof(in.field), unit)

static void redirected(const struct subject *subject, const struct registers *plain)
{
	static struct registers in, out;

	call_once(subject, &in, &out, true);
	check(survived(&in, plain, &out, 0, offsetof(struct registers, mxcsr), 8),
	      "%s: general registers", subject->name);
	check(SURVIVED(mxcsr, 4) && SURVIVED(fcw, 2), "%s: floating-point control", subject->name);
	check(SURVIVED(redzone, 1), "%s: the red zone", subject->name);
	check(!(out.flags & 0x400), "%s: direction flag", subject->name);
	if (subject->bare)
		return;
	check(!memcmp(in.ymm, plain->ymm, sizeof(in.ymm)),
	      "%s: keeps vector registers by itself, so the comparison means something",
	      subject->name);
	check(SURVIVED(ymm, 32), "%s: vector registers", subject->name);
	check(in.st0 == out.st0, "%s: x87 stack", subject->name);
}

static void registers(void)
{
	static struct registers in, plain[sizeof(subjects) / sizeof(subjects[0])];

	for (size_t i = 0; i < sizeof(subjects) / sizeof(subjects[0]); i++)
		call_once(&subjects[i], &in, &plain[i], false);
	pagemap_open();
	check(watch_register(&watch) == 0, "registers");
	for (size_t i = 0; i < sizeof(subjects) / sizeof(subjects[0]); i++)
		redirected(&subjects[i], &plain[i]);
}

int main(void)
{
	__builtin_cpu_init();
	if (SANITIZED)
		skip_all("a sanitizer puts its own code around the functions called here");
	if (!__builtin_cpu_supports("avx"))
		skip_all("the processor has no AVX");
	scene("registers", registers);
	return tap_done();
}
