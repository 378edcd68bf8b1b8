/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* See oracle.h. */
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "oracle.h"

struct slot oracle_slots[ORACLE_SLOTS];

uint64_t oracle_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/*
 * Far below where the kernel places new mappings: a slot that is unmapped for
 * a moment must not be given to somebody else.
 */
void *oracle_room(size_t size)
{
	static char *lowest;
	char *room;

	if (!lowest) {
		lowest = mmap(NULL, ORACLE_PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		munmap(lowest, ORACLE_PAGE);
		lowest -= 64UL << 30;
	}
	lowest -= 2 * size;
	room = mmap(lowest, size, PROT_NONE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
	return room == MAP_FAILED ? NULL : room;
}

bool oracle_init(void)
{
	/* A hole between slots, so that no two share a mapping. */
	size_t stride = 2 * ORACLE_BYTES;
	char *base = oracle_room(ORACLE_SLOTS * stride);

	for (unsigned int i = 0; base && i < ORACLE_SLOTS; i++)
		oracle_slots[i].base = base + i * stride;
	return base;
}

void oracle_write(struct slot *s)
{
	uint64_t generation = ++s->live;

	for (unsigned int i = 0; i < ORACLE_PAGES; i++)
		__atomic_store_n((uint64_t *)(s->base + i * ORACLE_PAGE), generation,
				 __ATOMIC_RELAXED);
}

void oracle_died(struct slot *s)
{
	__atomic_store_n(&s->died_ns, oracle_now(), __ATOMIC_RELAXED);
	__atomic_store_n(&s->dead, s->live, __ATOMIC_SEQ_CST);
}

/* Through the kernel: the page may be gone. */
static uint64_t read_generation(const struct slot *s)
{
	uint64_t generation = 0;
	struct iovec local = { &generation, sizeof(generation) };
	struct iovec remote = { s->base, sizeof(generation) };

	if (process_vm_readv(getpid(), &local, 1, &remote, 1, 0) != sizeof(generation))
		return 0;
	return generation;
}

void oracle_flush(struct cache *c)
{
	memset(c->entry, 0, sizeof(c->entry));
	/* A start whose end fell behind an unregister leaves them apart (R3: it may leave inside a
	 * section). */
	memset(c->seq, 0, sizeof(c->seq));
}

void oracle_lookup(struct cache *c, unsigned int i)
{
	unsigned long cookie;
	uint64_t generation;

	c->lookups++;
	c->entry[i].valid = false;
	if (!mmun_seq_begin(&c->seq[i], &cookie)) {
		c->rejected++;
		return;
	}
	generation = read_generation(&oracle_slots[i]);
	if (!generation || mmun_seq_retry(&c->seq[i], cookie)) {
		c->rejected++;
		return;
	}
	c->entry[i].generation = generation;
	c->entry[i].cookie = cookie;
	c->entry[i].valid = true;
	c->cached++;
}

static unsigned int bucket_of(uint64_t age_ns)
{
	unsigned int bucket = 0;

	for (age_ns /= 1000; age_ns && bucket < ORACLE_BUCKETS - 1; age_ns /= 10)
		bucket++;
	return bucket;
}

void oracle_ask(struct cache *c, unsigned int i)
{
	const struct slot *s = &oracle_slots[i];
	uint64_t dead = __atomic_load_n(&s->dead, __ATOMIC_SEQ_CST);
	bool valid = c->entry[i].valid && !mmun_seq_retry(&c->seq[i], c->entry[i].cookie);

	if (!valid)
		return;
	c->hits++;
	if (c->entry[i].generation > dead)
		return;
	c->stale[bucket_of(oracle_now() - __atomic_load_n(&s->died_ns, __ATOMIC_RELAXED))]++;
	c->entry[i].valid = false;
}

/* The slots that a range touches; whole address space included. */
static void edge(struct cache *c, const struct mmu_notifier_range *range, bool end)
{
	for (unsigned int i = 0; i < ORACLE_SLOTS; i++) {
		unsigned long base = (unsigned long)oracle_slots[i].base;

		if (range->start >= base + ORACLE_BYTES || base >= range->end)
			continue;
		if (end)
			mmun_seq_end(&c->seq[i]);
		else
			mmun_seq_start(&c->seq[i]);
		if (end && c->seq[i].end > __atomic_load_n(&c->seq[i].start, __ATOMIC_SEQ_CST))
			__atomic_add_fetch(&c->unpaired, 1, __ATOMIC_RELAXED);
	}
}

static int on_start(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	edge((struct cache *)mn, range, false);
	return 0;
}

static void on_end(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	edge((struct cache *)mn, range, true);
}

const struct mmu_notifier_ops oracle_ops = { .invalidate_range_start = on_start,
					     .invalidate_range_end = on_end };
