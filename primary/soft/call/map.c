/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * mmap.
 *
 * I1  What can fail without a driver's doing is done before anything that is in the
 *     way of MAP_FIXED goes; only a driver's ->mmap that refuses leaves a hole.
 * I2  A driver's ->mmap runs with the mmap lock held for write, no section open and no
 *     change begun: it may register a notifier there.
 *
 * Not here: where it goes (vma/area.c), what it merges with (vma/merge.c).
 * Tests: tests/unit/soft/map.c.
 */
#include <errno.h>
#include <sys/mman.h>

#include "call/call.h"
#include "section.h"
#include "table/table.h"
#include "vma/vma.h"

#ifndef MAP_SHARED_VALIDATE
#define MAP_SHARED_VALIDATE 0x03
#endif
#define MAP_KINDS 0x0f
#ifndef MAP_HUGE_SHIFT
#define MAP_HUGE_SHIFT 26
#define MAP_HUGE_MASK  0x3f
#endif

/* What MAP_SHARED always let pass; MAP_SHARED_VALIDATE refuses everything else. */
#define KNOWN_FLAGS \
	(MAP_SHARED | MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS | MAP_DENYWRITE | MAP_EXECUTABLE | \
	 MAP_GROWSDOWN | MAP_LOCKED | MAP_NORESERVE | MAP_POPULATE | MAP_NONBLOCK | MAP_STACK | \
	 MAP_HUGETLB | MAP_32BIT)

struct request {
	struct soft_mm *mm;
	struct soft_span span;
	/* An anonymous shared mapping brings a file of its own: owned by the VMA, once there is one. */
	bool own_file;
};

unsigned long mmun_soft_vm_flags(int prot)
{
	return (prot & PROT_READ ? VM_READ : 0) | (prot & PROT_WRITE ? VM_WRITE : 0) |
	       (prot & PROT_EXEC ? VM_EXEC : 0);
}

/* As in Linux such a mapping merges with none. */
static unsigned long hugetlb_bits(int flags)
{
	return flags & MAP_HUGETLB ? VM_HUGETLB | VM_DONTEXPAND : 0;
}

static unsigned long flag_bits(int flags)
{
	return (flags & MAP_GROWSDOWN ? VM_GROWSDOWN : 0) | (flags & MAP_LOCKED ? VM_LOCKED : 0) |
	       (flags & MAP_STACK ? VM_NOHUGEPAGE : 0) |
	       (flags & MAP_NORESERVE ? VM_NORESERVE : 0) | hugetlb_bits(flags);
}

bool mmun_soft_accountable(unsigned long flags)
{
	return (flags & (VM_NORESERVE | VM_SHARED | VM_WRITE)) == VM_WRITE;
}

static int check_file(const struct file *file, int flags, unsigned long vm_flags, uint64_t offset,
		      unsigned long length)
{
	if (flags & MAP_HUGETLB)
		return -EINVAL;
	if (length > INT64_MAX || offset > INT64_MAX - length)
		return -EOVERFLOW;
	switch (flags & MAP_KINDS) {
	case MAP_SHARED_VALIDATE:
		if (flags & ~(KNOWN_FLAGS | MAP_SHARED_VALIDATE))
			return -EOPNOTSUPP;
		break;
	case MAP_SHARED:
	case MAP_PRIVATE:
		break;
	default:
		return -EINVAL;
	}
	if (soft_file(file)->device && !file->f_op->mmap)
		return -ENODEV;
	return vm_flags & VM_GROWSDOWN ? -EINVAL : 0;
}

/* Of one size, private ones: there is no pool to reserve them in. */
static int check_hugetlb(const struct request *r, int flags, const struct soft_place *place)
{
	const unsigned int order = (unsigned int)flags >> MAP_HUGE_SHIFT & MAP_HUGE_MASK;
	const unsigned long wanted = (place->end - place->start) >> MMUN_SOFT_HUGE_SHIFT;

	if (order && order != MMUN_SOFT_HUGE_SHIFT)
		return -EINVAL;
	if (place->start != soft_huge_start(place->start))
		return flags & (MAP_FIXED | MAP_FIXED_NOREPLACE) ? -EINVAL : -ENOMEM;
	if ((flags & MAP_KINDS) != MAP_PRIVATE)
		return -ENOMEM;
	return flags & MAP_NORESERVE || wanted <= mmun_soft_free_huge(r->mm->soft) ? 0 : -ENOMEM;
}

static int check_anonymous(int flags, unsigned long vm_flags)
{
	switch (flags & MAP_KINDS) {
	case MAP_SHARED:
		return vm_flags & VM_GROWSDOWN ? -EINVAL : 0;
	case MAP_PRIVATE:
		return 0;
	default:
		return -EINVAL;
	}
}

/* Fills @r->span; the address is found here. */
static int describe_request(struct request *r, unsigned long address, unsigned long length,
			    int prot, int flags, uint64_t offset)
{
	const bool shared = (flags & MAP_KINDS) != MAP_PRIVATE;
	const bool fixed = flags & (MAP_FIXED | MAP_FIXED_NOREPLACE);
	struct soft_span *span = &r->span;
	unsigned long vm_flags = mmun_soft_vm_flags(prot) | flag_bits(flags) | VM_MAYREAD |
				 VM_MAYWRITE | VM_MAYEXEC;
	int ret;

	if (!fixed && (address & MMUN_SOFT_PAGE_MASK) &&
	    (address & MMUN_SOFT_PAGE_MASK) < MMUN_SOFT_MIN_ADDRESS)
		address = MMUN_SOFT_MIN_ADDRESS;
	if (flags & MAP_HUGETLB && !fixed && address != soft_huge_start(address))
		address = 0;
	address = mmun_soft_area(r->mm, address, length, fixed,
				 !span->file && !shared && length % MMUN_SOFT_HUGE_SIZE == 0);
	if (mmun_soft_is_error(address))
		return (int)(long)address;
	if (flags & MAP_FIXED_NOREPLACE && mmun_soft_area_used(r->mm, address, address + length))
		return -EEXIST;
	ret = span->file ? check_file(span->file, flags, vm_flags, offset, length)
			 : check_anonymous(flags, vm_flags);
	if (ret)
		return ret;

	span->flags = vm_flags | (shared ? VM_SHARED | VM_MAYSHARE : 0);
	span->place.start = address;
	span->place.end = address + length;
	if (flags & MAP_HUGETLB) {
		ret = check_hugetlb(r, flags, &span->place);
		if (ret)
			return ret;
	}
	if (span->file)
		span->place.pgoff = offset >> MMUN_SOFT_PAGE_SHIFT;
	else
		span->place.pgoff = shared ? 0 : address >> MMUN_SOFT_PAGE_SHIFT;
	return 0;
}

/* The VMA for the case that nothing merges, with its file. */
static struct soft_vma *make_vma(struct request *r)
{
	const struct soft_span *span = &r->span;
	struct soft_vma *vma = mmun_soft_vma_alloc(r->mm);

	if (!vma)
		return NULL;
	vma->v.vm_start = span->place.start;
	vma->v.vm_end = span->place.end;
	vma->v.vm_pgoff = span->place.pgoff;
	vma->v.vm_flags = span->flags;
	vma->v.vm_file = span->file;
	if (span->file) {
		mmun_soft_file_get(span->file);
	} else if (span->flags & VM_SHARED) {
		if (mmun_soft_file_create(r->mm->soft, "/dev/zero (deleted)", MMUN_SOFT_FILE_SHMEM,
					  span->place.end - span->place.start, &vma->v.vm_file)) {
			mmun_soft_vma_free(vma);
			return NULL;
		}
	}
	return vma;
}

/* Not by the caller: the last put of a device may call a ->release that wants the mmap lock. */
static void drop_vma(struct soft_mm *mm, struct soft_vma *vma)
{
	vma->next_closing = mm->closing;
	mm->closing = vma;
}

/* The driver refused: what it had put in already goes again. */
static void undo_driver(struct soft_mm *mm, struct soft_vma *vma, const struct soft_place *place)
{
	struct soft_section section;

	mmun_soft_section_start(&section, mm->mm, MMU_NOTIFY_UNMAP, MMUN_OP_DRIVER, place->start,
				place->end, false);
	mmun_soft_zap(vma, place->start, place->end, NULL);
	mmun_soft_section_end(&section, false);
	mmun_soft_tables_free(mm, place->start, place->end);
}

static int install_vma(struct soft_mm *mm, struct soft_vma *vma, const struct soft_place *place)
{
	struct file *file = vma->v.vm_file;
	int ret = 0;

	if (file && soft_file(file)->device)
		ret = file->f_op->mmap(file, &vma->v);
	if (ret) {
		undo_driver(mm, vma, place);
		drop_vma(mm, vma);
		return ret;
	}
	soft_vma_set_flags(vma, vma->v.vm_flags | VM_SOFTDIRTY);
	if (vma->v.vm_flags & SOFT_VM_SPECIAL)
		soft_vma_set_flags(vma, vma->v.vm_flags & ~VM_LOCKED);
	mmun_soft_vma_link(mm, vma);
	return 0;
}

static unsigned long pages_inside(const struct soft_mm *mm, unsigned long start, unsigned long end)
{
	struct soft_vma *vma = mmun_soft_vma_find(mm, start);
	unsigned long pages = 0;

	for (; vma && vma->v.vm_start < end; vma = mmun_soft_vma_next(vma))
		pages += soft_vma_pages(vma);
	return pages;
}

/* Linux counts first and refuses then; what was split on the way stays split. */
static int make_room(struct request *r)
{
	const struct soft_place *place = &r->span.place;
	int ret = mmun_soft_unmap_prepare(r->mm, place->start, place->end);
	unsigned long pages = (place->end - place->start) >> MMUN_SOFT_PAGE_SHIFT;

	if (ret)
		return ret;
	pages -= pages_inside(r->mm, place->start, place->end);
	return mmun_soft_may_expand(r->mm, pages) ? 0 : -ENOMEM;
}

static int mmap_region(struct request *r)
{
	struct soft_span *span = &r->span;
	struct soft_vma *vma = make_vma(r), *merged;
	int ret = vma ? make_room(r) : -ENOMEM;

	if (!vma)
		return ret;
	if (ret) {
		drop_vma(r->mm, vma);
		return ret;
	}
	mmun_soft_unmap_prepared(r->mm, span->place.start, span->place.end, MMUN_OP_MMAP_FIXED);
	if (mmun_soft_accountable(span->flags)) {
		span->flags |= VM_ACCOUNT;
		soft_vma_set_flags(vma, span->flags);
	}
	merged = mmun_soft_vma_merge_new(r->mm, span, false);
	if (!merged)
		return install_vma(r->mm, vma, &span->place);
	soft_vma_set_flags(merged, merged->v.vm_flags | VM_SOFTDIRTY);
	drop_vma(r->mm, vma);
	return 0;
}

static bool wants_pages(int flags)
{
	return flags & MAP_LOCKED || (flags & (MAP_POPULATE | MAP_NONBLOCK)) == MAP_POPULATE;
}

static mmun_soft_address do_mmap(struct request *r, unsigned long address, size_t length, int prot,
				 int flags, uint64_t offset)
{
	int ret;

	if (r->mm->map_count > mmun_soft_max_map_count(r->mm))
		return -ENOMEM;
	ret = describe_request(r, address, length, prot, flags, offset);
	if (!ret)
		ret = mmap_region(r);
	return ret ? (mmun_soft_address)ret : r->span.place.start;
}

mmun_soft_address mmun_soft_mmap(struct mm_struct *mm, unsigned long address, size_t length,
				 int prot, int flags, struct file *file, uint64_t offset)
{
	struct request r = {
		.mm = soft_mm(mm),
		.span.file = flags & MAP_ANONYMOUS ? NULL : file,
	};
	unsigned long size = soft_page_align(length);
	mmun_soft_address result;

	if (offset & ~MMUN_SOFT_PAGE_MASK || !length)
		return -EINVAL;
	if (!r.span.file && flags & MAP_HUGETLB)
		size = soft_huge_start(size + MMUN_SOFT_HUGE_SIZE - 1);
	if (!size)
		return -ENOMEM;
	mmap_write_lock(mm);
	result = do_mmap(&r, address, size, prot, flags, offset);
	mmun_soft_write_unlock(r.mm);
	if (!mmun_soft_is_error(result) && wants_pages(flags))
		mmun_soft_populate_quietly(mm, result, result + size);
	return result;
}
