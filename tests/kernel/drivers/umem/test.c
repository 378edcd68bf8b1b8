/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A pinned region: its pages stay the device's, whatever happens to the address space, and
 * those that move or go leave it alone.  What is pinned is counted, and limited.
 */
#include "../../changes.h"

#include <linux/highmem.h>
#include <linux/hmm.h>
#include <rdma/ib_umem_odp.h>

#define AT     0x10000000ul
#define PAGES  24ul
#define ROUNDS 300

static struct device dma_device;
static struct ib_device device = { .dma_device = &dma_device };

/* The driver has them for regions of other kinds. */
void ib_umem_odp_release(struct ib_umem_odp *umem_odp)
{
	bail_out("no region is one on demand");
}

void ib_umem_dmabuf_release(struct ib_umem_dmabuf *umem_dmabuf)
{
	bail_out("no region is of a buffer");
}

static long pinned(void)
{
	return atomic64_read(&mm->pinned_vm);
}

static struct page *region_page(struct ib_umem *umem, unsigned long i)
{
	struct sg_page_iter iter;

	for_each_sgtable_page(&umem->sgt_append.sgt, &iter, 0) {
		if (!i--)
			return sg_page_iter_page(&iter);
	}
	return NULL;
}

/* The device reads page @i by the address that it was given. */
static unsigned long device_get(struct ib_umem *umem, unsigned long i)
{
	unsigned long value;
	struct sg_dma_page_iter iter;
	struct page *page = NULL;

	for_each_sgtable_dma_page(&umem->sgt_append.sgt, &iter, 0) {
		if (!i--) {
			page = pfn_to_page(PHYS_PFN(sg_page_iter_dma_address(&iter)));
			break;
		}
	}
	memcpy_from_page((char *)&value, page, 0, sizeof(value));
	return value;
}

static void test_pinned_pages(void)
{
	struct ib_umem *umem = ib_umem_get(&device, AT, PAGES * PAGE_SIZE, IB_ACCESS_LOCAL_WRITE);
	struct mmun_soft_translation t;
	unsigned long same = 0;
	char copied[8];

	ok(!IS_ERR(umem), "a region is pinned");
	is(pinned(), PAGES, "and counted");
	for (unsigned long i = 0; i < PAGES; i++)
		put(AT + i * PAGE_SIZE, 100 + i);
	for (unsigned int what = 1; what < ALL_CHANGES; what <<= 1) {
		if (what & (MIGRATE | FORK | PROTECT | PAGEOUT | RECLAIM))
			change((enum change)what, AT, PAGES);
	}
	for (unsigned long i = 0; i < PAGES; i++)
		same += !mmun_soft_translate_present(mm, AT + i * PAGE_SIZE, &t) &&
			t.page == region_page(umem, i);
	is(same, PAGES, "migration, fork, reclaim and mprotect() leave them where they are");
	put(AT + PAGE_SIZE, 77);
	is(device_get(umem, 1), 77, "what the task writes after them the device reads");
	is(ib_umem_copy_from(copied, umem, PAGE_SIZE, sizeof(copied)), 0, "and the driver");
	is(*(unsigned long *)copied, 77, "the same");
	is(ib_umem_copy_from(copied, umem, PAGES * PAGE_SIZE - 4, sizeof(copied)), -EINVAL,
	   "not beyond the end");
	mmun_soft_munmap(mm, AT, PAGE_SIZE);
	map(AT, 1, PROT_READ | PROT_WRITE, 0, NULL);
	put(AT, 9);
	is(device_get(umem, 0), 1,
	   "what was unmapped stays the device's, and is no more its address's");
	ok(ib_umem_find_best_pgsz(umem, PAGE_SIZE | PMD_SIZE, AT) == PAGE_SIZE, "its page size");
	ib_umem_release(umem);
	is(pinned(), 0, "nothing is pinned at the end");
	change(DONTNEED, AT, PAGES);
}

static void test_limits(void)
{
	struct ib_umem *umem, *more;

	ok(PTR_ERR(ib_umem_get(&device, ~0ul - 100, 200, 0)) == -EINVAL, "a range that wraps");
	ok(PTR_ERR(ib_umem_get(&device, AT, 200, IB_ACCESS_ON_DEMAND)) == -EOPNOTSUPP,
	   "one on demand");
	ok(PTR_ERR(ib_umem_get(&device, 0x50000000, 200, 0)) == -EFAULT, "one of nothing");
	is(pinned(), 0, "counted back");
	mmun_compat_limit_locked(8 * PAGE_SIZE);
	umem = ib_umem_get(&device, AT, 6 * PAGE_SIZE, IB_ACCESS_LOCAL_WRITE);
	ok(!IS_ERR(umem), "six pages of eight that may be pinned");
	more = ib_umem_get(&device, AT, 3 * PAGE_SIZE, IB_ACCESS_LOCAL_WRITE);
	ok(PTR_ERR(more) == -ENOMEM, "three more may not");
	is(pinned(), 6, "and are not counted");
	ib_umem_release(umem);
	mmun_compat_limit_locked(0);
	ok(PTR_ERR(ib_umem_get(&device, AT, 1, 0)) == -EPERM, "a limit of nothing");
	mmun_compat_limit_locked(~0ul);
}

static long countdown;

static bool refuse(size_t size, void *arg)
{
	return __atomic_sub_fetch(&countdown, 1, __ATOMIC_SEQ_CST) == 0;
}

static void test_failing_allocations(void)
{
	struct ib_umem *umem = NULL;
	int failures = -1;

	mmun_compat_fail_allocations(refuse, NULL);
	do {
		countdown = ++failures + 1;
		umem = ib_umem_get(&device, AT, PAGES * PAGE_SIZE, IB_ACCESS_LOCAL_WRITE);
	} while (IS_ERR(umem));
	mmun_compat_fail_allocations(NULL, NULL);
	ok(failures > 3, "each of its %d allocations may fail", failures);
	ib_umem_release(umem);
	is(pinned(), 0, "with nothing left pinned");
}

/* Only read: a device that does not write sees the zero page's content. */
static void test_read_only(void)
{
	struct ib_umem *umem;

	map(AT, 1, PROT_READ, 0, NULL);
	umem = ib_umem_get(&device, AT, PAGE_SIZE, IB_ACCESS_REMOTE_READ);
#if TEST_LINUX >= 0x0603
	ok(PTR_ERR(ib_umem_get(&device, AT, PAGE_SIZE, IB_ACCESS_LOCAL_WRITE)) == -EFAULT,
	   "a read-only page is not pinned for writing");
#endif
	if (!IS_ERR(umem)) {
		is(device_get(umem, 0), 0, "one that is only read is");
		ib_umem_release(umem);
	}
	map(AT, 1, PROT_READ | PROT_WRITE, 0, NULL);
}

static void test_threads(void)
{
	struct changes changes = { .at = AT, .pages = PAGES, .which = ALL_CHANGES & ~WRITE };
	unsigned long wrong = 0;
	unsigned int state = 1;

	start_changes(&changes);
	for (int i = 0; i < ROUNDS || changed(&changes) < ROUNDS; i++) {
		unsigned long first = draw(&state, PAGES);
		unsigned long pages = 1 + draw(&state, (unsigned int)(PAGES - first));
		struct ib_umem *umem = ib_umem_get(&device, AT + first * PAGE_SIZE,
						   pages * PAGE_SIZE, IB_ACCESS_LOCAL_WRITE);

		if (IS_ERR(umem))
			continue;
		/* What a page holds stays, wherever its address goes meanwhile. */
		for (unsigned long j = 0; j < pages; j++) {
			unsigned long value = i * 1000ul + j;

			memcpy_to_page(region_page(umem, j), 8, (char *)&value, sizeof(value));
		}
		for (unsigned long j = 0; j < pages; j++) {
			unsigned long value;

			memcpy_from_page((char *)&value, region_page(umem, j), 8, sizeof(value));
			wrong += value != i * 1000ul + j;
		}
		ib_umem_release(umem);
	}
	stop_changes(&changes);
	is(wrong, 0, "what is pinned keeps its content, whatever another thread does");
	is(pinned(), 0, "and everything is counted back");
}

/* Pages outlive the memory they were of. */
static void test_exit(void)
{
	struct ib_umem *umem = ib_umem_get(&device, AT, 2 * PAGE_SIZE, IB_ACCESS_LOCAL_WRITE);

	put(AT, 5);
	end_task();
	is(device_get(umem, 0), 5, "after the task's end the device still has its pages");
	ib_umem_release(umem);
}

int main(void)
{
	start_machine();
	mmun_compat_set_loglevel(3);
	map(AT, PAGES, PROT_READ | PROT_WRITE, 0, NULL);
	test_pinned_pages();
	test_limits();
	test_failing_allocations();
	test_read_only();
	test_threads();
	test_exit();
	stop_machine(0);
	return tap_done();
}
