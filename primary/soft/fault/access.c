/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Loads, stores and instruction fetches of a task's processor.
 *
 * I1  Data is copied under the page_table_lock, while the entry permits it: no
 *     access goes to a page that is not mapped any more.  What a special entry names nothing keeps: the
 *     access that meets its end is refused, before or after it was transferred.
 * I2  An access that crosses pages is done page by page from below; what lies
 *     below the fault has been transferred, and the fault names the first byte
 *     that could not be.
 *
 * Tests: tests/unit/soft/fault.c.
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>

#include "fault/fault.h"
#include "frame/page.h"
#include "table/table.h"
#include "vma/vma.h"

/* The length is that of the part within one page. */
struct access {
	struct mm_struct *mm;
	unsigned long address;
	char *buffer;
	size_t length;
	unsigned int flags;
};

static int no_mapping(unsigned long address, struct mmun_soft_fault *why)
{
	return mmun_soft_refuse(why, address, SIGSEGV, SEGV_MAPERR, "no mapping there");
}

/* The stack grows, or another thread was faster.  mmap lock not held. */
static int grow_stack(struct mm_struct *mm, unsigned long address, struct mmun_soft_fault *why)
{
	struct soft_vma *vma;
	int ret = 0;

	mmap_write_lock(mm);
	vma = mmun_soft_vma_find(soft_mm(mm), address);
	if (!vma)
		ret = no_mapping(address, why);
	else if (vma->v.vm_start > address && !(vma->v.vm_flags & VM_GROWSDOWN))
		ret = no_mapping(address, why);
	else if (vma->v.vm_start > address &&
		 mmun_soft_vma_grow(vma, address & MMUN_SOFT_PAGE_MASK))
		ret = mmun_soft_refuse(why, address, SIGSEGV, SEGV_MAPERR,
				       "the mapping above cannot grow down to there");
	mmap_write_unlock(mm);
	return ret;
}

/* I1 */
static int transfer(const struct access *access, struct soft_vma *vma, struct mmun_soft_fault *why)
{
	struct soft_vm_fault vmf = {
		.vma = vma,
		.address = access->address,
		.flags = access->flags | SOFT_FAULT_ALLOW_RETRY,
		.why = why,
	};
	bool stale;
	char *bytes;
	int ret = mmun_soft_fault_in(&vmf);

	if (ret)
		return ret;
	bytes = (char *)mmun_soft_page_address(vmf.page) + (access->address & ~MMUN_SOFT_PAGE_MASK);
	if (access->flags & SOFT_FAULT_WRITE)
		mmun_soft_copy_in(bytes, access->buffer, access->length);
	else
		mmun_soft_copy_out(access->buffer, bytes, access->length);
	stale = mmun_soft_special_stale(&vmf);
	mmun_mutex_unlock(&soft_vma_mm(vma)->page_table_lock);
	return stale ? mmun_soft_special_violated(&vmf) : 0;
}

/* 0, -errno, or 1 when only a mapping that grows down is above.  -EAGAIN: a driver
 * wants the mmap lock to be free for a while. */
static int try_page(const struct access *access, struct mmun_soft_fault *why)
{
	struct soft_vma *vma;
	int ret;

	mmap_read_lock(access->mm);
	vma = mmun_soft_vma_find(soft_mm(access->mm), access->address);
	if (vma && vma->v.vm_start <= access->address)
		ret = transfer(access, vma, why);
	else if (vma && (vma->v.vm_flags & VM_GROWSDOWN))
		ret = 1;
	else
		ret = no_mapping(access->address, why);
	mmap_read_unlock(access->mm);
	return ret;
}

static int access_page(const struct access *access, struct mmun_soft_fault *why)
{
	int ret;

	for (;;) {
		ret = try_page(access, why);
		if (ret == -EAGAIN) {
			sched_yield();
			continue;
		}
		if (ret <= 0)
			return ret;
		ret = grow_stack(access->mm, access->address, why);
		if (ret)
			return ret;
	}
}

static void count_refusal(struct mmun_soft *soft, const struct mmun_soft_fault *why)
{
	if (why->signal == SIGSEGV)
		soft_stat_inc(soft, segv);
	else if (why->signal == SIGBUS)
		soft_stat_inc(soft, sigbus);
}

static int access_all(struct access *access, size_t left, struct mmun_soft_fault *fault)
{
	struct mmun_soft_fault why = { 0 };
	int ret = 0;

	while (left && !ret) {
		access->length = MMUN_SOFT_PAGE_SIZE - (access->address & ~MMUN_SOFT_PAGE_MASK);
		if (access->length > left)
			access->length = left;
		ret = access_page(access, &why);
		access->address += access->length;
		access->buffer += access->length;
		left -= access->length;
	}
	if (ret)
		count_refusal(soft_mm(access->mm)->soft, &why);
	if (fault)
		*fault = why;
	return ret;
}

int mmun_soft_read(struct mm_struct *mm, unsigned long address, void *buffer, size_t length,
		   struct mmun_soft_fault *fault)
{
	struct access access = { .mm = mm, .address = address, .buffer = buffer };

	return access_all(&access, length, fault);
}

int mmun_soft_write(struct mm_struct *mm, unsigned long address, const void *buffer, size_t length,
		    struct mmun_soft_fault *fault)
{
	struct access access = { .mm = mm,
				 .address = address,
				 .flags = SOFT_FAULT_WRITE,
				 /* Only read through. */
				 .buffer = (char *)(uintptr_t)buffer };

	return access_all(&access, length, fault);
}

int mmun_soft_fetch(struct mm_struct *mm, unsigned long address, void *buffer, size_t length,
		    struct mmun_soft_fault *fault)
{
	struct access access = {
		.mm = mm, .address = address, .buffer = buffer, .flags = SOFT_FAULT_EXEC
	};

	return access_all(&access, length, fault);
}
