/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What breaks a documented rule: debug builds abort with the reason, release
 * builds report it, count it and go on.  Built both ways.
 */
#include "fake.h"

#ifdef MMUN_DEBUG
static const bool checked = true;
#else
static const bool checked = false;
#endif

static struct fake fake;
static struct mm_struct *mm;
static struct watcher watcher, second;

#define check(condition) \
	do { \
		if (!(condition)) { \
			dprintf(2, "line %d: %s", __LINE__, #condition); \
			_exit(1); \
		} \
	} while (0)

static unsigned long misused(void)
{
	struct mmun_stats stats;

	mmun_mm_stats(mm, &stats);
	return stats.misused_unregister;
}

static void unregister_itself(struct watcher *self)
{
	self->in_start = self->in_release = NULL;
	mmu_notifier_unregister(&self->mn, mm);
	/* What its owner would do next. */
	memset(&self->mn, 0xee, sizeof(self->mn));
}

static void in_callback(void *arg)
{
	watch(&second, mm);
	watch(&watcher, mm);
	watcher.in_start = unregister_itself;
	fake_section(mm);
	check(misused() == 1 && watcher.releases == 1);
	check(second.starts == 1 && second.ends == 1);
	mmu_notifier_unregister(&second.mn, mm);
}

static void in_callback_of_plain_section(void *arg)
{
	struct mmu_notifier_range range;

	watch(&watcher, mm);
	watcher.in_start = unregister_itself;
	range_init(&range, mm);
	check(mmu_notifier_invalidate_range_start(&range) == 0);
	mmu_notifier_invalidate_range_end(&range);
	check(misused() == 1 && watcher.releases == 1 && watcher.ends == 0);
}

static void between_start_and_end(void *arg)
{
	struct mmu_notifier_range range;
	struct mmun_reader reader;

	watch(&watcher, mm);
	mmun_mm_read_lock(mm, &reader);
	range_init(&range, mm);
	range.flags = MMUN_RANGE_READ_LOCKED;
	check(mmu_notifier_invalidate_range_start_nonblock(&range) == 0);
	mmu_notifier_unregister(&watcher.mn, mm);
	check(misused() == 1);
	mmu_notifier_invalidate_range_end(&range);
	mmun_mm_read_unlock(mm, &reader);
	check(watcher.releases == 1 && watcher.ends == 0);
	check(watcher.mn.mm == mm && !watcher.mn.state && mm->mm_count == 1);
}

/* The same object comes again: it is no longer one that has left. */
static void registers_again(void *arg)
{
	watch(&watcher, mm);
	watcher.in_start = unregister_itself;
	fake_section(mm);
	check(misused() == 1);
	watch(&watcher, mm);
	fake_section(mm);
	check(watcher.starts == 1 && watcher.ends == 1);
	mmu_notifier_unregister(&watcher.mn, mm);
}

/* The two newest leave inside one section, in either order; the walk still meets the one behind them. */
static void leave_in_section(bool older_first)
{
	const unsigned long before = misused();
	struct mmu_notifier_range range;
	struct watcher stays, older, newer;

	watch(&stays, mm);
	watch(&older, mm);
	watch(&newer, mm);
	range_init(&range, mm);
	check(mmu_notifier_invalidate_range_start(&range) == 0);
	mmu_notifier_unregister(older_first ? &older.mn : &newer.mn, mm);
	mmu_notifier_unregister(older_first ? &newer.mn : &older.mn, mm);
	mmu_notifier_invalidate_range_end(&range);
	check(misused() == before + 2);
	check(!older.ends && !newer.ends && stays.ends == 1);
	mmu_notifier_unregister(&stays.mn, mm);
}

static void older_leaves_first(void *arg)
{
	leave_in_section(true);
}

/* Again and again, as more of them have left than are remembered. */
static void newer_leaves_first(void *arg)
{
	for (int i = 0; i < 4; i++) {
		leave_in_section(false);
		watch(&watcher, mm);
		watcher.in_start = unregister_itself;
		fake_section(mm);
	}
}

static void release_unregisters(struct watcher *self)
{
	mmu_notifier_unregister(&self->mn, mm);
	fake_section(mm);
	check(!self->starts);
}

static void in_release_at_exit(void *arg)
{
	mmgrab(mm);
	watch(&watcher, mm);
	watcher.in_release = release_unregisters;
	mmput(mm);
	check(misused() == 1 && watcher.releases == 1 && fake.exits == 1);
}

static void twice(void *arg)
{
	watch(&watcher, mm);
	mmu_notifier_unregister(&watcher.mn, mm);
	mmu_notifier_unregister(&watcher.mn, mm);
	check(mm->mm_count == 1);
}

static void of_nothing(void *arg)
{
	mmu_notifier_unregister(NULL, mm);
}

static void from_nothing(void *arg)
{
	watcher_init(&watcher);
	mmu_notifier_unregister(&watcher.mn, NULL);
}

static void never_registered(void *arg)
{
	watcher_init(&watcher);
	mmu_notifier_unregister(&watcher.mn, mm);
	check(mm->mm_count == 1 && watcher.releases == 0);
}

static void of_another_mm(void *arg)
{
	struct fake other_fake;
	struct mm_struct *other = fake_mm(&other_fake);

	watch(&watcher, mm);
	watch(&second, other);
	mmu_notifier_unregister(&watcher.mn, other);
	check(watcher.releases == 0 && other->mm_count == 2 && mm->mm_count == 2);
	fake_section(mm);
	check(watcher.starts == 1);
}

/* The second comes while the first is in ->release. */

static long in_first, go_on, second_came_back;

static void wait_in_release(struct watcher *self)
{
	count(&in_first);
	wait_until_set(&go_on);
}

static void *unregister_watcher(void *flag)
{
	mmu_notifier_unregister(&watcher.mn, mm);
	if (flag)
		count((long *)flag);
	return NULL;
}

static void twice_at_once(void *arg)
{
	pthread_t first, again;

	watch(&watcher, mm);
	watcher.in_release = wait_in_release;
	first = spawn(unregister_watcher, NULL);
	wait_until_set(&in_first);
	again = spawn(unregister_watcher, &second_came_back);
	for (int i = 0; i < 200 && !counted(&second_came_back); i++)
		let_others_run();
	check(second_came_back);
	pthread_join(again, NULL);
	check(mm->mm_count == 2);
	count(&go_on);
	pthread_join(first, NULL);
	check(mm->mm_count == 1 && watcher.releases == 1);
}

static void put_without_user(void *arg)
{
	watch(&watcher, mm);
	mmu_notifier_put(&watcher.mn);
	fake_section(mm);
	check(watcher.starts == 1);
}

static void put_of_nothing(void *arg)
{
	watcher_init(&watcher);
	mmu_notifier_put(&watcher.mn);
}

static void blockable_refusal(void *arg)
{
	struct mmu_notifier_range range;

	watch(&watcher, mm);
	range_init(&range, mm);
	watcher_of(&watcher.mn)->answer = -EAGAIN;
	check(mmu_notifier_invalidate_range_start(&range) == 0);
}

static int always_refuse(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	return -EAGAIN;
}

static void refuses_blockable(void *arg)
{
	static const struct mmu_notifier_ops ops = {
		.invalidate_range_start = always_refuse,
		.invalidate_range_end = watcher_end,
	};
	struct mmu_notifier_range range;

	watcher_init(&watcher);
	watcher.mn.ops = &ops;
	mmu_notifier_register(&watcher.mn, mm);
	range_init(&range, mm);
	check(mmu_notifier_invalidate_range_start(&range) == 0);
	mmu_notifier_invalidate_range_end(&range);
	check(watcher.ends == 1);
}

static void second_mm_lock(void *arg)
{
	struct mm_lock_data a, b;

	mmap_write_lock(mm);
	check(mm_lock(mm, &a) == 0);
	check(mm_lock(mm, &b) == -EDEADLK);
	mm_unlock(mm, &a);
	mmap_write_unlock(mm);
}

static void get_of_the_dead(void *arg)
{
	mmgrab(mm);
	mmput(mm);
	mmget(mm);
}

static void synchronize_inside(struct watcher *self)
{
	mmu_notifier_synchronize();
}

static void synchronize_in_callback(void *arg)
{
	watch(&watcher, mm);
	watcher.in_start = synchronize_inside;
	fake_section(mm);
	check(watcher.ends == 1);
}

static struct mmu_notifier shared;
static bool freed;

static struct mmu_notifier *alloc_shared(struct mm_struct *of)
{
	return &shared;
}

static void free_shared(struct mmu_notifier *mn)
{
	mmu_notifier_synchronize();
	mmun_store_full(&freed, true);
}

static void synchronize_in_free(void *arg)
{
	static const struct mmu_notifier_ops ops = {
		.alloc_notifier = alloc_shared,
		.free_notifier = free_shared,
	};

	check(mmu_notifier_get(&ops, mm) == &shared);
	mmu_notifier_put(&shared);
	mmu_notifier_synchronize();
	check(mmun_load_full(&freed));
}

/* The last put was the end of it. */
static void unregister_after_put(void *arg)
{
	static const struct mmu_notifier_ops ops = { .alloc_notifier = alloc_shared };

	check(mmu_notifier_get(&ops, mm) == &shared);
	mmu_notifier_put(&shared);
	mmu_notifier_synchronize();
	check(mm->mm_count == 1);
	shared.mm = mm;
	mmu_notifier_unregister(&shared, mm);
	check(mm->mm_count == 1);
}

static void misuse(void (*fn)(void *), const char *says, const char *what)
{
	char text[2048];
	int status = run_in_child(fn, NULL, text, sizeof(text));
	bool right = checked ? aborted(status) : exited_well(status);

	ok(right, "%s %s", what, checked ? "aborts" : "is survived");
	ok(strstr(text, says), "and says why");
	if (!right || !strstr(text, says))
		diag("status %x: %s", status, text);
}

int main(void)
{
	char text[1024];

	mm = fake_mm(&fake);
	misuse(in_callback, "inside a callback", "U8 unregister inside a callback");
	misuse(in_callback_of_plain_section, "inside a callback",
	       "U8 unregister inside a callback of a section of its own");
	misuse(between_start_and_end, "inside a callback", "U8 unregister between start and end");
	misuse(registers_again, "inside a callback", "U8 and registering the same object again");
	misuse(older_leaves_first, "inside a callback", "U8 two that leave, the older one first");
	misuse(newer_leaves_first, "inside a callback", "U8 or the newer one");
	misuse(in_release_at_exit, "inside a callback", "U8 unregister inside release at exit");
	misuse(twice, "not registered", "U7 unregister twice");
	misuse(of_nothing, "no notifier", "unregister of NULL");
	misuse(from_nothing, "no address space", "unregister from NULL");
	misuse(never_registered, "not registered", "unregister of what was never registered");
	misuse(of_another_mm, "not registered", "R6: unregister from another address space");
	misuse(twice_at_once, "not registered", "U7: unregister beside another unregister");
	misuse(put_without_user, "without a user", "put of a notifier that was not got");
	misuse(unregister_after_put, "not registered", "U7 unregister after the last put");
	misuse(put_of_nothing, "not registered", "put of what is not registered");
	misuse(refuses_blockable, "may sleep", "a refusal where sleeping is allowed");
	misuse(second_mm_lock, "again", "L2 a second mm_lock");
	misuse(get_of_the_dead, "no users", "B10 mmget of a dead mm");
	misuse(synchronize_in_callback, "inside a callback", "U8 synchronize inside a callback");
	misuse(synchronize_in_free, "->free_notifier", "U8 synchronize inside free_notifier");
	ok(exited_well(run_in_child(blockable_refusal, NULL, text, sizeof(text))) && !*text,
	   "a notifier that refuses only where it must not sleep is no misuse");
	mmput(mm);
	return tap_done();
}
