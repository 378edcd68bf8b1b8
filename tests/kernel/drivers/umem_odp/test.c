/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A region on demand, with a device of our own on top: it faults pages in by
 * ib_umem_odp_map_dma_and_lock(), keeps their addresses, uses them under umem_mutex, and loses
 * them by ib_umem_odp_unmap_dma_pages() in its callback, as mlx5 does.
 */
#include "../../changes.h"

#include <linux/hmm.h>
#include <linux/workqueue.h>
#include <rdma/ib_umem_odp.h>

#define AT     0x10000000ul
#define PAGES  16ul
#define ROUNDS 1500

static struct device dma_device;
static struct ib_device device = { .dma_device = &dma_device };
static struct ib_umem_odp *odp;
/* What the device has, under umem_mutex. */
static struct given given[PAGES];
static bool writable[PAGES];
static unsigned long invalidations;
/* The control: the callback does nothing. */
static bool deaf;

#if TEST_LINUX >= 0x0610
#define READ_MASK  HMM_PFN_VALID
#define WRITE_MASK HMM_PFN_WRITE
/* Has the driver an address of page @i? */
static bool mapped(unsigned long i)
{
	return odp->map.pfn_list[i] & HMM_PFN_VALID;
}

static bool mapped_for_writing(unsigned long i)
{
	return odp->map.pfn_list[i] & HMM_PFN_WRITE;
}

/* What it is: asked for one by one in these kernels. */
static dma_addr_t address_of(unsigned long i)
{
	odp->npages += !(odp->map.pfn_list[i] & HMM_PFN_DMA_MAPPED);
	return hmm_dma_map_pfn(&dma_device, &odp->map, i, NULL);
}
#else
#define READ_MASK  ODP_READ_ALLOWED_BIT
#define WRITE_MASK (ODP_READ_ALLOWED_BIT | ODP_WRITE_ALLOWED_BIT)
static bool mapped(unsigned long i)
{
	return odp->dma_list[i];
}

static bool mapped_for_writing(unsigned long i)
{
	return odp->dma_list[i] & ODP_WRITE_ALLOWED_BIT;
}

static dma_addr_t address_of(unsigned long i)
{
	return odp->dma_list[i] & ODP_DMA_ADDR_MASK;
}
#endif

/* Takes back what the driver says is there of @start...@end. */
static void zap(unsigned long start, unsigned long end)
{
	for (unsigned long i = 0; i < PAGES; i++) {
		unsigned long address = AT + i * PAGE_SIZE;

		if (address >= start && address < end && mapped(i))
			given[i].there = false;
	}
}

static bool invalidate(struct mmu_interval_notifier *sub, const struct mmu_notifier_range *range,
		       unsigned long cur_seq)
{
	struct ib_umem_odp *umem = container_of(sub, struct ib_umem_odp, notifier);

	if (deaf)
		return true;
	if (!mmu_notifier_range_blockable(range))
		return false;
	mutex_lock(&umem->umem_mutex);
	mmu_interval_set_seq(sub, cur_seq);
	zap(range->start, range->end);
	ib_umem_odp_unmap_dma_pages(umem, range->start, range->end);
	invalidations++;
	mutex_unlock(&umem->umem_mutex);
	return true;
}

static const struct mmu_interval_notifier_ops ops = { .invalidate = invalidate };

static void open_region(void)
{
	odp = ib_umem_odp_get(&device, AT, PAGES * PAGE_SIZE,
			      IB_ACCESS_ON_DEMAND | IB_ACCESS_LOCAL_WRITE, &ops);
	if (IS_ERR(odp))
		bail_out("no region");
}

/* Pages @first... are faulted in; what the driver says of them is right.  Their number. */
static int look(unsigned long first, unsigned long pages, bool write, bool fault)
{
	int got = ib_umem_odp_map_dma_and_lock(odp, AT + first * PAGE_SIZE, pages * PAGE_SIZE,
					       write ? WRITE_MASK : READ_MASK, fault);

	if (got < 0)
		return got;
	for (unsigned long i = first; i < first + (unsigned long)got; i++) {
		dma_addr_t address;

		if (!mapped(i)) {
			given[i].there = false;
			if (fault)
				got = -ENXIO;
			continue;
		}
		address = address_of(i);
		writable[i] = mapped_for_writing(i);
		if (!give(&given[i], AT + i * PAGE_SIZE, pfn_to_page(PHYS_PFN(address))))
			got = -ESTALE;
	}
	mutex_unlock(&odp->umem_mutex);
	return got;
}

/* The device reads each page that it has, and writes it if that is allowed.  Their number. */
static unsigned long use_all(void)
{
	unsigned long used = 0;

	mutex_lock(&odp->umem_mutex);
	for (unsigned long i = 0; i < PAGES; i++) {
		if (!given[i].there)
			continue;
		device_reads(&given[i], AT + i * PAGE_SIZE);
		if (writable[i])
			device_writes(&given[i], AT + i * PAGE_SIZE, i);
		used++;
	}
	mutex_unlock(&odp->umem_mutex);
	return used;
}

static void test_one_by_one(void)
{
	unsigned long before;

	is(look(0, 4, true, true), 4, "four pages are faulted in for writing");
	is(use_all(), 4, "the device uses them");
	is(get(AT + 3 * PAGE_SIZE), 3, "the task reads what it wrote");
	is(look(0, PAGES, false, false), PAGES, "a look without faulting");
	is(use_all(), 4, "finds no more");
	for (unsigned int what = 1; what < ALL_CHANGES; what <<= 1) {
		look(0, 4, true, true);
		before = invalidations;
		change((enum change)what, AT, 4);
		use_all();
		if (what != WRITE && what != RECLAIM)
			ok(invalidations > before, "change %#x is heard of", what);
	}
	is(violations(), 0, "no page was used after it had been replaced");
	is(look(PAGES, 1, false, true), -EFAULT, "beyond the region is nothing");
	mmun_soft_munmap(mm, AT + PAGE_SIZE, PAGE_SIZE);
	is(look(1, 1, false, true), -EFAULT, "nor where nothing is mapped");
	map(AT + PAGE_SIZE, 1, PROT_READ, 0, NULL);
	is(look(1, 1, true, true), -EPERM, "what is read-only is not to be written");
	is(look(1, 1, false, true), 1, "but read");
	map(AT, PAGES, PROT_READ | PROT_WRITE, 0, NULL);
}

static unsigned long sections;

static void section(void)
{
	sections++;
	mmun_soft_madvise(mm, AT, PAGE_SIZE, MADV_DONTNEED);
}

static void section_aside(void)
{
	aside(section);
}

static void test_section_in_the_middle(void)
{
	unsigned long before;

	map_hooked(AT + 2 * PAGE_SIZE, 1);
	look(0, 1, true, true);
	before = invalidations;
	in_fault = section_aside;
	is(look(0, 3, true, true), 3, "a look-up with a section in its middle succeeds");
	is(sections, 1, "there was one");
	is(invalidations, before + 1, "the callback ran in it");
	use_all();
	is(violations(), 0, "what was found before is not used");
	map(AT, PAGES, PROT_READ | PROT_WRITE, 0, NULL);
}

static void test_threads(void)
{
	struct changes changes = { .at = AT, .pages = PAGES, .which = ALL_CHANGES };
	unsigned long stale = 0, used = 0;
	unsigned int state = 1;

	start_changes(&changes);
	for (int i = 0; i < ROUNDS || changed(&changes) < ROUNDS / 8; i++) {
		unsigned long first = draw(&state, PAGES);
		unsigned long pages = 1 + draw(&state, (unsigned int)(PAGES - first));

		stale += look(first, pages, draw(&state, 2), draw(&state, 4)) == -ESTALE;
		used += use_all();
	}
	stop_changes(&changes);
	is(stale, 0, "each page that the driver found was the right one");
	is(violations(), 0, "and none was used after its time");
	diag("%lu changes, %lu invalidations, %lu uses", changed(&changes), invalidations, used);
}

static bool refuse(size_t size, void *arg)
{
	return true;
}

static void test_children(void)
{
	struct ib_umem_odp *root = ib_umem_odp_alloc_implicit(&device, IB_ACCESS_LOCAL_WRITE);

	ok(!IS_ERR(root), "an implicit region");
	ib_umem_odp_release(odp);
	odp = ib_umem_odp_alloc_child(root, AT, PAGES * PAGE_SIZE, &ops);
	ok(!IS_ERR(odp), "and a child");
	is(look(0, PAGES, true, true), PAGES, "is faulted in like another");
	mmun_compat_fail_allocations(refuse, NULL);
	ok(IS_ERR(ib_umem_odp_alloc_child(root, AT, PAGE_SIZE, &ops)), "no memory, no region");
	mmun_compat_fail_allocations(NULL, NULL);
	change(DONTNEED, AT, PAGES);
	use_all();
	is(violations(), 0, "nor is a page of a child used too late");
	ib_umem_odp_release(root);
}

/* Shows that the rest would be seen. */
static void test_control(void)
{
	unsigned long before = violations();

	look(0, 1, true, true);
	deaf = true;
	change(DONTNEED, AT, 1);
	use_all();
	ok(violations() > before, "without the callback the device uses a page too late");
	deaf = false;
	change(DONTNEED, AT, 1);
	mutex_lock(&odp->umem_mutex);
	zap(AT, AT + PAGES * PAGE_SIZE);
	ib_umem_odp_unmap_dma_pages(odp, AT, AT + PAGES * PAGE_SIZE);
	mutex_unlock(&odp->umem_mutex);
}

static void test_exit(void)
{
	look(0, PAGES, true, true);
	mmgrab(mm);
	/* The driver's own last users of the memory are put by a worker. */
	flush_scheduled_work();
	end_task();
	is(odp->npages, 0, "the end of the memory takes every page back");
	is(look(0, 1, true, true), -EINVAL, "and no more are found");
	mm = odp->umem.owning_mm;
	ib_umem_odp_release(odp);
	mmdrop(mm);
}

int main(void)
{
	start_machine();
	map(AT, PAGES, PROT_READ | PROT_WRITE, 0, NULL);
	open_region();
	test_one_by_one();
	test_section_in_the_middle();
	test_threads();
	test_children();
	test_control();
	test_exit();
	stop_machine(0);
	return tap_done();
}
