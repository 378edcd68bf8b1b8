/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The mirror driver on the software address space: what the device sees is what a task
 * sees, through every operation that moves memory, and nothing is left at the end.
 */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>

#include <mmunotify/compat.h>

#include "../../tests/tap.h"
#include "mirror_uapi.h"

#define PAGE   MMUN_SOFT_PAGE_SIZE
#define MEMORY 0x10000000ul
#define PAGES  16ul

static struct mmun_soft *soft;
static struct mmun_soft_task *task;
static struct mm_struct *mm;
static struct file *device;
/* In the task's memory: arguments, and the buffer of copies. */
static unsigned long arguments, buffer;

static unsigned long map(unsigned long at, unsigned long pages, int flags)
{
	mmun_soft_address address = mmun_soft_mmap(mm, at, pages * PAGE, PROT_READ | PROT_WRITE,
						   MAP_ANONYMOUS | MAP_PRIVATE | flags, NULL, 0);

	if (mmun_soft_is_error(address))
		bail_out("no mapping");
	return address;
}

static long task_get(unsigned long address)
{
	long value = -1;

	mmun_soft_read(mm, address, &value, sizeof(value), NULL);
	return value;
}

static void task_put(unsigned long address, long value)
{
	if (mmun_soft_write(mm, address, &value, sizeof(value), NULL))
		bail_out("the task cannot write");
}

static long command(unsigned int cmd, const void *argument, size_t length)
{
	if (mmun_soft_write(mm, arguments, argument, length, NULL))
		bail_out("no argument");
	return mmun_compat_ioctl(device, cmd, arguments);
}

static long ranged(unsigned int cmd, unsigned long start, unsigned long pages)
{
	struct mirror_range range = { start, pages * PAGE };

	return command(cmd, &range, sizeof(range));
}

static long device_get(unsigned long address)
{
	struct mirror_copy copy = { address, buffer, sizeof(long) };
	long ret = command(MIRROR_READ, &copy, sizeof(copy));

	return ret ? ret : task_get(buffer);
}

static long device_put(unsigned long address, long value)
{
	struct mirror_copy copy = { address, buffer, sizeof(long) };

	task_put(buffer, value);
	return command(MIRROR_WRITE, &copy, sizeof(copy));
}

static void begin(void)
{
	const struct mmun_soft_params params = { .memory = 16ul << 20, .swap = 16ul << 20 };

	if (mmun_soft_create(&params, &soft) || mmun_soft_task_create(soft, &task))
		bail_out("no machine");
	mm = mmun_soft_task_mm(task);
	mmun_compat_start(soft);
	mmun_compat_set_current(task);
	is(mmun_compat_load(), 0, "the module loads");
	if (mmun_compat_open("mirror", 0, &device))
		bail_out("no device");
	arguments = map(0x20000000, 1, 0);
	buffer = map(0x20001000, 1, 0);
	map(MEMORY, PAGES, 0);
	is(ranged(MIRROR_WATCH, MEMORY, PAGES), 0, "the device follows the memory");
}

static void end(void)
{
	mmun_compat_unload();
	mmun_compat_stop();
	is(mmun_compat_allocated(), 0, "the driver frees what it allocates");
	is(mmun_compat_warnings(), 0, "and warns of nothing");
	is(mmun_soft_destroy(soft), 0, "the machine has nothing left");
}

static void leave(void)
{
	mmun_compat_close(device);
	mmun_compat_set_current(NULL);
	mmun_soft_exit(task);
}

static void test_same_memory(void)
{
	task_put(MEMORY, 1);
	is(device_get(MEMORY), 1, "the device reads what the task wrote");
	is(device_put(MEMORY + PAGE, 2), 0, "the device writes");
	is(task_get(MEMORY + PAGE), 2, "the task reads it");
	is(device_get(MEMORY - 8), -EINVAL, "outside the range it does nothing");
	is(mmun_compat_open("mirrors", 0, &device), -ENOENT, "no such device");
}

static void test_invalidations(void)
{
	unsigned long at = MEMORY + 4 * PAGE;

	task_put(at, 3);
	device_get(at);
	is(mmun_soft_madvise(mm, at, PAGE, MADV_DONTNEED), 0, "DONTNEED");
	is(device_get(at), 0, "the device sees the new page");
	task_put(at, 4);
	device_put(at, 5);
	map(at, 1, MAP_FIXED);
	is(device_get(at), 0, "and what MAP_FIXED put there");
	device_put(at, 6);
	is(mmun_soft_mprotect(mm, at, PAGE, PROT_READ), 0, "read-only");
	is(device_put(at, 7), -EPERM, "the device cannot write any more");
	is(device_get(at), 6, "but read");
	is(mmun_soft_munmap(mm, at, PAGE), 0, "unmapped");
	is(device_get(at), -EFAULT, "and gone for the device");
	map(at, 1, MAP_FIXED);
	task_put(at, 8);
	device_get(at);
	mmun_soft_reclaim(soft, 2000);
	is(device_get(at), 8, "swapped out and in");
	mmun_soft_migrate(mm, at);
	is(device_get(at), 8, "moved to another frame");
	mmun_compat_non_block(1);
	is(mmun_soft_oom_reap(mm), 0, "reaped, by callbacks that must not sleep");
	mmun_compat_non_block(-1);
	is(device_get(at), 0, "dropped");
}

static void test_fork(void)
{
	struct mmun_soft_task *child;
	unsigned long at = MEMORY + 6 * PAGE;
	long value;

	device_put(at, 10);
	if (mmun_soft_fork(task, &child))
		bail_out("no fork");
	is(device_put(at, 11), 0, "after fork the device writes its parent's copy");
	mmun_soft_read(mmun_soft_task_mm(child), at, &value, sizeof(value), NULL);
	is(value, 10, "the child keeps what was there");
	is(task_get(at), 11, "the parent has the new one");
	mmun_soft_exit(child);
}

static void test_pins(void)
{
	unsigned long at = MEMORY + 8 * PAGE;

	is(ranged(MIRROR_PIN, at, 4), 0, "pinned");
	is(mmun_compat_ioctl(device, MIRROR_FILL, 0x5a), 4, "filled through the pins");
	is(task_get(at + 2 * PAGE), 0x5a5a5a5a5a5a5a5al, "the task sees it");
	mmun_soft_reclaim(soft, 2000);
	mmun_compat_ioctl(device, MIRROR_FILL, 0x11);
	is(task_get(at), 0x1111111111111111l, "pinned pages stay where they are");
	is(mmun_compat_ioctl(device, MIRROR_UNPIN, 0), 0, "unpinned");
	is(ranged(MIRROR_PIN, MEMORY - PAGE, 2), -EFAULT, "what is not mapped is not pinned");
	is(mmun_compat_ioctl(device, 0, 0), -ENOTTY, "an unknown command");
}

static void test_status(void)
{
	mmun_soft_address at = mmun_soft_mmap(mm, 0, PAGE, PROT_READ, MAP_SHARED, device, 0);
	struct mirror_status status = { 0 };
	struct mmun_soft_fault fault;

	ok(!mmun_soft_is_error(at), "the status page can be mapped");
	is(mmun_soft_read(mm, at, &status, sizeof(status), NULL), 0, "and read");
	ok(status.faults && status.invalidations, "it counts faults and invalidations");
	is(mmun_soft_write(mm, at, &status, sizeof(status), &fault), -EFAULT, "not written");
	is((long)mmun_soft_mmap(mm, 0, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, device, 0),
	   -EACCES, "nor mapped to be written");
	at = mmun_soft_mmap(mm, 0, 2 * PAGE, PROT_READ, MAP_SHARED, device, 0);
	is(mmun_soft_read(mm, at + PAGE, &status, sizeof(status), &fault), -EFAULT,
	   "there is one page of it");
}

/* One thread changes the layout, one uses the device: the value that the device reads
 * is always one that the task has written, or zero after a change. */
static void *change(void *arg)
{
	unsigned long at = MEMORY + 12 * PAGE;

	for (long i = 0; i < 400; i++) {
		task_put(at, 100);
		if (i % 3 == 0)
			mmun_soft_madvise(mm, at, PAGE, MADV_DONTNEED);
		else if (i % 3 == 1)
			map(at, 1, MAP_FIXED);
		else
			mmun_soft_reclaim(soft, 16);
	}
	return NULL;
}

static void test_threads(void)
{
	unsigned long at = MEMORY + 12 * PAGE;
	pthread_t thread;
	long wrong = 0;

	pthread_create(&thread, NULL, change, NULL);
	for (int i = 0; i < 400; i++) {
		long value = device_get(at);

		wrong += value != 0 && value != 100;
	}
	pthread_join(thread, NULL);
	is(wrong, 0, "the device never reads a page that is not there any more");
}

/* Allocation after allocation fails; the next time one more succeeds. */
static long until_failure;

static bool fail(size_t size, void *arg)
{
	return __atomic_sub_fetch(&until_failure, 1, __ATOMIC_SEQ_CST) == 0;
}

static void test_no_memory(void)
{
	struct file *file;
	int failures = 0;

	mmun_compat_fail_allocations(fail, NULL);
	for (long n = 1; n < 10; n++) {
		until_failure = n;
		if (!mmun_compat_open("mirror", 0, &file))
			mmun_compat_close(file);
		else
			failures++;
	}
	mmun_compat_fail_allocations(NULL, NULL);
	is(failures, 2, "opening fails at each of its allocations");
}

/* The last user goes while the device is open and has pages. */
static void test_exit(void)
{
	unsigned long at = MEMORY;

	begin();
	task_put(at, 1);
	device_get(at);
	mmun_compat_set_current(NULL);
	mmun_soft_exit(task);
	ok(true, "exit with the device open");
	mmun_compat_close(device);
	end();
}

int main(void)
{
	struct file *opened;

	begin();
	opened = device;
	test_same_memory();
	ok(device == opened, "a failed open returns no file");
	test_invalidations();
	test_fork();
	test_pins();
	test_status();
	test_threads();
	test_no_memory();
	leave();
	end();
	test_exit();
	return tap_done();
}
