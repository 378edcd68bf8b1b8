/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * ThreadSanitizer learns the order of the mmap lock and of semaphores against other locks:
 * each pair is taken both ways round by one thread, as lockdep would see it too.
 */
#include "machine.h"

#include <string.h>

#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/mutex.h>
#include <linux/rwsem.h>
#include <linux/uaccess.h>

/* The ranks of our own locks replace its finder elsewhere; here it is the subject. */
const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
	return "die_after_fork=0:detect_deadlocks=1:exitcode=0";
}

static DEFINE_MUTEX(lock);
static DEFINE_MUTEX(other);
static DECLARE_RWSEM(sem);

/* Both mutexes, once each way. */
static void mutexes(void)
{
	mutex_lock(&lock);
	mutex_lock(&other);
	mutex_unlock(&other);
	mutex_unlock(&lock);
	mutex_lock(&other);
	mutex_lock(&lock);
	mutex_unlock(&lock);
	mutex_unlock(&other);
}

static void one_way(void)
{
	for (int i = 0; i < 2; i++) {
		mutex_lock(&lock);
		mmap_write_lock(current->mm);
		mmap_write_unlock(current->mm);
		down_write(&sem);
		up_write(&sem);
		mutex_unlock(&lock);
	}
}

static void write_locks(void)
{
	one_way();
	mmap_write_lock(current->mm);
	mutex_lock(&lock);
	mutex_unlock(&lock);
	mmap_write_unlock(current->mm);
}

static void read_locks(void)
{
	mutex_lock(&lock);
	mmap_read_lock(current->mm);
	mmap_read_unlock(current->mm);
	mutex_unlock(&lock);
	mmap_read_lock(current->mm);
	mutex_lock(&lock);
	mutex_unlock(&lock);
	mmap_read_unlock(current->mm);
}

static void semaphores(void)
{
	down_read(&sem);
	mutex_lock(&lock);
	mutex_unlock(&lock);
	up_read(&sem);
	mutex_lock(&lock);
	down_write(&sem);
	up_write(&sem);
	mutex_unlock(&lock);
}

static int device_mmap(struct file *file, struct vm_area_struct *vma)
{
	mutex_lock(&lock);
	mutex_unlock(&lock);
	return 0;
}

static const struct file_operations fops = { .mmap = device_mmap };
static struct miscdevice device = { .minor = MISC_DYNAMIC_MINOR, .name = "order", .fops = &fops };

static void map_device(void)
{
	struct file *file;

	if (misc_register(&device) || mmun_compat_open("order", O_RDWR, &file))
		_exit(1);
	mmun_soft_mmap(current->mm, 2 * AT, PAGE_SIZE, PROT_READ, MAP_SHARED | MAP_FIXED, file, 0);
}

/* An ioctl pins under the lock that ->mmap takes inside the mmap lock. */
static void pin_under_lock(void)
{
	struct page *page;

	mutex_lock(&lock);
	if (pin_user_pages_fast(AT, 1, FOLL_WRITE, &page) == 1)
		unpin_user_page(page);
	mutex_unlock(&lock);
	map_device();
}

static void copy_under_lock(void)
{
	char byte;

	mutex_lock(&lock);
	(void)!copy_from_user(&byte, (void __user *)AT, 1);
	mutex_unlock(&lock);
	map_device();
}

static bool inversion(void (*code)(void))
{
	char said[16384];
	size_t at = 0;
	ssize_t got;
	int out[2];
	pid_t child;

	if (pipe(out))
		bail_out("no pipe");
	child = fork();
	if (!child) {
		dup2(out[1], STDERR_FILENO);
		code();
		_exit(0);
	}
	close(out[1]);
	while (at < sizeof(said) - 1 && (got = read(out[0], said + at, sizeof(said) - 1 - at)) > 0)
		at += (size_t)got;
	said[at] = '\0';
	close(out[0]);
	waitpid(child, NULL, 0);
	return strstr(said, "lock-order-inversion");
}

int main(void)
{
	start_machine();
	map(AT, 1, PROT_READ | PROT_WRITE);
	ok(inversion(mutexes), "two mutexes, both ways, are reported");
	ok(!inversion(one_way), "one way only is not");
	ok(inversion(write_locks), "the mmap lock for write and a mutex");
	ok(inversion(read_locks), "the mmap lock for read and a mutex");
	ok(inversion(semaphores), "a semaphore and a mutex");
	ok(inversion(pin_under_lock), "pages pinned under the mutex that ->mmap takes");
	ok(inversion(copy_under_lock), "user memory copied under it");
	stop_machine(0);
	return tap_done();
}
