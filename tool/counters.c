/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A process may write into its page whatever it likes: lengths are checked, texts cut and
 * made printable, numbers taken as they are.  Only copies are looked at, so that nothing
 * changes meanwhile.  Tests: tests/unit/tool/counters.c.
 */
#include <string.h>

#include "counters.h"

void counters_clean(char *to, size_t size, const char *text, size_t length)
{
	size_t i;

	for (i = 0; i < length && i + 1 < size && text[i]; i++)
		to[i] = text[i] >= ' ' && text[i] <= '~' ? text[i] : '?';
	to[i] = '\0';
}

static void clean_name(char *to, size_t size, const char *text)
{
	counters_clean(to, size, text, size);
	if (!*to)
		strcpy(to, "?");
}

static void take_user(struct counters_user *user, const struct mmun_stat_slot *slot)
{
	clean_name(user->name, sizeof(user->name), slot->name);
	counters_clean(user->state, sizeof(user->state), slot->state, sizeof(slot->state));
	user->connected = slot->connected;
	user->nr = slot->nr < MMUN_STAT_COUNTERS ? slot->nr : MMUN_STAT_COUNTERS;
	for (unsigned int i = 0; i < user->nr; i++) {
		clean_name(user->counters[i].label, sizeof(user->counters[i].label),
			   slot->labels[i]);
		user->counters[i].value = slot->values[i];
	}
}

bool counters_parse(const void *bytes, size_t size, struct counters *out)
{
	struct mmun_stat_page page;

	if (size != sizeof(page))
		return false;
	memcpy(&page, bytes, sizeof(page));
	/* The version decides where things are; a page that says something else is damaged. */
	if (memcmp(page.magic, MMUN_STAT_MAGIC, sizeof(page.magic)) ||
	    page.version != MMUN_STAT_VERSION || page.size != sizeof(page) ||
	    page.head_size != offsetof(struct mmun_stat_page, slots) ||
	    page.slot_size != sizeof(page.slots[0]) || page.nr_slots != MMUN_STAT_SLOTS)
		return false;
	out->pid = page.pid;
	out->made = page.made;
	out->nr = 0;
	for (unsigned int i = 0; i < MMUN_STAT_SLOTS; i++)
		if (page.slots[i].used == 1)
			take_user(&out->users[out->nr++], &page.slots[i]);
	return true;
}
