/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* tool/counters: pages with every kind of nonsense in them, and at random. */
#include <stdint.h>
#include <string.h>

#include "counters.h"
#include "tap.h"

static struct mmun_stat_page good_page(void)
{
	struct mmun_stat_page page = {
		.version = MMUN_STAT_VERSION,
		.size = sizeof(page),
		.head_size = offsetof(struct mmun_stat_page, slots),
		.slot_size = sizeof(page.slots[0]),
		.nr_slots = MMUN_STAT_SLOTS,
		.pid = 77,
		.made = 5,
	};

	memcpy(page.magic, MMUN_STAT_MAGIC, sizeof(page.magic));
	for (int i = 1; i < 3; i++) {
		struct mmun_stat_slot *slot = &page.slots[i];

		slot->used = 1;
		slot->connected = i == 1;
		slot->nr = 2;
		strcpy(slot->name, i == 1 ? "ucx" : "libfabric");
		strcpy(slot->state, "a state");
		strcpy(slot->labels[0], "sections");
		strcpy(slot->labels[1], "invalidations");
		slot->values[0] = 10;
		slot->values[1] = UINT64_MAX;
	}
	return page;
}

static bool parses(const struct mmun_stat_page *page, struct counters *out)
{
	return counters_parse(page, sizeof(*page), out);
}

static void test_good(void)
{
	struct mmun_stat_page page = good_page();
	struct counters counters;

	ok(parses(&page, &counters), "a page");
	is(counters.pid, 77, "its process");
	is(counters.made, 5, "when it was made");
	is(counters.nr, 2, "slots that are used");
	ok(!strcmp(counters.users[0].name, "ucx") && counters.users[0].connected &&
		   !strcmp(counters.users[0].state, "a state") && counters.users[0].nr == 2,
	   "the first");
	ok(!strcmp(counters.users[0].counters[0].label, "sections") &&
		   counters.users[0].counters[0].value == 10 &&
		   counters.users[0].counters[1].value == UINT64_MAX,
	   "its counters");
	ok(!strcmp(counters.users[1].name, "libfabric") && !counters.users[1].connected,
	   "the second");
}

#define REFUSED(change) \
	do { \
		struct mmun_stat_page bad = good_page(); \
		struct counters said; \
\
		change; \
		ok(!parses(&bad, &said), "refused: %s", #change); \
	} while (0)

static void test_heads(void)
{
	struct mmun_stat_page page = good_page();
	struct counters counters;

	for (size_t size = 0; size < sizeof(page); size += size < 64 ? 1 : 509)
		if (counters_parse(&page, size, &counters))
			ok(false, "%zu bytes are no page", size);
	ok(!counters_parse(&page, sizeof(page) + 1, &counters), "what is too long is no page");
	REFUSED(bad.magic[0] = 'x');
	REFUSED(bad.magic[7] = 0);
	REFUSED(bad.version = 0);
	REFUSED(bad.version = 2);
	REFUSED(bad.size = 0);
	REFUSED(bad.size = UINT32_MAX);
	REFUSED(bad.head_size = 0);
	REFUSED(bad.slot_size = 0);
	REFUSED(bad.slot_size = 2048);
	REFUSED(bad.nr_slots = 14);
	REFUSED(bad.nr_slots = UINT32_MAX);
}

/* What holds of every answer, whatever stood in the page. */
static bool is_printable(const char *text, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		if (!text[i])
			return true;
		if (text[i] < ' ' || text[i] > '~')
			return false;
	}
	return false;
}

static bool is_sane(const struct counters *counters)
{
	if (counters->nr > MMUN_STAT_SLOTS)
		return false;
	for (unsigned int i = 0; i < counters->nr; i++) {
		const struct counters_user *user = &counters->users[i];

		if (user->nr > MMUN_STAT_COUNTERS || !*user->name ||
		    !is_printable(user->name, sizeof(user->name)) ||
		    !is_printable(user->state, sizeof(user->state)))
			return false;
		for (unsigned int j = 0; j < user->nr; j++)
			if (!*user->counters[j].label ||
			    !is_printable(user->counters[j].label, MMUN_STAT_LABEL_SIZE))
				return false;
	}
	return true;
}

static void test_slots(void)
{
	struct mmun_stat_page page = good_page();
	struct mmun_stat_slot *slot = &page.slots[1];
	struct counters counters;

	slot->nr = UINT32_MAX;
	ok(parses(&page, &counters) && counters.users[0].nr == MMUN_STAT_COUNTERS &&
		   is_sane(&counters),
	   "an absurd number of counters is cut");
	ok(!strcmp(counters.users[0].counters[5].label, "?"), "a label that is empty is a ?");
	slot->used = 2;
	ok(parses(&page, &counters) && counters.nr == 1, "a slot is used or not");
	slot->used = 1;
	slot->connected = 0x80000000u;
	ok(parses(&page, &counters) && counters.users[0].connected, "connected or not");
	memset(slot->name, 'n', sizeof(slot->name) + sizeof(slot->state) + sizeof(slot->labels));
	ok(parses(&page, &counters) && is_sane(&counters) &&
		   strlen(counters.users[0].name) == MMUN_STAT_NAME_SIZE - 1 &&
		   strlen(counters.users[0].state) == MMUN_STAT_STATE_SIZE - 1 &&
		   strlen(counters.users[0].counters[23].label) == MMUN_STAT_LABEL_SIZE - 1,
	   "texts without an end are cut");
	memset(slot->name, 0, sizeof(slot->name));
	ok(parses(&page, &counters) && !strcmp(counters.users[0].name, "?"),
	   "a name that is empty is a ?");
	strcpy(slot->state, "a\033[2J\r\n\t\x07\x7f\xc2\x9b\xe2\x80\xae\xffz~");
	ok(parses(&page, &counters) && !strcmp(counters.users[0].state, "a?[2J??????????"
									"?z~"),
	   "escapes, controls and what is no ASCII are a ? each: %s", counters.users[0].state);
	memset(page.slots, 1, sizeof(page.slots));
	ok(parses(&page, &counters) && is_sane(&counters), "all ones");
	for (int i = 0; i < MMUN_STAT_SLOTS; i++) {
		memset(&page.slots[i], 0xff, sizeof(page.slots[i]));
		page.slots[i].used = 1;
	}
	ok(parses(&page, &counters) && counters.nr == MMUN_STAT_SLOTS && is_sane(&counters),
	   "all bits");
}

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

#define ROUNDS 20000

static void test_random(void)
{
	uint64_t state = 88172645463325252u;
	struct counters counters;
	int taken = 0;

	for (int round = 0; round < ROUNDS; round++) {
		struct mmun_stat_page page = good_page();
		unsigned char *bytes = (unsigned char *)&page;

		for (uint64_t n = next_random(&state) % 200; n; n--) {
			uint64_t r = next_random(&state);

			bytes[r % sizeof(page)] = (unsigned char)(r >> 32);
		}
		page.slots[next_random(&state) % MMUN_STAT_SLOTS].used = 1;
		if (!parses(&page, &counters))
			continue;
		taken++;
		if (!is_sane(&counters)) {
			ok(false, "round %d", round);
			return;
		}
	}
	ok(taken > ROUNDS / 4, "%d pages at random, %d are taken for one", ROUNDS, taken);
}

int main(void)
{
	test_good();
	test_heads();
	test_slots();
	test_random();
	return tap_done();
}
