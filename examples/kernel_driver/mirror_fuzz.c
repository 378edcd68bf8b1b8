/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A fuzz target: bytes are ioctls of the mirror driver and operations on the memory of its
 * user, four bytes each: which, and three arguments, so that cutting and joining inputs gives
 * inputs.  One byte before them says what the machine is like.
 *
 * What must hold: the device reads what the user would read there, and is refused where the
 * user is; what it writes is there afterwards, and not in a child's copy; after exec it reaches
 * nothing; at the end nothing is left.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include <mmunotify/compat.h>

#include "mirror_uapi.h"

#define PAGE      MMUN_SOFT_PAGE_SIZE
#define MEMORY    0x10000000ul
#define PAGES     8u
#define ARGUMENTS 0x20000000ul
#define BUFFER    (ARGUMENTS + PAGE / 2)

static struct mmun_soft *soft;
static struct mmun_soft_task *task, *child;
static struct mm_struct *mm;
static struct file *device;
/* The user has another address space than that which the device follows. */
static bool left;
/* Of the driver's next allocations, the last one fails; none is failed at 0. */
static unsigned int allocations;

static void must(bool holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "mirror_fuzz: %s\n", what);
	abort();
}

static bool fails(size_t size, void *arg)
{
	return allocations && !--allocations;
}

static void map(unsigned long at, unsigned long length, int prot)
{
	mmun_soft_mmap(mm, at, length, prot, MAP_ANONYMOUS | MAP_PRIVATE | MAP_FIXED, NULL, 0);
}

static long command(unsigned int cmd, const void *argument, size_t length)
{
	must(!mmun_soft_write(mm, ARGUMENTS, argument, length, NULL), "no memory for arguments");
	return mmun_compat_ioctl(device, cmd, ARGUMENTS);
}

static long ranged(unsigned int cmd, unsigned long start, unsigned long pages)
{
	struct mirror_range range = { start, pages * PAGE };

	return command(cmd, &range, sizeof(range));
}

/* It refuses what is outside its range, and where memory ran out. */
static void device_reads(unsigned long at)
{
	struct mirror_copy copy = { at, BUFFER, sizeof(int) };
	long ret = command(MIRROR_READ, &copy, sizeof(copy));
	int users = 0, devices = 0;

	if (ret == -EINVAL || ret == -ENOMEM)
		return;
	if (left)
		return must(ret, "the device reads memory that its user has left");
	must(!ret == !mmun_soft_read(mm, at, &users, sizeof(users), NULL),
	     "the device may read what its user may not, or the reverse");
	must(!mmun_soft_read(mm, BUFFER, &devices, sizeof(devices), NULL), "no buffer");
	must(ret || users == devices, "the device reads what is not there");
}

static void device_writes(unsigned long at, int value)
{
	struct mirror_copy copy = { at, BUFFER, sizeof(int) };
	int before = 0, after = 0;

	if (child)
		mmun_soft_read(mmun_soft_task_mm(child), at, &before, sizeof(before), NULL);
	mmun_soft_write(mm, BUFFER, &value, sizeof(value), NULL);
	if (command(MIRROR_WRITE, &copy, sizeof(copy)))
		return;
	must(!left, "the device writes memory that its user has left");
	must(!mmun_soft_read(mm, at, &after, sizeof(after), NULL) && after == value,
	     "what the device wrote is not there");
	if (!child)
		return;
	after = 0;
	mmun_soft_read(mmun_soft_task_mm(child), at, &after, sizeof(after), NULL);
	must(after == before, "the device wrote into the child's memory");
}

static void fork_or_exit(void)
{
	if (child)
		mmun_soft_exit(child);
	else if (!mmun_soft_fork(task, &child))
		return;
	child = NULL;
}

static void map_all(void)
{
	map(ARGUMENTS, PAGE, PROT_READ | PROT_WRITE);
	mmun_soft_mlock(mm, ARGUMENTS, PAGE);
	map(MEMORY, PAGES * PAGE, PROT_READ | PROT_WRITE);
}

static void exec(void)
{
	if (mmun_soft_exec(task))
		return;
	mm = mmun_soft_task_mm(task);
	left = true;
	map_all();
}

static void reap(void)
{
	mmun_compat_non_block(1);
	mmun_soft_oom_reap(mm);
	mmun_compat_non_block(-1);
}

static const int rights[] = { PROT_NONE, PROT_READ, PROT_READ | PROT_WRITE,
			      PROT_READ | PROT_WRITE };

static void operation(const uint8_t *bytes)
{
	unsigned int a = bytes[1] % PAGES, b = bytes[2] % PAGES, value = bytes[3];
	unsigned long at = MEMORY + a * PAGE, length = (1 + b % (PAGES - a)) * PAGE;
	struct mm_struct *child_mm = child ? mmun_soft_task_mm(child) : NULL;
	unsigned long inside = at + bytes[2] * 16ul % (PAGE - sizeof(int));

	switch (bytes[0] % 19) {
	case 0:
		return device_reads(inside);
	case 1:
		return device_writes(inside, (int)value);
	case 2:
		mmun_soft_write(mm, inside, &value, sizeof(value), NULL);
		return;
	case 3:
		mmun_soft_munmap(mm, at, length);
		return;
	case 4:
		return map(at, length, PROT_READ | PROT_WRITE);
	case 5:
		mmun_soft_madvise(mm, at, length, value & 1 ? MADV_DONTNEED : MADV_PAGEOUT);
		return;
	case 6:
		mmun_soft_mprotect(mm, at, length, rights[value % 4]);
		return;
	case 7:
		mmun_soft_mremap(mm, at, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
				 MEMORY + b * PAGE);
		return;
	case 8:
		mmun_soft_reclaim(soft, value);
		return;
	case 9:
		mmun_soft_migrate(mm, at);
		return;
	case 10:
		return fork_or_exit();
	case 11:
		if (child)
			mmun_soft_write(child_mm, inside, &value, sizeof(value), NULL);
		return;
	case 12:
		return reap();
	case 13:
		ranged(MIRROR_WATCH, at, length / PAGE);
		return;
	case 14:
		if (value & 1)
			mmun_compat_ioctl(device, MIRROR_FORGET, 0);
		else
			ranged(MIRROR_PIN, at, length / PAGE);
		return;
	case 15:
		mmun_compat_ioctl(device, value & 1 ? MIRROR_UNPIN : MIRROR_FILL, value);
		return;
	case 16:
		mmun_soft_madvise(mm, at, length, value & 1 ? MADV_DONTFORK : MADV_DOFORK);
		return;
	case 17:
		allocations = value % 8;
		return;
	case 18:
		return exec();
	}
}

static void begin(uint8_t kind)
{
	const struct mmun_soft_params params = { .memory = 1ul << 20,
						 .swap = kind & 1 ? 1ul << 20 : 0 };

	must(!mmun_soft_create(&params, &soft) && !mmun_soft_task_create(soft, &task),
	     "no machine");
	mm = mmun_soft_task_mm(task);
	mmun_compat_start(soft);
	mmun_compat_set_current(task);
	must(!mmun_compat_load() && !mmun_compat_open("mirror", 0, &device), "no device");
	left = false;
	map_all();
	must(!ranged(MIRROR_WATCH, MEMORY, PAGES), "the device does not follow the memory");
	allocations = 0;
	mmun_compat_fail_allocations(fails, NULL);
}

/* The device is closed before its user goes, or after. */
static void end(uint8_t kind)
{
	mmun_compat_fail_allocations(NULL, NULL);
	mmun_compat_set_current(NULL);
	if (kind & 2)
		mmun_compat_close(device);
	if (child)
		mmun_soft_exit(child);
	child = NULL;
	mmun_soft_exit(task);
	if (!(kind & 2))
		mmun_compat_close(device);
	mmun_compat_unload();
	mmun_compat_stop();
	must(!mmun_compat_allocated(), "the driver has not freed what it allocated");
	must(!mmun_compat_warnings(), "the driver warned");
	must(!mmun_soft_destroy(soft), "the driver has not put its files, pages or mm");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size)
		return 0;
	begin(data[0]);
	for (size_t i = 1; i + 4 <= size && i < 400; i += 4)
		operation(data + i);
	end(data[0]);
	return 0;
}
