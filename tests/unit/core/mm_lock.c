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

int main(void)
{
	struct mm_lock_data data;
	char text[1024];

	for (int i = 0; i < 2; i++)
		mms[i] = fake_mm(&fakes[i]);

	mmap_write_lock(mms[0]);
	is(mm_lock(mms[0], &data), 0, "mm_lock under the mmap lock held for write");
	is(fakes[0].locks, 1, "is the primary's operation");
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
	for (int i = 0; i < 2; i++)
		mmput(mms[i]);
	return tap_done();
}
