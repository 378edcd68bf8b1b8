/* cc -pthread -o cached_translation cached_translation.c $(pkg-config --cflags --libs mmunotify) */
/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A correct cached translation: one thread replaces the page behind an
 * address again and again, another looks the address up through a cache and
 * never gets an answer older than the last completed replacement.
 *
 * The "translation" is the number stored in the page.  Page i of a memfd holds
 * i, the writer maps page 1, 2, 3... over the same address with MAP_FIXED and
 * publishes i after mmap() returned.  A lookup that then yields less than i is
 * a stale one.  Replace mmun_seq_end() by nothing, or ignore mmun_seq_retry(),
 * and the program says so.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <mmunotify/mmu_notifier.h>
#include <mmunotify/self.h>
#include <mmunotify/seq.h>

#define PAGE   4096UL
#define ROUNDS 20000UL

struct cache {
	struct mmu_notifier mn;
	struct mmun_seq seq;
	unsigned long address;
	/* What the reader cached, and under which sequence number. */
	unsigned long value, valid;
	int filled;
	unsigned long hits, misses, retries;
};

static struct cache cache;
static unsigned long published;

static int covers(const struct cache *c, const struct mmu_notifier_range *range)
{
	return range->start < c->address + PAGE && c->address < range->end;
}

static int on_start(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	struct cache *c = (struct cache *)mn; /* mn is its first member */

	if (covers(c, range))
		mmun_seq_start(&c->seq);
	return 0;
}

static void on_end(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	struct cache *c = (struct cache *)mn;

	if (covers(c, range))
		mmun_seq_end(&c->seq);
}

static void on_release(struct mmu_notifier *mn, struct mm_struct *mm)
{
	(void)mm;
	mmun_seq_kill(&((struct cache *)mn)->seq);
}

static const struct mmu_notifier_ops ops = {
	.release = on_release,
	.invalidate_range_start = on_start,
	.invalidate_range_end = on_end,
};

/* What the hardware would do: walk the page tables. */
static unsigned long walk(const struct cache *c)
{
	return *(volatile unsigned long *)c->address;
}

static unsigned long lookup(struct cache *c)
{
	unsigned long seq, value;

	if (c->filled && !mmun_seq_retry(&c->seq, c->valid)) {
		c->hits++;
		return c->value;
	}
	for (;;) {
		int may_cache = mmun_seq_begin(&c->seq, &seq);

		value = walk(c);
		if (!may_cache) { /* a section is open: use once, keep nothing */
			c->filled = 0;
			c->misses++;
			return value;
		}
		if (!mmun_seq_retry(&c->seq, seq))
			break;
		c->retries++;
	}
	c->value = value;
	c->valid = seq;
	c->filled = 1;
	c->misses++;
	return value;
}

static int fill_memfd(void)
{
	int fd = memfd_create("pages", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, (off_t)((ROUNDS + 1) * PAGE)))
		return -1;
	for (unsigned long i = 0; i <= ROUNDS; i++)
		if (pwrite(fd, &i, sizeof(i), (off_t)(i * PAGE)) != sizeof(i))
			return -1;
	return fd;
}

static void *replace_pages(void *arg)
{
	int fd = *(int *)arg;

	for (unsigned long i = 1; i <= ROUNDS; i++) {
		if (mmap((void *)cache.address, PAGE, PROT_READ, MAP_SHARED | MAP_FIXED, fd,
			 (off_t)(i * PAGE)) == MAP_FAILED)
			break;
		__atomic_store_n(&published, i, __ATOMIC_RELEASE);
	}
	return NULL;
}

int main(void)
{
	unsigned long stale = 0, newest;
	struct mm_struct *mm = mmun_self();
	pthread_t writer;
	int fd = fill_memfd(), error;
	void *page;

	page = fd < 0 ? MAP_FAILED : mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
	if (page == MAP_FAILED || !mm) {
		perror("setting up");
		return 1;
	}
	cache.address = (unsigned long)page;
	cache.mn.ops = &ops;
	error = mmu_notifier_register(&cache.mn, mm);
	if (error) {
		fprintf(stderr, "cannot register: %s ('mmunotify probe' says why)\n",
			strerror(-error));
		return 1;
	}
	if (pthread_create(&writer, NULL, replace_pages, &fd))
		return 1;
	do {
		newest = __atomic_load_n(&published, __ATOMIC_ACQUIRE);
		if (lookup(&cache) < newest)
			stale++;
	} while (newest < ROUNDS);
	pthread_join(writer, NULL);
	mmu_notifier_unregister(&cache.mn, mm);

	printf("%lu replacements, %lu hits, %lu misses, %lu retries, %lu stale\n", ROUNDS,
	       cache.hits, cache.misses, cache.retries, stale);
	return stale ? 1 : 0;
}
