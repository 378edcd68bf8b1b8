/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The copy of an mm that fork leaves in a child (B15: it uses nothing of its parent's): known by a word in memory that fork wipes.  Every test here forks while
 * another thread holds what the child must not wait for.
 */
#include "fake.h"

static struct fake fake;
static struct mm_struct *mm;
static struct watcher watcher;
static struct mmu_notifier *got;
static long freed;

static struct mmu_notifier *alloc_watcher(struct mm_struct *for_mm)
{
	struct watcher *new = mmun_alloc(sizeof(*new));

	return new ? &new->mn : NULL;
}

static void free_watcher(struct mmu_notifier *mn)
{
	mmun_free(watcher_of(mn));
	freed++;
}

static const struct mmu_notifier_ops get_ops = {
	.invalidate_range_start = watcher_start,
	.alloc_notifier = alloc_watcher,
	.free_notifier = free_watcher,
};

static long holding, let_go;

/* Everything that a thread can hold at the moment of a fork. */
static void *hold_everything(void *arg)
{
	struct mmun_reader reader = srcu_read_lock(&mm->srcu);
	mmun_sigmask saved;

	mmap_write_lock(mm);
	mmun_mutex_lock(&mm->srcu.grace_lock);
	mmun_chain_lock(mm->mmu_notifier_mm, &saved);
	count(&holding);
	wait_until_set(&let_go);
	mmun_chain_unlock(mm->mmu_notifier_mm, &saved);
	mmun_mutex_unlock(&mm->srcu.grace_lock);
	mmap_write_unlock(mm);
	srcu_read_unlock(&mm->srcu, &reader);
	return NULL;
}

#define check(condition) \
	do { \
		if (!(condition)) { \
			dprintf(2, "line %d: %s", __LINE__, #condition); \
			_exit(1); \
		} \
	} while (0)

static void sections_are_silent(void *arg)
{
	struct mmu_notifier_range range;

	range_init(&range, mm);
	check(mmun_mm_is_stale(mm));
	check(mmu_notifier_invalidate_range_start(&range) == 0);
	mmu_notifier_invalidate_range_end(&range);
	mmu_notifier_invalidate_page(mm, 0);
	check(!mmu_notifier_clear_flush_young(mm, 0, 4096));
	check(watcher.starts == 0 && watcher.ends == 0 && watcher.pages == 0);
}

static void registration_is_refused(void *arg)
{
	struct watcher late;

	watcher_init(&late);
	check(mmu_notifier_register(&late.mn, mm) == -ESRCH);
	check(__mmu_notifier_register(&late.mn, mm) == -ESRCH);
	check(mmun_ptr_err(mmu_notifier_get(&get_ops, mm)) == -ESRCH);
	check(mmun_ptr_err(mmu_notifier_get_locked(&get_ops, mm)) == -ESRCH);
}

static void unregister_forgets(void *arg)
{
	long live = mmun_alloc_live();

	mmu_notifier_unregister(&watcher.mn, mm);
	check(watcher.releases == 0);
	mmu_notifier_put(got);
	check(freed == 1);
	mmu_notifier_synchronize();
	mmput(mm);
	check(fake.exits == 0 && fake.destroys == 1);
	check(mmun_alloc_live() == live - 3);
}

static void exit_is_silent(void *arg)
{
	mmun_mm_exit(mm);
	check(watcher.releases == 0);
	check(!mmget_not_zero(mm));
}

static void child_has_its_own(void *arg)
{
	static unsigned int word = 1;
	struct fake own_fake;
	struct mm_struct *own = fake_mm_with_word(&own_fake, &word);

	mmu_notifier_unregister(&watcher.mn, mm);
	watch(&watcher, own);
	fake_section(own);
	check(watcher.starts == 1);
	got = mmu_notifier_get(&get_ops, own);
	check(!mmun_is_err(got));
	mmu_notifier_put(got);
	mmu_notifier_synchronize();
	check(freed == 1);
	mmput(own);
	check(watcher.releases == 1);
}

static struct mmun_reader opened;

/* Most of its memory goes, the struct stays. */
static void copy_shrinks(void *arg)
{
	struct mmun_reader reader;

	mmun_mm_shrink_copy(mm);
	check(!mm->srcu.cells);
	check(mmun_mm_is_stale(mm));
	reader = srcu_read_lock(&mm->srcu);
	srcu_read_unlock(&mm->srcu, &reader);
	mmun_mm_shrink_copy(mm);
	mmu_notifier_unregister(&watcher.mn, mm);
}

/* By a fork inside a callback, say. */
static void open_copy_does_not(void *arg)
{
	void *cells = mm->srcu.cells;

	mmun_mm_shrink_copy(mm);
	check(mm->srcu.cells == cells);
	srcu_read_unlock(&mm->srcu, &opened);
	mmun_mm_shrink_copy(mm);
	check(!mm->srcu.cells);
}

static void *shrink(void *unused)
{
	mmun_mm_shrink_copy(mm);
	return NULL;
}

static void other_threads_do_not(void *arg)
{
	void *cells = mm->srcu.cells;

	pthread_join(spawn(shrink, NULL), NULL);
	check(mm->srcu.cells == cells);
	srcu_read_unlock(&mm->srcu, &opened);
}

static void in_child(void (*fn)(void *), const char *what)
{
	char text[1024];
	int status = run_in_child(fn, NULL, text, sizeof(text));

	ok(exited_well(status), "%s", what);
	if (!exited_well(status) || *text)
		diag("status %x: %s", status, text);
}

int main(void)
{
	unsigned int *word =
		mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	pthread_t thread;

	madvise(word, 4096, MADV_WIPEONFORK);
	*word = 1;
	mm = fake_mm_with_word(&fake, word);
	watch(&watcher, mm);
	got = mmu_notifier_get(&get_ops, mm);
	ok(!mmun_mm_is_stale(mm), "the original is not a copy");
	thread = spawn(hold_everything, NULL);
	wait_until_set(&holding);

	in_child(sections_are_silent, "B15 S11 sections on the copy call nobody");
	in_child(registration_is_refused, "B15 registration on the copy is refused");
	in_child(unregister_forgets,
		 "B15 unregister and put on the copy only forget, and wait for nobody");
	in_child(exit_is_silent, "B15 exit of the copy releases nobody");
	in_child(child_has_its_own, "S11 the child has an address space of its own");
	in_child(copy_shrinks, "a copy that nobody is inside gives its memory back");
	opened = srcu_read_lock(&mm->srcu);
	in_child(open_copy_does_not, "B15 not inside a section that was open at the fork");
	in_child(other_threads_do_not, "B15 nor in a thread that the child has made");
	srcu_read_unlock(&mm->srcu, &opened);
	shrink(NULL);
	ok(!mmun_mm_is_stale(mm), "the original does not shrink");

	count(&let_go);
	pthread_join(thread, NULL);
	is(watcher.starts, 0, "S11 nothing of it reached the parent's notifier");
	fake_section(mm);
	is(watcher.starts, 1, "which is still subscribed");
	mmu_notifier_put(got);
	mmu_notifier_unregister(&watcher.mn, mm);
	mmu_notifier_synchronize();
	mmput(mm);
	is(freed, 1, "and the parent's objects are freed once");
	return tap_done();
}
