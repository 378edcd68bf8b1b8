/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* primary/soft/frame/index_map.c: the sparse array under the page cache. */
#include "frame/index_map.h"

#include "fake.h"

#define NAIVE 3000

static unsigned long spread(unsigned long i)
{
	/* Near each other, in different tables, and far away. */
	return i < 1500 ? i : i < 2500 ? i * 700 : (i << 38) + i;
}

static long index_count(const struct soft_index_map *map, const uintptr_t *naive)
{
	unsigned long index = 0, i = 0;
	uintptr_t value;
	long n = 0;

	while ((value = mmun_soft_index_next(map, &index))) {
		while (i < NAIVE && !naive[i])
			i++;
		if (i == NAIVE || spread(i) != index || naive[i] != value)
			return -1;
		i++;
		index++;
		n++;
	}
	while (i < NAIVE && !naive[i])
		i++;
	return i == NAIVE ? n : -1;
}

static void test_index_map(void)
{
	static uintptr_t naive[NAIVE];
	struct soft_index_map map = { NULL, 0 };
	long live = mmun_alloc_live(), wrong = 0, held = 0;
	unsigned int random = 1;

	for (int step = 0; step < 60000; step++) {
		unsigned long i;

		random = random * 1103515245 + 12345;
		i = random >> 8 & 4095;
		if (i >= NAIVE)
			continue;
		if (random >> 30) {
			held += !naive[i];
			naive[i] = random | 2;
			wrong += mmun_soft_index_set(&map, spread(i), naive[i]) != 0;
		} else {
			held -= !!naive[i];
			wrong += mmun_soft_index_erase(&map, spread(i)) != naive[i];
			naive[i] = 0;
		}
		wrong += mmun_soft_index_get(&map, spread(i)) != naive[i];
	}
	is(wrong, 0, "a sparse array keeps what was stored");
	is(index_count(&map, naive), held, "and finds all of it in order");
	for (int i = 0; i < NAIVE; i++)
		mmun_soft_index_erase(&map, spread(i));
	is(mmun_alloc_live(), live, "an empty one holds no memory");
}

static void test_index_map_memory(void)
{
	long live = mmun_alloc_live();
	int failed = 0, ret;

	for (long nth = 1;; nth++) {
		struct soft_index_map map = { NULL, 0 };

		if (mmun_soft_index_set(&map, 5, 50))
			bail_out("no memory");
		fail_allocation(nth);
		ret = mmun_soft_index_set(&map, 1ul << 51, 60);
		fail_allocation(0);
		failed += ret == -ENOMEM && mmun_soft_index_get(&map, 5) == 50 &&
			  !mmun_soft_index_get(&map, 1ul << 51);
		mmun_soft_index_erase(&map, 5);
		mmun_soft_index_erase(&map, 1ul << 51);
		if (!ret)
			break;
	}
	ok(failed >= 10, "storing far away may fail at each of %d allocations", failed);
	is(mmun_alloc_live(), live, "and leaves no table behind");
}

int main(void)
{
	test_index_map();
	test_index_map_memory();
	return tap_done();
}
