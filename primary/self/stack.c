/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Stacks of our own, for what takes more room than a hook may take of the program's:
 * walks over mappings, late patching, and the vector registers where they are kept.
 *
 * While C runs on one, asynchronous signals are blocked: their handlers may need any
 * amount of stack, and may leave by a jump.  Those that a thread raises itself (SIGSEGV,
 * SIGSYS...) stay as they were, since the program may need their handlers to go on; a
 * signal stack that is in use is taken out of the kernel's sight meanwhile, because from
 * here it looks unused.  No callback and never the program's own call runs on one.
 *
 * I1  A slot belongs to the thread whose number is in it.
 * I2  A slot whose thread is gone (it left a callback by a jump) is free again.
 * Tests: tests/contract/stack.c.
 */
#include <errno.h>
#include <signal.h>
#include <sys/mman.h>

#include "atomic.h"
#include "state.h"

#define NR_STACKS  8
#define STACK_SIZE 32768UL

static unsigned char *pool;
static int owners[NR_STACKS];

/*
 * Valgrind takes a large step of the stack pointer for one stack's growth unless it knows of
 * the other: a request to it is a sequence of instructions that do nothing elsewhere.
 */
#define VALGRIND_STACK_REGISTER 0x1501UL

static void register_with_valgrind(const unsigned char *start, const unsigned char *end)
{
	unsigned long request[6] = { VALGRIND_STACK_REGISTER, (unsigned long)start,
				     (unsigned long)end };
	unsigned long answer = 0;

	__asm__ volatile("rolq $3, %%rdi\n\trolq $13, %%rdi\n\trolq $61, %%rdi\n\t"
			 "rolq $51, %%rdi\n\txchgq %%rbx, %%rbx"
			 : "+d"(answer)
			 : "a"(request)
			 : "cc", "memory");
}

static unsigned char *map_stacks(unsigned long nr)
{
	unsigned char *at =
		(unsigned char *)mmun_syscall6(SYS_mmap, 0, nr * STACK_SIZE, PROT_READ | PROT_WRITE,
					       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	long ret = 0;

	if ((unsigned long)at >= -4095UL)
		return at;
	for (unsigned long i = 0; i < nr && !ret; i++)
		ret = mmun_syscall3(SYS_mprotect, (long)at + i * STACK_SIZE, MMUN_PAGE_SIZE,
				    PROT_NONE);
	for (unsigned long i = 0; i < nr && !ret; i++)
		register_with_valgrind(at + i * STACK_SIZE + MMUN_PAGE_SIZE,
				       at + (i + 1) * STACK_SIZE - 1);
	if (!ret)
		return at;
	mmun_syscall3(SYS_munmap, (long)at, nr * STACK_SIZE, 0);
	return (unsigned char *)ret;
}

int mmun_self_stacks_map(void)
{
	unsigned char *at;

	if (pool)
		return 0;
	at = map_stacks(NR_STACKS);
	if ((unsigned long)at >= -4095UL)
		return (int)(long)at;
	mmun_store_release(&pool, at);
	return 0;
}

void mmun_self_stacks_unmap(void)
{
	if (pool)
		mmun_syscall3(SYS_munmap, (long)pool, NR_STACKS * STACK_SIZE, 0);
	pool = NULL;
}

static bool take_slot(struct mmun_stack *stack, int owner, int slot)
{
	int none = mmun_load_relaxed(&owners[slot]);

	/* I2: a slot whose thread is gone is free. */
	if (none &&
	    mmun_syscall3(SYS_tgkill, mmun_syscall3(SYS_getpid, 0, 0, 0), none, 0) != -ESRCH)
		return false;
	if (!mmun_cas_full(&owners[slot], &none, owner))
		return false;
	stack->slot = slot;
	stack->base = pool + slot * STACK_SIZE;
	return true;
}

bool mmun_self_stack_get(struct mmun_stack *stack)
{
	int owner = (int)mmun_syscall3(SYS_gettid, 0, 0, 0);

	/* A vfork child is a process of its own: neither sees the other's threads. */
	if (mmun_load_acquire(&pool) && mmun_self_is_owner()) {
		for (int i = 0; i < NR_STACKS; i++)
			if (!mmun_load_relaxed(&owners[i]) && take_slot(stack, owner, i))
				return true;
		for (int i = 0; i < NR_STACKS; i++)
			if (take_slot(stack, owner, i))
				return true;
	}
	stack->slot = -1;
	stack->base = map_stacks(1);
	return (unsigned long)stack->base < -4095UL;
}

void mmun_self_stack_put(const struct mmun_stack *stack)
{
	if (stack->slot >= 0)
		mmun_store_release(&owners[stack->slot], 0);
	else
		mmun_syscall3(SYS_munmap, (long)stack->base, STACK_SIZE, 0);
}

/* The last page; the rest above the guard is stack. */
void *mmun_self_stack_area(const struct mmun_stack *stack)
{
	return stack->base + STACK_SIZE - MMUN_PAGE_SIZE;
}

struct visit {
	long (*fn)(void *);
	void *arg;
	stack_t program;
};

static long run_off_signal_stack(void *arg)
{
	struct visit *visit = arg;
	stack_t none = { .ss_flags = SS_DISABLE };
	bool in_use = visit->program.ss_flags & SS_ONSTACK;
	long ret;

	if (in_use)
		mmun_syscall3(SYS_sigaltstack, (long)&none, 0, 0);
	ret = visit->fn(visit->arg);
	if (in_use) {
		visit->program.ss_flags &= ~SS_ONSTACK;
		mmun_syscall3(SYS_sigaltstack, (long)&visit->program, 0, 0);
	}
	return ret;
}

#define BIT(signal) (1UL << ((signal)-1))

long mmun_self_stack_run(const struct mmun_stack *stack, long (*fn)(void *), void *arg)
{
	unsigned long blocked = ~(BIT(SIGSEGV) | BIT(SIGBUS) | BIT(SIGFPE) | BIT(SIGILL) |
				  BIT(SIGTRAP) | BIT(SIGSYS)),
		      saved = 0;
	struct visit visit = { .fn = fn, .arg = arg };
	long ret;

	mmun_syscall3(SYS_sigaltstack, 0, (long)&visit.program, 0);
	mmun_syscall4(SYS_rt_sigprocmask, SIG_BLOCK, (long)&blocked, (long)&saved, 8);
	/* The frames of one thread follow those of another.  Only here: clang's runtime dies of
	 * a question inside a fork(). */
	mmun_self_acquired(stack->base);
	ret = mmun_self_on_stack(run_off_signal_stack, &visit, mmun_self_stack_area(stack));
	mmun_self_releases(stack->base);
	mmun_syscall4(SYS_rt_sigprocmask, SIG_SETMASK, (long)&saved, 0, 8);
	return ret;
}
