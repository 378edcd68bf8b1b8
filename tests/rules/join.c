/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Registration meets an open section: a truncate is held up inside the callback of a first
 * notifier, which needs no mmap lock of this address space, and a second notifier wants
 * to join.  It must wait, in each of the three ways of mm_lock(): R1, it never gets the
 * end of a section whose start it did not see, and R2, when it has joined no section is
 * open.
 *
 * Nothing is timed: the joining thread is looked at until it has either returned or
 * gone to sleep.
 */
#include "soft.h"

#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FILE_AT 0x20000000ul

static const char *const ways[] = { "percpu_rwsem", "sort", "mark" };

static struct mm_struct *mm;
static struct file *file;
static struct watcher first, second;
static long holding, held, joined, joining;
/* Is a section open whose start the second notifier has not seen? */
static long open_unnotified, notified;

/* One thread makes all sections, and the last one to join is notified first. */
static int first_start(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	long before = notified;

	notified = mmun_load_full(&second.starts);
	mmun_store_full(&open_unnotified, notified == before);
	mmun_store_full(&held, 1);
	while (mmun_load_full(&holding))
		usleep(100);
	return 0;
}

static void first_end(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	mmun_store_full(&open_unnotified, 0);
}

static const struct mmu_notifier_ops first_ops = {
	.invalidate_range_start = first_start,
	.invalidate_range_end = first_end,
};

static void *truncating(void *arg)
{
	if (mmun_soft_ftruncate(file, 0))
		bail_out("cannot truncate");
	return NULL;
}

static long open_when_joined;

static void *join(void *arg)
{
	mmun_store_full(&joining, syscall(SYS_gettid));
	if (mmu_notifier_register(&second.mn, mm))
		bail_out("cannot register");
	open_when_joined = mmun_load_full(&open_unnotified);
	mmun_store_full(&joined, 1);
	return NULL;
}

/* As the kernel says. */
static bool is_asleep(long thread)
{
	char path[64], state = '?';
	FILE *stat;

	snprintf(path, sizeof(path), "/proc/self/task/%ld/stat", thread);
	stat = fopen(path, "r");
	if (!stat)
		return false;
	if (fscanf(stat, "%*d (%*[^)]) %c", &state) != 1)
		state = '?';
	fclose(stat);
	return state == 'S';
}

/* Spinning first is fine; a short sleep on the way is not mistaken: it is looked at
 * until it stays asleep. */
static void wait_until_joined_or_asleep(void)
{
	for (int looks = 0; looks < 20 && !mmun_load_full(&joined); usleep(1000)) {
		if (mmun_load_full(&joining) && is_asleep(mmun_load_full(&joining)))
			looks++;
		else
			looks = 0;
	}
}

static void test_join(enum mmun_soft_mm_lock way)
{
	struct mmun_soft_params params = { .mm_lock = way };
	struct mmun_soft *soft = soft_machine(&params);
	pthread_t truncater, joiner;
	long before;

	joined = joining = held = open_unnotified = notified = 0;
	holding = 1;
	mm = soft_new_mm(soft);
	file = soft_new_file(soft, "f", MMUN_SOFT_FILE_REGULAR, 4);
	soft_map(mm, FILE_AT, 4, RW, MAP_SHARED, file);
	soft_poke(mm, FILE_AT, 1);
	memset(&first, 0, sizeof(first));
	first.mn.ops = &first_ops;
	watcher_init(&second);
	if (mmu_notifier_register(&first.mn, mm))
		bail_out("cannot register");

	truncater = spawn(truncating, NULL);
	wait_until_set(&held);
	joiner = spawn(join, NULL);
	wait_until_joined_or_asleep();
	ok(!mmun_load_full(&joined), "R1 B5: %s: a registration waits for an open section",
	   ways[way]);
	mmun_store_full(&holding, 0);
	pthread_join(truncater, NULL);
	pthread_join(joiner, NULL);
	is(open_when_joined, 0, "R2 B5: %s: no section is open when it has joined", ways[way]);
	is(second.ends, second.starts, "R1 B5: %s: it has seen no end without its start",
	   ways[way]);
	before = second.starts;
	is(mmun_soft_munmap(mm, FILE_AT, PAGE), 0, "%s: the next section", ways[way]);
	is(second.starts, before + 1, "R1: %s: notifies it", ways[way]);

	mmu_notifier_unregister(&first.mn, mm);
	mmu_notifier_unregister(&second.mn, mm);
	mmput(mm);
	mmun_soft_file_put(file);
	is(mmun_soft_destroy(soft), 0, "%s: the machine can go", ways[way]);
}

int main(void)
{
	test_join(MMUN_SOFT_MM_LOCK_PERCPU_RWSEM);
	test_join(MMUN_SOFT_MM_LOCK_SORT);
	test_join(MMUN_SOFT_MM_LOCK_MARK);
	return tap_done();
}
