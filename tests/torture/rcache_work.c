/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Two address spaces, each with a card, a cache, and a stripe of memory for each worker.  Only its
 * owner changes a stripe, under the stripe's lock for write; everybody registers any of it at any
 * time, and lets the card read and write it under the lock for read.
 *
 * I1  The first word of a page is what its owner wrote last.  Word 1 + w is what worker w wrote
 *     last, by its processor or by the card, or 0 since the last change.
 * I2  What a get returns that began under the lock is right; what began before is right if it
 *     is current when the lock has been taken.
 */
#include "rcache_work.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>

#include "atomic.h"

#define NR_SPACES    2u
#define STRIPE_PAGES 12u
#define PAGE         MMUN_SOFT_PAGE_SIZE
#define BASE         (1ul << 32)
#define SCRATCH      (1ul << 36)
#define RW           (PROT_READ | PROT_WRITE)
#define MAX_SLOTS    8u
#define MAX_HELD     4u

struct stripe {
	pthread_rwlock_t lock;
	unsigned long at;
	bool shared;
	long owned[STRIPE_PAGES];
	long written[STRIPE_PAGES][MAX_WORKERS];
};

static struct space {
	struct mm_struct *mm;
	struct mmun_nic *nic;
	struct mmun_rcache *cache;
	struct stripe stripes[MAX_WORKERS];
} spaces[NR_SPACES];

static struct worker {
	struct rng rng;
	long sequence;
	uint64_t hash;
	/* Uses that go on for a while. */
	struct {
		struct space *space;
		struct mmun_nic_region *region;
	} held[MAX_HELD];
} workers[MAX_WORKERS];

/* Uses that somebody else ends. */
static struct mmun_nic_region *slots[NR_SPACES][MAX_SLOTS];

struct work_counts work_counts;
__thread struct rng *inject_rng;

static struct mmun_soft *soft;
static unsigned int nr_workers;

#define work_count(name) ((void)mmun_add_full(&work_counts.name, 1))

static unsigned int below(struct worker *w, unsigned int limit)
{
	return (unsigned int)(next_random(&w->rng) % limit);
}

static unsigned int number_of(const struct worker *w)
{
	return (unsigned int)(w - workers);
}

static void see(struct worker *w, long what)
{
	w->hash = (w->hash ^ (uint64_t)what) * 0x100000001b3ull;
}

static void on_violation(const struct mmun_soft_violation *what, void *arg)
{
	work_count(violations);
	diag("violation: %s at %#lx, %s", mmun_soft_violation_name(what->kind), what->address,
	     what->write ? "write" : "read");
}

static void wrong(const struct worker *w, const char *what, unsigned long address, long got,
		  long expected)
{
	work_count(wrong);
	diag("worker %u, %s at %#lx: %ld instead of %ld", number_of(w), what, address, got,
	     expected);
}

/* The memory of a stripe. */

static unsigned long page_at(const struct stripe *s, unsigned int page)
{
	return s->at + page * PAGE;
}

static void map_stripe(struct space *space, struct stripe *s)
{
	const int flags = MAP_FIXED | MAP_ANONYMOUS | (s->shared ? MAP_SHARED : MAP_PRIVATE);

	while (mmun_soft_is_error(
		mmun_soft_mmap(space->mm, s->at, STRIPE_PAGES * PAGE, RW, flags, NULL, 0)))
		sched_yield();
}

/* With the lock for write: new words everywhere, zeroes for the others. */
static void fill_stripe(struct worker *w, struct space *space, struct stripe *s)
{
	memset(s->written, 0, sizeof(s->written));
	for (unsigned int i = 0; i < STRIPE_PAGES; i++) {
		long words[1 + MAX_WORKERS] = { (long)(number_of(w) + 1) << 48 | ++w->sequence };

		/* Frames may have run out for a while. */
		while (mmun_soft_write(space->mm, page_at(s, i), words, sizeof(words), NULL))
			sched_yield();
		s->owned[i] = words[0];
	}
}

/* With the lock for write. */
static void check_stripe(struct worker *w, struct space *space, const struct stripe *s)
{
	long words[1 + MAX_WORKERS];

	for (unsigned int i = 0; i < STRIPE_PAGES; i++) {
		if (mmun_soft_read(space->mm, page_at(s, i), words, sizeof(words), NULL))
			continue;
		if (words[0] != s->owned[i])
			wrong(w, "the owner's word", page_at(s, i), words[0], s->owned[i]);
		for (unsigned int n = 0; n < nr_workers; n++) {
			if (words[1 + n] != s->written[i][n])
				wrong(w, "a word that was written", page_at(s, i), words[1 + n],
				      s->written[i][n]);
		}
	}
}

/* Changes.  With the lock for write; afterwards all of it is mapped and filled anew. */

static void move_away(struct worker *w, struct space *space, struct stripe *s)
{
	const size_t size = STRIPE_PAGES * PAGE;
	const unsigned long to = SCRATCH + s->at;

	if (mmun_soft_is_error(mmun_soft_mremap(space->mm, s->at, size, size,
						MREMAP_MAYMOVE | MREMAP_FIXED, to)))
		return;
	if (below(w, 2))
		map_stripe(space, s);
	/* Back, onto what is there. */
	if (mmun_soft_is_error(mmun_soft_mremap(space->mm, to, size, size,
						MREMAP_MAYMOVE | MREMAP_FIXED, s->at)))
		mmun_soft_munmap(space->mm, to, size);
}

static void change(struct worker *w, struct space *space, struct stripe *s)
{
	const unsigned int first = below(w, STRIPE_PAGES),
			   pages = 1 + below(w, STRIPE_PAGES - first);
	const unsigned long at = page_at(s, first);
	const size_t size = pages * PAGE;

	switch (below(w, 7)) {
	case 0:
		mmun_soft_munmap(space->mm, at, size);
		break;
	case 1:
		mmun_soft_munmap(space->mm, s->at, STRIPE_PAGES * PAGE);
		break;
	case 2:
		mmun_soft_madvise(space->mm, at, size, s->shared ? MADV_REMOVE : MADV_DONTNEED);
		return;
	case 3:
		move_away(w, space, s);
		break;
	case 4:
		/* To less, if not to the same. */
		mmun_soft_mremap(space->mm, s->at, STRIPE_PAGES * PAGE, (1 + first) * PAGE, 0, 0);
		break;
	case 5:
		mmun_soft_mprotect(space->mm, at, size, PROT_NONE);
		break;
	default:
		/* Over it. */
		break;
	}
	map_stripe(space, s);
}

static void step_change(struct worker *w)
{
	struct space *space = &spaces[below(w, NR_SPACES)];
	struct stripe *s = &space->stripes[number_of(w)];

	pthread_rwlock_wrlock(&s->lock);
	check_stripe(w, space, s);
	change(w, space, s);
	fill_stripe(w, space, s);
	pthread_rwlock_unlock(&s->lock);
	work_count(changes);
}

/* Gets and puts. */

static void put_region(struct space *space, struct mmun_nic_region *region)
{
	mmun_rcache_put(space->cache, &region->reg);
}

static void leave_to_others(struct worker *w, struct space *space, struct mmun_nic_region *region)
{
	region = mmun_swap_full(&slots[space - spaces][below(w, MAX_SLOTS)], region);
	if (region) {
		work_count(handed_over);
		put_region(space, region);
	}
}

static void hold(struct worker *w, struct space *space, struct mmun_nic_region *region)
{
	const unsigned int i = below(w, MAX_HELD);

	if (w->held[i].region)
		put_region(w->held[i].space, w->held[i].region);
	w->held[i].space = space;
	w->held[i].region = region;
}

static void end_use(struct worker *w, struct space *space, struct mmun_nic_region *region)
{
	switch (below(w, 8)) {
	case 0:
		leave_to_others(w, space, region);
		break;
	case 1:
		hold(w, space, region);
		break;
	default:
		put_region(space, region);
		break;
	}
}

static struct mmun_nic_region *get_region(struct worker *w, struct space *space, unsigned long at,
					  size_t length, unsigned int access)
{
	struct mmun_registration *reg;

	if (one_in(&w->rng, 16))
		inject_rng = &w->rng;
	reg = mmun_rcache_get(space->cache, at, length, access);
	inject_rng = NULL;
	work_count(gets);
	see(w, mmun_is_err(reg) ? mmun_ptr_err(reg) : (long)(reg->end - reg->start));
	return (struct mmun_nic_region *)reg;
}

/* What the card has to read. */
static void expect(struct worker *w, struct space *space, const struct mmun_nic_region *region,
		   unsigned long at, long expected)
{
	long value = -1;
	int ret = mmun_nic_read(space->nic, region->key, at, &value, sizeof(value));

	if (ret || value != expected)
		wrong(w, "what the card reads", at, ret ? ret : value, expected);
	work_count(reads);
}

/* With the lock for read, and a registration that is right. */
static void use_page(struct worker *w, struct space *space, struct stripe *s, unsigned int page,
		     const struct mmun_nic_region *region)
{
	const unsigned long mine = page_at(s, page) + (1 + number_of(w)) * sizeof(long);
	long *written = &s->written[page][number_of(w)], value;

	expect(w, space, region, page_at(s, page), s->owned[page]);
	expect(w, space, region, mine, *written);
	value = ++w->sequence;
	if (region->reg.access & MMUN_RCACHE_WRITE && below(w, 2)) {
		if (mmun_nic_write(space->nic, region->key, mine, &value, sizeof(value)))
			wrong(w, "a write of the card fails", mine, 0, 1);
		work_count(writes);
		*written = value;
	} else if (!mmun_soft_write(space->mm, mine, &value, sizeof(value), NULL)) {
		*written = value;
	}
	expect(w, space, region, mine, *written);
}

static bool may_fail(long error, unsigned int access)
{
	return error == -ENOMEM || error == -EAGAIN || error == -ENOSPC ||
	       (error == -ENOENT && access & MMUN_RCACHE_CACHED);
}

static void step_use(struct worker *w, bool before_lock)
{
	struct space *space = &spaces[below(w, NR_SPACES)];
	struct stripe *s = &space->stripes[below(w, nr_workers)];
	const unsigned int first = below(w, STRIPE_PAGES),
			   pages = 1 + below(w, STRIPE_PAGES - first);
	const unsigned long at = page_at(s, first) + 8 * below(w, 8);
	const size_t length = (pages - 1) * PAGE + 1 + below(w, 2000);
	unsigned int access = MMUN_RCACHE_READ | (below(w, 3) ? MMUN_RCACHE_WRITE : 0);
	struct mmun_nic_region *region = NULL;
	bool right = true;

	if (one_in(&w->rng, 10))
		access |= below(w, 2) ? MMUN_RCACHE_UNCACHED : MMUN_RCACHE_CACHED;
	if (before_lock)
		region = get_region(w, space, at, length, access);
	pthread_rwlock_rdlock(&s->lock);
	if (!before_lock)
		region = get_region(w, space, at, length, access);
	else if (!mmun_is_err(region))
		right = mmun_rcache_is_current(space->cache, &region->reg);
	if (mmun_is_err(region)) {
		if (!before_lock && !may_fail(mmun_ptr_err(region), access)) {
			work_count(refused);
			diag("a get of %#lx, %zu says %d", at, length, mmun_ptr_err(region));
		}
	} else if (!right) {
		work_count(outdated);
	} else {
		use_page(w, space, s, first, region);
		use_page(w, space, s, first + pages - 1, region);
	}
	pthread_rwlock_unlock(&s->lock);
	if (!mmun_is_err(region))
		end_use(w, space, region);
}

/* What the machine does behind everybody's back. */

static void step_fork(struct worker *w)
{
	struct space *space = &spaces[below(w, NR_SPACES)];
	struct stripe *s = &space->stripes[below(w, nr_workers)];
	struct mm_struct *child;
	long word;

	if (mmun_soft_mm_fork(space->mm, &child))
		return;
	for (unsigned int i = 0; i < STRIPE_PAGES; i++) {
		/* What is shared is its parent's. */
		if (below(w, 2) && !s->shared)
			mmun_soft_write(child, page_at(s, i), &w->sequence, sizeof(long), NULL);
		else
			mmun_soft_read(child, page_at(s, i), &word, sizeof(word), NULL);
	}
	mmput(child);
	work_count(forks);
}

static void step_machine(struct worker *w)
{
	static const int advice[] = { MADV_PAGEOUT, MADV_COLD, MADV_MERGEABLE, MADV_UNMERGEABLE,
				      MADV_WILLNEED };
	struct space *space = &spaces[below(w, NR_SPACES)];
	struct stripe *s = &space->stripes[below(w, nr_workers)];
	const unsigned long at = page_at(s, below(w, STRIPE_PAGES));

	switch (below(w, 5)) {
	case 0:
		mmun_soft_reclaim(soft, 1 + below(w, 30));
		break;
	case 1:
		mmun_soft_migrate(space->mm, at);
		break;
	case 2:
		mmun_soft_ksm_scan(soft);
		break;
	case 3:
		mmun_soft_compact(soft);
		break;
	default:
		mmun_soft_madvise(space->mm, at, PAGE,
				  advice[below(w, sizeof(advice) / sizeof(advice[0]))]);
		break;
	}
}

static int stop_somewhere(struct mmun_registration *reg, void *arg)
{
	return one_in(arg, 8);
}

static void step_cache(struct worker *w)
{
	struct space *space = &spaces[below(w, NR_SPACES)];
	struct stripe *s = &space->stripes[below(w, nr_workers)];
	struct mmun_rcache_stats stats;

	switch (below(w, 5)) {
	case 0:
		see(w, mmun_rcache_flush(space->cache));
		break;
	case 1:
		see(w, mmun_rcache_for_each(space->cache, stop_somewhere, &w->rng));
		break;
	case 2:
		mmun_rcache_invalidate(space->cache, s->at, page_at(s, 1 + below(w, STRIPE_PAGES)));
		break;
	case 3:
		mmun_rcache_stats(space->cache, &stats);
		see(w, (long)stats.regions);
		break;
	default:
		see(w, mmun_rcache_progress(space->cache));
		break;
	}
}

void work_step(unsigned int id)
{
	struct worker *w = &workers[id];
	const unsigned int what = below(w, 100);

	if (what < 40)
		step_use(w, false);
	else if (what < 70)
		step_use(w, true);
	else if (what < 82)
		step_change(w);
	else if (what < 92)
		step_machine(w);
	else if (what < 95)
		step_fork(w);
	else
		step_cache(w);
}

uint64_t work_hash(unsigned int id)
{
	return workers[id].hash;
}

static void create_space(unsigned int nr, unsigned int flags)
{
	const struct mmun_rcache_options options = {
		.registration_size = sizeof(struct mmun_nic_region),
		.flags = flags,
		/* One that merges, and one that has to let something go all the time. */
		.merge = nr ? 0 : 8 * PAGE,
		.limits.regions = nr ? 2 * nr_workers : 0,
		.late_bytes = 40 * PAGE,
	};
	const struct mmun_nic_params params = { .pages = 100 * nr_workers };
	struct space *space = &spaces[nr];

	if (mmun_soft_mm_create(soft, &space->mm) ||
	    mmun_nic_create(space->mm, &params, &space->nic) ||
	    mmun_rcache_create(space->mm, &mmun_nic_ops, space->nic, &options, &space->cache))
		bail_out("no cache");
	for (unsigned int i = 0; i < nr_workers; i++) {
		struct stripe *s = &space->stripes[i];

		pthread_rwlock_init(&s->lock, NULL);
		s->at = BASE + i * STRIPE_PAGES * PAGE;
		s->shared = i % 4 == 3;
		map_stripe(space, s);
		fill_stripe(&workers[i], space, s);
	}
}

void work_create(unsigned int nr, uint64_t seed, unsigned int flags)
{
	const struct mmun_soft_params params = { .memory = 4096 * PAGE,
						 .swap = 8192 * PAGE,
						 .mm_lock = (enum mmun_soft_mm_lock)(seed % 3),
						 .violation = on_violation };

	nr_workers = nr;
	for (unsigned int i = 0; i < nr; i++)
		workers[i] = (struct worker){ .rng = rng_of(seed, i) };
	if (mmun_soft_create(&params, &soft))
		bail_out("no machine");
	for (unsigned int i = 0; i < NR_SPACES; i++)
		create_space(i, flags);
}

static void put_all(void)
{
	for (unsigned int i = 0; i < nr_workers; i++) {
		for (unsigned int n = 0; n < MAX_HELD; n++) {
			if (workers[i].held[n].region)
				put_region(workers[i].held[n].space, workers[i].held[n].region);
		}
	}
	for (unsigned int i = 0; i < NR_SPACES; i++) {
		for (unsigned int n = 0; n < MAX_SLOTS; n++) {
			if (slots[i][n])
				put_region(&spaces[i], slots[i][n]);
			slots[i][n] = NULL;
		}
	}
}

void work_destroy(struct mmun_rcache_stats *stats)
{
	struct mmun_rcache_stats one;

	put_all();
	memset(stats, 0, sizeof(*stats));
	for (unsigned int i = 0; i < NR_SPACES; i++) {
		struct space *space = &spaces[i];

		for (unsigned int n = 0; n < nr_workers; n++) {
			check_stripe(&workers[n], space, &space->stripes[n]);
			pthread_rwlock_destroy(&space->stripes[n].lock);
		}
		mmun_rcache_stats(space->cache, &one);
#define ADD(name, text) stats->name += one.name;
		MMUN_RCACHE_STATS(ADD)
#undef ADD
		if (mmun_rcache_destroy(space->cache) || mmun_nic_destroy(space->nic))
			work_count(leaked);
		mmput(space->mm);
	}
	if (mmun_soft_destroy(soft))
		work_count(leaked);
}
