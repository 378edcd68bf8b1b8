/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The table of subscribed ranges; the rules and who tests them are in entries.h. */
#include "entries.h"

#include <errno.h>

#include "atomic.h"

static uint64_t word_of(uint64_t number, enum lf_entry_state state)
{
	return number << 2 | state;
}

static enum lf_entry_state state_of(uint64_t word)
{
	return (enum lf_entry_state)(word & 3);
}

static uint64_t number_of(uint64_t word)
{
	return word >> 2;
}

static uint32_t *head_of(struct lf_entries *entries, unsigned long start, unsigned long end)
{
	const unsigned long key = (start >> 6 ^ end << 20) * 0x9e3779b97f4a7c15ul;

	return &entries->heads[key >> 49];
}

static uint32_t find(struct lf_entries *entries, unsigned long start, unsigned long end)
{
	uint32_t at;

	for (at = *head_of(entries, start, end); at; at = entries->entries[at].next) {
		if (entries->entries[at].start == start && entries->entries[at].end == end)
			break;
	}
	return at;
}

static void release(struct lf_entries *entries, uint32_t at)
{
	struct lf_entry *entry = &entries->entries[at];
	uint32_t *link = head_of(entries, entry->start, entry->end);

	while (*link != at)
		link = &entries->entries[*link].next;
	*link = entry->next;
	mmun_store_full(&entry->word, 0ul);
	entry->next = entries->free;
	entries->free = at;
}

/* Entries that nobody holds any more (E3), found when there is no room. */
static void release_gone(struct lf_entries *entries)
{
	uint32_t at;

	for (at = 1; at < entries->used; at++) {
		if (state_of(mmun_load_acquire(&entries->entries[at].word)) == LF_ENTRY_GONE)
			release(entries, at);
	}
}

static uint32_t room(struct lf_entries *entries)
{
	uint32_t at;

	if (!entries->free && entries->used == LF_ENTRIES)
		release_gone(entries);
	at = entries->free;
	if (at)
		entries->free = entries->entries[at].next;
	else if (entries->used < LF_ENTRIES)
		at = mmun_add_full(&entries->used, 1) - 1;
	else
		mmun_store_full(&entries->full, 1u);
	return at;
}

static void drop_one(struct lf_entries *entries, uint32_t at)
{
	if (at && !--entries->entries[at].holders)
		release(entries, at);
}

/*
 * What the last call has left open, when the next one is not the unsubscribe that would have
 * followed it at once: this libfabric says none.
 */
static void settle(struct lf_entries *entries)
{
	const uint32_t leaving = entries->leaving;

	entries->leaving = 0;
	entries->refused_end = 0;
	drop_one(entries, leaving);
}

void lf_entries_start(struct lf_entries *entries, uint64_t started)
{
	entries->started = started;
	entries->used = 1;
	mmun_store_release(&entries->alive, 1u);
}

/* Is @entry as good now as at its number?  Then it is good as of @now. */
static bool renew(struct lf_entry *entry, const struct lf_history *history, uint64_t now)
{
	uint64_t word = mmun_load_acquire(&entry->word);

	if (mmun_likely(word == word_of(now, LF_ENTRY_LIVE)))
		return true;
	if (state_of(word) != LF_ENTRY_LIVE)
		return false;
	/* The reaper may have been here since with a later number. */
	while (number_of(word) < now) {
		if (lf_history_changed(history, entry->start, entry->end, number_of(word), now))
			return false;
		if (mmun_cas_full(&entry->word, &word, word_of(now, LF_ENTRY_LIVE)))
			return true;
		if (state_of(word) != LF_ENTRY_LIVE)
			return false;
	}
	return true;
}

bool lf_entries_valid(struct lf_entries *entries, const struct lf_history *history,
		      unsigned long start, unsigned long end)
{
	uint32_t at;

	if (mmun_unlikely(entries->leaving || entries->refused_end))
		settle(entries);
	at = find(entries, start, end);
	if (at && renew(&entries->entries[at], history, lf_history_now(history)))
		return true;
	entries->leaving = at;
	return false;
}

static int insert(struct lf_entries *entries, unsigned long start, unsigned long end,
		  uint64_t number)
{
	const uint32_t at = room(entries);
	struct lf_entry *entry = &entries->entries[at];
	uint32_t *head = head_of(entries, start, end);

	if (!at)
		return -ENOSPC;
	mmun_store_relaxed(&entry->start, start);
	mmun_store_relaxed(&entry->end, end);
	entry->holders = 1;
	entry->next = *head;
	*head = at;
	mmun_store_release(&entry->word, word_of(number, LF_ENTRY_LIVE));
	return 0;
}

static int hold_again(struct lf_entry *entry, const struct lf_history *history, uint64_t number)
{
	switch (state_of(mmun_load_acquire(&entry->word))) {
	case LF_ENTRY_LIVE:
		if (!renew(entry, history, number))
			return -EAGAIN;
		entry->holders++;
		return 0;
	case LF_ENTRY_GONE:
		entry->holders = 1;
		mmun_store_full(&entry->word, word_of(number, LF_ENTRY_LIVE));
		return 0;
	default:
		return -EAGAIN;
	}
}

int lf_entries_add(struct lf_entries *entries, struct lf_history *history, unsigned long start,
		   unsigned long end, uint64_t since)
{
	uint64_t number;
	uint32_t at;
	int ret;

	settle(entries);
	if (!mmun_load_acquire(&entries->alive))
		return -ESRCH;
	number = lf_history_take(history);
	if (lf_history_changed(history, start, end, since, number) ||
	    lf_history_open(history, start, end)) {
		ret = -EAGAIN;
	} else {
		at = find(entries, start, end);
		ret = at ? hold_again(&entries->entries[at], history, number)
			 : insert(entries, start, end, number);
	}
	if (ret) {
		entries->refused_start = start;
		entries->refused_end = end;
	}
	return ret;
}

void lf_entries_remove(struct lf_entries *entries, unsigned long start, unsigned long end)
{
	if (entries->refused_end == end && entries->refused_start == start) {
		/* Of the registration that was not accepted. */
		entries->refused_end = 0;
		return;
	}
	/* Of the one that was not valid; or another one. */
	if (entries->leaving && entries->entries[entries->leaving].start == start &&
	    entries->entries[entries->leaving].end == end) {
		settle(entries);
		return;
	}
	settle(entries);
	drop_one(entries, find(entries, start, end));
}

unsigned int lf_entries_sweep(struct lf_entries *entries, const struct lf_history *history,
			      void (*notify)(void *arg, unsigned long start, unsigned long end),
			      void *arg)
{
	const uint32_t used = mmun_load_acquire(&entries->used);
	const bool all = mmun_swap_full(&entries->full, 0u);
	const uint64_t before = entries->swept, begun = lf_history_now(history);
	struct lf_hull hull;
	const bool known = lf_history_hull(history, before, begun, &hull) && !all;
	unsigned int notified = 0;
	uint32_t at;

	entries->swept = begun;

	for (at = 1; at < used; at++) {
		struct lf_entry *entry = &entries->entries[at];
		uint64_t now = lf_history_now(history);
		uint64_t word = mmun_load_acquire(&entry->word);
		const unsigned long start = mmun_load_relaxed(&entry->start);
		const unsigned long end = mmun_load_relaxed(&entry->end);
		uint64_t next;

		if (state_of(word) != LF_ENTRY_LIVE || (number_of(word) >= now && !all))
			continue;
		/* Most entries are older than this sweep and not older than the one before. */
		if (known && number_of(word) >= before && number_of(word) < begun &&
		    !lf_hull_overlaps(&hull, start, end)) {
			mmun_cas_full(&entry->word, &word, word_of(begun, LF_ENTRY_LIVE));
			continue;
		}
		if (!all && !lf_history_changed(history, start, end, number_of(word), now)) {
			mmun_cas_full(&entry->word, &word, word_of(now, LF_ENTRY_LIVE));
			continue;
		}
		next = word_of(number_of(word), LF_ENTRY_DEAD);
		if (!mmun_cas_full(&entry->word, &word, next))
			continue;
		notify(arg, start, end);
		notified++;
		mmun_cas_full(&entry->word, &next, word_of(number_of(next), LF_ENTRY_GONE));
	}
	return notified;
}
