/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* core/chain.c and the chain lock of core/internal.h: made once, locked without signals. */
#include "part.h"

static struct fake fake;
static struct mm_struct *mm;

static bool blocked(int sig)
{
	sigset_t mask;

	pthread_sigmask(SIG_SETMASK, NULL, &mask);
	return sigismember(&mask, sig) == 1;
}

/* As the program has it: one signal blocked. */
static bool as_before(void)
{
	return blocked(SIGUSR2) && !blocked(SIGUSR1) && !blocked(SIGTERM) && !blocked(SIGALRM);
}

static bool all_blocked(void)
{
	return blocked(SIGUSR2) && blocked(SIGUSR1) && blocked(SIGTERM) && blocked(SIGALRM);
}

static void *hold(void *go)
{
	mmun_sigmask saved;

	mmun_chain_lock(mmun_chain(mm), &saved);
	count(&((long *)go)[0]);
	wait_until_set(&((long *)go)[1]);
	mmun_chain_unlock(mmun_chain(mm), &saved);
	return NULL;
}

static void test_signals(void)
{
	struct mmu_notifier_mm *chain;
	mmun_sigmask saved;
	sigset_t mask, old;
	pthread_t thread;
	long go[2] = { 0 };

	sigemptyset(&mask);
	sigaddset(&mask, SIGUSR2);
	pthread_sigmask(SIG_SETMASK, &mask, &old);
	mm = fake_mm(&fake);
	is(mmu_notifier_register(NULL, mm), 0, "a chain is made");
	chain = mmun_chain(mm);
	mmun_chain_lock(chain, &saved);
	ok(all_blocked(), "no handler runs under the chain lock");
	mmun_chain_unlock(chain, &saved);
	ok(as_before(), "after it what was blocked before is");
	ok(mmun_chain_lock_until(chain, &saved, mmun_now() + 60 * MMUN_NSEC_PER_SEC),
	   "it is free: in time");
	ok(all_blocked(), "again without handlers");
	mmun_chain_unlock(chain, &saved);
	ok(as_before(), "and as before");
	thread = spawn(hold, go);
	wait_until_set(&go[0]);
	ok(!mmun_chain_lock_until(chain, &saved, mmun_now() + 5 * MMUN_NSEC_PER_MSEC),
	   "it is not: too late");
	ok(as_before(), "then nothing is locked or blocked");
	count(&go[1]);
	pthread_join(thread, NULL);
	mmput(mm);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}

/* The queue of callbacks comes further in (docs/LOCKING.md). */
static void test_rank(void)
{
	struct mmun_mutex innermost;
	mmun_sigmask saved;

	memset(&innermost, 0, sizeof(innermost));
	mm = fake_mm(&fake);
	mmu_notifier_register(NULL, mm);
	mmun_chain_lock(mmun_chain(mm), &saved);
	mmun_mutex_lock(&innermost);
	mmun_mutex_unlock(&innermost);
	mmun_chain_unlock(mmun_chain(mm), &saved);
	ok(true, "L1 an innermost lock may be taken under the chain lock");
	mmput(mm);
}

/* While a first one allocates, another comes and is through first. */

static struct part first, second;

static bool another_is_faster(size_t size)
{
	mmun_alloc_fail = NULL;
	part_insert(&second, mm, 1, 1);
	return false;
}

static void test_two_first_ones(void)
{
	const long live = mmun_alloc_live();
	long needed;

	mm = fake_mm(&fake);
	part_insert(&first, mm, 1, 1);
	needed = mmun_alloc_live() - live;
	mmu_interval_notifier_remove(&first.ni);
	mmput(mm);

	mm = fake_mm(&fake);
	part_init(&first);
	mmun_alloc_fail = another_is_faster;
	is(mmu_interval_notifier_insert(&first.ni, mm, PAGE, PAGE, &part_ops), 0,
	   "R9 two first ones at once");
	is(mmun_alloc_live() - live, needed, "R9 leave one chain and one tree");
	section_on(mm, 1, 1);
	ok(first.calls == 1 && second.calls == 1, "R9 with both of them");
	mmu_interval_notifier_remove(&first.ni);
	mmu_interval_notifier_remove(&second.ni);
	mmput(mm);
	is(mmun_alloc_live(), live, "R9 and all memory goes with the struct");
}

int main(void)
{
	test_signals();
	test_rank();
	test_two_first_ones();
	return tap_done();
}
