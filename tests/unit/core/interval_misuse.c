/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What breaks a documented rule of interval notifiers: debug builds abort with
 * the reason, release builds report it and go on.  Built both ways.
 */
#include "part.h"

#ifdef MMUN_DEBUG
static const bool checked = true;
#else
static const bool checked = false;
#endif

static struct fake fake;
static struct mm_struct *mm;
static struct part part, other;

#define check(condition) \
	do { \
		if (!(condition)) { \
			dprintf(2, "line %d: %s", __LINE__, #condition); \
			_exit(1); \
		} \
	} while (0)

static void remove_itself(struct part *self)
{
	self->hook = NULL;
	mmu_interval_notifier_remove(&self->ni);
}

static void remove_in_callback(void *arg)
{
	struct mmun_stats stats;

	part_insert(&part, mm, 1, 1);
	part_insert(&other, mm, 1, 1);
	part.hook = remove_itself;
	section_on(mm, 1, 1);
	check(part.calls == 1 && other.calls == 1);
	check(!mmun_itree_contains(&part.ni.interval_tree));
	mmun_mm_stats(mm, &stats);
	check(stats.misused_unregister == 1);
	check(mm->mm_count == 2);
	section_on(mm, 1, 1);
	check(part.calls == 1 && other.calls == 2);
	mmu_interval_notifier_remove(&other.ni);
	mmput(mm);
	check(fake.destroys == 1);
}

static void remove_between_start_and_end(void *arg)
{
	struct mmu_notifier_range range;

	part_insert(&part, mm, 1, 1);
	range = start_on(mm, 1, 1);
	mmu_interval_notifier_remove(&part.ni);
	check(!mmun_itree_contains(&part.ni.interval_tree) && mm->mm_count == 1);
	check(nr_open(mm) == 1);
	end_of(&range);
	check(nr_open(mm) == 0);
}

static void remove_twice(void *arg)
{
	part_insert(&part, mm, 1, 1);
	mmu_interval_notifier_remove(&part.ni);
	mmu_interval_notifier_remove(&part.ni);
	check(mm->mm_count == 1);
}

static void remove_unknown(void *arg)
{
	part_init(&part);
	mmu_interval_notifier_remove(&part.ni);
}

static void read_itself(struct part *self)
{
	unsigned long seq = mmu_interval_read_begin(&self->ni);

	check(mmu_interval_read_retry(&self->ni, seq));
	check(mmu_interval_check_retry(&self->ni, seq));
}

static void read_in_callback(void *arg)
{
	part_insert(&part, mm, 1, 1);
	part.hook = read_itself;
	section_on(mm, 1, 1);
}

static bool always_refuse(struct mmu_interval_notifier *ni, const struct mmu_notifier_range *range,
			  unsigned long seq)
{
	return false;
}

static void refuse_although_blockable(void *arg)
{
	static const struct mmu_interval_notifier_ops ops = { .invalidate = always_refuse };
	struct mmu_notifier_range range = pages(mm, 1, 1);
	unsigned long seq;

	part_init(&part);
	check(!mmu_interval_notifier_insert(&part.ni, mm, PAGE, PAGE, &ops));
	part_insert(&other, mm, 1, 1);
	seq = mmu_interval_read_begin(&part.ni);
	check(!mmu_notifier_invalidate_range_start(&range));
	check(other.calls == 1);
	check(mmu_interval_read_retry(&part.ni, seq));
	end_of(&range);
	check(nr_open(mm) == 0);
}

static bool ask_for_pass(struct mmu_interval_notifier *ni, const struct mmu_notifier_range *range,
			 unsigned long seq, struct mmu_interval_notifier_finish **finish)
{
	*finish = &part_of(ni)->finish;
	return true;
}

static void no_second_pass(void *arg)
{
	static const struct mmu_interval_notifier_ops ops = { .invalidate_start = ask_for_pass };

	part_init(&part);
	check(!mmu_interval_notifier_insert(&part.ni, mm, PAGE, PAGE, &ops));
	section_on(mm, 1, 1);
	check(nr_open(mm) == 0);
	mmu_interval_notifier_remove(&part.ni);
}

static void synchronize_there(struct part *self)
{
	mmu_notifier_synchronize();
}

static void synchronize_at_exit(void *arg)
{
	part_insert(&part, mm, 1, 1);
	part.hook = synchronize_there;
	mmun_mm_exit(mm);
	check(part.calls == 1);
}

static void in_child(void (*fn)(void *), const char *report, const char *what)
{
	char text[2048];
	int status;

	mm = fake_mm(&fake);
	status = run_in_child(fn, NULL, text, sizeof(text));
	ok(checked ? aborted(status) : exited_well(status), "%s: %s", what,
	   checked ? "aborts" : "goes on");
	ok(strstr(text, report), "and says why");
	if (!strstr(text, report))
		diag("status %x: %s", status, text);
	mmput(mm);
}

int main(void)
{
	in_child(remove_in_callback, "would wait for itself", "U8 remove in its own callback");
	in_child(remove_between_start_and_end, "would wait for itself",
		 "U8 remove between a start and an end");
	in_child(remove_twice, "not inserted", "U7 remove twice");
	in_child(remove_unknown, "not inserted", "U7 remove without insert");
	in_child(read_in_callback, "would wait for itself", "U8 read_begin in its own callback");
	in_child(refuse_although_blockable, "may sleep", "B7 a blockable section is refused");
	in_child(synchronize_at_exit, "inside a callback",
		 "U8 synchronize in the callback of exit");
	in_child(no_second_pass, "invalidate_finish", "a second pass that does not exist");
	return tap_done();
}
