/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Receive buffers of a device without faults: the driver pins pages, programs them into the
 * device's array, and takes an entry back when its addresses are unmapped.  It ignores other
 * changes: the pages are pinned.  So an entry never names a page that is free, and none is
 * there of an address that has been unmapped.
 */
#include "../../changes.h"

#include <linux/highmem.h>
#include <linux/mmu_notifier.h>

#include <drivers/infiniband/hw/hfi1/user_exp_rcv.h>

#define AT      0x10000000ul
#define PAGES   32ul
#define TIDS    0x20000000ul
#define ENTRIES 64u
#define GROUP   8u
#define ROUNDS  300

#undef mmu_interval_notifier_insert
int mmu_interval_notifier_insert(struct mmu_interval_notifier *sub, struct mm_struct *of,
				 unsigned long start, unsigned long length,
				 const struct mmu_interval_notifier_ops *ops);
int insert_of_test(struct mmu_interval_notifier *sub, struct mm_struct *of, unsigned long start,
		   unsigned long length, const struct mmu_interval_notifier_ops *ops);

/* The control: callbacks that do nothing. */
static bool deaf;

static bool ignore(struct mmu_interval_notifier *sub, const struct mmu_notifier_range *range,
		   unsigned long cur_seq)
{
	return true;
}

static const struct mmu_interval_notifier_ops deaf_ops = { .invalidate = ignore };

int insert_of_test(struct mmu_interval_notifier *sub, struct mm_struct *of, unsigned long start,
		   unsigned long length, const struct mmu_interval_notifier_ops *ops)
{
	return mmu_interval_notifier_insert(sub, of, start, length, deaf ? &deaf_ops : ops);
}

/* The device. */
static struct {
	unsigned long address;
	unsigned long pages;
} array[ENTRIES];
static pthread_mutex_t array_lock = PTHREAD_MUTEX_INITIALIZER;

static struct pci_dev pci;
static unsigned long events[HFI1_MAX_SHARED_CTXTS];
static struct hfi1_devdata dd = { .pcidev = &pci,
				  .flags = HFI1_PRESENT,
				  .rcv_entries = { GROUP },
				  .events = events,
				  .num_rcv_contexts = 1 };
static struct hfi1_ctxtdata context = { .dd = &dd, .expected_count = ENTRIES };
static struct hfi1_filedata fd = { .uctxt = &context };

void hfi1_put_tid(struct hfi1_devdata *devdata, u32 index, u32 type, unsigned long pa, u16 order)
{
	pthread_mutex_lock(&array_lock);
	array[index].address = pa;
	array[index].pages = type == PT_EXPECTED ? 1ul << (order - 1) : 0;
	pthread_mutex_unlock(&array_lock);
}

void hfi1_clear_tids(struct hfi1_ctxtdata *rcd)
{
	for (unsigned int i = 0; i < ENTRIES; i++)
		hfi1_put_tid(rcd->dd, i, PT_INVALID_FLUSH, 0, 0);
}

/* The device receives into all it has; the number of pages.  A free one reads as poison. */
static unsigned long receive(unsigned long *freed)
{
	unsigned long pages = 0;

	pthread_mutex_lock(&array_lock);
	for (unsigned int i = 0; i < ENTRIES; i++) {
		for (unsigned long j = 0; j < array[i].pages; j++, pages++) {
			struct page *page = pfn_to_page(PHYS_PFN(array[i].address) + j);
			unsigned char bytes[8], mark[8] = { 1, 2, 3 };

			memcpy_from_page((char *)bytes, page, 128, sizeof(bytes));
			*freed += bytes[0] == MMUN_SOFT_POISON && bytes[7] == MMUN_SOFT_POISON;
			memcpy_to_page(page, 128, (const char *)mark, sizeof(mark));
		}
	}
	pthread_mutex_unlock(&array_lock);
	return pages;
}

static unsigned long programmed(void)
{
	unsigned long freed = 0, pages = receive(&freed);

	is(freed, 0, "no entry names a free page");
	return pages;
}

static int set_up(unsigned long first, unsigned long pages, struct hfi1_tid_info *info)
{
	*info = (struct hfi1_tid_info){ .vaddr = AT + first * PAGE_SIZE,
					.length = (u32)(pages * PAGE_SIZE),
					.tidlist = TIDS };
	return hfi1_user_exp_rcv_setup(&fd, info);
}

static void open_file(void)
{
	mutex_init(&context.exp_mutex);
	spin_lock_init(&fd.tid_lock);
	spin_lock_init(&fd.invalid_lock);
	hfi1_exp_tid_group_init(&context);
	if (hfi1_alloc_ctxt_rcv_groups(&context) || hfi1_user_exp_rcv_init(&fd, &context))
		bail_out("no file");
}

static void test_unmap(void)
{
	struct hfi1_tid_info info, invalid = { .tidlist = TIDS };

	is(set_up(0, PAGES, &info), 0, "a buffer is programmed");
	is(info.length, PAGES * PAGE_SIZE, "all of it");
	is(programmed(), PAGES, "by entries of the device");
	is(atomic64_read(&mm->pinned_vm), PAGES, "whose pages are pinned");
	change(DONTNEED, AT, 4);
	change(MIGRATE, AT, PAGES);
	change(FORK, AT, 1);
	is(programmed(), PAGES, "what does not unmap leaves them");
	mmun_soft_munmap(mm, AT, PAGES * PAGE_SIZE);
	is(programmed(), 0, "what unmaps takes them back");
	is(atomic64_read(&mm->pinned_vm), 0, "and their pages are let go");
	ok(test_bit(_HFI1_EVENT_TID_MMU_NOTIFY_BIT, events), "the program hears of it");
	is(hfi1_user_exp_rcv_invalid(&fd, &invalid), 0, "and asks");
	is(invalid.tidcnt, info.tidcnt, "which: all");
	is(hfi1_user_exp_rcv_clear(&fd, &invalid), 0, "it gives them back");
	is(fd.tid_used, 0, "none is in use");
	map(AT, PAGES, PROT_READ | PROT_WRITE, 0, NULL);
}

/* Allocations are places in the middle of a set-up. */
static int countdown;

static void unmap_all(void)
{
	mmun_soft_munmap(mm, AT, 8 * PAGE_SIZE);
	map(AT, 8, PROT_READ | PROT_WRITE, 0, NULL);
}

static bool unmap_then(size_t size, void *arg)
{
	if (!--countdown)
		aside(unmap_all);
	return false;
}

static bool refuse(size_t size, void *arg)
{
	return !--countdown;
}

/* Takes back what a set-up has left that failed. */
static void sweep(void)
{
	hfi1_user_exp_rcv_free(&fd);
	hfi1_free_ctxt_rcv_groups(&context);
	fd.tid_used = 0;
	fd.tid_n_pinned = 0;
	open_file();
}

static void test_unmap_in_the_middle(void)
{
	struct hfi1_tid_info info;
	int ret, busy = 0, places = 0;
	unsigned long left = 0;

	do {
		countdown = ++places;
		mmun_compat_fail_allocations(unmap_then, NULL);
		ret = set_up(0, 8, &info);
		mmun_compat_fail_allocations(NULL, NULL);
		if (ret == -EBUSY) {
			unsigned long freed = 0;

			busy++;
			left += receive(&freed);
		} else if (!ret && countdown > 0) {
			is(hfi1_user_exp_rcv_clear(&fd, &info), 0, "one without is cleared");
		}
		sweep();
	} while (countdown <= 0);
	ok(busy >= 2, "%d set-ups of %d with an unmap in the middle find out", busy, places - 1);
	diag("%lu pages stay programmed after their set-ups had failed", left);
}

static void test_failing_allocations(void)
{
	struct hfi1_tid_info info;
	int ret, failures = 0;

	do {
		countdown = ++failures;
		mmun_compat_fail_allocations(refuse, NULL);
		ret = set_up(0, 8, &info);
		mmun_compat_fail_allocations(NULL, NULL);
		if (!ret)
			break;
		sweep();
	} while (failures < 100);
	ok(failures > 4 && failures < 100, "each of its %d allocations may fail", failures - 1);
	hfi1_user_exp_rcv_clear(&fd, &info);
	sweep();
	is(atomic64_read(&mm->pinned_vm), 0, "nothing stays pinned");
}

static void test_limits(void)
{
	struct hfi1_tid_info info;

	mmun_compat_limit_locked(16 * PAGE_SIZE);
	is(set_up(0, 8, &info), -ENOMEM, "more than a quarter of the limit");
	is(set_up(0, 4, &info), 0, "a quarter");
	is(hfi1_user_exp_rcv_clear(&fd, &info), 0, "is cleared");
	mmun_compat_limit_locked(~0ul);
	info.vaddr = AT + 1;
	is(hfi1_user_exp_rcv_setup(&fd, &info), -EINVAL, "a buffer that is not of pages");
}

static void test_threads(void)
{
	struct changes changes = { .at = AT, .pages = PAGES, .which = ALL_CHANGES };
	unsigned long freed = 0, pages = 0, done = 0;
	unsigned int state = 1;

	start_changes(&changes);
	for (int i = 0; i < ROUNDS || changed(&changes) < ROUNDS; i++) {
		unsigned long first = draw(&state, PAGES);
		struct hfi1_tid_info info, invalid = { .tidlist = TIDS + PAGE_SIZE };

		if (set_up(first, 1 + draw(&state, (unsigned int)(PAGES - first)), &info)) {
			sweep();
			continue;
		}
		pages += receive(&freed);
		hfi1_user_exp_rcv_invalid(&fd, &invalid);
		hfi1_user_exp_rcv_clear(&fd, &info);
		done++;
	}
	stop_changes(&changes);
	sweep();
	ok(done > 10, "buffers are programmed while another thread changes the memory");
	is(freed, 0, "none of whose pages was free when the device received");
	is(atomic64_read(&mm->pinned_vm), 0, "and nothing stays pinned");
	diag("%lu changes, %lu buffers, %lu pages", changed(&changes), done, pages);
}

/* Shows that the rest would be seen. */
static void test_control(void)
{
	struct hfi1_tid_info info;

	deaf = true;
	is(set_up(0, 8, &info), 0, "a buffer without callbacks");
	unmap_all();
	is(programmed(), 8, "stays programmed when it is unmapped");
	sweep();
	deaf = false;
}

/* The end of the memory is no unmapping to this driver: its file goes first, as files do. */
static void test_exit(void)
{
	struct hfi1_tid_info info;
	unsigned long freed = 0;

	is(set_up(0, 8, &info), 0, "a buffer at the end");
	hfi1_user_exp_rcv_free(&fd);
	hfi1_free_ctxt_rcv_groups(&context);
	end_task();
	is(receive(&freed), 0, "is taken back with the file");
}

int main(void)
{
	start_machine();
	map(AT, PAGES, PROT_READ | PROT_WRITE, 0, NULL);
	map(TIDS, 2, PROT_READ | PROT_WRITE, 0, NULL);
	open_file();
	test_unmap();
	test_unmap_in_the_middle();
	test_failing_allocations();
	test_limits();
	test_threads();
	test_control();
	test_exit();
	stop_machine(0);
	return tap_done();
}
