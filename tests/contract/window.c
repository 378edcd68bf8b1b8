/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Contract: no window between the notice and the change.
 *
 * A lookup is injected at every place where one could do harm: inside the
 * start callback, between start and end from a second thread, in the start
 * callback of a notifier that hears of it earlier, and around the whole
 * operation.  With the both-edges counter of mmunotify/seq.h none of them may
 * leave a cached translation that is valid and not what the kernel has.
 */
#include <pthread.h>
#include <sys/mman.h>

#include <mmunotify/self.h>
#include <mmunotify/seq.h>

#include "operations.h"
#include "sanitizer.h"
#include "scene.h"

/* A one-page cache of a translation, and the notifier that keeps it honest. */
struct cache {
	struct mmu_notifier mn;
	struct mmun_seq seq;
	bool valid;
	uint64_t frame;
	unsigned long cookie;
};

static struct {
	/* The newer one hears of a start first, of an end first too. */
	struct cache older, newer;
	unsigned long page;
	bool armed;
	/* What the injected lookups found. */
	unsigned int injected, accepted_in_start, accepted_by_thread, accepted_in_newer;
	pthread_barrier_t go, done;
} stage;

/* Caches the page's frame if that is allowed now. */
static bool lookup(struct cache *c)
{
	unsigned long cookie;
	uint64_t frame;

	c->valid = false;
	if (!mmun_seq_begin(&c->seq, &cookie))
		return false;
	frame = page_state(stage.page, 0);
	if (mmun_seq_retry(&c->seq, cookie))
		return false;
	c->frame = frame;
	c->cookie = cookie;
	c->valid = true;
	return true;
}

static bool hit(const struct cache *c)
{
	return c->valid && !mmun_seq_retry(&c->seq, c->cookie);
}

static bool covers_page(const struct mmu_notifier_range *range)
{
	return __atomic_load_n(&stage.armed, __ATOMIC_ACQUIRE) && range->start <= stage.page &&
	       stage.page < range->end;
}

static int older_start(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	if (!covers_page(range))
		return 0;
	mmun_seq_start(&stage.older.seq);
	stage.injected++;
	stage.accepted_in_start += lookup(&stage.older);
	/* The second thread tries while the section is open. */
	pthread_barrier_wait(&stage.go);
	pthread_barrier_wait(&stage.done);
	return 0;
}

static void older_end(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	if (covers_page(range))
		mmun_seq_end(&stage.older.seq);
}

static int newer_start(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	if (!covers_page(range))
		return 0;
	/* The older cache has not heard yet: this lookup succeeds, and must die. */
	stage.accepted_in_newer += lookup(&stage.older);
	mmun_seq_start(&stage.newer.seq);
	return 0;
}

static void newer_end(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	if (covers_page(range))
		mmun_seq_end(&stage.newer.seq);
}

static const struct mmu_notifier_ops older_ops = { .invalidate_range_start = older_start,
						   .invalidate_range_end = older_end };
static const struct mmu_notifier_ops newer_ops = { .invalidate_range_start = newer_start,
						   .invalidate_range_end = newer_end };

static void *second_thread(void *arg)
{
	pthread_barrier_wait(&stage.go);
	stage.accepted_by_thread += lookup(&stage.older);
	pthread_barrier_wait(&stage.done);
	return NULL;
}

static const struct operation *subject;

static void open_stage(struct region *r)
{
	pthread_barrier_init(&stage.go, NULL, 2);
	pthread_barrier_init(&stage.done, NULL, 2);
	stage.older.mn.ops = &older_ops;
	stage.newer.mn.ops = &newer_ops;
	pagemap_open();
	check(mmu_notifier_register(&stage.older.mn, mmun_self()) == 0 &&
		      mmu_notifier_register(&stage.newer.mn, mmun_self()) == 0,
	      "registers");
	check(subject->prepare(r) == NULL, "prepares");
	stage.page = watch_page_at(&r->area, 9);
}

static void play_injected(struct region *r)
{
	pthread_t thread;
	uint64_t before;
	bool cached;

	open_stage(r);
	pthread_create(&thread, NULL, second_thread, NULL);
	cached = lookup(&stage.older);
	before = stage.older.frame;
	check(cached && hit(&stage.older), "a lookup before the operation is cached");
	__atomic_store_n(&stage.armed, true, __ATOMIC_RELEASE);
	check(subject->act(r) == 0, "the operation works");
	__atomic_store_n(&stage.armed, false, __ATOMIC_RELEASE);
	check(stage.injected == 1, "one section covers the page (%u)", stage.injected);
	if (!stage.injected)
		return;
	pthread_join(thread, NULL);
	check(page_state(stage.page, 0) != before, "the translation changed");
	check(stage.accepted_in_newer == 1, "a lookup before the older start is cached");
	check(stage.accepted_in_start == 0, "a lookup inside the start callback is rejected");
	check(stage.accepted_by_thread == 0, "a lookup between the edges is rejected");
	check(!hit(&stage.older), "nothing that was cached survives the operation");
	check(lookup(&stage.older) && hit(&stage.older) &&
		      stage.older.frame == page_state(stage.page, 0),
	      "a lookup after the operation caches what the kernel has");
}

static void injected(void)
{
	struct region r = { .op = subject, .c = &calls_libc };

	play_injected(&r);
	region_clean_up(&r);
}

/* A lookup that began before the section and finishes after it. */
static void straddling(void)
{
	struct region r = { .op = subject, .c = &calls_libc };
	unsigned long cookie;
	pthread_t thread;

	open_stage(&r);
	pthread_create(&thread, NULL, second_thread, NULL);
	check(mmun_seq_begin(&stage.older.seq, &cookie), "a lookup begins");
	__atomic_store_n(&stage.armed, true, __ATOMIC_RELEASE);
	subject->act(&r);
	__atomic_store_n(&stage.armed, false, __ATOMIC_RELEASE);
	check(mmun_seq_retry(&stage.older.seq, cookie), "and has to start again");
	if (stage.injected)
		pthread_join(thread, NULL);
	region_clean_up(&r);
}

static const char *const subjects[] = {
	"munmap, whole",
	"mremap, shrink",
	"mremap MREMAP_FIXED away to a hole",
	"mremap MREMAP_FIXED onto the watched range",
	"mremap MREMAP_DONTUNMAP",
	"brk, shrink",
	"shmat SHM_REMAP over",
	"shmdt",
	"ftruncate of a memfd, shared",
	"ftruncate of a disk file, private",
	NULL,
};

static void try_table(const struct operation *op)
{
	char name[160];

	for (; op->name; op++) {
		for (const char *const *s = subjects; *s; s++) {
			if (strcmp(*s, op->name))
				continue;
			subject = op;
			snprintf(name, sizeof(name), "window: %s", op->name);
			scene(name, injected);
			snprintf(name, sizeof(name), "straddling: %s", op->name);
			scene(name, straddling);
		}
	}
}

int main(void)
{
	if (THREAD_SANITIZED)
		skip_all(THREAD_END_REASON);
	if (pagemap_open() || !pagemap_shows_frames())
		skip_all("frame numbers need CAP_SYS_ADMIN (run as root)");
	try_table(operations_map);
	try_table(operations_move);
	try_table(operations_shm);
	try_table(operations_file);
	return tap_done();
}
