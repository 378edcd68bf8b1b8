/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* core/mm_lock.c: dispatch to the primary, one mm_lock per task.  Checks on. */
#include "fake.h"

static struct fake fakes[2];
static struct mm_struct *mms[2];

static void two_locks(void *arg)
{
	struct mm_lock_data data[2];

	mmap_write_lock(mms[0]);
	mm_lock(mms[0], &data[0]);
	mm_lock(mms[0], &data[1]);
}

static void without_mmap_lock(void *arg)
{
	struct mm_lock_data data;

	mm_lock(mms[0], &data);
}

static void unlock_without_mmap_lock(void *arg)
{
	struct mm_lock_data data;

	mmap_write_lock(mms[0]);
	mm_lock(mms[0], &data);
	mmap_write_unlock(mms[0]);
	mm_unlock(mms[0], &data);
}

static void *lock_other(void *arg)
{
	struct mm_lock_data data;

	mmap_read_lock(mms[1]);
	is(mm_lock(mms[1], &data), 0, "L2 another task may lock another mm meanwhile");
	mm_unlock(mms[1], &data);
	mmap_read_unlock(mms[1]);
	return NULL;
}

static bool was_clean;

static int note_data(struct mm_struct *mm, struct mm_lock_data *data)
{
	static const struct mm_lock_data clean;

	was_clean = !memcmp(data, &clean, sizeof(clean));
	return 0;
}

static void test_clean_data(void)
{
	struct mmun_primary_ops ops = fake_ops;
	struct fake fake = { 0 };
	struct mmun_mm_params params = { .ops = &ops, .priv = &fake };
	struct mm_lock_data data;
	struct mm_struct *mm;

	ops.lock = note_data;
	if (mmun_mm_create(&params, &mm))
		bail_out("no memory for an mm");
	memset(&data, 0xee, sizeof(data));
	mmap_write_lock(mm);
	is(mm_lock(mm, &data), 0, "mm_lock with memory that was something else before");
	mm_unlock(mm, &data);
	mmap_write_unlock(mm);
	ok(was_clean, "the primary finds it zeroed");
	mmput(mm);
}

int main(void)
{
	struct mm_lock_data data;
	char text[1024];

	for (int i = 0; i < 2; i++)
		mms[i] = fake_mm(&fakes[i]);

	mmap_write_lock(mms[0]);
	is(mm_lock(mms[0], &data), 0, "mm_lock under the mmap lock held for write");
	is(fakes[0].locks, 1, "is the primary's operation");
	ok(!mmun_srcu_open_anywhere(), "and no section");
	pthread_join(spawn(lock_other, NULL), NULL);
	mm_unlock(mms[0], &data);
	is(fakes[0].unlocks, 1, "and so is mm_unlock");
	mmap_write_unlock(mms[0]);

	mmap_read_lock(mms[0]);
	is(mm_lock(mms[0], &data), 0, "held for read is enough");
	mm_unlock(mms[0], &data);
	fakes[0].lock_error = -ENOMEM;
	is(mm_lock(mms[0], &data), -ENOMEM, "R7 the primary's failure is passed on");
	fakes[0].lock_error = 0;
	is(mm_lock(mms[0], &data), 0, "and leaves nothing locked");
	mm_unlock(mms[0], &data);
	mmap_read_unlock(mms[0]);

	ok(aborted(run_in_child(two_locks, NULL, text, sizeof(text))),
	   "L2 a second mm_lock aborts");
	ok(strstr(text, "calls it again"), "L2 and says why");
	ok(aborted(run_in_child(without_mmap_lock, NULL, text, sizeof(text))),
	   "mm_lock without the mmap lock aborts");
	ok(aborted(run_in_child(unlock_without_mmap_lock, NULL, text, sizeof(text))),
	   "mm_unlock when the mmap lock was dropped before aborts");
	test_clean_data();
	for (int i = 0; i < 2; i++)
		mmput(mms[i]);
	return tap_done();
}
