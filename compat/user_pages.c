// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * A task's memory as drivers reach it: get_user_pages(), copies, pages in mappings,
 * hmm_range_fault().
 *
 * I1  What may fault is asked whether sleeping is allowed, also when nothing faults.
 * I2  hmm_range_fault() looks at the notifier before each page, so a section in between
 *     is seen at the latest by the caller's own check.
 *
 * Tests: tests/contract/compat/memory.c, examples/kernel_driver/mirror_test.c.
 */
#include "runtime.h"

#include <string.h>

#include <linux/highmem.h>
#include <linux/hmm.h>
#include <linux/mm.h>
#include <linux/uaccess.h>

static long locked(struct mm_struct *mm, unsigned long start, unsigned long nr,
		   unsigned int gup_flags, struct page **pages)
{
	might_sleep();
	if (!mm)
		return -EFAULT;
	mmap_assert_locked(mm);
	return mmun_soft_get_user_pages(mm, start, nr, gup_flags, pages);
}

static long unlocked(unsigned long start, unsigned long nr, unsigned int gup_flags,
		     struct page **pages)
{
	struct mm_struct *mm = current->mm;
	long ret;

	might_sleep();
	if (!mm)
		return -EFAULT;
	mmap_read_lock(mm);
	ret = mmun_soft_get_user_pages(mm, start, nr, gup_flags, pages);
	mmap_read_unlock(mm);
	return ret;
}

long get_user_pages(unsigned long start, unsigned long nr, unsigned int gup_flags,
		    struct page **pages)
{
	return locked(current->mm, start, nr, gup_flags, pages);
}

long get_user_pages_remote(struct mm_struct *mm, unsigned long start, unsigned long nr,
			   unsigned int gup_flags, struct page **pages, int *still_locked)
{
	return locked(mm, start, nr, gup_flags, pages);
}

int get_user_pages_fast(unsigned long start, int nr, unsigned int gup_flags, struct page **pages)
{
	return (int)unlocked(start, (unsigned long)nr, gup_flags, pages);
}

long get_user_pages_unlocked(unsigned long start, unsigned long nr, struct page **pages,
			     unsigned int gup_flags)
{
	return unlocked(start, nr, gup_flags, pages);
}

long pin_user_pages(unsigned long start, unsigned long nr, unsigned int gup_flags,
		    struct page **pages)
{
	return locked(current->mm, start, nr, gup_flags | FOLL_PIN, pages);
}

long pin_user_pages_remote(struct mm_struct *mm, unsigned long start, unsigned long nr,
			   unsigned int gup_flags, struct page **pages, int *still_locked)
{
	return locked(mm, start, nr, gup_flags | FOLL_PIN, pages);
}

int pin_user_pages_fast(unsigned long start, int nr, unsigned int gup_flags, struct page **pages)
{
	return (int)unlocked(start, (unsigned long)nr, gup_flags | FOLL_PIN, pages);
}

long pin_user_pages_unlocked(unsigned long start, unsigned long nr, struct page **pages,
			     unsigned int gup_flags)
{
	return unlocked(start, nr, gup_flags | FOLL_PIN, pages);
}

void unpin_user_pages(struct page **pages, unsigned long nr)
{
	for (unsigned long i = 0; i < nr; i++)
		unpin_user_page(pages[i]);
}

void unpin_user_pages_dirty_lock(struct page **pages, unsigned long nr, bool dirty)
{
	for (unsigned long i = 0; dirty && i < nr; i++)
		set_page_dirty_lock(pages[i]);
	unpin_user_pages(pages, nr);
}

void release_pages(struct page **pages, int nr)
{
	for (int i = 0; i < nr; i++)
		put_page(pages[i]);
}

/* Mappings of devices. */

int vm_insert_pages(struct vm_area_struct *vma, unsigned long address, struct page **pages,
		    unsigned long *num)
{
	int ret = 0;

	for (; *num && !ret; address += PAGE_SIZE) {
		ret = vm_insert_page(vma, address, *pages++);
		*num -= !ret;
	}
	return ret;
}

int vm_map_pages(struct vm_area_struct *vma, struct page **pages, unsigned long num)
{
	unsigned long count = vma_pages(vma);

	if (vma->vm_pgoff >= num || count > num - vma->vm_pgoff)
		return -ENXIO;
	return vm_insert_pages(vma, vma->vm_start, pages + vma->vm_pgoff, &count);
}

vm_fault_t vmf_insert_page(struct vm_area_struct *vma, unsigned long address, struct page *page)
{
	int ret = vm_insert_page(vma, address, page);

	if (ret == -ENOMEM)
		return VM_FAULT_OOM;
	return ret && ret != -EBUSY ? VM_FAULT_SIGBUS : VM_FAULT_NOPAGE;
}

vm_fault_t vmf_insert_pfn(struct vm_area_struct *vma, unsigned long address, unsigned long pfn)
{
	if (!pfn_valid(pfn))
		return VM_FAULT_SIGBUS;
	return vmf_insert_page(vma, address, pfn_to_page(pfn));
}

/* Copies to and from the current task. */

static unsigned long left(unsigned long address, unsigned long n,
			  const struct mmun_soft_fault *fault)
{
	unsigned long done = fault->address > address ? fault->address - address : 0;

	return done < n ? n - done : n;
}

unsigned long copy_from_user(void *to, const void __user *from, unsigned long n)
{
	unsigned long address = (unsigned long)from, rest;
	struct mm_struct *mm = current->mm;
	struct mmun_soft_fault fault = { .address = address };

	might_sleep();
	if (mm && !mmun_soft_read(mm, address, to, n, &fault))
		return 0;
	rest = left(address, n, &fault);
	memset((char *)to + (n - rest), 0, rest);
	return rest;
}

unsigned long copy_to_user(void __user *to, const void *from, unsigned long n)
{
	unsigned long address = (unsigned long)to;
	struct mm_struct *mm = current->mm;
	struct mmun_soft_fault fault = { .address = address };

	might_sleep();
	if (mm && !mmun_soft_write(mm, address, from, n, &fault))
		return 0;
	return left(address, n, &fault);
}

unsigned long clear_user(void __user *to, unsigned long n)
{
	static const char zeros[256];
	char __user *at = (char __user *)to;

	while (n) {
		unsigned long part = min(n, sizeof(zeros)), rest = copy_to_user(at, zeros, part);

		n -= part - rest;
		if (rest)
			return n;
		at += part;
	}
	return 0;
}

long strncpy_from_user(char *to, const char __user *from, long n)
{
	for (long i = 0; i < n; i++) {
		if (copy_from_user(&to[i], from + i, 1))
			return -EFAULT;
		if (!to[i])
			return i;
	}
	return n;
}

void *memdup_user(const void __user *from, size_t length)
{
	void *copy = kmalloc(length, GFP_USER);

	if (!copy)
		return ERR_PTR(-ENOMEM);
	if (!copy_from_user(copy, from, length))
		return copy;
	kfree(copy);
	return ERR_PTR(-EFAULT);
}

/* A longer structure of a newer program is fine as long as the rest is zero. */
int copy_struct_from_user(void *to, size_t size, const void __user *from, size_t user_size)
{
	size_t both = min(size, user_size);
	char c;

	for (size_t i = both; i < user_size; i++) {
		if (copy_from_user(&c, (const char __user *)from + i, 1))
			return -EFAULT;
		if (c)
			return -E2BIG;
	}
	memset(to, 0, size);
	return copy_from_user(to, from, both) ? -EFAULT : 0;
}

/* Contents of pages, which tasks may access at the same time: byte by byte, atomically. */

static void copy_bytes(char *to, const char *from, size_t length)
{
	for (size_t i = 0; i < length; i++)
		WRITE_ONCE(to[i], READ_ONCE(from[i]));
}

void memcpy_from_page(char *to, struct page *page, size_t offset, size_t length)
{
	BUG_ON(offset + length > PAGE_SIZE);
	copy_bytes(to, (const char *)page_address(page) + offset, length);
}

void memcpy_to_page(struct page *page, size_t offset, const char *from, size_t length)
{
	BUG_ON(offset + length > PAGE_SIZE);
	copy_bytes((char *)page_address(page) + offset, from, length);
}

void copy_highpage(struct page *to, struct page *from)
{
	copy_bytes((char *)page_address(to), (const char *)page_address(from), PAGE_SIZE);
}

void clear_highpage(struct page *page)
{
	char *bytes = (char *)page_address(page);

	for (size_t i = 0; i < PAGE_SIZE; i++)
		WRITE_ONCE(bytes[i], 0);
}

/* hmm_range_fault() */

static unsigned long describe(const struct mmun_soft_translation *t)
{
	unsigned long flags = HMM_PFN_VALID | (t->writable ? (unsigned long)HMM_PFN_WRITE : 0);

	if (t->huge)
		flags |= (unsigned long)HPAGE_PMD_ORDER << HMM_PFN_ORDER_SHIFT;
	return page_to_pfn(t->page) | flags;
}

static int one(struct mm_struct *mm, unsigned long address, unsigned long request,
	       unsigned long *pfn)
{
	bool write = request & HMM_PFN_REQ_WRITE, fault = request & HMM_PFN_REQ_FAULT;
	struct mmun_soft_translation t;
	int ret = fault ? mmun_soft_translate(mm, address, write, &t)
			: mmun_soft_translate_present(mm, address, &t);

	if (!ret)
		*pfn = describe(&t);
	else
		*pfn = fault ? (unsigned long)HMM_PFN_ERROR : 0;
	return ret == -ENOENT ? 0 : ret;
}

int hmm_range_fault(struct hmm_range *range)
{
	struct mm_struct *mm = range->notifier->mm;
	unsigned long i, pages = (range->end - range->start) >> PAGE_SHIFT;

	might_sleep();
	mmap_assert_locked(mm);
	for (i = 0; i < pages; i++) {
		unsigned long *pfn = &range->hmm_pfns[i];
		int ret;

		if (mmu_interval_check_retry(range->notifier, range->notifier_seq))
			return -EBUSY;
		ret = one(mm, range->start + i * PAGE_SIZE,
			  range->default_flags | (*pfn & range->pfn_flags_mask), pfn);
		if (ret)
			return ret;
	}
	return 0;
}
