/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Interval notifiers under load, over a primary MMU of 32 pages.
 *
 * Changers replace the frames of ranges of pages: start, new frames, old frames
 * freed, end; some sections may sleep, some must not, some run in signal handlers,
 * some are opened by callbacks; all run inside read sections.  Users subscribe to ranges,
 * look frames up with the retry protocol, use them under their lock and leave; some
 * refuse, some work in two passes.  A crowd around them comes and goes, so that the
 * tree has several levels and needs memory.  List notifiers come and go and refuse now and
 * then (B8: the list refuses, intervals stay open).  Afterwards address spaces are made and ended in races of exit,
 * insertion and removal.
 *
 * The histogram is the state of a frame at the moment when it was used through an
 * established translation: in use, replaced (a section is open), freed.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>

#include <mmunotify/mmu_notifier.h>
#include <mmunotify/primary.h>

#include "atomic.h"
#include "interval_table.h"
#include "options.h"

#define PAGES                  32
#define PAGE                   4096ul
#define LONGEST                4
#define NR_USERS               3
#define NR_CHANGERS            2
#define NR_CROWDS              2
#define CROWD                  300
#define EXIT_ROUNDS_PER_SECOND 500

/* ThreadSanitizer delivers signals late, also where the library has blocked them
 * with a system call of its own: a handler would run inside the chain lock. */
#if defined(__SANITIZE_THREAD__)
#define SEND_SIGNALS 0
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define SEND_SIGNALS 0
#endif
#endif
#ifndef SEND_SIGNALS
#define SEND_SIGNALS 1
#endif

enum frame_state { IN_USE, REPLACED, FREED, NR_STATES };

/* A frame below what its page has freed is freed, below what it has replaced is
 * replaced; changes of one page take turns. */
struct page {
	unsigned long frame;
	unsigned long replaced_below;
	unsigned long freed_below;
	int busy;
};

static struct page table[PAGES];
static struct mm_struct *mm;
static struct options options;
static int stop;

static long histogram[NR_STATES];
static long changes, refused, nested, in_handlers, lookups, retries, hits, subscriptions;
static long two_passes, poisoned, unseen, joins, crowd_left;

static const struct mmun_primary_ops primary = { .name = "pages" };

static struct mm_struct *new_mm(void)
{
	const struct mmun_mm_params params = { .ops = &primary };
	struct mm_struct *new;

	if (mmun_mm_create(&params, &new))
		bail_out("no memory");
	return new;
}

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

static void replace_all(const struct mmu_notifier_range *range)
{
	for (unsigned long page = range->start / PAGE; page < range->end / PAGE; page++)
		replace(&table[page]);
}

static struct mmu_notifier_range some_range(uint64_t random)
{
	unsigned long first = random % PAGES, count = 1 + (random >> 16) % LONGEST;
	unsigned long end = first + count < PAGES ? first + count : PAGES;

	return (struct mmu_notifier_range){ .mm = mm, .start = first * PAGE, .end = end * PAGE };
}

static bool change_nonblocking(uint64_t random)
{
	struct mmu_notifier_range range = some_range(random);
	struct mmun_reader reader;
	bool done;

	mmun_mm_read_lock(mm, &reader);
	range.flags = MMUN_RANGE_READ_LOCKED;
	done = !mmu_notifier_invalidate_range_start_nonblock(&range);
	if (done) {
		replace_all(&range);
		mmu_notifier_invalidate_range_end(&range);
	}
	mmun_mm_read_unlock(mm, &reader);
	mmun_add_relaxed(done ? &changes : &refused, 1);
	return done;
}

static void change_blocking(struct mmu_notifier_range range, bool yield)
{
	struct mmun_reader reader;

	mmun_mm_read_lock(mm, &reader);
	range.flags = MMUN_RANGE_READ_LOCKED;
	mmu_notifier_invalidate_range_start(&range);
	replace_all(&range);
	if (yield)
		sched_yield();
	mmu_notifier_invalidate_range_end(&range);
	mmun_mm_read_unlock(mm, &reader);
	mmun_add_relaxed(&changes, 1);
}

/* A subscriber and its translations. */
struct user {
	struct mmu_interval_notifier ni;
	struct mmu_interval_notifier_finish finish;
	pthread_mutex_t lock;
	unsigned long first, count;
	bool valid;
	unsigned long frames[LONGEST];
	long calls;
	int finishing;
	unsigned int refuse_one_in, nest_one_in;
};

static struct user *user_of(struct mmu_interval_notifier *ni)
{
	return mmun_container_of(ni, struct user, ni);
}

/* Sections that must not sleep do not wait for the lock: one in a handler may have
 * interrupted a callback that holds it. */
static bool drop(struct user *user, const struct mmu_notifier_range *range, unsigned long seq)
{
	static __thread unsigned int calls;

	if (user->ni.ops == (void *)0xeeeeeeeeeeeeeeeeul)
		mmun_add_relaxed(&poisoned, 1);
	mmun_add_full(&user->calls, 1);
	if (mmu_notifier_range_blockable(range))
		pthread_mutex_lock(&user->lock);
	else if ((user->refuse_one_in && ++calls % user->refuse_one_in == 0) ||
		 pthread_mutex_trylock(&user->lock))
		return false;
	mmu_interval_set_seq(&user->ni, seq);
	user->valid = false;
	pthread_mutex_unlock(&user->lock);
	return true;
}

static bool invalidate(struct mmu_interval_notifier *ni, const struct mmu_notifier_range *range,
		       unsigned long seq)
{
	static __thread unsigned int calls, inside;
	struct user *user = user_of(ni);

	if (!drop(user, range, seq))
		return false;
	if (!user->nest_one_in || inside || ++calls % user->nest_one_in)
		return true;
	inside = 1;
	if (change_nonblocking(calls * 7919u))
		mmun_add_relaxed(&nested, 1);
	inside = 0;
	return true;
}

static bool invalidate_start(struct mmu_interval_notifier *ni,
			     const struct mmu_notifier_range *range, unsigned long seq,
			     struct mmu_interval_notifier_finish **finish)
{
	struct user *user = user_of(ni);
	int free = 0;

	if (!drop(user, range, seq))
		return false;
	/* Sections overlap, there is one object: the others do it at once. */
	if (mmun_cas_full(&user->finishing, &free, 1))
		*finish = &user->finish;
	return true;
}

static void invalidate_finish(struct mmu_interval_notifier_finish *finish)
{
	mmun_add_relaxed(&two_passes, 1);
	mmun_store_full(&mmun_container_of(finish, struct user, finish)->finishing, 0);
}

static const struct mmu_interval_notifier_ops ops = { .invalidate = invalidate };
static const struct mmu_interval_notifier_ops two_pass_ops = {
	.invalidate_start = invalidate_start,
	.invalidate_finish = invalidate_finish,
};

/* With the signal blocked: the handler opens a section, whose callbacks may want this
 * lock. */
static void lock_user(struct user *user, sigset_t *saved)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &set, saved);
	pthread_mutex_lock(&user->lock);
}

static void unlock_user(struct user *user, const sigset_t *saved)
{
	pthread_mutex_unlock(&user->lock);
	pthread_sigmask(SIG_SETMASK, saved, NULL);
}

static void look_up(struct user *user)
{
	unsigned long frames[LONGEST];
	sigset_t saved;
	unsigned long seq = mmu_interval_read_begin(&user->ni);

	mmun_add_relaxed(&lookups, 1);
	for (unsigned long i = 0; i < user->count; i++)
		frames[i] = mmun_load_full(&table[user->first + i].frame);
	lock_user(user, &saved);
	if (mmu_interval_read_retry(&user->ni, seq)) {
		mmun_add_relaxed(&retries, 1);
	} else {
		memcpy(user->frames, frames, sizeof(frames));
		user->valid = true;
	}
	unlock_user(user, &saved);
}

/* Returns whether there was anything to use. */
static bool use(struct user *user)
{
	sigset_t saved;
	bool valid;

	lock_user(user, &saved);
	valid = user->valid;
	for (unsigned long i = 0; valid && i < user->count; i++) {
		const struct page *page = &table[user->first + i];
		enum frame_state state = IN_USE;

		if (user->frames[i] < mmun_load_full(&page->freed_below))
			state = FREED;
		else if (user->frames[i] < mmun_load_full(&page->replaced_below))
			state = REPLACED;
		mmun_add_relaxed(&histogram[state], 1);
		mmun_add_relaxed(&hits, 1);
	}
	unlock_user(user, &saved);
	return valid;
}

static void subscribe_once(struct rng *rng, long number)
{
	struct user *user = calloc(1, sizeof(*user));
	uint64_t random = next_random(rng);
	long before;

	pthread_mutex_init(&user->lock, NULL);
	user->count = 1 + random % LONGEST;
	user->first = (random >> 8) % (PAGES - user->count);
	user->refuse_one_in = number == 0 ? 50 : 0;
	user->nest_one_in = number == 1 ? 20 : 0;
	if (mmu_interval_notifier_insert(&user->ni, mm, user->first * PAGE, user->count * PAGE,
					 number == 2 ? &two_pass_ops : &ops))
		bail_out("cannot insert");
	for (unsigned int n = (random >> 20) % 100; n > 0; n--) {
		if (!use(user))
			look_up(user);
		if (one_in(rng, 20))
			sched_yield();
	}
	/* Once it is in the tree no change is passed over. */
	if (one_in(rng, 4)) {
		const struct mmu_notifier_range range = {
			.mm = mm,
			.start = user->first * PAGE,
			.end = (user->first + 1) * PAGE,
		};

		mmu_interval_read_begin(&user->ni);
		before = mmun_load_full(&user->calls);
		change_blocking(range, false);
		if (mmun_load_full(&user->calls) == before)
			mmun_add_relaxed(&unseen, 1);
	}
	mmu_interval_notifier_remove(&user->ni);
	if (user->finishing)
		mmun_add_relaxed(&poisoned, 1);
	pthread_mutex_destroy(&user->lock);
	memset(user, 0xee, sizeof(*user));
	free(user);
	mmun_add_relaxed(&subscriptions, 1);
}

static void *user_thread(void *arg)
{
	struct rng rng = rng_of(options.seed, (unsigned int)(long)arg);

	while (!mmun_load_full(&stop))
		subscribe_once(&rng, (long)arg);
	return NULL;
}

struct bystander {
	struct mmu_interval_notifier ni;
	int there;
};

static bool stand_by(struct mmu_interval_notifier *ni, const struct mmu_notifier_range *range,
		     unsigned long seq)
{
	if (!mmun_load_full(&mmun_container_of(ni, struct bystander, ni)->there))
		mmun_add_relaxed(&poisoned, 1);
	mmu_interval_set_seq(ni, seq);
	return true;
}

static const struct mmu_interval_notifier_ops bystander_ops = { .invalidate = stand_by };

static void come_or_go(struct bystander *one, uint64_t random)
{
	if (one->there) {
		mmu_interval_notifier_remove(&one->ni);
		mmun_store_full(&one->there, 0);
		mmun_add_relaxed(&crowd_left, 1);
		return;
	}
	mmun_store_full(&one->there, 1);
	/* Half of them where nothing is changed. */
	if (mmu_interval_notifier_insert(&one->ni, mm, random % (2 * PAGES) * PAGE,
					 1 + (random >> 16) % PAGE, &bystander_ops))
		bail_out("cannot insert");
}

/* Fills and empties the tree in turns. */
static void *crowd(void *arg)
{
	struct rng rng = rng_of(options.seed, 120 + (unsigned int)(long)arg);
	struct bystander *all = calloc(CROWD, sizeof(*all));
	long i;

	for (long n = 0; !mmun_load_full(&stop); n++) {
		uint64_t random = next_random(&rng);

		i = (long)(random >> 32) % CROWD;
		if (all[i].there == (n / (2 * CROWD)) % 2 || random % 4 == 0)
			come_or_go(&all[i], random >> 8);
	}
	for (i = 0; i < CROWD; i++) {
		if (all[i].there)
			come_or_go(&all[i], 0);
	}
	free(all);
	return NULL;
}

static void *changer(void *arg)
{
	struct rng rng = rng_of(options.seed, 80 + (unsigned int)(long)arg);

	while (!mmun_load_full(&stop)) {
		uint64_t random = next_random(&rng);

		if (random >> 63)
			change_blocking(some_range(random), (random >> 40) % 64 == 0);
		else
			change_nonblocking(random);
		if (one_in(&rng, 100))
			usleep(random % 200);
	}
	return NULL;
}

static int refuse_sometimes(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	static __thread unsigned int calls;

	return !mmu_notifier_range_blockable(range) && ++calls % 40 == 0 ? -EAGAIN : 0;
}

static const struct mmu_notifier_ops list_ops = { .invalidate_range_start = refuse_sometimes };

/* Registration waits for sections; intervals do not care. */
static void *joiner(void *arg)
{
	while (!mmun_load_full(&stop)) {
		struct mmu_notifier mn = { .ops = &list_ops };

		if (mmu_notifier_register(&mn, mm))
			bail_out("cannot register");
		usleep(300);
		mmu_notifier_unregister(&mn, mm);
		mmun_add_relaxed(&joins, 1);
	}
	return NULL;
}

static void handler(int sig)
{
	static unsigned int calls;

	change_nonblocking(mmun_add_relaxed(&calls, 1) * 2654435761ul);
	mmun_add_relaxed(&in_handlers, 1);
}

/* Exit against removal and insertion, each round with an address space of its own. */
static struct {
	struct mm_struct *mm;
	struct mmu_interval_notifier early, late;
	long releases, calls;
	unsigned int round, done;
} race;

static bool note_release(struct mmu_interval_notifier *ni, const struct mmu_notifier_range *range,
			 unsigned long seq)
{
	mmu_interval_set_seq(ni, seq);
	mmun_add_full(range->event == MMU_NOTIFY_RELEASE ? &race.releases : &race.calls, 1);
	return true;
}

static const struct mmu_interval_notifier_ops race_ops = { .invalidate = note_release };

static unsigned long nr_open(const struct mmun_itree *itree)
{
	unsigned long nr = itree->others.open;

	for (unsigned int g = 0; g < itree->nr_groups; g++) {
		for (unsigned int i = 0; i < MMUN_GROUP_SECTIONS; i++)
			nr += !!(itree->groups[g].state[i] & MMUN_SECTION_FLAGS);
	}
	return nr;
}

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
		struct mmu_notifier_range range = { .end = PAGE };
		int inserted;

		await(&race.round, round);
		range.mm = race.mm;
		inserted = mmu_interval_notifier_insert(&race.late, race.mm, 0, PAGE, &race_ops);
		mmu_notifier_invalidate_range_start(&range);
		mmu_interval_check_retry(&race.early, 0);
		mmu_notifier_invalidate_range_end(&range);
		mmu_interval_read_begin(&race.early);
		mmu_interval_notifier_remove(&race.early);
		if (!inserted)
			mmu_interval_notifier_remove(&race.late);
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
		mmgrab(race.mm);
		race.releases = race.calls = 0;
		if (mmu_interval_notifier_insert(&race.early, race.mm, 0, PAGE, &race_ops))
			bail_out("cannot insert");
		mmun_store_full(&race.round, round);
		for (unsigned int i = next_random(&rng) % 256; i > 0; i--)
			mmun_cpu_relax();
		mmput(race.mm);
		await(&race.done, round);
		wrong += race.releases > 2 || race.calls > 2 || race.mm->mm_count != 1 ||
			 race.mm->mmu_notifier_mm->itree->root.node ||
			 nr_open(race.mm->mmu_notifier_mm->itree);
		mmdrop(race.mm);
	}
	pthread_join(thread, NULL);
	is(wrong, 0, "U4 U5 exit raced insertion and removal %u times", rounds);
}

static void run(void)
{
	pthread_t threads[NR_USERS + NR_CHANGERS + NR_CROWDS + 1];
	struct timespec begin, now;
	long i, n = 0;

	clock_gettime(CLOCK_MONOTONIC, &begin);
	for (i = 0; i < NR_CHANGERS; i++)
		pthread_create(&threads[n++], NULL, changer, (void *)i);
	for (i = 0; i < NR_USERS; i++)
		pthread_create(&threads[n++], NULL, user_thread, (void *)i);
	for (i = 0; i < NR_CROWDS; i++)
		pthread_create(&threads[n++], NULL, crowd, (void *)i);
	pthread_create(&threads[n++], NULL, joiner, NULL);
	do {
		usleep(500);
		if (SEND_SIGNALS)
			pthread_kill(threads[next_random(&(struct rng){ ++i }) % (n - 1)], SIGUSR1);
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while (now.tv_sec - begin.tv_sec < options.seconds);
	mmun_store_full(&stop, 1);
	for (i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
}

int main(int argc, char **argv)
{
	struct mmun_itree *itree;

	options = parse_options(argc, argv);
	mm = new_mm();
	if (mmu_notifier_register(NULL, mm))
		bail_out("no interval mode");
	itree = mm->mmu_notifier_mm->itree;
	signal(SIGUSR1, handler);
	run();
	diag("frames behind established translations: in use %ld, replaced %ld, freed %ld",
	     histogram[IN_USE], histogram[REPLACED], histogram[FREED]);
	diag("%ld changes (%ld nested, %ld in handlers), %ld refused, %ld second passes", changes,
	     nested, in_handlers, refused, two_passes);
	diag("%ld left the crowd, its tree has had %lu nodes", crowd_left, itree->root.nr_nodes);
	diag("%ld subscriptions, %ld lookups, %ld retries, %ld uses, %ld joins", subscriptions,
	     lookups, retries, hits, joins);
	ok(changes && nested && (in_handlers || !SEND_SIGNALS) && refused && subscriptions &&
		   lookups && retries && hits && two_passes && joins && crowd_left &&
		   itree->root.chunks,
	   "every kind of change and of use took place");
	is(histogram[FREED], 0, "S5 no freed frame was used through an established translation");
	is(histogram[REPLACED], 0, "S5 nor one that was being replaced");
	is(unseen, 0, "R1 no change after insertion went unseen");
	is(poisoned, 0, "U2 B9 nobody was called, or finished, after it left");
	ok(!nr_open(itree) && !itree->root.node && !itree->nr && !itree->others.walking,
	   "B7 B8 no section is left open, nobody in the tree");
	is(mm->mm_count, 1, "R6 all that came have left");
	mmput(mm);
	race_exits((unsigned int)options.seconds * EXIT_ROUNDS_PER_SECOND);
	return tap_done();
}
