/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * primary/soft/rmap/rmap.c: write protection for writeback, in every shared mapping and
 * nowhere else; and what its sections say.
 */
#include "recorder.h"

static struct mmun_soft *soft;
static struct file *file;
static struct mm_struct *mm[3];
static unsigned long at[3];
static struct recorder recorder[3];

static struct mmun_soft_entry entry(int i)
{
	struct mmun_soft_entry out;

	mmun_soft_pagemap(mm[i], at[i], &out);
	return out;
}

static void begin(void)
{
	const struct mmun_soft_params params = { .memory = 256 * PAGE, .swap = 64 * PAGE };

	soft = soft_machine(&params);
	file = soft_new_file(soft, "f", MMUN_SOFT_FILE_REGULAR, 4);
	for (int i = 0; i < 3; i++)
		mm[i] = soft_new_mm(soft);
}

static void end(void)
{
	for (int i = 0; i < 3; i++)
		mmput(mm[i]);
	mmun_soft_file_put(file);
	is(mmun_soft_destroy(soft), 0, "everything is gone");
}

/* Private mappings of the page stand before and behind the shared one, whichever way the
 * walk goes. */
static void test_private_beside_shared(void)
{
	begin();
	at[0] = soft_map(mm[0], 0, 1, PROT_READ, MAP_PRIVATE, file);
	at[1] = soft_map(mm[1], 0, 1, RW, MAP_SHARED, file);
	at[2] = soft_map(mm[2], 0, 1, PROT_READ, MAP_PRIVATE, file);
	soft_peek(mm[0], at[0]);
	soft_peek(mm[2], at[2]);
	soft_poke(mm[1], at[1], 7);
	for (int i = 0; i < 3; i++)
		record(&recorder[i], mm[i]);
	is(mmun_soft_fsync(file), 0, "fsync");
	ok(!entry(1).writable && !entry(1).dirty,
	   "S1: the shared entry is protected, also beside private ones");
	ok(recorder[1].nr == 1 && recorder[1].event[0].ended && !recorder[1].event[0].unchanged,
	   "S1: its section says that something has changed");
	ok(just_one(&recorder[1], MMU_NOTIFY_PROTECTION_PAGE, MMUN_OP_MKCLEAN, at[1], 1),
	   "S1: and is of that page");
	is(recorder[0].nr + recorder[2].nr, 0, "private mappings are left alone");
	for (int i = 0; i < 3; i++)
		stop_recording(&recorder[i], mm[i]);
	end();
}

/* The page is dirty by way of one mapping; of the others' entries one has nothing to lose,
 * one is dirty and cannot be written. */
static void test_what_entries_say(void)
{
	begin();
	for (int i = 0; i < 3; i++)
		at[i] = soft_map(mm[i], 0, 1, RW, MAP_SHARED, file);
	soft_poke(mm[0], at[0], 1);
	soft_peek(mm[1], at[1]);
	soft_poke(mm[2], at[2], 3);
	is(mmun_soft_mprotect(mm[2], at[2], PAGE, PROT_READ), 0, "mprotect");
	ok(entry(2).dirty && !entry(2).writable, "an entry is dirty and read-only");
	ok(!entry(1).dirty && !entry(1).writable, "and one neither dirty nor writable");
	for (int i = 0; i < 3; i++)
		record(&recorder[i], mm[i]);
	is(mmun_soft_fsync(file), 0, "fsync");
	ok(!entry(2).dirty, "S6: the dirty bit of a read-only entry is taken");
	ok(!entry(0).dirty && !entry(0).writable, "as that of a writable one");
	for (int i = 0; i < 3; i++)
		is(recorder[i].nr, 1, "S1: mapping %d has its section", i);
	ok(!recorder[0].event[0].unchanged && !recorder[2].event[0].unchanged,
	   "those that changed an entry do not say UNCHANGED");
	ok(recorder[1].event[0].unchanged, "the one that did not says it");
	for (int i = 0; i < 3; i++)
		stop_recording(&recorder[i], mm[i]);
	mmun_soft_reclaim(soft, 256);
	is(soft_peek(mm[1], at[1]), 3, "S6: what was written is in the store");
	end();
}

/* Only a read-only entry knows that the page was written. */
static void test_dirty_and_read_only(void)
{
	struct mmun_soft_stats stats;
	unsigned long before;

	begin();
	at[0] = soft_map(mm[0], 0, 1, RW, MAP_SHARED, file);
	soft_peek(mm[0], at[0]);
	mmun_soft_fsync(file);
	mmun_soft_stats(soft, &stats);
	before = stats.cleaned;
	soft_poke(mm[0], at[0], 5);
	mmun_soft_mprotect(mm[0], at[0], PAGE, PROT_READ);
	is(mmun_soft_fsync(file), 0, "fsync");
	mmun_soft_stats(soft, &stats);
	is(stats.cleaned, before + 1, "S6: the page is written back");
	ok(!entry(0).dirty, "S6: and its entry is clean");
	is(mmun_soft_fsync(file), 0, "fsync again");
	mmun_soft_stats(soft, &stats);
	is(stats.cleaned, before + 1, "a clean page is not");
	end();
}

int main(void)
{
	test_private_beside_shared();
	test_what_entries_say();
	test_dirty_and_read_only();
	return tap_done();
}
