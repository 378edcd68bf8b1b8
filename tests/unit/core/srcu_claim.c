/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * core/srcu_cells.c: the owner of a cell when thread ids come back and handlers interrupt claims.
 * Includes the file, to let something happen right before or after an exchange in it.
 */
#include "fake.h"

static void (*before_exchange)(const void *word), (*after_exchange)(const void *word);

static void call(void (*what)(const void *), const void *word)
{
	if (what)
		what(word);
}

#undef mmun_cas_full
#define mmun_cas_full(p, expected, desired) \
	({ \
		bool exchanged; \
		call(before_exchange, (p)); \
		exchanged = __atomic_compare_exchange_n((p), (expected), (desired), 0, \
							__ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST); \
		call(after_exchange, (p)); \
		exchanged; \
	})
#include "../../../core/srcu_cells.c"

static struct srcu_struct domain;
static struct srcu_slot slots[MMUN_SRCU_MAX_SLOTS];

/* A domain with cells that nobody has claimed, for a thread that has claimed none. */
static void begin(void)
{
	memset(slots, 0, sizeof(slots));
	memset(&mmun_task, 0, sizeof(mmun_task));
	mmun_srcu_init(&domain, slots, 1);
	if (!mmun_srcu_use_cells(&domain))
		bail_out("no cells");
}

static unsigned long owner_of(unsigned int cell)
{
	return mmun_load_full(&domain.cells->owner[cell]);
}

static struct mmun_reader enter(void)
{
	return srcu_read_lock(&domain);
}

static void leave(const struct mmun_reader *reader)
{
	srcu_read_unlock(&domain, reader);
}

static unsigned int cell_of(const struct mmun_reader *reader)
{
	return (unsigned int)((struct srcu_slot *)reader->slot - domain.cells->cell);
}

static bool ends_soon(void)
{
	return mmun_srcu_synchronize_until(&domain, mmun_now() + 20 * MMUN_NSEC_PER_MSEC);
}

/* What a new thread with the id of one that is gone knows: nothing. */
static void come_back(void)
{
	memset(&mmun_task, 0, sizeof(mmun_task));
}

/* A section is left open by a thread, and its id comes back. */
static void test_same_id(unsigned int bank)
{
	struct mmun_reader left, own;
	unsigned long owner;

	begin();
	mmun_store_full(&domain.idx, bank);
	left = enter();
	owner = owner_of(cell_of(&left));
	come_back();
	own = enter();
	ok(own.slot == left.slot, "a thread with the id of an earlier one has its cell (bank %u)",
	   bank);
	ok(owner_of(cell_of(&own)) != owner, "whoever had looked at the owner sees another");
	leave(&left);
	ok(!ends_soon(), "the end of the section that was left open ends no other");
	leave(&own);
	ok(ends_soon(), "with its own end nothing is open");
}

/* Nobody has the id of a thread for a moment after it was joined. */
static void *use_a_cell(void *tid)
{
	struct mmun_reader reader = enter();

	leave(&reader);
	*(long *)tid = mmun_syscall3(SYS_gettid, 0, 0, 0);
	return NULL;
}

static long use_in_a_thread(void)
{
	long tid;

	pthread_join(spawn(use_a_cell, &tid), NULL);
	while (!owner_is_gone(&domain, (unsigned int)tid))
		usleep(100);
	return tid;
}

static void test_takeover(void)
{
	unsigned long owner;

	begin();
	use_in_a_thread();
	owner = owner_of(0);
	is((long)(unsigned int)use_in_a_thread(), (long)(unsigned int)owner_of(0),
	   "a thread takes over the cell of one that is gone");
	ok(owner_of(0) >> 32 != owner >> 32,
	   "so that the word is another even if the first id comes back");
}

/* Between the look at an owner who is gone and the exchange his id comes back. */

#define NO_PROCESS 0x3fffffff

static struct mmun_reader returned;

/* A thread that has it now, and claims. */
static void owner_returns(const void *word)
{
	if (word != &domain.cells->owner[0])
		return;
	before_exchange = NULL;
	domain.pid = getpid();
	come_back();
	returned = enter();
}

static void test_owner_returns(void)
{
	struct mmun_reader first;

	begin();
	first = enter();
	leave(&first);
	/* Where it has no threads each of them is gone. */
	domain.pid = NO_PROCESS;
	before_exchange = owner_returns;
	ok(!take_over(&domain, 1, 1, 1) && !before_exchange,
	   "a cell is not taken over from an owner who comes back meanwhile");
	ok(returned.slot == first.slot, "he has it again");
	ok(!ends_soon(), "and his section is waited for");
	leave(&returned);
}

/* A handler that claims between the two banks of a claim. */

static void claim_inside(const void *word)
{
	struct mmun_reader inner;

	if (word != &domain.cells->cell[0].elsewhere[0])
		return;
	after_exchange = NULL;
	inner = enter();
	leave(&inner);
}

static void *leave_both(void *arg)
{
	leave(&((struct mmun_reader *)arg)[0]);
	leave(&((struct mmun_reader *)arg)[1]);
	return NULL;
}

static void test_interrupted(void)
{
	struct mmun_reader moved[2];
	struct srcu_slot *cell;

	begin();
	cell = &domain.cells->cell[0];
	after_exchange = claim_inside;
	moved[0] = enter();
	ok(!after_exchange, "a handler claims the cell between its two banks");
	is((long)(cell->elsewhere[0] >> 32), (long)(cell->elsewhere[1] >> 32),
	   "both are of one generation");
	mmun_store_full(&domain.idx, 1);
	moved[1] = enter();
	pthread_join(spawn(leave_both, moved), NULL);
	ok(ends_soon(), "sections in either can be ended by another thread");
}

int main(void)
{
	memset(&domain, 0, sizeof(domain));
	mmun_srcu_init(&domain, slots, 1);
	if (!mmun_srcu_use_cells(&domain))
		skip_all("no membarrier, or ThreadSanitizer, which does not know it");
	test_same_id(0);
	test_same_id(1);
	test_takeover();
	test_owner_returns();
	test_interrupted();
	return tap_done();
}
