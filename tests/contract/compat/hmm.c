/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* hmm_range_fault(): looking, faulting, and what it leaves in the array. */
#include "machine.h"

#include <linux/hmm-dma.h>
#include <linux/hmm.h>
#include <linux/hugetlb.h>

static bool invalidate(struct mmu_interval_notifier *sub, const struct mmu_notifier_range *range,
		       unsigned long cur_seq)
{
	mmu_interval_set_seq(sub, cur_seq);
	return true;
}

static const struct mmu_interval_notifier_ops ops = { .invalidate = invalidate };

static struct mmu_interval_notifier sub;
static unsigned long pfns[8];
static struct hmm_range range = { .notifier = &sub, .hmm_pfns = pfns };

static void watch(unsigned long pages)
{
	range.start = AT;
	range.end = AT + pages * PAGE_SIZE;
	range.default_flags = 0;
	range.pfn_flags_mask = 0;
	memset(pfns, 0, sizeof(pfns));
	sub.mm = NULL;
	is(mmu_interval_notifier_insert(&sub, current->mm, AT, pages * PAGE_SIZE, &ops), 0,
	   "an interval notifier");
	range.notifier_seq = mmu_interval_read_begin(&sub);
}

static int fault(void)
{
	int ret;

	mmap_read_lock(sub.mm);
	ret = hmm_range_fault(&range);
	mmap_read_unlock(sub.mm);
	return ret;
}

static int fault_again(void)
{
	range.notifier_seq = mmu_interval_read_begin(&sub);
	return fault();
}

static void test_fault(void)
{
	map(AT, 2, PROT_READ | PROT_WRITE);
	watch(2);
	is(fault(), 0, "a look without faulting");
	ok(!pfns[0] && !pfns[1], "finds nothing");
	range.default_flags = HMM_PFN_REQ_FAULT;
	pfns[1] = HMM_PFN_REQ_WRITE;
	range.pfn_flags_mask = HMM_PFN_REQ_WRITE;
	is(fault(), 0, "one with it");
	ok(pfns[0] & HMM_PFN_VALID && !(pfns[0] & HMM_PFN_WRITE), "finds a page to read");
	ok(pfns[1] & HMM_PFN_WRITE, "and one to write");
	mmun_soft_madvise(current->mm, AT, PAGE_SIZE, MADV_DONTNEED);
	is(fault(), -EBUSY, "after a section it says -EBUSY");
	range.default_flags |= HMM_PFN_REQ_WRITE;
	mmun_soft_mprotect(current->mm, AT, PAGE_SIZE, PROT_READ);
	pfns[0] = 0x123;
	is(fault_again(), -EPERM, "no right to write");
	is(pfns[0], 0x123, "leaves the entry alone");
	range.end = range.start;
	is(fault_again(), -EINVAL, "no page at all");
	mmu_interval_notifier_remove(&sub);
}

/* Page 0 is there, 1 may not be read, 2 is not mapped, 3 is not there. */
static void test_snapshot(void)
{
	char c = 1;

	map(AT, 4, PROT_READ | PROT_WRITE);
	mmun_soft_write(current->mm, AT, &c, 1, NULL);
	mmun_soft_write(current->mm, AT + PAGE_SIZE, &c, 1, NULL);
	mmun_soft_mprotect(current->mm, AT + PAGE_SIZE, PAGE_SIZE, PROT_NONE);
	mmun_soft_munmap(current->mm, AT + 2 * PAGE_SIZE, PAGE_SIZE);
	watch(5);
	mmun_soft_munmap(current->mm, AT + 4 * PAGE_SIZE, PAGE_SIZE);
	is(fault_again(), 0, "a look at what cannot be faulted");
	ok((pfns[0] & (HMM_PFN_VALID | HMM_PFN_WRITE)) == (HMM_PFN_VALID | HMM_PFN_WRITE),
	   "the page that is there");
	is(pfns[1], HMM_PFN_ERROR, "one that may not be read is an error, though it is there");
	is(pfns[2], HMM_PFN_ERROR, "no mapping is one");
	is(pfns[3], 0, "a page that is not there is none");
	is(pfns[4], HMM_PFN_ERROR, "behind the last mapping is nothing");
	memset(pfns, 0, sizeof(pfns));
	range.default_flags = HMM_PFN_REQ_FAULT;
	is(fault_again(), -EFAULT, "faulting them fails");
	ok(pfns[0] & HMM_PFN_VALID, "after the page before them");
	is(pfns[1], 0, "and leaves theirs alone");
	range.start = AT + 2 * PAGE_SIZE;
	is(fault_again(), -EFAULT, "no mapping cannot be faulted");
	range.start = AT;
	range.default_flags = 0;
	range.pfn_flags_mask = HMM_PFN_REQ_FAULT;
	memset(pfns, 0, sizeof(pfns));
	pfns[3] = HMM_PFN_REQ_FAULT;
	is(fault_again(), 0, "faulting the last one only");
	ok(pfns[1] == HMM_PFN_ERROR && pfns[3] & HMM_PFN_VALID,
	   "faults it and looks at the others");
	mmu_interval_notifier_remove(&sub);
}

static int map_device(struct file *file, struct vm_area_struct *vma)
{
	vm_flags_set(vma, VM_PFNMAP);
	return 0;
}

static const struct file_operations device = { .mmap = map_device };

static void test_device(void)
{
	struct file *file;

	if (mmun_soft_device_create(soft, "registers", &device, NULL, &file))
		bail_out("no device");
	mmun_soft_mmap(current->mm, AT, PAGE_SIZE, PROT_READ, MAP_SHARED | MAP_FIXED, file, 0);
	mmun_soft_file_put(file);
	watch(1);
	is(fault_again(), 0, "a look at registers");
	is(pfns[0], HMM_PFN_ERROR, "is an error");
	range.default_flags = HMM_PFN_REQ_FAULT;
	is(fault_again(), -EFAULT, "they cannot be faulted");
	mmu_interval_notifier_remove(&sub);
	mmun_soft_munmap(current->mm, AT, PAGE_SIZE);
}

static void test_huge(void)
{
	char c = 1;

	mmun_soft_mmap(current->mm, AT, PMD_SIZE, PROT_READ | PROT_WRITE,
		       MAP_ANONYMOUS | MAP_PRIVATE | MAP_FIXED, NULL, 0);
	mmun_soft_madvise(current->mm, AT, PMD_SIZE, MADV_HUGEPAGE);
	mmun_soft_write(current->mm, AT, &c, 1, NULL);
	watch(3);
	is(fault_again(), 0, "a look at a huge page");
	is(hmm_pfn_to_map_order(pfns[2]), HPAGE_PMD_ORDER, "says how it is mapped");
	ok(hmm_pfn_to_page(pfns[2]) == hmm_pfn_to_page(pfns[0]) + 2, "frames follow each other");
	mmu_interval_notifier_remove(&sub);
	mmun_soft_munmap(current->mm, AT, PMD_SIZE);
}

static void test_hugetlb(void)
{
	const struct vm_area_struct *vma;

	is(mmun_soft_mmap(current->mm, AT, PMD_SIZE, PROT_READ | PROT_WRITE,
			  MAP_ANONYMOUS | MAP_PRIVATE | MAP_FIXED | MAP_HUGETLB, NULL, 0),
	   AT, "memory that is always huge");
	mmap_read_lock(current->mm);
	vma = vma_lookup(current->mm, AT);
	ok(vma && is_vm_hugetlb_page(vma), "says so");
	mmap_read_unlock(current->mm);
	watch(3);
	range.default_flags = HMM_PFN_REQ_FAULT | HMM_PFN_REQ_WRITE;
	is(fault_again(), 0, "it is faulted to be written");
	for (int i = 0; i < 3; i++) {
		is(hmm_pfn_to_map_order(pfns[i]), HPAGE_PMD_ORDER, "page %d is huge", i);
		ok(pfns[i] & HMM_PFN_WRITE, "and writable");
	}
	range.default_flags = 0;
	is(mmun_soft_mprotect(current->mm, AT, PMD_SIZE, PROT_READ), 0, "no more to be written");
	is(fault_again(), 0, "another look");
	is(hmm_pfn_to_map_order(pfns[2]), HPAGE_PMD_ORDER, "finds it huge");
	ok(!(pfns[2] & HMM_PFN_WRITE), "and not writable");
	mmu_interval_notifier_remove(&sub);
	mmun_soft_munmap(current->mm, AT, PMD_SIZE);
}

static void test_dma(void)
{
	struct device dev = { .driver_data = NULL };
	struct hmm_dma_map dma;
	dma_addr_t address;

	map(AT, 2, PROT_READ | PROT_WRITE);
	watch(2);
	is(hmm_dma_map_alloc(&dev, &dma, 2, PAGE_SIZE), 0, "lists for DMA");
	range.hmm_pfns = dma.pfn_list;
	range.default_flags = HMM_PFN_REQ_FAULT;
	is(fault_again(), 0, "faulted to read");
	address = hmm_dma_map_pfn(&dev, &dma, 1, NULL);
	is(address, page_to_phys(hmm_pfn_to_page(dma.pfn_list[1])), "mapped at its address");
	is(mmun_compat_allocated(), 3, "once");
	is(fault_again(), 0, "a look at it");
	ok(dma.pfn_list[1] & HMM_PFN_DMA_MAPPED && !(dma.pfn_list[0] & HMM_PFN_DMA_MAPPED),
	   "leaves the mark");
	is(hmm_dma_map_pfn(&dev, &dma, 1, NULL), address, "mapped again, it stays");
	is(mmun_compat_allocated(), 3, "as it is");
	ok(!hmm_dma_unmap_pfn(&dev, &dma, 0), "what is not mapped is not unmapped");
	ok(hmm_dma_unmap_pfn(&dev, &dma, 1) && !hmm_dma_unmap_pfn(&dev, &dma, 1), "what is, once");
	hmm_dma_map_free(&dev, &dma);
	range.hmm_pfns = pfns;
	mmu_interval_notifier_remove(&sub);
}

int main(void)
{
	start_machine();
	test_fault();
	test_snapshot();
	test_device();
	test_huge();
	test_hugetlb();
	test_dma();
	stop_machine(0);
	return tap_done();
}
