/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The notifier chain under load, over a primary MMU of eight pages.
 *
 * Changers replace pages: read section, start, new frame, old frame freed, end.  Users
 * subscribe, cache translations with a counter of both edges (seq.h), use them
 * and leave; sharers do it through get and put; a refuser answers -EAGAIN now
 * and then; callbacks nest changes, signal handlers change pages too.  Beside
 * them address spaces are made and ended in races of exit and unregister (B2: released
 * twice).
 *
 * The histogram is the state of a frame at the moment when a cached translation
 * of it was found valid: in use, replaced (a section is open), freed.  Frames
 * that leave are poisoned when nobody may hold them, notifiers when they have
 * unregistered.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>

#include <mmunotify/mmu_notifier.h>
#include <mmunotify/primary.h>
#include <mmunotify/seq.h>

#include "atomic.h"
#include "options.h"

#define PAGES             8
#define PAGE              4096ul
#define NR_USERS          2
#define NR_SHARERS        2
#define NR_CHANGERS       2
#define ROUNDS_PER_SECOND 10000

enum frame_state { IN_USE, REPLACED, FREED, NR_STATES };

/* Frames are numbered; a number is used once.  A frame below what its page has
 * freed is freed, below what it has replaced is replaced. */
struct page {
	unsigned long frame;
	unsigned long replaced_below;
	unsigned long freed_below;
	/* Changes of one page take turns, as under a page-table lock. */
	int busy;
};

static struct page pages[PAGES];
static struct mm_struct *mm;
static struct options options;
static int stop;

static long histogram[NR_STATES];
static long changes, refused, nested_changes, changes_in_handlers, hits, misses, subscriptions;
static long shares, unbalanced, lost_callbacks, poisoned;

static const struct mmun_primary_ops primary = { .name = "eight pages" };

static struct mm_struct *new_mm(void)
{
	const struct mmun_mm_params params = { .ops = &primary };
	struct mm_struct *new;

	if (mmun_mm_create(&params, &new))
		bail_out("no memory");
	return new;
}

/* The operation itself; skipped when another change of the page is under way. */
static void replace(struct page *page)
{
	int idle = 0;

	if (!mmun_cas_full(&page->busy, &idle, 1))
		return;
	mmun_store_full(&page->replaced_below, page->frame + 1);
	mmun_store_full(&page->frame, page->frame + 1);
	mmun_store_full(&page->freed_below, page->frame);
	mmun_store_full(&page->busy, 0);
}

static bool change(unsigned int number)
{
	struct mmu_notifier_range range = {
		.mm = mm,
		.start = number * PAGE,
		.end = (number + 1) * PAGE,
		.flags = MMUN_RANGE_READ_LOCKED,
		.event = MMU_NOTIFY_UNMAP,
	};
	struct mmun_reader reader;
	bool done;

	mmun_mm_read_lock(mm, &reader);
	done = !mmu_notifier_invalidate_range_start_nonblock(&range);
	if (done) {
		replace(&pages[number]);
		mmu_notifier_invalidate_range_end(&range);
	}
	mmun_mm_read_unlock(mm, &reader);
	mmun_add_relaxed(done ? &changes : &refused, 1);
	return done;
}

/* A subscriber and its cache of one page. */
struct user {
	struct mmu_notifier mn;
	struct mmun_seq seq;
	unsigned int page;
	long starts, ends, refusals, releases;
	unsigned int refuse_one_in;
	struct rng rng;
};

static struct user *user_of(struct mmu_notifier *mn)
{
	return (struct user *)mn;
}

static int user_start(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	static __thread unsigned int calls;
	struct user *user = user_of(mn);

	if (mn->ops == (void *)0xeeeeeeeeeeeeeeeeul)
		mmun_add_relaxed(&poisoned, 1);
	if (user->refuse_one_in && ++calls % user->refuse_one_in == 0) {
		mmun_add_full(&user->refusals, 1);
		return -EAGAIN;
	}
	mmun_seq_start(&user->seq);
	mmun_add_full(&user->starts, 1);
	return 0;
}

static void user_end(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	struct user *user = user_of(mn);

	/* Leaving inside a section, a notifier has a start alone (R3: it may); an end alone is
	 * never legal (R1: no end without its start). */
	if (mmun_add_full(&user->ends, 1) > mmun_load_full(&user->starts))
		mmun_add_relaxed(&unbalanced, 1);
	mmun_seq_end(&user->seq);
}

static void user_release(struct mmu_notifier *mn, struct mm_struct *which)
{
	mmun_add_full(&user_of(mn)->releases, 1);
	mmun_seq_kill(&user_of(mn)->seq);
}

static const struct mmu_notifier_ops user_ops = {
	.release = user_release,
	.invalidate_range_start = user_start,
	.invalidate_range_end = user_end,
};

static void use_once(struct user *user, unsigned int uses)
{
	struct page *page = &pages[user->page];
	unsigned long s, frame;

	if (!mmun_seq_begin(&user->seq, &s)) {
		mmun_add_relaxed(&misses, 1);
		return;
	}
	frame = mmun_load_full(&page->frame);
	if (mmun_seq_retry(&user->seq, s))
		return;
	while (uses--) {
		enum frame_state state = IN_USE;

		if (frame < mmun_load_full(&page->freed_below))
			state = FREED;
		else if (frame < mmun_load_full(&page->replaced_below))
			state = REPLACED;
		if (mmun_seq_retry(&user->seq, s))
			return;
		mmun_add_relaxed(&histogram[state], 1);
		mmun_add_relaxed(&hits, 1);
	}
}

static void subscribe_once(struct rng *rng, bool refuses)
{
	struct user *user = calloc(1, sizeof(*user));

	user->mn.ops = &user_ops;
	user->page = next_random(rng) % PAGES;
	user->refuse_one_in = refuses ? 50 : 0;
	if (mmu_notifier_register(&user->mn, mm))
		bail_out("cannot register");
	for (unsigned int n = next_random(rng) % 200; n > 0; n--) {
		use_once(user, 20);
		if (one_in(rng, 20))
			sched_yield();
	}
	/* Everything changed from here on must be seen, R1. */
	if (one_in(rng, 4)) {
		long before = mmun_load_full(&user->starts) + mmun_load_full(&user->refusals);

		/* A refusal ends the walk, perhaps before us. */
		if (change(user->page) &&
		    mmun_load_full(&user->starts) + mmun_load_full(&user->refusals) == before)
			mmun_add_relaxed(&lost_callbacks, 1);
	}
	mmu_notifier_unregister(&user->mn, mm);
	if (user->releases != 1)
		mmun_add_relaxed(&unbalanced, 1);
	memset(user, 0xee, sizeof(*user));
	free(user);
	mmun_add_relaxed(&subscriptions, 1);
}

static void *user_thread(void *arg)
{
	long number = (long)arg;
	struct rng rng = rng_of(options.seed, (unsigned int)number);

	while (!mmun_load_full(&stop))
		subscribe_once(&rng, number == 0);
	return NULL;
}

static struct mmu_notifier *alloc_user(struct mm_struct *which)
{
	struct user *user = calloc(1, sizeof(*user));

	return user ? &user->mn : mmun_err_ptr(-ENOMEM);
}

static void free_user(struct mmu_notifier *mn)
{
	struct user *user = user_of(mn);

	memset(user, 0xee, sizeof(*user));
	free(user);
}

/* No release: users of put have dropped everything before. */
static const struct mmu_notifier_ops shared_ops = {
	.invalidate_range_start = user_start,
	.invalidate_range_end = user_end,
	.alloc_notifier = alloc_user,
	.free_notifier = free_user,
};

static void *sharer(void *arg)
{
	struct rng rng = rng_of(options.seed, 50 + (unsigned int)(long)arg);

	while (!mmun_load_full(&stop)) {
		struct mmu_notifier *mn = mmu_notifier_get(&shared_ops, mm);

		if (mmun_is_err(mn))
			bail_out("cannot get");
		use_once(user_of(mn), (unsigned int)(next_random(&rng) % 50));
		mmu_notifier_put(mn);
		if (one_in(&rng, 100))
			mmu_notifier_synchronize();
		mmun_add_relaxed(&shares, 1);
	}
	return NULL;
}

/* Its callbacks change pages themselves: read sections nest. */
static int nesting_start(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	static __thread bool inside;
	static __thread unsigned int calls;

	if (inside || ++calls % 10)
		return 0;
	inside = true;
	if (change((unsigned int)(range->start / PAGE + 1) % PAGES))
		mmun_add_relaxed(&nested_changes, 1);
	inside = false;
	return 0;
}

static void *changer(void *arg)
{
	struct rng rng = rng_of(options.seed, 80 + (unsigned int)(long)arg);

	while (!mmun_load_full(&stop)) {
		change((unsigned int)(next_random(&rng) % PAGES));
		if (one_in(&rng, 100))
			usleep(next_random(&rng) % 200);
	}
	return NULL;
}

static void handler(int sig)
{
	static unsigned int calls;

	change(mmun_add_relaxed(&calls, 1) % PAGES);
	mmun_add_relaxed(&changes_in_handlers, 1);
}

/* Exit against unregister, each round with an address space of its own. */

struct race {
	struct mm_struct *mm;
	struct mmu_notifier mn;
	long releases;
	unsigned int round, done;
};
static struct race race;

static void race_release(struct mmu_notifier *mn, struct mm_struct *which)
{
	mmun_add_full(&race.releases, 1);
}

static const struct mmu_notifier_ops race_ops = { .release = race_release };

static void await(unsigned int *word, unsigned int value)
{
	for (unsigned int spins = 0; mmun_load_full(word) != value; spins++) {
		if (spins > 100)
			sched_yield();
	}
}

static void *leaver(void *arg)
{
	const unsigned int rounds = (unsigned int)(long)arg;

	for (unsigned int round = 1; round <= rounds; round++) {
		await(&race.round, round);
		mmu_notifier_unregister(&race.mn, race.mm);
		mmun_store_full(&race.done, round);
	}
	return NULL;
}

static void race_exits(unsigned int rounds)
{
	struct rng rng = rng_of(options.seed, 99);
	pthread_t thread;
	long wrong = 0;

	pthread_create(&thread, NULL, leaver, (void *)(long)rounds);
	for (unsigned int round = 1; round <= rounds; round++) {
		race.mm = new_mm();
		race.mn = (struct mmu_notifier){ .ops = &race_ops };
		race.releases = 0;
		if (mmu_notifier_register(&race.mn, race.mm))
			bail_out("cannot register");
		mmun_store_full(&race.round, round);
		for (unsigned int i = next_random(&rng) % 256; i > 0; i--)
			mmun_cpu_relax();
		mmput(race.mm);
		await(&race.done, round);
		wrong += race.releases != 1;
	}
	pthread_join(thread, NULL);
	is(wrong, 0, "U5 B2 exit raced unregister %u times: one release each", rounds);
}

int main(int argc, char **argv)
{
	static const struct mmu_notifier_ops nesting_ops = {
		.invalidate_range_start = nesting_start,
	};
	struct mmu_notifier nesting = { .ops = &nesting_ops };
	pthread_t threads[NR_USERS + NR_SHARERS + NR_CHANGERS];
	struct timespec begin, now;
	struct mmun_stats stats;
	long i, n = 0;

	options = parse_options(argc, argv);
	mm = new_mm();
	mmu_notifier_register(&nesting, mm);
	signal(SIGUSR1, handler);
	clock_gettime(CLOCK_MONOTONIC, &begin);
	for (i = 0; i < NR_CHANGERS; i++)
		pthread_create(&threads[n++], NULL, changer, (void *)i);
	for (i = 0; i < NR_USERS; i++)
		pthread_create(&threads[n++], NULL, user_thread, (void *)i);
	for (i = 0; i < NR_SHARERS; i++)
		pthread_create(&threads[n++], NULL, sharer, (void *)i);
	do {
		usleep(500);
		/* Changers and users: entries and registrations are interrupted. */
		pthread_kill(threads[next_random(&(struct rng){ ++i }) % NR_CHANGERS], SIGUSR1);
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while (now.tv_sec - begin.tv_sec < options.seconds);
	mmun_store_full(&stop, 1);
	for (i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
	mmu_notifier_synchronize();
	mmun_mm_stats(mm, &stats);
	mmu_notifier_unregister(&nesting, mm);
	mmput(mm);

	diag("frames behind valid translations: in use %ld, replaced %ld, freed %ld",
	     histogram[IN_USE], histogram[REPLACED], histogram[FREED]);
	diag("%ld changes (%ld nested, %ld in handlers), %ld refused, %lu ends unwound", changes,
	     nested_changes, changes_in_handlers, refused, stats.unwound);
	diag("%ld subscriptions, %ld shares, %ld hits, %ld misses", subscriptions, shares, hits,
	     misses);
	ok(changes && nested_changes && changes_in_handlers && refused && subscriptions && shares &&
		   hits,
	   "every kind of change and of use took place");
	is(histogram[FREED], 0, "S5 no freed frame was used through a valid translation");
	is(histogram[REPLACED], 0, "S5 nor one that was being replaced");
	is(unbalanced, 0, "R1 U5 no end without its start, one release each");
	is(lost_callbacks, 0, "R1 no change after registration went unseen");
	is(poisoned, 0, "U2 nobody was called after it left");
	is(stats.registered, stats.unregistered + 1, "R6 all that came have left");
	race_exits((unsigned int)options.seconds * ROUNDS_PER_SECOND);
	return tap_done();
}
