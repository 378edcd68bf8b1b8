/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a thread may not do with the mmap lock and with semaphores: each mistake ends the
 * program with its sentence, in a library without debug checks too.
 */
#include "machine.h"

#include <poll.h>
#include <pthread.h>
#include <string.h>

#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/mmu_notifier.h>
#include <linux/mutex.h>
#include <linux/rwsem.h>
#include <linux/uaccess.h>

static DECLARE_RWSEM(sem);
static char byte;
static struct page *page;

static struct mm_struct *mm;

static void read_in_write(void)
{
	mmap_write_lock(mm);
	mmap_read_lock(mm);
}

static void write_in_read(void)
{
	mmap_read_lock(mm);
	mmap_write_lock(mm);
}

static void write_twice(void)
{
	mmap_write_lock(mm);
	mmap_write_lock(mm);
}

static void read_twice(void)
{
	mmap_read_lock(mm);
	mmap_read_lock(mm);
}

static void read_release_of_write(void)
{
	mmap_write_lock(mm);
	mmap_read_unlock(mm);
}

static void write_release_of_read(void)
{
	mmap_read_lock(mm);
	mmap_write_unlock(mm);
}

static void read_release_of_nothing(void)
{
	mmap_read_unlock(mm);
}

static void write_release_of_nothing(void)
{
	mmap_write_unlock(mm);
}

static void write_release_of_downgraded(void)
{
	mmap_write_lock(mm);
	mmap_write_downgrade(mm);
	mmap_write_unlock(mm);
}

static void downgrade_of_read(void)
{
	mmap_read_lock(mm);
	mmap_write_downgrade(mm);
}

static void pages_in_write(void)
{
	mmap_write_lock(mm);
	get_user_pages_fast(AT, 1, 0, &page);
}

static void pages_in_read(void)
{
	mmap_read_lock(mm);
	pin_user_pages_unlocked(AT, 1, &page, 0);
}

static void copy_from_in_write(void)
{
	mmap_write_lock(mm);
	(void)!copy_from_user(&byte, (void __user *)AT, 1);
}

static void copy_to_in_write(void)
{
	mmap_write_lock(mm);
	(void)!copy_to_user((void __user *)AT, &byte, 1);
}

static void copy_from_in_read(void)
{
	mmap_read_lock(mm);
	(void)!copy_from_user(&byte, (void __user *)AT, 1);
}

static void change_in_read(void)
{
	mmap_read_lock(mm);
	mmun_soft_munmap(mm, AT, PAGE_SIZE);
}

static void assert_in_nothing(void)
{
	mmap_assert_locked(mm);
}

static void assert_write_in_read(void)
{
	mmap_read_lock(mm);
	mmap_assert_write_locked(mm);
}

static void assert_write_in_downgraded(void)
{
	mmap_write_lock(mm);
	mmap_write_downgrade(mm);
	mmap_assert_write_locked(mm);
}

static void sem_read_in_write(void)
{
	down_write(&sem);
	down_read(&sem);
}

static void sem_write_in_read(void)
{
	down_read(&sem);
	down_write(&sem);
}

static void sem_write_twice(void)
{
	down_write(&sem);
	down_write(&sem);
}

static void sem_read_twice(void)
{
	down_read(&sem);
	down_read(&sem);
}

static void sem_read_release_of_write(void)
{
	down_write(&sem);
	up_read(&sem);
}

static void sem_write_release_of_read(void)
{
	down_read(&sem);
	up_write(&sem);
}

static void *hold_read(void *held)
{
	down_read(&sem);
	__atomic_store_n((bool *)held, true, __ATOMIC_SEQ_CST);
	pause();
	return NULL;
}

static void sem_release_of_others(void)
{
	static bool held;
	pthread_t thread;

	pthread_create(&thread, NULL, hold_read, &held);
	while (!__atomic_load_n(&held, __ATOMIC_SEQ_CST))
		poll(NULL, 0, 1);
	up_read(&sem);
}

/* A driver whose mapping unregisters when it is closed, and whose ->release takes the lock. */

static void (*in_release)(struct mm_struct *of);
static int releases;

static void release(struct mmu_notifier *mn, struct mm_struct *of)
{
	if (in_release)
		in_release(of);
	releases++;
}

static const struct mmu_notifier_ops notifier_ops = { .release = release };
static struct mmu_notifier notifier = { .ops = &notifier_ops };

static void vma_close(struct vm_area_struct *vma)
{
	mmu_notifier_unregister(&notifier, vma->vm_mm);
}

static const struct vm_operations_struct vm_ops = { .close = vma_close };

static int device_mmap(struct file *file, struct vm_area_struct *vma)
{
	vma->vm_ops = &vm_ops;
	return 0;
}

static const struct file_operations fops = { .mmap = device_mmap };
static struct miscdevice device = { .minor = MISC_DYNAMIC_MINOR, .name = "misuse", .fops = &fops };

static void read_briefly(struct mm_struct *of)
{
	mmap_read_lock(of);
	mmap_read_unlock(of);
}

static void write_briefly(struct mm_struct *of)
{
	mmap_write_lock(of);
	mmap_write_unlock(of);
}

static void unmap_device(void)
{
	struct file *file;

	if (misc_register(&device) || mmun_compat_open("misuse", O_RDWR, &file))
		_exit(1);
	mmun_soft_mmap(mm, 2 * AT, PAGE_SIZE, PROT_READ, MAP_SHARED | MAP_FIXED, file, 0);
	if (mmu_notifier_register(&notifier, mm))
		_exit(1);
	mmun_soft_munmap(mm, 2 * AT, PAGE_SIZE);
	fput(file);
	misc_deregister(&device);
}

static void read_in_release(void)
{
	in_release = read_briefly;
	unmap_device();
}

static void write_in_release(void)
{
	in_release = write_briefly;
	unmap_device();
}

static DEFINE_MUTEX(mutex);

static void flush(struct mmu_notifier *mn, struct mm_struct *of, unsigned long start,
		  unsigned long end)
{
	mutex_lock(&mutex);
	mutex_unlock(&mutex);
}

static const struct mmu_notifier_ops flush_ops = { .arch_invalidate_secondary_tlbs = flush };
static const struct mmu_notifier_ops older_ops = { .invalidate_range = flush };

static void change_with(const struct mmu_notifier_ops *ops)
{
	struct mmu_notifier mn = { .ops = ops };

	if (mmu_notifier_register(&mn, mm))
		_exit(1);
	mmun_soft_write(mm, AT, &byte, 1, NULL);
	mmun_soft_mprotect(mm, AT, PAGE_SIZE, PROT_READ);
}

static void sleep_in_flush(void)
{
	change_with(&flush_ops);
}

static void sleep_in_older_flush(void)
{
	change_with(&older_ops);
}

static const struct {
	void (*code)(void);
	const char *what, *sentence;
} mistakes[] = {
	{ read_in_write, "a read inside a write",
	  "for reading by a thread that holds it for writing" },
	{ write_in_read, "a write inside a read",
	  "for writing by a thread that holds it for reading" },
	{ write_twice, "a write inside a write", "taken twice for writing" },
	{ read_twice, "a read inside a read", "taken twice for reading" },
	{ read_release_of_write, "a write released as a read",
	  "for reading that the thread holds for writing" },
	{ write_release_of_read, "a read released as a write",
	  "for writing that the thread holds for reading" },
	{ read_release_of_nothing, "a read released twice",
	  "for reading that the thread does not hold" },
	{ write_release_of_nothing, "a write released twice",
	  "for writing that the thread does not hold" },
	{ write_release_of_downgraded, "a downgraded lock released as a write",
	  "that was downgraded" },
	{ downgrade_of_read, "a read downgraded", "does not hold the mmap lock for write" },
	{ pages_in_write, "get_user_pages_fast() under the write lock",
	  "get_user_pages_fast() or _unlocked()" },
	{ pages_in_read, "pin_user_pages_unlocked() under the read lock",
	  "get_user_pages_fast() or _unlocked()" },
	{ copy_from_in_write, "copy_from_user() under the write lock", "user memory is copied" },
	{ copy_to_in_write, "copy_to_user() under the write lock", "user memory is copied" },
	{ copy_from_in_read, "copy_from_user() under the read lock", "user memory is copied" },
	{ change_in_read, "munmap() under the read lock",
	  "for writing by a thread that holds it for reading" },
	{ read_in_release, "a read in ->release inside munmap()",
	  "for reading by a thread that holds it for writing" },
	{ write_in_release, "a write in ->release inside munmap()", "taken twice for writing" },
	{ sleep_in_flush, "a mutex in ->arch_invalidate_secondary_tlbs", "callback for flushes" },
	{ sleep_in_older_flush, "a mutex in ->invalidate_range", "callback for flushes" },
	{ assert_in_nothing, "mmap_assert_locked() without it", "does not hold the mmap lock" },
	{ assert_write_in_read, "mmap_assert_write_locked() by a reader",
	  "does not hold the mmap lock for write" },
	{ assert_write_in_downgraded, "the same after a downgrade",
	  "does not hold the mmap lock for write" },
	{ sem_read_in_write, "a semaphore: a read inside a write",
	  "for reading by a thread that holds it for writing" },
	{ sem_write_in_read, "a write inside a read",
	  "for writing by a thread that holds it for reading" },
	{ sem_write_twice, "a write inside a write", "taken twice for writing" },
	{ sem_read_twice, "a read inside a read", "taken twice for reading" },
	{ sem_read_release_of_write, "a write released as a read",
	  "for reading that this thread holds for writing" },
	{ sem_write_release_of_read, "a read released as a write",
	  "for writing that this thread holds for reading" },
	{ sem_release_of_others, "a read of another thread released", "does not hold for reading" },
};

/* What it says on stderr; does it end by itself? */
static bool aborts(void (*code)(void), char *said, size_t size)
{
	int out[2], status = 0;
	size_t at = 0;
	ssize_t got;
	pid_t child;

	if (pipe(out))
		bail_out("no pipe");
	child = fork();
	if (!child) {
		alarm(60);
		dup2(out[1], STDERR_FILENO);
		code();
		_exit(0);
	}
	close(out[1]);
	while (at < size - 1 && (got = read(out[0], said + at, size - 1 - at)) > 0)
		at += (size_t)got;
	said[at] = '\0';
	close(out[0]);
	waitpid(child, &status, 0);
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static void test_mistakes(void)
{
	char said[4096];

	for (size_t i = 0; i < ARRAY_SIZE(mistakes); i++) {
		ok(aborts(mistakes[i].code, said, sizeof(said)), "%s ends the program",
		   mistakes[i].what);
		ok(strstr(said, mistakes[i].sentence), "with its sentence: %s",
		   mistakes[i].sentence);
	}
}

static void test_no_mistakes(void)
{
	struct mmun_soft_task *others[6];
	struct mm_struct *their[6];

	mmap_read_lock(mm);
	ok(!mmap_write_trylock(mm), "an attempt to write inside a read fails");
	ok(mmap_read_trylock(mm), "one to read succeeds");
	mmap_assert_locked(mm);
	mmap_read_unlock(mm);
	mmap_assert_locked(mm);
	is(get_user_pages(AT, 1, 0, &page), 1, "get_user_pages() wants the lock");
	put_page(page);
	mmap_read_unlock(mm);
	mmap_write_lock(mm);
	ok(!mmap_read_trylock(mm) && !mmap_write_trylock(mm), "attempts inside a write fail");
	mmap_assert_write_locked(mm);
	mmap_write_downgrade(mm);
	mmap_assert_locked(mm);
	mmap_read_unlock(mm);
	is(copy_from_user(&byte, (void __user *)AT, 1), 0, "and user memory can be copied");
	for (int i = 0; i < 6; i++) {
		if (mmun_soft_task_create(soft, &others[i]))
			bail_out("no task");
		their[i] = mmun_soft_task_mm(others[i]);
		/* One class, no order: attempts. */
		ok(mmap_read_trylock(their[i]), "the lock of another address space");
	}
	for (int i = 0; i < 6; i++) {
		mmap_read_unlock(their[i]);
		mmun_soft_exit(others[i]);
	}
	ok(mmap_write_trylock(mm), "more of them than are remembered are believed");
	mmap_write_unlock(mm);
	unmap_device();
	is(releases, 1, "a ->release that takes no lock runs inside munmap()");
	ok(notifier.mm == mm, "and mmu_notifier_unregister() has left mn->mm");
	is(mmu_notifier_register(&notifier, mm), 0, "which can be registered again");
	mmu_notifier_unregister(&notifier, mm);
}

int main(void)
{
	start_machine();
	mm = current->mm;
	map(AT, 1, PROT_READ | PROT_WRITE);
	test_no_mistakes();
	test_mistakes();
	in_release = NULL;
	stop_machine(0);
	return tap_done();
}
