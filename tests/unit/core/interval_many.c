/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* core/interval.c with so many notifiers that their tree needs memory, and more
 * than one batch of them is called. */
#include "part.h"

#define MANY  700
#define STEPS 40000

static struct fake fake;
static struct mm_struct *mm;
static struct part many[MANY];

static uint64_t state = 88172645463325252ull;

static unsigned long pick(unsigned long limit)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state % limit;
}

/* Page i; or all pages from it on, the last byte too. */
static int insert(unsigned long i, bool whole)
{
	const unsigned long start = i * PAGE;

	part_init(&many[i]);
	return mmu_interval_notifier_insert(&many[i].ni, mm, start, whole ? ~start + !!start : PAGE,
					    &part_ops);
}

static void remove_all(unsigned long count)
{
	for (unsigned long i = 0; i < count; i++)
		mmu_interval_notifier_remove(&many[i].ni);
}

static bool never(size_t size)
{
	return true;
}

static bool whole_pages = true;

/* Memory that the C library has no part in comes in pages. */
static bool note_size(size_t size)
{
	whole_pages &= size % PAGE == 0;
	(void)mmun_add_full(&allocations, 1);
	return false;
}

/* As many as there is room for, which is returned. */
static unsigned long insert_until_failure(unsigned long from)
{
	unsigned long i = from;
	int ret = 0;

	mmun_alloc_fail = never;
	while (i < MANY && !(ret = insert(i, false)))
		i++;
	mmun_alloc_fail = NULL;
	is(ret, -ENOMEM, "R7 with %lu there is no room, nor memory for more", i);
	return i;
}

static void test_no_memory(void)
{
	long live = mmun_alloc_live(), now;
	unsigned long count;

	mm = fake_mm(&fake);
	is(insert(1, false), 0, "the first of all");
	mmu_interval_notifier_remove(&many[1].ni);
	now = mmun_alloc_live();
	count = insert_until_failure(0);
	ok(count > 16, "a few need no memory");
	is((unsigned long)mm->mm_count, count + 1, "R7 no reference is left of the failure");
	ok(mmun_alloc_live() == now && !in_tree(mm, &many[count]), "R7 nor anything else");
	nonblock_section(mm, 0, MANY);
	is(many[count].calls, 0, "R7 it is not called");
	is(insert(count, false), 0, "R11 nor taken as inserted: with memory it succeeds");
	nonblock_section(mm, 0, MANY);
	ok(many[count].calls == 1 && many[0].calls == 2, "and is called");
	remove_all(count + 1);
	mmput(mm);
	is(mmun_alloc_live(), live, "R7 no memory is lost");
}

/* One that has left made room for another, also while sections are open. */
static void test_room(void)
{
	struct mmu_notifier_range range;
	unsigned long count;
	long calls = 0;

	mm = fake_mm(&fake);
	insert(0, true);
	range = start_on(mm, 0, 1);
	count = insert_until_failure(1);
	while (count < MANY / 2 && !insert(count, false))
		count++;
	count = insert_until_failure(count);
	mmun_alloc_fail = never;
	mmu_interval_notifier_remove(&many[1].ni);
	is(insert(1, false), 0, "R8 a removal needs no memory, and makes room for another");
	mmun_alloc_fail = NULL;
	nonblock_section(mm, 0, MANY);
	for (unsigned long i = 1; i < count; i++)
		calls += many[i].calls;
	is(calls, (long)count - 1, "%lu insertions beside an open section are made at once",
	   count - 1);
	end_of(&range);
	mmun_alloc_fail = never;
	remove_all(count);
	mmun_alloc_fail = NULL;
	mmput(mm);
}

static void insert_many(struct part *part)
{
	part->hook = NULL;
	mmun_alloc_fail = note_size;
	for (unsigned long i = 1; i < MANY; i++)
		insert(i, false);
	mmun_alloc_fail = NULL;
}

static void test_callback(void)
{
	mm = fake_mm(&fake);
	insert(0, false);
	many[0].hook = insert_many;
	mmun_store_full(&allocations, 0);
	section_on(mm, 0, 1);
	ok(allocations > 0 && whole_pages, "R8 insertions in a callback do not use malloc()");
	ok(mmun_itree_contains(&many[MANY - 1].ni.interval_tree), "and are made at once");
	remove_all(MANY);
	mmput(mm);
}

/* More than are fetched at a time. */
static void test_refusal(void)
{
	const unsigned long count = 100;
	long calls = 0, later = 0;

	mm = fake_mm(&fake);
	for (unsigned long i = 0; i < count; i++)
		insert(i, false);
	for (unsigned long at = 0; at < count; at += 9) {
		many[at].refuses = true;
		is(nonblock_section(mm, 0, count), -EAGAIN, "B7 the notifier of page %lu refuses",
		   at);
		many[at].refuses = false;
		for (unsigned long i = 0; i < count; i++) {
			calls += many[i].calls == (i <= at);
			later += many[i].calls;
			many[i].calls = 0;
		}
	}
	is(calls, (long)(12 * count), "B7 those before it are called once, the others not");
	is(later, 12 + 9 * 66, "as many as there are");
	is(nr_open(mm), 0, "B8 and the section is over");
	remove_all(count);
	mmput(mm);
}

/* Whom the tree has when a section starts is called if it is touched, and no other. */
static long wrong_calls(unsigned long first, unsigned long count, const bool *before)
{
	long wrong = 0;

	for (unsigned long i = 0; i < MANY; i++) {
		const struct mmun_interval_node *node = &many[i].ni.interval_tree;
		const bool touched = before[i] && node->start < (first + count) * PAGE &&
				     node->last >= first * PAGE;

		wrong += many[i].calls != touched;
		many[i].calls = 0;
	}
	return wrong;
}

static long open_section(struct mmu_notifier_range *range)
{
	const unsigned long first = pick(MANY), count = 1 + pick(pick(8) ? 8 : MANY);
	bool before[MANY];

	for (unsigned long i = 0; i < MANY; i++)
		before[i] = mmun_itree_contains(&many[i].ni.interval_tree);
	*range = start_on(mm, first, count);
	return wrong_calls(first, count, before);
}

/* A section of this thread that a removal would wait for. */
static bool in_the_way(const struct mmu_notifier_range *open, unsigned long depth, unsigned long i)
{
	const struct mmun_interval_node *node = &many[i].ni.interval_tree;

	while (depth--) {
		if (open[depth].start <= node->last && open[depth].end > node->start)
			return true;
	}
	return false;
}

static void test_random(void)
{
	static bool inserted[MANY];
	struct mmu_notifier_range open[4];
	unsigned long depth = 0, failures = 0, beside = 0;
	long wrong = 0, lost = 0;

	mm = fake_mm(&fake);
	memset(many, 0, sizeof(many));
	mmu_notifier_register(NULL, mm);
	for (long step = 0; step < STEPS; step++) {
		unsigned long i = pick(MANY);

		if (pick(20) == 0 && depth < 4) {
			wrong += open_section(&open[depth++]);
		} else if (pick(10) == 0 && depth) {
			end_of(&open[--depth]);
		} else if (!inserted[i]) {
			fail_allocation(pick(20) != 0);
			inserted[i] = !insert(i, pick(50) == 0);
			fail_allocation(0);
			failures += !inserted[i];
		} else if (!in_the_way(open, depth, i)) {
			mmu_interval_notifier_remove(&many[i].ni);
			inserted[i] = false;
			beside += depth != 0;
		}
		lost += mmun_itree_contains(&many[i].ni.interval_tree) != inserted[i];
	}
	while (depth)
		end_of(&open[--depth]);
	is(wrong, 0, "%d random steps: those touched are called, once, and no other", STEPS);
	for (unsigned long i = 0; i < MANY; i++)
		lost += mmun_itree_contains(&many[i].ni.interval_tree) != inserted[i];
	is(lost, 0, "the tree has who was inserted, and nobody else");
	ok(failures > 4, "although %lu insertions failed", failures);
	ok(beside > 100, "%lu removals did not wait for sections elsewhere", beside);
	for (unsigned long i = 0; i < MANY; i++) {
		if (inserted[i])
			mmu_interval_notifier_remove(&many[i].ni);
	}
	mmput(mm);
}

/* The tree is changed between two walks of one section. */
static long calls_of(unsigned long first, unsigned long count)
{
	long wrong = 0;

	for (unsigned long i = first; i < first + count; i++)
		wrong += many[i].calls != 1;
	return wrong;
}

static pthread_t remover;
static long removed, hooks;

static void *remove_one(void *arg)
{
	mmu_interval_notifier_remove(&((struct part *)arg)->ni);
	count(&removed);
	return NULL;
}

static void change_the_tree(struct part *part)
{
	const unsigned long i = (unsigned long)(part - many);

	part->hook = NULL;
	hooks++;
	/* All of them have the same start: before and behind this one by their age. */
	remover = spawn(remove_one, &many[i + 60]);
	while (in_tree(mm, &many[i + 60]))
		usleep(100);
	for (unsigned long n = 0; n < 40; n++) {
		part_init(&many[400 + n]);
		if (mmu_interval_notifier_insert(&many[400 + n].ni, mm, n & 1 ? 0 : PAGE, PAGE,
						 &part_ops))
			bail_out("cannot insert");
	}
}

static void test_between_walks(void)
{
	long twice = 0;

	for (unsigned long at = 0; at < 100; at += 33) {
		mm = fake_mm(&fake);
		for (unsigned long i = 0; i < 200; i++) {
			part_init(&many[i]);
			mmu_interval_notifier_insert(&many[i].ni, mm, PAGE, PAGE, &part_ops);
		}
		many[at].hook = change_the_tree;
		removed = 0;
		section_on(mm, 0, 3);
		pthread_join(remover, NULL);
		is(calls_of(0, at + 60) + calls_of(at + 61, 139 - at), 0,
		   "the tree changes at the %luth call: everybody else is called once", at);
		ok(!many[at + 60].calls && removed == 1, "who has left is not called any more");
		for (unsigned long i = 400; i < 440; i++)
			twice += many[i].calls > 1;
		for (unsigned long i = 0; i < 200; i++) {
			if (i != at + 60)
				mmu_interval_notifier_remove(&many[i].ni);
		}
		for (unsigned long i = 400; i < 440; i++)
			mmu_interval_notifier_remove(&many[i].ni);
		mmput(mm);
	}
	ok(hooks == 4 && !twice, "who came meanwhile at most once");
}

int main(void)
{
	test_no_memory();
	test_room();
	test_callback();
	test_refusal();
	test_random();
	test_between_walks();
	return tap_done();
}
