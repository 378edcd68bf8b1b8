/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* include/mmunotify/seq.h: a counter with both edges, used as its header says. */
#include "fake.h"

#include <mmunotify/seq.h>

static void test_edges(void)
{
	struct mmun_seq seq = { 0 };
	unsigned long s, t;

	ok(mmun_seq_begin(&seq, &s), "S5 outside any section a translation may be cached");
	ok(!mmun_seq_retry(&seq, s), "S5 and is good");
	mmun_seq_start(&seq);
	ok(mmun_seq_retry(&seq, s), "S5 a start invalidates it");
	ok(!mmun_seq_begin(&seq, &t), "S5 inside a section nothing may be cached");
	mmun_seq_start(&seq);
	mmun_seq_end(&seq);
	ok(!mmun_seq_begin(&seq, &t), "S3 S5 nor while one of two sections is open");
	mmun_seq_end(&seq);
	ok(mmun_seq_begin(&seq, &t), "S5 after both it may");
	ok(mmun_seq_retry(&seq, s), "S5 what was cached before stays invalid");
	mmun_seq_kill(&seq);
	ok(mmun_seq_retry(&seq, t), "U1 release invalidates everything");
	ok(!mmun_seq_begin(&seq, &t), "U1 for ever");
	mmun_seq_start(&seq);
	mmun_seq_end(&seq);
	ok(!mmun_seq_begin(&seq, &t), "U1 also after later sections");
}

/*
 * A table of one page: the "hardware" is current; a change is start, new page,
 * end.  A reader caches what it looked up and uses it while the counter agrees.
 */
static struct mmun_seq page_seq;
static unsigned long current_page = 1, freed_up_to;
static long stop, stale, hits;

static void *changer(void *arg)
{
	while (!counted(&stop)) {
		unsigned long old = mmun_load_full(&current_page);

		mmun_seq_start(&page_seq);
		mmun_store_full(&current_page, old + 1);
		mmun_store_full(&freed_up_to, old);
		mmun_seq_end(&page_seq);
	}
	return NULL;
}

static void use_page(void)
{
	unsigned long s, page;

	if (!mmun_seq_begin(&page_seq, &s))
		return;
	page = mmun_load_full(&current_page);
	if (mmun_seq_retry(&page_seq, s))
		return;
	/* Cached.  Use it: read what is freed first, then ask if it is valid. */
	for (int i = 0; i < 10; i++) {
		unsigned long gone = mmun_load_full(&freed_up_to);

		if (mmun_seq_retry(&page_seq, s))
			return;
		count(&hits);
		if (page <= gone)
			count(&stale);
	}
}

static void test_race(void)
{
	pthread_t thread = spawn(changer, NULL);

	for (long tries = 0; tries < 200000 || !counted(&hits); tries++)
		use_page();
	count(&stop);
	pthread_join(thread, NULL);
	is(stale, 0, "S5 no freed page is used through a cached translation");
}

int main(void)
{
	test_edges();
	test_race();
	return tap_done();
}
