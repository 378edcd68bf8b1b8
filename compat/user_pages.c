/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A task's memory as drivers reach it: get_user_pages(), copies, pages in mappings.
 *
 * I1  What may fault is asked whether sleeping is allowed, and whether the mmap lock is free
 *     of the caller, also when nothing faults.
 *
 * Not here: hmm_range_fault() (hmm.c), page tables (pgtable.c).
 *
 * Tests: tests/contract/compat/memory.c, examples/kernel_driver/mirror_test.c.
 */
#include "runtime.h"

#include <signal.h>
#include <string.h>

#include <linux/highmem.h>
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

	mmun_compat_may_fault(mm, "get_user_pages_fast() or _unlocked() by a thread that holds the "
				  "mmap lock and would wait for itself");
	if (!mm)
		return -EFAULT;
	mmap_read_lock(mm);
	ret = mmun_soft_get_user_pages(mm, start, nr, gup_flags, pages);
	mmap_read_unlock(mm);
	return ret;
}

long(get_user_pages)(unsigned long start, unsigned long nr, unsigned int gup_flags,
		     struct page **pages)
{
	return locked(current->mm, start, nr, gup_flags, pages);
}

long(get_user_pages_remote)(struct mm_struct *mm, unsigned long start, unsigned long nr,
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

long(pin_user_pages)(unsigned long start, unsigned long nr, unsigned int gup_flags,
		     struct page **pages)
{
	return locked(current->mm, start, nr, gup_flags | FOLL_PIN, pages);
}

long(pin_user_pages_remote)(struct mm_struct *mm, unsigned long start, unsigned long nr,
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

void unpin_user_page_range_dirty_lock(struct page *page, unsigned long nr, bool dirty)
{
	for (unsigned long i = 0; i < nr; i++) {
		struct page *one = nth_page(page, i);

		unpin_user_pages_dirty_lock(&one, 1, dirty);
	}
}

void release_pages(struct page **pages, int nr)
{
	for (int i = 0; i < nr; i++)
		put_page(pages[i]);
}

vm_fault_t handle_mm_fault(struct vm_area_struct *vma, unsigned long address, unsigned int flags,
			   struct pt_regs *regs)
{
	bool write = flags & FAULT_FLAG_WRITE;
	struct mmun_soft_translation t;
	int ret;

	might_sleep();
	mmap_assert_locked(vma->vm_mm);
	if (write ? !(vma->vm_flags & VM_WRITE) : !(vma->vm_flags & (VM_READ | VM_WRITE | VM_EXEC)))
		return VM_FAULT_SIGSEGV;
	ret = mmun_soft_translate(vma->vm_mm, address, write, &t);
	return ret ? vmf_error(ret) : 0;
}

int fixup_user_fault(struct mm_struct *mm, unsigned long address, unsigned int fault_flags,
		     bool *unlocked)
{
	struct vm_area_struct *vma = vma_lookup(mm, address);
	vm_fault_t fault;

	if (!vma)
		return -EFAULT;
	fault = handle_mm_fault(vma, address, fault_flags, NULL);
	return fault & VM_FAULT_OOM ? -ENOMEM : fault ? -EFAULT : 0;
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

static int map_pages(struct vm_area_struct *vma, struct page **pages, unsigned long num,
		     unsigned long offset)
{
	unsigned long count = vma_pages(vma);

	if (offset >= num || count > num - offset)
		return -ENXIO;
	return vm_insert_pages(vma, vma->vm_start, pages + offset, &count);
}

int vm_map_pages(struct vm_area_struct *vma, struct page **pages, unsigned long num)
{
	return map_pages(vma, pages, num, vma->vm_pgoff);
}

int vm_map_pages_zero(struct vm_area_struct *vma, struct page **pages, unsigned long num)
{
	return map_pages(vma, pages, num, 0);
}

/* Another thread's fault may have been faster. */
static vm_fault_t inserted(int ret)
{
	if (ret == -ENOMEM)
		return VM_FAULT_OOM;
	return ret && ret != -EBUSY ? VM_FAULT_SIGBUS : VM_FAULT_NOPAGE;
}

vm_fault_t vmf_insert_page(struct vm_area_struct *vma, unsigned long address, struct page *page)
{
	return inserted(vm_insert_page(vma, address, page));
}

vm_fault_t vmf_insert_pfn(struct vm_area_struct *vma, unsigned long address, unsigned long pfn)
{
	BUG_ON(!(vma->vm_flags & VM_PFNMAP) || is_cow_mapping(vma->vm_flags));
	return inserted(mmun_soft_vm_insert_pfn(vma, address, pfn));
}

/* The kernel asks for the lock always; one that a driver calls in its fault has the flags already. */
static void become_pfnmap(struct vm_area_struct *vma)
{
	const unsigned long flags = VM_IO | VM_PFNMAP | VM_DONTEXPAND | VM_DONTDUMP;

	if ((vma->vm_flags & flags) == flags)
		return;
	mmap_assert_write_locked(vma->vm_mm);
	vm_flags_set(vma, flags);
}

int remap_pfn_range(struct vm_area_struct *vma, unsigned long address, unsigned long pfn,
		    unsigned long size, pgprot_t prot)
{
	const unsigned long end = address + PAGE_ALIGN(size);
	unsigned long at;
	int ret = 0;

	if (WARN_ON_ONCE(offset_in_page(address)))
		return -EINVAL;
	if (is_cow_mapping(vma->vm_flags)) {
		if (address != vma->vm_start || end != vma->vm_end)
			return -EINVAL;
		vma->vm_pgoff = pfn;
	}
	become_pfnmap(vma);
	for (at = address; !ret && at < end; at += PAGE_SIZE)
		ret = mmun_soft_vm_insert_pfn(vma, at, pfn++);
	BUG_ON(ret == -EBUSY);
	if (ret)
		zap_vma_ptes(vma, address, at - PAGE_SIZE - address);
	return ret;
}

/* Copies to and from the current task. */

#define COPY_UNDER_LOCK \
	"user memory is copied by a thread that holds the mmap lock: a fault would wait for itself"

static size_t (*outside)(unsigned long address, void *buffer, size_t length, bool write);

void mmun_compat_outside_memory(size_t (*copy)(unsigned long address, void *buffer, size_t length,
					       bool write))
{
	outside = copy;
}

/* The task's own memory as far as it goes, then what is outside.  Returns what is left. */
static unsigned long copy(unsigned long address, char *buffer, unsigned long n, bool write)
{
	struct mm_struct *mm = current->mm;
	struct mmun_soft_fault fault = { .code = SEGV_MAPERR, .address = address };
	unsigned long done;
	int ret = -EFAULT;

	mmun_compat_may_fault(mm, COPY_UNDER_LOCK);
	if (mm)
		ret = write ? mmun_soft_write(mm, address, buffer, n, &fault)
			    : mmun_soft_read(mm, address, buffer, n, &fault);
	if (!ret)
		return 0;
	done = fault.address > address ? min(fault.address - address, n) : 0;
	if (outside && fault.code == SEGV_MAPERR)
		done += outside(address + done, buffer + done, n - done, write);
	return n - done;
}

unsigned long copy_from_user(void *to, const void __user *from, unsigned long n)
{
	unsigned long rest = copy((unsigned long)from, (char *)to, n, false);

	memset((char *)to + (n - rest), 0, rest);
	return rest;
}

unsigned long copy_to_user(void __user *to, const void *from, unsigned long n)
{
	/* Only read through. */
	return copy((unsigned long)to, (char *)(uintptr_t)from, n, true);
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

void *memdup_array_user(const void __user *from, size_t n, size_t size)
{
	size_t length;

	if (check_mul_overflow(n, size, &length))
		return ERR_PTR(-EOVERFLOW);
	return memdup_user(from, length);
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

/* Contents of pages, which tasks may access at the same time: by words where both sides are
 * aligned alike, else byte by byte, atomically. */

static bool by_words(const char *to, const char *from, size_t length)
{
	return length >= sizeof(u64) &&
	       IS_ALIGNED((unsigned long)to | (unsigned long)from, sizeof(u64));
}

static void copy_bytes(char *to, const char *from, size_t length)
{
	for (; by_words(to, from, length); to += 8, from += 8, length -= 8)
		WRITE_ONCE(*(u64 *)to, READ_ONCE(*(const u64 *)from));
	for (; length; to++, from++, length--)
		WRITE_ONCE(*to, READ_ONCE(*from));
}

void(memcpy_from_page)(char *to, struct page *page, size_t offset, size_t length)
{
	BUG_ON(offset + length > PAGE_SIZE);
	copy_bytes(to, (const char *)page_address(page) + offset, length);
}

void(memcpy_to_page)(struct page *page, size_t offset, const char *from, size_t length)
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
	u64 *words = (u64 *)page_address(page);

	for (size_t i = 0; i < PAGE_SIZE / sizeof(*words); i++)
		WRITE_ONCE(words[i], 0);
}

/* Mappings of current. */

unsigned long vm_mmap(struct file *file, unsigned long address, unsigned long length,
		      unsigned long prot, unsigned long flags, unsigned long offset)
{
	struct mm_struct *mm = current->mm;

	mmun_compat_may_fault(mm, "vm_mmap() by a thread that holds the mmap lock");
	if (offset_in_page(offset))
		return (unsigned long)-EINVAL;
	return mmun_soft_mmap(mm, address, length, (int)prot, (int)flags, file, offset);
}

int vm_munmap(unsigned long start, size_t length)
{
	struct mm_struct *mm = current->mm;

	mmun_compat_may_fault(mm, "vm_munmap() by a thread that holds the mmap lock");
	return mmun_soft_munmap(mm, start, length);
}
