/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The device of test_hmm.c mirrors the memory of a task: what it reads is what the task has
 * there, through every way in which that changes, in turn and at the same time.  The kernel's
 * own test of it, with the memory of the device, is in ../../hmm.
 */
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "../../../tap.h"

#include <linux/mmu_notifier.h>
#include <lib/test_hmm_uapi.h>
#include <mmunotify/compat.h>

#define PAGE   MMUN_SOFT_PAGE_SIZE
#define MEMORY 0x10000000ul
#define PAGES  16ul
/* Of the task: what a call takes, and what it gives. */
#define ARGUMENT 0x20000000ul
#define BUFFER   0x20010000ul
#define ROUNDS   300

static struct mmun_soft *soft;
static struct mmun_soft_task *task;
static struct mm_struct *mm;
static struct file *device;

#undef mmu_interval_notifier_insert
int mmu_interval_notifier_insert(struct mmu_interval_notifier *sub, struct mm_struct *mm,
				 unsigned long start, unsigned long length,
				 const struct mmu_interval_notifier_ops *ops);

static bool deaf;

static bool ignore(struct mmu_interval_notifier *sub, const struct mmu_notifier_range *range,
		   unsigned long seq)
{
	mmu_interval_set_seq(sub, seq);
	return true;
}

static const struct mmu_interval_notifier_ops ignoring = { .invalidate = ignore };

/* What the driver calls instead. */
int insert_of_test(struct mmu_interval_notifier *sub, struct mm_struct *mm, unsigned long start,
		   unsigned long length, const struct mmu_interval_notifier_ops *ops)
{
	return mmu_interval_notifier_insert(sub, mm, start, length, deaf ? &ignoring : ops);
}

static void map(unsigned long at, unsigned long pages)
{
	if (mmun_soft_is_error(mmun_soft_mmap(mm, at, pages * PAGE, PROT_READ | PROT_WRITE,
					      MAP_ANONYMOUS | MAP_PRIVATE | MAP_FIXED, NULL, 0)))
		bail_out("no mapping");
}

static void put(unsigned long address, unsigned long value)
{
	mmun_soft_write(mm, address, &value, sizeof(value), NULL);
}

static unsigned long get(unsigned long address)
{
	unsigned long value = ~0ul;

	mmun_soft_read(mm, address, &value, sizeof(value), NULL);
	return value;
}

/* The device reads @pages pages from @address on to BUFFER, or writes them from there. */
static long device_does(unsigned int command, unsigned long address, unsigned long pages)
{
	struct hmm_dmirror_cmd argument = { .addr = address, .ptr = BUFFER, .npages = pages };

	if (mmun_soft_write(mm, ARGUMENT, &argument, sizeof(argument), NULL))
		bail_out("no argument");
	return mmun_compat_ioctl(device, command, ARGUMENT);
}

static unsigned long device_gets(unsigned long address)
{
	long ret = device_does(HMM_DMIRROR_READ, address, 1);

	return ret ? ret : get(BUFFER);
}

static long device_puts(unsigned long address, unsigned long value)
{
	put(BUFFER, value);
	return device_does(HMM_DMIRROR_WRITE, address, 1);
}

static void begin(void)
{
	const struct mmun_soft_params params = { .memory = 32ul << 20, .swap = 16ul << 20 };

	if (mmun_soft_create(&params, &soft) || mmun_soft_task_create(soft, &task))
		bail_out("no machine");
	mm = mmun_soft_task_mm(task);
	mmun_compat_start(soft);
	mmun_compat_set_current(task);
	is(mmun_compat_load(), 0, "the module loads");
	is(mmun_compat_open("hmm_dmirror0", O_RDWR, &device), 0, "its device opens");
	map(MEMORY, PAGES);
	map(ARGUMENT, 1);
	map(BUFFER, PAGES);
}

static void end(void)
{
	mmun_compat_close(device);
	mmun_compat_set_current(NULL);
	mmun_soft_exit(task);
	mmun_compat_unload();
	mmun_compat_stop();
	is(mmun_compat_allocated(), 0, "the driver frees what it allocates");
	is(mmun_compat_warnings(), 0, "and warns of nothing");
	is(mmun_soft_destroy(soft), 0, "the machine has nothing left");
}

static void test_in_turn(void)
{
	unsigned long at = MEMORY + PAGE;
	struct mmun_soft_task *child;

	put(at, 1);
	is(device_gets(at), 1, "the device reads what the task wrote");
	is(device_puts(at, 2), 0, "it writes");
	is(get(at), 2, "which the task reads");
	mmun_soft_madvise(mm, at, PAGE, MADV_DONTNEED);
	is(device_gets(at), 0, "after DONTNEED it reads the new page");
	device_puts(at, 3);
	is(mmun_soft_fork(task, &child), 0, "the task forks");
	put(at, 4);
	is(device_gets(at), 4, "and writes: the device follows the task");
	is(device_puts(at, 5), 0, "writes too");
	mmun_soft_exit(child);
	mmun_soft_migrate(mm, at);
	is(device_gets(at), 5, "moved to another frame");
	mmun_soft_madvise(mm, at, PAGE, MADV_PAGEOUT);
	is(device_gets(at), 5, "swapped out and in");
	mmun_soft_mprotect(mm, at, PAGE, PROT_READ);
	is(device_puts(at, 6), -EPERM, "read-only: it cannot write");
	is(device_gets(at), 5, "but read");
	mmun_soft_munmap(mm, at, PAGE);
	is(device_gets(at), -EFAULT, "unmapped: it cannot read");
	map(at, 1);
	is(device_gets(at), 0, "mapped anew: it can");
}

/* A thread that replaces pages, and stamps each with its address. */
static bool stop;

static void *replace(void *ignored)
{
	struct mmun_soft_task *child;

	for (unsigned int n = 0; !__atomic_load_n(&stop, __ATOMIC_ACQUIRE); n++) {
		unsigned long at = MEMORY + n / 4 % PAGES * PAGE;

		switch (n % 4) {
		case 0:
			mmun_soft_madvise(mm, at, PAGE, MADV_DONTNEED);
			break;
		case 1:
			mmun_soft_migrate(mm, at);
			break;
		case 2:
			mmun_soft_madvise(mm, at, PAGE, MADV_PAGEOUT);
			break;
		default:
			if (!mmun_soft_fork(task, &child)) {
				put(at, at);
				mmun_soft_exit(child);
			}
		}
		put(at, at);
	}
	return NULL;
}

/* -EBUSY: there were sections until the driver's time was over. */
static bool is_refused(long ret)
{
	return ret && ret != -EBUSY;
}

static void test_at_the_same_time(void)
{
	unsigned long refused = 0, foreign = 0;
	pthread_t thread;

	if (pthread_create(&thread, NULL, replace, NULL))
		bail_out("no thread");
	for (unsigned int round = 0; round < ROUNDS; round++) {
		refused += is_refused(device_does(HMM_DMIRROR_READ, MEMORY, PAGES));
		for (unsigned long n = 0; n < PAGES; n++) {
			unsigned long value = get(BUFFER + n * PAGE);

			foreign += value && value != MEMORY + n * PAGE;
		}
		/* What it has just read: where that was 0 the stamp is lost, and comes again. */
		refused += is_refused(device_does(HMM_DMIRROR_WRITE, MEMORY, PAGES));
	}
	__atomic_store_n(&stop, true, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	is(refused, 0, "while memory is replaced the device reads and writes");
	is(foreign, 0, "and reads only what is of that address");
}

static void test_control(void)
{
	unsigned long at = MEMORY + PAGE;
	struct mmun_soft_task *child;

	mmun_compat_close(device);
	deaf = true;
	is(mmun_compat_open("hmm_dmirror0", O_RDWR, &device), 0, "without its callback it opens");
	put(at, 7);
	is(device_gets(at), 7, "it reads");
	/* The child keeps the frame: it is not used anew. */
	is(mmun_soft_fork(task, &child), 0, "the task forks");
	put(at, 8);
	is(device_gets(at), 7, "and writes: the device reads what was there before");
	mmun_soft_exit(child);
}

int main(void)
{
	begin();
	test_in_turn();
	test_at_the_same_time();
	test_control();
	end();
	return tap_done();
}
