/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The users of a process's notifier chain and their counters.
 *
 * Invariants:
 *  I1  A process counts into its own page or into its private memory, never into the page of
 *      the one that forked it: the pointer to the page lies in memory that the kernel zeroes
 *      in a child (MADV_WIPEONFORK), beside the counters that are used without a page.  So
 *      it does whatever made the child, and nothing has to run there.
 *  I2  Nothing is read from a page that others can write: what is needed again, the names
 *      for a child's page, is kept in private memory.
 *  I3  A child does not unmap the page that it inherited: the call that was interrupted by
 *      the handler that forked may be about to add to it.
 * Locks: wiped->lock, in the same memory, orders those who make pages and write texts.
 * Counting takes none.  A count that another thread of a child makes while the child's page
 * appears may stay in private memory until the next mmun_stat_state().
 * Not here: where a page comes from (page.c).
 * Tests: tests/unit/stat/.
 */
#include "mmunotify/stat.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "alloc.h"
#include "atomic.h"
#include "lock.h"
#include "page.h"
#include "raw_syscall.h"

_Static_assert(sizeof(struct mmun_stat_page) == MMUN_STAT_PAGE_SIZE, "the slots fill the page");
_Static_assert(sizeof(struct mmun_stat_slot) % MMUN_CACHE_LINE == 0 &&
		       offsetof(struct mmun_stat_slot, values) % MMUN_CACHE_LINE == 0 &&
		       offsetof(struct mmun_stat_page, slots) % MMUN_CACHE_LINE == 0,
	       "counters of different users share no cache line");
_Static_assert(sizeof(struct mmun_stat_file) <= MMUN_STAT_PAGE_SIZE, "it lies before page 0");

/* What is said of a user; ->used and ->values are not. */
struct mmun_stat {
	struct mmun_stat_slot slot;
};

/* Zeroed in a forked child. */
struct wiped {
	/* Where the process counts; NULL: below. */
	struct mmun_stat_page *page;
	struct mmun_mutex lock;
	/* The rest but the counters is protected by lock. */
	bool tried;
	bool here[MMUN_STAT_SLOTS];
	uint64_t values[MMUN_STAT_SLOTS][MMUN_STAT_COUNTERS]
		__attribute__((aligned(MMUN_CACHE_LINE)));
};

static struct {
	struct wiped *wiped;
	/* Protected by wiped->lock: all of them, and how many are there. */
	struct mmun_stat *users;
	unsigned int nr;
} own;

/* Return: NULL with neither. */
static struct wiped *get_wiped(void)
{
	struct wiped *wiped = mmun_load_acquire(&own.wiped), *none = NULL;

	if (wiped)
		return wiped;
	wiped = mmun_alloc_pages(sizeof(*wiped));
	if (!wiped)
		return NULL;
	if (mmun_syscall3(SYS_madvise, (unsigned long)wiped, sizeof(*wiped), MADV_WIPEONFORK)) {
		mmun_free_pages(wiped, sizeof(*wiped));
		return NULL;
	}
	if (mmun_cas_full(&own.wiped, &none, wiped))
		return wiped;
	mmun_free_pages(wiped, sizeof(*wiped));
	return none;
}

/* Cut, with zeroes up to the end. */
static void copy_text(char *to, const char *from, size_t size)
{
	size_t length = from ? strnlen(from, size - 1) : 0;

	memcpy(to, from ? from : "", length);
	memset(to + length, 0, size - length);
}

static void describe_page(struct mmun_stat_page *page)
{
	struct timespec now = { 0 };
	uint64_t magic;

	memcpy(&magic, MMUN_STAT_MAGIC, sizeof(magic));
	mmun_syscall3(SYS_clock_gettime, CLOCK_REALTIME, (unsigned long)&now, 0);
	page->version = MMUN_STAT_VERSION;
	page->size = sizeof(*page);
	page->head_size = offsetof(struct mmun_stat_page, slots);
	page->slot_size = sizeof(page->slots[0]);
	page->nr_slots = MMUN_STAT_SLOTS;
	page->pid = (int32_t)mmun_syscall3(SYS_getpid, 0, 0, 0);
	page->made = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
	/* A reader that sees the magic sees the rest. */
	mmun_store_release((uint64_t *)(void *)page->magic, magic);
}

/* With the lock held: the page if there is one, or made now. */
static struct mmun_stat_page *get_page(struct wiped *wiped)
{
	struct mmun_stat_page *page;

	if (wiped->tried)
		return wiped->page;
	wiped->tried = true;
	page = mmun_stat_map_page();
	if (!page)
		return NULL;
	describe_page(page);
	mmun_store_release(&wiped->page, page);
	return page;
}

/* With the lock held. */
static void show(struct wiped *wiped, const struct mmun_stat *stat)
{
	unsigned int index = (unsigned int)(stat - own.users);
	struct mmun_stat_page *page = get_page(wiped);
	struct mmun_stat_slot *slot;

	if (!page)
		return;
	slot = &page->slots[index];
	slot->connected = stat->slot.connected;
	memcpy(slot->state, stat->slot.state, sizeof(slot->state));
	/* Counted before there was a page. */
	for (unsigned int i = 0; i < MMUN_STAT_COUNTERS; i++) {
		uint64_t early = mmun_swap_full(&wiped->values[index][i], 0);

		if (early)
			(void)mmun_add_relaxed(&slot->values[i], early);
	}
	if (wiped->here[index])
		return;
	wiped->here[index] = true;
	slot->nr = stat->slot.nr;
	memcpy(slot->name, stat->slot.name, sizeof(slot->name));
	memcpy(slot->labels, stat->slot.labels, sizeof(slot->labels));
	mmun_store_release(&slot->used, 1);
}

int mmun_stat_create(const char *name, const char *const counters[], unsigned int nr,
		     struct mmun_stat **out)
{
	struct mmun_stat *stat;
	struct wiped *wiped;
	int ret = 0;

	*out = NULL;
	if (!name || !*name || nr > MMUN_STAT_COUNTERS)
		return -EINVAL;
	wiped = get_wiped();
	if (!wiped)
		return -ENOMEM;
	mmun_mutex_lock(&wiped->lock);
	if (!own.users)
		own.users = mmun_alloc_pages(MMUN_STAT_SLOTS * sizeof(*own.users));
	if (!own.users)
		ret = -ENOMEM;
	else if (own.nr == MMUN_STAT_SLOTS)
		ret = -ENOSPC;
	if (ret)
		goto unlock;
	stat = &own.users[own.nr++];
	stat->slot.nr = nr;
	copy_text(stat->slot.name, name, sizeof(stat->slot.name));
	for (unsigned int i = 0; i < nr; i++)
		copy_text(stat->slot.labels[i], counters[i], sizeof(stat->slot.labels[i]));
	show(wiped, stat);
	*out = stat;
unlock:
	mmun_mutex_unlock(&wiped->lock);
	return ret;
}

void mmun_stat_state(struct mmun_stat *stat, bool connected, const char *text)
{
	struct wiped *wiped = own.wiped;

	if (!stat)
		return;
	mmun_mutex_lock(&wiped->lock);
	stat->slot.connected = connected;
	copy_text(stat->slot.state, text, sizeof(stat->slot.state));
	show(wiped, stat);
	mmun_mutex_unlock(&wiped->lock);
}

static uint64_t *find_values(const struct mmun_stat *stat)
{
	struct mmun_stat_page *page = mmun_load_acquire(&own.wiped->page);
	unsigned int index = (unsigned int)(stat - own.users);

	return page ? page->slots[index].values : own.wiped->values[index];
}

void mmun_stat_add(struct mmun_stat *stat, unsigned int counter, unsigned long n)
{
	if (stat && counter < MMUN_STAT_COUNTERS)
		(void)mmun_add_relaxed(&find_values(stat)[counter], n);
}

void mmun_stat_set(struct mmun_stat *stat, unsigned int counter, unsigned long value)
{
	if (stat && counter < MMUN_STAT_COUNTERS)
		mmun_store_relaxed(&find_values(stat)[counter], value);
}
