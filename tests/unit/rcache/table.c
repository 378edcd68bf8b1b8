/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The table of registrations, against a list of them. */
#include "fake.h"
#include "table.h"

#define IDS 600u

static struct rc_table *table;
static uint32_t state[IDS];
/* What was added last for each id, as the test knows it. */
static struct rc_entry known[IDS];
static uint64_t random_state = 1;

static unsigned long next_random(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

static void begin(unsigned int bits)
{
	table = mmun_rc_table_create(bits);
	if (!table)
		bail_out("no table");
	memset(state, 0, sizeof(state));
	memset(known, 0, sizeof(known));
}

static void add(uint32_t id, unsigned long first, unsigned long pages)
{
	struct rc_entry *entry = &known[id];

	*entry = (struct rc_entry){ first, pages, id, entry->state + (1u << 8 | 3) };
	mmun_rc_table_add(table, state, entry);
	mmun_store_full(&state[id], entry->state);
}

/* How often a walk has seen each id that lives, and whether with another range. */
static unsigned int seen[IDS], seen_wrong, seen_all;

static void see(const struct rc_entry *entry, void *arg)
{
	seen_all++;
	if (entry->state != state[entry->id])
		return;
	seen[entry->id]++;
	if (entry->first != known[entry->id].first || entry->pages != known[entry->id].pages)
		seen_wrong++;
}

static bool walk(unsigned long first, unsigned long last)
{
	memset(seen, 0, sizeof(seen));
	seen_all = 0;
	return mmun_rc_table_walk(table, first, last, ~0ul, see, NULL);
}

/* Ids for which the walk and the list disagree. */
static unsigned int disagree(unsigned long first, unsigned long last)
{
	unsigned int wrong = 0;

	walk(first, last);
	for (uint32_t id = 0; id < IDS; id++) {
		const struct rc_entry *entry = &known[id];
		bool overlaps = state[id] && entry->first <= last &&
				first < entry->first + entry->pages;

		wrong += overlaps != (seen[id] > 0);
	}
	return wrong;
}

static void test_levels(void)
{
	unsigned int wrong = 0;

	is(mmun_rc_level(1), 0, "a page stands under a page");
	for (unsigned int i = 1; i <= 18; i++) {
		const unsigned long size = 1ul << (2 * i);

		wrong += mmun_rc_level(size) != i || mmun_rc_level(size / 4 + 1) != i;
		wrong += i < 18 && mmun_rc_level(size + 1) != i + 1;
	}
	is(wrong, 0, "each size under the least of 4^i that is as large, up to the address space");
}

static void test_each_size(void)
{
	unsigned int wrong = 0, id = 0;

	begin(MMUN_RC_MIN_BITS);
	/* One that ends with its granule, one that lies in two, of each size. */
	for (unsigned int i = 0; i <= 17; i++) {
		const unsigned long size = 1ul << (2 * i);

		add(id++, size, size);
		add(id++, 3 * size + size / 2, size);
	}
	add(id++, 0, MMUN_RC_PAGES - 1);
	for (uint32_t n = 0; n < id; n++) {
		const unsigned long first = known[n].first, last = first + known[n].pages - 1;

		wrong += disagree(first, first) + disagree(last, last);
		wrong += first ? disagree(first - 1, first - 1) : 0;
		wrong += disagree(last + 1, last + 1) +
			 disagree((first + last) / 2, (first + last) / 2);
	}
	is(wrong, 0,
	   "registrations of all sizes are found by each of their pages, and by no other");
	is(seen_wrong, 0, "as what they are");
	mmun_rc_table_free(table);
}

static void test_room(void)
{
	uint32_t id = 0;

	begin(MMUN_RC_MIN_BITS);
	ok(mmun_rc_table_has_room(table), "an empty table has room");
	while (mmun_rc_table_has_room(table) && id < IDS)
		add(id, 1000 + id, 1), id++;
	is(id, (1ul << MMUN_RC_MIN_BITS >> 1) - 1,
	   "until half of it is used, but for one of two granules");
	is(disagree(0, 1ul << 20), 0, "each is found");
	is(disagree(1000, 1000), 0, "and alone");
	for (uint32_t n = 0; n < id; n++)
		state[n] = 0;
	is(disagree(0, 1ul << 20), 0, "none of them when dead");
	ok(seen_all >= id, "although the entries are there");
	for (uint32_t n = 0; n < id; n++)
		add(n, 1000 + n, 1);
	is(table->used, id, "the dead make room for others");
	is(disagree(0, 1ul << 20), 0, "which are found");
	mmun_rc_table_empty(table);
	memset(state, 0, sizeof(state));
	walk(0, 1ul << 20);
	is(seen_all, 0, "an emptied table has nothing");
	ok(mmun_rc_table_has_room(table), "and room");
	add(0, 5, 5);
	is(disagree(0, 100), 0, "for others");
	mmun_rc_table_free(table);
}

/* All in few lines: the same granule, over and over. */
static void test_collisions(void)
{
	unsigned int wrong = 0;

	begin(MMUN_RC_MIN_BITS);
	for (uint32_t id = 0; id < 100; id++)
		add(id, 64 + id % 4, 4 - id % 4);
	wrong += disagree(64, 64) + disagree(67, 67) + disagree(63, 63) + disagree(68, 68);
	for (uint32_t id = 0; id < 100; id += 3)
		state[id] = 0;
	wrong += disagree(64, 67);
	is(wrong, 0, "a hundred registrations of one granule are found, and no dead ones");
	mmun_rc_table_free(table);
}

static void test_filter(void)
{
	begin(MMUN_RC_MIN_BITS);
	is(mmun_rc_shifts(table, 123456), 0, "where nothing is there is no size to look for");
	add(0, 10ul << MMUN_RC_FILTER_SHIFT, 3);
	is(mmun_rc_shifts(table, 10ul << MMUN_RC_FILTER_SHIFT), 2,
	   "where something is there is one");
	is(mmun_rc_shifts(table, 11ul << MMUN_RC_FILTER_SHIFT), 0, "and none beside it");
	add(1, 0, 1ul << 30);
	is(mmun_rc_shifts(table, 77ul << MMUN_RC_FILTER_SHIFT), 1u << 15,
	   "what is larger than the filter is everywhere");
	mmun_rc_table_free(table);
}

/* How many of the first @nr are where a look-up for all of them looks first. */
static unsigned int at_first(uint32_t nr)
{
	unsigned int count = 0;

	for (uint32_t id = 0; id < nr; id++)
		count +=
			mmun_rc_id(mmun_rc_first_bucket(table, known[id].first, known[id].pages - 1)
					   ->w1) == id;
	return count;
}

static void test_first(void)
{
	uint32_t id;

	begin(MMUN_RC_MIN_BITS + 3);
	for (id = 0; id < 400; id++)
		add(id, 77 + 16 * id, 16);
	ok(at_first(400) >= 390,
	   "where two share a granule the one that begins there comes first (%u of 400)",
	   at_first(400));
	/* The size that is asked for counts, not only the smallest that is there. */
	for (; id < 500; id++)
		add(id, 100 + 64 * (id - 400), 1);
	ok(at_first(500) >= 400, "most are found at once among others of another size (%u of 500)",
	   at_first(500));
	mmun_rc_table_free(table);
}

static void test_most(void)
{
	begin(MMUN_RC_MIN_BITS);
	add(0, 1000, 1);
	memset(seen, 0, sizeof(seen));
	ok(!mmun_rc_table_walk(table, 0, 1ul << 30, 1000, see, NULL),
	   "a walk of more granules than it may look at does nothing");
	is(seen[0], 0, "and visits nobody");
	ok(mmun_rc_table_walk(table, 990, 1010, 1000, see, NULL), "a shorter one does");
	is(seen[0], 1, "visit");
	mmun_rc_table_free(table);
}

/* Any sizes anywhere, with deaths. */
static void test_random(void)
{
	unsigned int wrong = 0, bits;

	for (bits = MMUN_RC_MIN_BITS; bits < MMUN_RC_MIN_BITS + 4; bits++) {
		begin(bits);
		for (int step = 0; step < 4000; step++) {
			const uint32_t id = (uint32_t)(next_random() % IDS);
			const unsigned int size = next_random() % 37;
			unsigned long first = next_random() >> (28 + next_random() % 30);
			unsigned long pages = 1 + next_random() % (1ul << size);

			first %= MMUN_RC_PAGES;
			if (first + pages > MMUN_RC_PAGES)
				pages = MMUN_RC_PAGES - first;
			if (mmun_load_relaxed(&state[id]))
				state[id] = 0;
			else if (mmun_rc_table_has_room(table))
				add(id, first, pages);
			first = next_random() % (1ul << next_random() % 36);
			if (step % 8 == 0)
				wrong += disagree(first, first + next_random() % 5000);
		}
		mmun_rc_table_free(table);
	}
	is(wrong, 0, "walks of any ranges find what lies there, whatever has died");
	is(seen_wrong, 0, "as what it is");
}

static void in_child(void *arg)
{
	const unsigned int bits = table->bits;

	walk(0, 1ul << 20);
	if (seen_all || bits != MMUN_RC_MIN_BITS)
		abort();
}

static void test_fork(void)
{
	char text[200];

	begin(MMUN_RC_MIN_BITS);
	for (uint32_t id = 0; id < 100; id++)
		add(id, id * 7, 1);
	ok(exited_well(run_in_child(in_child, NULL, text, sizeof(text))),
	   "a forked child finds nothing, in a table of the same size");
	is(disagree(0, 1000), 0, "its parent everything");
	mmun_rc_table_free(table);
}

/* Readers beside the writer: what is live by its state is what it says. */
static long stop, mixed, visits;

static unsigned long first_of(uint32_t id, uint32_t word)
{
	return id * 1000ul + word / 256 % 500;
}

static void judge(const struct rc_entry *entry, void *arg)
{
	if (mmun_load_full(&state[entry->id]) != entry->state)
		return;
	(void)mmun_add_relaxed(&visits, 1);
	if (entry->first != first_of(entry->id, entry->state) ||
	    entry->pages != 1 + entry->state / 256 % 7)
		(void)mmun_add_full(&mixed, 1);
}

static void *read_all(void *arg)
{
	while (!mmun_load_full(&stop))
		mmun_rc_table_walk(table, 0, 1000 * IDS, ~0ul, judge, NULL);
	return NULL;
}

static void test_readers(void)
{
	pthread_t readers[2];
	uint32_t word = 1u << 8 | 3;

	begin(MMUN_RC_MIN_BITS);
	for (int i = 0; i < 2; i++)
		readers[i] = spawn(read_all, NULL);
	/* Also as long as none of them has had a processor. */
	for (int step = 0; step < 100000 || !mmun_load_relaxed(&visits); step++, word += 1u << 8) {
		const uint32_t id = (uint32_t)(next_random() % 90);
		const struct rc_entry entry = { first_of(id, word), 1 + word / 256 % 7, id, word };

		mmun_store_full(&state[id], 0);
		if (!mmun_rc_table_has_room(table))
			mmun_rc_table_empty(table);
		mmun_rc_table_add(table, state, &entry);
		mmun_store_full(&state[id], word);
	}
	mmun_store_full(&stop, 1);
	for (int i = 0; i < 2; i++)
		pthread_join(readers[i], NULL);
	is(mixed, 0, "no reader takes parts of two registrations for one");
	ok(visits > 0, "readers read (%ld)", visits);
	mmun_rc_table_free(table);
}

/* A large one gives its pages back, which the kernel refuses when they are locked. */
static void test_locked(void)
{
	const unsigned int bits = 15;
	const size_t size = mmun_rc_table_size(bits);

	begin(bits);
	if (mlock(table, size)) {
		skip("a table in locked memory", "RLIMIT_MEMLOCK is less than a table");
		mmun_rc_table_free(table);
		return;
	}
	for (uint32_t id = 0; id < IDS; id++)
		add(id, id, 1);
	mmun_rc_table_empty(table);
	walk(0, IDS);
	is(seen_all, 0, "an emptied table has nothing, in locked memory too");
	mmun_rc_table_free(table);
}

static void test_memory(void)
{
	fail_allocation(1);
	ok(!mmun_rc_table_create(MMUN_RC_MIN_BITS), "no memory, no table");
	fail_allocation(0);
}

int main(void)
{
	test_levels();
	test_each_size();
	test_room();
	test_collisions();
	test_filter();
	test_first();
	test_most();
	test_random();
	test_fork();
	test_readers();
	test_locked();
	test_memory();
	return tap_done();
}
