/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* linux/mmu_notifier.h beside registration: young bits of entries and devices, what a primary MMU
 * calls, by the names with two underlines too. */
#include "machine.h"

#include <linux/hmm.h>
#include <linux/mmu_notifier.h>

static struct {
	struct mmu_notifier mn;
	/* What it answers, and of which range it was asked last. */
	int young;
	unsigned long start, end;
	unsigned int asked, flushed, starts, ends, released, flushes;
	bool blockable, read_only;
	void *owner;
	pte_t pte;
} seen;

static int clear_flush_young(struct mmu_notifier *mn, struct mm_struct *mm, unsigned long start,
			     unsigned long end)
{
	seen.flushed++;
	seen.start = start;
	seen.end = end;
	return seen.young;
}

static int clear_young(struct mmu_notifier *mn, struct mm_struct *mm, unsigned long start,
		       unsigned long end)
{
	seen.asked++;
	seen.start = start;
	seen.end = end;
	return seen.young;
}

static int test_young(struct mmu_notifier *mn, struct mm_struct *mm, unsigned long address)
{
	return seen.young;
}

static void change_pte(struct mmu_notifier *mn, struct mm_struct *mm, unsigned long address,
		       pte_t pte)
{
	seen.pte = pte;
}

static int range_start(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	seen.starts++;
	seen.blockable = mmu_notifier_range_blockable(range);
	seen.read_only = mmu_notifier_range_update_to_read_only(range);
	seen.owner = range->owner;
	return 0;
}

static void range_end(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	seen.ends++;
}

static void flush(struct mmu_notifier *mn, struct mm_struct *mm, unsigned long start,
		  unsigned long end)
{
	seen.flushes++;
}

static void release(struct mmu_notifier *mn, struct mm_struct *mm)
{
	seen.released++;
}

static const struct mmu_notifier_ops ops = {
	.release = release,
	.clear_flush_young = clear_flush_young,
	.clear_young = clear_young,
	.test_young = test_young,
	.change_pte = change_pte,
	.invalidate_range_start = range_start,
	.invalidate_range_end = range_end,
};

static const struct mmu_notifier_ops tlb_ops = { .arch_invalidate_secondary_tlbs = flush };
static struct mmu_notifier tlb = { .ops = &tlb_ops };

static void touch(unsigned long at)
{
	char byte = 1;

	if (mmun_soft_write(current->mm, at, &byte, 1, NULL))
		bail_out("cannot write");
}

static pmd_t *pmd_at(unsigned long at)
{
	static pmd_t pmd;

	pmd = *pmd_offset(pud_offset(p4d_offset(pgd_offset(current->mm, at), at), at), at);
	return &pmd;
}

static pte_t pte_at(unsigned long at)
{
	return *pte_offset_kernel(pmd_at(at), at);
}

static void test_young_page(void)
{
	struct vm_area_struct *vma = vma_lookup(current->mm, AT);
	pte_t pte = pte_at(AT);

	seen.young = 0;
	ok(pte_young(pte), "a page that was written is young");
	is(ptep_clear_young_notify(vma, AT, &pte), 1, "ptep_clear_young_notify() finds it so");
	ok(!pte_young(pte) && !pte_young(pte_at(AT)), "and not afterwards");
	ok(seen.asked == 1 && seen.start == AT && seen.end == AT + PAGE_SIZE,
	   "the device was asked too, of the page");
	is(ptep_clear_young_notify(vma, AT, &pte), 0, "neither is, the second time");
	seen.young = 1;
	is(ptep_clear_young_notify(vma, AT, &pte), 1, "the device's answer counts alone");
	seen.young = 0;
	touch(AT);
	pte = pte_at(AT);
	is(ptep_clear_flush_young_notify(vma, AT, &pte), 1, "ptep_clear_flush_young_notify()");
	is(ptep_clear_flush_young_notify(vma, AT, &pte), 0, "once");
	ok(seen.flushed == 2 && seen.asked == 3, "asks by the other callback");
	is(pte_present(pte_at(AT)), 1, "the page has stayed");
}

static void test_young_huge(void)
{
	const unsigned long at = 0x40000000ul;
	struct vm_area_struct *vma;
	pmd_t *pmd;

	map(at, PMD_SIZE / PAGE_SIZE, PROT_READ | PROT_WRITE);
	mmun_soft_madvise(current->mm, at, PMD_SIZE, MADV_HUGEPAGE);
	touch(at);
	vma = vma_lookup(current->mm, at);
	pmd = pmd_at(at);
	ok(pmd_trans_huge(*pmd), "a huge page");
	is(pmdp_clear_young_notify(vma, at, pmd), 1, "pmdp_clear_young_notify() finds it young");
	is(pmdp_clear_young_notify(vma, at, pmd), 0, "once");
	ok(seen.start == at && seen.end == at + PMD_SIZE, "the device is asked of all of it");
	touch(at + PAGE_SIZE);
	pmd = pmd_at(at);
	is(pmdp_clear_flush_young_notify(vma, at, pmd), 1, "pmdp_clear_flush_young_notify()");
	seen.young = 1;
	is(pmdp_clear_flush_young_notify(vma, at, pmd), 1, "by the device alone");
	seen.young = 0;
	mmun_soft_munmap(current->mm, at, PMD_SIZE);
}

static void test_asking(void)
{
	seen.young = 1;
	ok(mmu_notifier_clear_flush_young(current->mm, AT, AT + 1) &&
		   __mmu_notifier_clear_flush_young(current->mm, AT, AT + 1) &&
		   mmu_notifier_clear_young(current->mm, AT, AT + 1) &&
		   __mmu_notifier_clear_young(current->mm, AT, AT + 1) &&
		   mmu_notifier_test_young(current->mm, AT) &&
		   __mmu_notifier_test_young(current->mm, AT),
	   "young devices are asked by each name");
	seen.young = 0;
	ok(!__mmu_notifier_test_young(current->mm, AT) &&
		   !__mmu_notifier_clear_young(current->mm, AT, AT + 1),
	   "old ones say so");
	__mmu_notifier_change_pte(current->mm, AT, __pte(0x1234003));
	ok(pte_pfn(seen.pte) == 0x1234 && pte_write(seen.pte), "a pte_t is handed on");
}

static void test_change_pte(void)
{
	const unsigned long at = 0x20000000ul;
	pte_t pte;

	map(at, 2, PROT_READ | PROT_WRITE);
	touch(at);
	touch(at + PAGE_SIZE);
	mmun_soft_madvise(current->mm, at, 2 * PAGE_SIZE, MADV_MERGEABLE);
	for (int i = 0; i < 3; i++)
		mmun_soft_ksm_scan(soft);
	pte = pte_at(at + PAGE_SIZE);
	ok(pte_present(seen.pte) && !pte_write(seen.pte) && pte_pfn(seen.pte) == pte_pfn(pte),
	   "->change_pte has the entry of the merged page");
	mmun_soft_munmap(current->mm, at, 2 * PAGE_SIZE);
}

static void test_sections(void)
{
	struct mmu_notifier_range range;

	seen.starts = seen.ends = 0;
	mmu_notifier_range_init_owner(&range, MMU_NOTIFY_MIGRATE, 0, current->mm, AT,
				      AT + PAGE_SIZE, &seen);
	mmu_notifier_invalidate_range_start(&range);
	ok(seen.starts == 1 && seen.blockable && seen.owner == &seen, "a section opens");
	mmu_notifier_invalidate_range_end(&range);
	is(seen.ends, 1, "and closes");
	mmu_notifier_range_init(&range, MMU_NOTIFY_CLEAR, 0, current->mm, AT, AT + PAGE_SIZE);
	is(__mmu_notifier_invalidate_range_start(&range), 0, "__...range_start()");
	ok(seen.starts == 2 && !seen.blockable && !seen.owner, "may sleep if the range says so");
	__mmu_notifier_invalidate_range_end(&range);
	mmu_notifier_range_init(&range, MMU_NOTIFY_CLEAR, MMU_NOTIFIER_RANGE_BLOCKABLE, current->mm,
				AT, AT + PAGE_SIZE);
	is(__mmu_notifier_invalidate_range_start(&range), 0, "as this one does");
	ok(seen.blockable, "and its callbacks know");
	mmu_notifier_invalidate_range_only_end(&range);
	is(seen.ends, 3, "each has ended");
	mmu_notifier_arch_invalidate_secondary_tlbs(current->mm, AT, AT + PAGE_SIZE);
	__mmu_notifier_arch_invalidate_secondary_tlbs(current->mm, AT, AT + PAGE_SIZE);
	is(seen.flushes, 2, "a flush by either name");
}

static void test_read_only(void)
{
	mmun_soft_mprotect(current->mm, AT, PAGE_SIZE, PROT_READ);
	ok(seen.read_only, "mprotect() that takes the right to write away says so");
	mmun_soft_mprotect(current->mm, AT, PAGE_SIZE, PROT_NONE);
	ok(!seen.read_only, "one that takes every right does not");
	mmun_soft_mprotect(current->mm, AT, PAGE_SIZE, PROT_READ | PROT_WRITE);
	touch(AT);
	mmun_soft_madvise(current->mm, AT, PAGE_SIZE, MADV_DONTNEED);
	ok(!seen.read_only, "nor does what is no change of rights");
}

static void test_pfns(void)
{
	struct page *page = alloc_page(GFP_KERNEL);
	unsigned long pfn = page_to_pfn(page);
	unsigned long entry = pfn | HMM_PFN_VALID | 9ul << HMM_PFN_ORDER_SHIFT;

	ok(hmm_pfn_to_page(entry) == page && hmm_pfn_to_phys(entry) == page_to_phys(page) &&
		   hmm_pfn_to_map_order(entry) == 9,
	   "an entry of hmm_range_fault() in parts");
	__free_page(page);
}

/* Last: the address space has no notifiers afterwards. */
static void test_release(void)
{
	mmu_notifier_subscriptions_init(current->mm);
	mmu_notifier_subscriptions_destroy(current->mm);
	__mmu_notifier_subscriptions_destroy(current->mm);
	is(mm_has_notifiers(current->mm), 1, "the chain goes with its address space");
	mmu_notifier_release(current->mm);
	is(seen.released, 1, "mmu_notifier_release() calls ->release");
	__mmu_notifier_release(current->mm);
	is(seen.released, 1, "once");
}

int main(void)
{
	start_machine();
	seen.mn.ops = &ops;
	is(mm_has_notifiers(current->mm), 0, "no notifier yet");
	is(mmu_notifier_register(&seen.mn, current->mm), 0, "one that has sections");
	is(mmu_notifier_register(&tlb, current->mm), 0, "one that has flushes");
	map(AT, 4, PROT_READ | PROT_WRITE);
	touch(AT);
	test_young_page();
	test_young_huge();
	test_asking();
	test_change_pte();
	seen.flushes = 0;
	test_sections();
	test_read_only();
	test_pfns();
	test_release();
	mmu_notifier_unregister(&tlb, current->mm);
	mmu_notifier_unregister(&seen.mn, current->mm);
	stop_machine(0);
	return tap_done();
}
