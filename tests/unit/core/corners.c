/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Corners of core/ that no other test has a reason to visit: members that are NULL,
 * errors of the machine, calls from where they are refused, a forked copy's cleanup.
 */
#include "call_srcu.h"
#include "fake.h"

#include <sys/resource.h>

static struct fake fake;
static struct mm_struct *mm;

/* Members that are NULL. */

static void test_nobody_listens(void)
{
	mm = fake_mm(&fake);
	mmu_notifier_invalidate_page(mm, 4096);
	mmu_notifier_change_pte(mm, 4096, 1);
	is(mmu_notifier_clear_flush_young(mm, 0, 4096), 0, "S10 no notifier: nothing is young");
	is(mmu_notifier_clear_young(mm, 0, 4096), 0, "S10 nor cleared");
	is(mmu_notifier_test_young(mm, 0), 0, "S10 nor asked");
	mmput(mm);
}

static void test_no_members(void)
{
	static const struct mmu_notifier_ops no_ops;
	struct mmu_notifier first = { .ops = &no_ops }, second = { .ops = &no_ops };

	mm = fake_mm(&fake);
	is(mmu_notifier_register(&first, mm), 0, "R10 a notifier without any member registers");
	is(mmu_notifier_register(&second, mm), 0, "R10 and another");
	is(fake_section(mm), 0, "R10 sections skip it");
	mmu_notifier_invalidate_page(mm, 4096);
	mmu_notifier_change_pte(mm, 4096, 1);
	is(mmu_notifier_clear_flush_young(mm, 0, 4096), 0, "R10 it is not asked for age");
	is(mmu_notifier_clear_young(mm, 0, 4096) + mmu_notifier_test_young(mm, 0), 0,
	   "R10 in no way");
	mmu_notifier_unregister(&first, mm);
	mmput(mm);
	is(second.state != 0, true, "U9 exit passes it by; it stays registered");
	mmu_notifier_unregister(&second, mm);
}

static void test_plain_primary(void)
{
	struct mmun_primary_ops ops = { .name = "plain" };
	struct mmun_mm_params params = { .priv = &fake };
	struct mm_lock_data data;
	struct watcher watcher;

	is(mmun_mm_create(&params, &mm), -EINVAL, "a primary without operations is refused");
	params.ops = &ops;
	ops.lock = fake_lock;
	is(mmun_mm_create(&params, &mm), -EINVAL, "or with mm_lock and without mm_unlock");
	ops.lock = NULL;
	memset(&fake, 0, sizeof(fake));
	is(mmun_mm_create(&params, &mm), 0, "each operation may be missing");
	mmap_write_lock(mm);
	is(mm_lock(mm, &data), -EOPNOTSUPP, "such an mm cannot be locked");
	mmap_write_unlock(mm);
	watch(&watcher, mm);
	mmput(mm);
	is(watcher.releases, 1, "U1 exit releases");
	mmu_notifier_unregister(&watcher.mn, mm);
}

/* mmu_notifier_get() of objects that nobody frees. */

static struct watcher fixed;

static struct mmu_notifier *alloc_fixed(struct mm_struct *for_mm)
{
	memset(&fixed, 0, sizeof(fixed));
	return &fixed.mn;
}

static const struct mmu_notifier_ops fixed_ops = {
	.release = watcher_release,
	.alloc_notifier = alloc_fixed,
};

static void test_get_without_free(void)
{
	struct watcher registered = { .mn.ops = &fixed_ops };
	struct mmu_notifier *mn;

	mm = fake_mm(&fake);
	is(mmu_notifier_register(&registered.mn, mm), 0, "registered, with operations of get");
	is(mmun_ptr_err(mmu_notifier_get(NULL, mm)), -EINVAL, "get without operations is refused");
	fake.lock_error = -ENOMEM;
	is(mmun_ptr_err(mmu_notifier_get(&fixed_ops, mm)), -ENOMEM,
	   "R7 its failure needs no ->free");
	fake.lock_error = 0;
	mn = mmu_notifier_get(&fixed_ops, mm);
	ok(mn == &fixed.mn, "get works without ->free, and finds only what get has made");
	mmu_notifier_unregister(&registered.mn, mm);
	mmput(mm);
	is(fixed.releases, 1, "U1 exit releases it");
	mmu_notifier_put(mn);
	mmu_notifier_synchronize();
	ok(!mn->users, "and so does put");
}

static struct mm_struct *other_mm;
static int answer;

static void get_inside(struct watcher *watcher)
{
	answer = mmun_ptr_err(mmu_notifier_get(&fixed_ops, mm));
}

static bool on_invalidate(struct mmu_interval_notifier *sub, const struct mmu_notifier_range *range,
			  unsigned long seq)
{
	mmu_interval_set_seq(sub, seq);
	return true;
}

static const struct mmu_interval_notifier_ops interval_ops = { .invalidate = on_invalidate };

static void change_another(struct watcher *watcher)
{
	struct mmu_interval_notifier sub = { 0 };

	answer = mmu_interval_notifier_insert(&sub, other_mm, 4096, 4096, &interval_ops);
	if (!answer)
		mmu_interval_notifier_remove(&sub);
}

static void test_inside_a_callback(void)
{
	struct mmu_notifier_range range;
	struct fake other_fake;
	struct watcher watcher;

	mm = fake_mm(&fake);
	other_mm = fake_mm(&other_fake);
	watch(&watcher, mm);
	watcher.in_start = get_inside;
	fake_section(mm);
	is(answer, -EDEADLK, "S7 get inside a callback is refused");
	watcher.in_start = change_another;
	/* A section that is a read section by itself. */
	range_init(&range, mm);
	mmu_notifier_invalidate_range_start(&range);
	mmu_notifier_invalidate_range_end(&range);
	is(answer, 0, "S8 another address space may be worked on there");
	watcher.in_start = NULL;
	mmu_notifier_unregister(&watcher.mn, mm);
	mmput(other_mm);
	mmput(mm);
}

/* A handler that interrupted a wait comes to where it would wait for that. */
static void test_exit_in_a_wait(void)
{
	struct mmun_wait wait;
	struct fake other_fake;

	mm = fake_mm(&fake);
	other_mm = fake_mm(&other_fake);
	mmun_mm_exit(mm);
	mmun_wait_push(&wait, &mm->srcu);
	mmun_mm_exit(mm);
	mmun_mm_exit(other_mm);
	mmun_mm_exit(other_mm);
	mmun_wait_pop(&wait);
	ok(true, "U3 exit inside a wait for the same mm does not wait for itself");
	mmput(mm);
	mmput(other_mm);
}

/* What a forked child finds: the word that fork wiped says that nothing is shared any more. */
static void test_stale_copy(void)
{
	unsigned int word = 1;
	struct watcher never, registered;
	struct mmu_notifier *mn;

	mm = fake_mm_with_word(&fake, &word);
	watcher_init(&never);
	watch(&registered, mm);
	mn = mmu_notifier_get(&fixed_ops, mm);
	ok(mn == mmu_notifier_get(&fixed_ops, mm), "two users");
	word = 0;
	mmu_notifier_unregister(&never.mn, mm);
	mmu_notifier_put(&registered.mn);
	ok(registered.mn.mm == mm && !registered.mn.users,
	   "B15 put of what nobody got changes nothing in the copy");
	mmu_notifier_put(mn);
	ok(mn->mm == mm && mn->users == 1, "B15 put drops a user of the copy");
	mmu_notifier_put(mn);
	ok(mn->mm == mm && !mn->state, "B15 the last one forgets the registration");
	is(mmun_ptr_err(mmu_notifier_get(&fixed_ops, mm)), -ESRCH, "B15 get is refused there");
	mmu_notifier_unregister(&registered.mn, mm);
	ok(!registered.mn.state, "B15 unregister forgets it, too");
	is(registered.releases + fixed.releases, 0, "B15 nothing is released");
	/* The copy's counts are of no use to anybody; only this program never forked. */
	mm->mm_count = 1;
	mmput(mm);
	is(fake.exits, 0, "B15 the copy's end is not the end of the memory");
}

/* Misuse that ends a checked build. */

static void drop_twice(void *arg)
{
	mmgrab(mm);
	mmdrop(mm);
	mm->mm_count = 0;
	mmdrop(mm);
}

static void put_twice(void *arg)
{
	mm->mm_users = 0;
	mmput(mm);
}

static void unregister_in_own_release(struct watcher *watcher)
{
	mmu_notifier_unregister(&watcher->mn, mm);
}

static void leave_twice(void *arg)
{
	struct watcher watcher;

	watch(&watcher, mm);
	watcher.in_release = unregister_in_own_release;
	mmu_notifier_unregister(&watcher.mn, mm);
}

static void leave_before(void *arg)
{
	struct watcher registered, never;

	watch(&registered, mm);
	watcher_init(&never);
	never.mn.mm = mm;
	mmu_notifier_unregister(&never.mn, mm);
}

static void expect_abort(void (*fn)(void *), const char *name)
{
	char text[4096];

	mm = fake_mm(&fake);
	ok(aborted(run_in_child(fn, NULL, text, sizeof(text))), "%s", name);
	mmput(mm);
}

static void test_misuse(void)
{
	expect_abort(drop_twice, "R6 mmdrop() without a reference is caught");
	expect_abort(put_twice, "R5 mmput() without a user is caught");
	expect_abort(leave_before, "U4 unregister of what is not registered is caught");
	expect_abort(leave_twice, "U8 unregister inside the own release is caught");
}

/* The machine has no memory, or no threads. */

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif

#define check(condition) \
	do { \
		if (!(condition)) { \
			dprintf(2, "line %d: %s", __LINE__, #condition); \
			_exit(1); \
		} \
	} while (0)

#ifdef SANITIZED
static void test_no_memory(void)
{
	skip("R7 no memory, no thread", "a sanitizer needs the address space");
}
#else
static void limit_memory(rlim_t bytes)
{
	struct rlimit limit;

	getrlimit(RLIMIT_AS, &limit);
	limit.rlim_cur = bytes;
	setrlimit(RLIMIT_AS, &limit);
}

static void called(struct mmun_callback *callback)
{
}

static void without_memory(void *arg)
{
	static struct mmun_callback callback;

	limit_memory(4096);
	check(mmun_ptr_err(mmu_notifier_get(&fixed_ops, mm)) == -ENOMEM);
	call_srcu(&mm->srcu, &callback, called);
	mmu_notifier_synchronize();
	limit_memory(RLIM_INFINITY);
	check(!mmun_is_err(mmu_notifier_get(&fixed_ops, mm)));
}

/* Room for the queue but not for a stack. */
static void without_thread(void *arg)
{
	unsigned long pages = 0;
	FILE *file = fopen("/proc/self/statm", "r");

	check(file && fscanf(file, "%lu", &pages) == 1);
	limit_memory((pages + 4) * 4096);
	check(mmun_is_err(mmu_notifier_get(&fixed_ops, mm)));
	limit_memory(RLIM_INFINITY);
	check(!mmun_is_err(mmu_notifier_get(&fixed_ops, mm)));
	mmu_notifier_put(&fixed.mn);
	mmu_notifier_synchronize();
}

/* First of all: in the children nothing has needed the queue yet. */
static void test_no_memory(void)
{
	char text[4096];

	mm = fake_mm(&fake);
	ok(exited_well(run_in_child(without_memory, NULL, text, sizeof(text))),
	   "R7 get without memory for the queue fails, and works later");
	diag("%s", text);
	ok(exited_well(run_in_child(without_thread, NULL, text, sizeof(text))),
	   "R7 get without a thread for it fails, and works later");
	diag("%s", text);
	mmput(mm);
}
#endif

int main(void)
{
	test_no_memory();
	test_nobody_listens();
	test_no_members();
	test_plain_primary();
	test_get_without_free();
	test_inside_a_callback();
	test_exit_in_a_wait();
	test_stale_copy();
	test_misuse();
	return tap_done();
}
