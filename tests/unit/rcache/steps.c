/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A thread is stopped between two accesses of the cache whose order matters, and everything
 * else happens: built with the points of a test's scheduler, which this is.
 */
#include "cache.h"
#include "fake.h"

#define PAGE 4096ul
#define BASE (1ul << 40)
#define RW   (MMUN_RCACHE_READ | MMUN_RCACHE_WRITE)

/* Where to stop, how often it is passed by before, and what happens there, once. */
static const char *stop_at;
static int stop_after;
static void (*meanwhile)(void);

void mmun_sched_point(const char *where, const void *what)
{
	void (*now)(void) = meanwhile;

	if (!now || strcmp(where, stop_at) || stop_after-- > 0)
		return;
	meanwhile = NULL;
	now();
}

bool mmun_sched_blocked(const char *where, const void *what)
{
	return false;
}

static void stop(const char *where, int after, void (*fn)(void))
{
	stop_at = where;
	stop_after = after;
	meanwhile = fn;
}

static struct fake fake;
static struct mm_struct *mm;
static struct mmun_rcache *cache;
static long registered, deregistered;

static int reg_memory(void *arg, struct mmun_registration *reg)
{
	registered++;
	return 0;
}

static void dereg_memory(void *arg, struct mmun_registration *reg)
{
	deregistered++;
}

static const struct mmun_rcache_ops ops = { .register_memory = reg_memory,
					    .deregister_memory = dereg_memory };

static void begin(void)
{
	const struct mmun_rcache_options options = { .flags = MMUN_RCACHE_NO_REAPER };

	registered = deregistered = 0;
	mm = fake_mm(&fake);
	if (mmun_rcache_create(mm, &ops, NULL, &options, &cache))
		bail_out("no cache");
}

static void end(const char *what)
{
	ok(!meanwhile, "%s: it was stopped there", what);
	is(mmun_rcache_destroy(cache), 0, "%s: the cache can go", what);
	is(registered, deregistered, "%s: all was deregistered", what);
	mmput(mm);
}

static struct mmun_registration *get(unsigned long page)
{
	struct mmun_registration *reg = mmun_rcache_get(cache, BASE + page * PAGE, PAGE, RW);

	if (mmun_is_err(reg))
		bail_out("no registration");
	return reg;
}

static void put(struct mmun_registration *reg)
{
	mmun_rcache_put(cache, reg);
}

static void touch(unsigned long page)
{
	put(get(page));
}

static void change(unsigned long page)
{
	struct mmu_notifier_range range = { .mm = mm,
					    .start = BASE + page * PAGE,
					    .end = BASE + page * PAGE + PAGE };

	if (mmu_notifier_invalidate_range_start(&range))
		bail_out("no section");
	mmu_notifier_invalidate_range_end(&range);
}

static unsigned long rebuilds(void)
{
	struct mmun_rcache_stats stats;

	mmun_rcache_stats(cache, &stats);
	return stats.rebuilds;
}

static size_t home(unsigned long page)
{
	return mmun_rc_home(mmun_rc_state(cache)->hot.table, BASE / PAGE + page, 0);
}

/* Another page that is looked for in the same bucket, or in another one. */
static unsigned long page_beside(unsigned long page, bool same)
{
	unsigned long other = page + 1;

	while ((home(other) == home(page)) != same || home(other) + 16 == home(page))
		other++;
	return other;
}

static void rebuild_twice(void)
{
	unsigned long until = rebuilds() + 2;

	for (unsigned long page = 1000; rebuilds() < until; page++) {
		touch(page);
		change(page);
		mmun_rcache_progress(cache);
	}
}

/* Between the two words of a bucket the table goes and comes back with others in it. */
static void test_two_words(void)
{
	const unsigned long wanted = 7;
	struct mmun_registration *reg;
	unsigned long elsewhere, same;

	begin();
	elsewhere = page_beside(wanted, false);
	same = page_beside(wanted, true);
	/* Ids in the other order than buckets: a new table has them the other way round. */
	touch(elsewhere);
	touch(same);
	change(elsewhere);
	mmun_rcache_progress(cache);
	touch(wanted);
	stop("bucket", 0, rebuild_twice);
	reg = get(wanted);
	is(reg->start, BASE + wanted * PAGE, "what is returned covers what was asked for");
	put(reg);
	end("two words");
}

static unsigned long page_now;

static void change_and_progress(void)
{
	change(page_now);
	mmun_rcache_progress(cache);
}

/* What has been counted is not deregistered; what is found dead is not returned. */
static void test_begun(void)
{
	struct mmun_registration *reg;

	begin();
	page_now = 3;
	touch(3);
	stop("begun", 0, change_and_progress);
	reg = get(3);
	ok(mmun_rcache_is_current(cache, reg), "what died while a get counted it is not returned");
	is(registered, 2, "another one is");
	mmun_rcache_progress(cache);
	is(deregistered, 1, "the dead one is deregistered afterwards");
	put(reg);
	end("begun");
}

static void test_ended(void)
{
	struct mmun_registration *reg;

	begin();
	page_now = 3;
	reg = get(3);
	stop("ended", 0, change_and_progress);
	put(reg);
	is(deregistered, 1, "what dies while a put ends its use is deregistered");
	end("ended");
}

static struct mmun_registration *got;

static void get_meanwhile(void)
{
	got = get(page_now);
	mmun_rcache_progress(cache);
}

/* Killed, and not yet on the stack of the dead. */
static void test_killed(void)
{
	begin();
	page_now = 3;
	touch(3);
	stop("killed", 0, get_meanwhile);
	mmun_rcache_invalidate(cache, BASE + 3 * PAGE, BASE + 4 * PAGE);
	is(registered, 2, "what is killed is not found");
	is(deregistered, 0, "nor deregistered by others");
	mmun_rcache_progress(cache);
	is(deregistered, 1, "until it is given to them");
	put(got);
	end("killed");
}

static struct mmun_registration *early;

static void get_in_section(void)
{
	early = get(page_now);
}

/* A section has said that it is there, and has not looked at anything. */
static void test_listed(void)
{
	begin();
	page_now = 3;
	touch(3);
	stop("listed", 0, get_in_section);
	change(3);
	ok(!mmun_rcache_is_current(cache, early),
	   "what a get found meanwhile has ended afterwards");
	put(early);
	page_now = 5;
	stop("listed", 0, get_in_section);
	mmun_rcache_invalidate(cache, BASE + 5 * PAGE, BASE + 6 * PAGE);
	ok(!mmun_rcache_is_current(cache, early), "what one made meanwhile was not kept");
	put(early);
	end("listed");
}

static void change_it(void)
{
	change(page_now);
}

/* A registration has said that it will be made. */
static void test_pending(void)
{
	struct mmun_registration *reg;

	begin();
	page_now = 3;
	stop("pending", 0, change_it);
	reg = get(3);
	ok(mmun_rcache_is_current(cache, reg), "a change at the begin of a miss is no reason");
	put(reg);
	mmun_rcache_progress(cache);
	is(registered - deregistered, 1, "and one is there");
	end("pending");
}

/* Generations begin again, and what the table has of the first ones is there still. */
static void test_generations(void)
{
	struct mmun_registration *reg;
	unsigned long other;

	begin();
	reg = get(0);
	other = page_beside(0, false);
	change(0);
	put(reg);
	mmun_rcache_progress(cache);
	/* As it is after all others. */
	reg->reserved[MMUN_RC_GENERATION] = MMUN_RC_GENERATIONS;
	touch(other);
	ok(mmun_rcache_get(cache, BASE, PAGE, RW | MMUN_RCACHE_CACHED) == mmun_err_ptr(-ENOENT),
	   "what is registered is not found where something of the same generation was long ago");
	touch(other);
	is(registered, 2, "but where it is");
	is(mmun_rcache_destroy(cache), 0, "the cache can go");
	mmput(mm);
}

int main(void)
{
	test_two_words();
	test_begun();
	test_ended();
	test_killed();
	test_listed();
	test_pending();
	test_generations();
	return tap_done();
}
