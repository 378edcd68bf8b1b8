/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The window driver of 2008 on the software address space: the device never reads what the
 * task does not see, and is notified of everything that replaces a page.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>

#include <mmunotify/compat.h>

#include "../../tests/tap.h"
#include "window_uapi.h"

#define PAGE   MMUN_SOFT_PAGE_SIZE
#define MEMORY 0x10000000ul
#define WINDOW 0x30000000ul

static struct mmun_soft *soft;
static struct mmun_soft_task *task;
static struct mm_struct *mm;
static struct file *device;
static unsigned long arguments;

static unsigned long map(unsigned long at, unsigned long pages)
{
	mmun_soft_address address = mmun_soft_mmap(mm, at, pages * PAGE, PROT_READ | PROT_WRITE,
						   MAP_ANONYMOUS | MAP_PRIVATE | MAP_FIXED, NULL,
						   0);

	if (mmun_soft_is_error(address))
		bail_out("no mapping");
	return address;
}

static void task_put(unsigned long address, unsigned char value)
{
	if (mmun_soft_write(mm, address, &value, 1, NULL))
		bail_out("the task cannot write");
}

/* What the device reads there, or -errno. */
static long device_get(unsigned long address)
{
	struct window_byte byte = { .address = address };
	long ret;

	if (mmun_soft_write(mm, arguments, &byte, sizeof(byte), NULL))
		bail_out("no argument");
	ret = mmun_compat_ioctl(device, WINDOW_READ, arguments);
	if (ret)
		return ret;
	mmun_soft_read(mm, arguments, &byte, sizeof(byte), NULL);
	return byte.value;
}

static struct window_counts counts(void)
{
	struct window_counts now = { 0 };

	if (!mmun_compat_ioctl(device, WINDOW_COUNTS, arguments))
		mmun_soft_read(mm, arguments, &now, sizeof(now), NULL);
	return now;
}

static void test_follows(void)
{
	struct mmun_soft_task *child;
	struct window_counts before;

	task_put(MEMORY, 1);
	is(device_get(MEMORY), 1, "the device reads what the task wrote");
	before = counts();
	task_put(MEMORY, 2);
	is(device_get(MEMORY), 2, "and what it writes later");
	is(counts().entered, before.entered, "by the translation that it has");
	mmun_soft_madvise(mm, MEMORY, PAGE, MADV_DONTNEED);
	is(counts().dropped, before.dropped + 1, "MADV_DONTNEED takes that away");
	is(device_get(MEMORY), 0, "the device reads the new page");
	task_put(MEMORY, 3);
	if (mmun_soft_fork(task, &child))
		bail_out("no child");
	task_put(MEMORY, 4);
	is(device_get(MEMORY), 4, "after fork it reads the parent's copy");
	mmun_soft_exit(child);
	mmun_soft_munmap(mm, MEMORY, PAGE);
	is(device_get(MEMORY), -EFAULT, "nothing is where nothing is mapped");
	map(MEMORY, 1);
	task_put(MEMORY, 5);
	is(device_get(MEMORY), 5, "and again what is mapped there");
}

struct changes {
	bool stop;
	unsigned long rounds;
};

static void *change(void *arg)
{
	struct changes *c = arg;

	for (unsigned int i = 0; !__atomic_load_n(&c->stop, __ATOMIC_SEQ_CST); i++) {
		task_put(MEMORY, 7);
		if (i & 1)
			mmun_soft_madvise(mm, MEMORY, PAGE, MADV_DONTNEED);
		else
			map(MEMORY, 1);
		__atomic_fetch_add(&c->rounds, 1, __ATOMIC_SEQ_CST);
	}
	return NULL;
}

/* It reads a 7 or a new page's 0, never the poison of a page that was freed. */
static void test_races(void)
{
	struct changes c = { 0 };
	unsigned long wrong = 0, reads = 0;
	pthread_t thread;

	task_put(MEMORY, 7);
	pthread_create(&thread, NULL, change, &c);
	while (reads < 1000 || __atomic_load_n(&c.rounds, __ATOMIC_SEQ_CST) < 3000) {
		long value = device_get(MEMORY);

		wrong += value != 7 && value != 0 && value != -EFAULT;
		reads++;
	}
	__atomic_store_n(&c.stop, true, __ATOMIC_SEQ_CST);
	pthread_join(thread, NULL);
	ok(counts().dropped > 0, "%lu reads beside changes", reads);
	is(wrong, 0, "none of them saw a page that was freed");
}

int main(void)
{
	const struct mmun_soft_params params = { .memory = 16ul << 20, .swap = 16ul << 20 };

	if (mmun_soft_create(&params, &soft) || mmun_soft_task_create(soft, &task))
		bail_out("no machine");
	mm = mmun_soft_task_mm(task);
	mmun_compat_start(soft);
	mmun_compat_set_current(task);
	is(mmun_compat_load(), 0, "the module loads");
	if (mmun_compat_open("window", 0, &device))
		bail_out("no device");
	arguments = map(0x20000000, 1);
	map(MEMORY, 1);
	is(device_get(MEMORY), -ENXIO, "no window, no device");
	is(mmun_soft_mmap(mm, WINDOW, PAGE, PROT_READ, MAP_SHARED | MAP_FIXED, device, 0), WINDOW,
	   "the notifier is registered inside ->mmap");
	test_follows();
	test_races();
	mmun_soft_munmap(mm, WINDOW, PAGE);
	is(device_get(MEMORY), -ENXIO, "and unregistered inside munmap()");
	is(mmun_soft_mmap(mm, WINDOW, PAGE, PROT_READ, MAP_SHARED | MAP_FIXED, device, 0), WINDOW,
	   "a second window");
	device_get(MEMORY);
	mmun_compat_close(device);
	mmun_compat_set_current(NULL);
	mmun_soft_exit(task);
	mmun_compat_unload();
	mmun_compat_stop();
	is(mmun_compat_allocated(), 0, "is closed by exit, which no ->release follows");
	is(mmun_compat_warnings(), 0, "without a warning");
	is(mmun_soft_destroy(soft), 0, "the machine has nothing left");
	return tap_done();
}
