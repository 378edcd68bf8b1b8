/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A software address space, and a guest of secondary/kvm that sees it.
 */
#include <linux/falloc.h>
#include <sys/mman.h>

#include <mmunotify/soft.h>

#include "kvm.h"
#include "memory.h"

#define PAGE MMUN_SOFT_PAGE_SIZE
#define AREA (MEMORY_PAGES * PAGE)

static struct mmun_soft *soft;
static struct mm_struct *mm, *child;
static struct file *file;
static struct mmun_kvm *kvm;
static struct mmun_kvm_vcpu *vcpu;
static unsigned long area;

static unsigned long at(int page)
{
	return area + (unsigned long)page * PAGE;
}

static void map(int page, int pages, enum memory_kind kind, int file_page)
{
	int flags = MAP_FIXED | (kind == SHARED_FILE ? MAP_SHARED : MAP_PRIVATE) |
		    (kind == PRIVATE_MEMORY ? MAP_ANONYMOUS : 0);

	mmun_soft_mmap(mm, at(page), (size_t)pages * PAGE, PROT_READ | PROT_WRITE, flags,
		       kind == PRIVATE_MEMORY ? NULL : file, (uint64_t)file_page * PAGE);
}

static void unmap(int page, int pages)
{
	mmun_soft_munmap(mm, at(page), (size_t)pages * PAGE);
}

static void move(int page, int to)
{
	mmun_soft_mremap(mm, at(page), PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, at(to));
}

static void protect(int page, int pages, bool write)
{
	mmun_soft_mprotect(mm, at(page), (size_t)pages * PAGE,
			   PROT_READ | (write ? PROT_WRITE : 0));
}

static void advise(int page, int pages, int advice)
{
	mmun_soft_madvise(mm, at(page), (size_t)pages * PAGE, advice);
}

static long load(int page)
{
	long value;

	return mmun_soft_read(mm, at(page), &value, sizeof(value), NULL) ? -1 : value;
}

static bool store(int page, long value)
{
	return !mmun_soft_write(mm, at(page), &value, sizeof(value), NULL);
}

static void fork_child(void)
{
	if (mmun_soft_mm_fork(mm, &child))
		child = NULL;
}

static void reap(void)
{
	if (child)
		mmput(child);
	child = NULL;
}

static void truncate_file(int pages)
{
	mmun_soft_ftruncate(file, (uint64_t)pages * PAGE);
}

static void punch(int page, int pages)
{
	mmun_soft_punch_hole(file, (uint64_t)page * PAGE, (uint64_t)pages * PAGE);
}

static void write_file(int page, long value)
{
	mmun_soft_pwrite(file, &value, sizeof(value), (uint64_t)page * PAGE);
}

static long guest_load(int page)
{
	long value;

	return mmun_kvm_read(vcpu, (unsigned long)page * PAGE, &value, sizeof(value)) ? -1 : value;
}

static bool guest_store(int page, long value)
{
	return !mmun_kvm_write(vcpu, (unsigned long)page * PAGE, &value, sizeof(value));
}

static const char *begin(void)
{
	const struct mmun_kvm_region region = { .size = AREA, .address = 0x10000000 };

	area = region.address;
	if (mmun_soft_create(NULL, &soft) || mmun_soft_mm_create(soft, &mm) ||
	    mmun_soft_file_create(soft, "file", MMUN_SOFT_FILE_SHMEM, MEMORY_FILE_PAGES * PAGE,
				  &file) ||
	    mmun_kvm_create(mm, NULL, &kvm) || mmun_kvm_vcpu_create(kvm, &vcpu) ||
	    mmun_kvm_set_region(kvm, &region))
		return "no memory for a software guest";
	map(0, MEMORY_PAGES, PRIVATE_MEMORY, 0);
	return NULL;
}

static void end(void)
{
	reap();
	mmun_kvm_vcpu_destroy(vcpu);
	mmun_kvm_destroy(kvm);
	mmput(mm);
	mmun_soft_file_put(file);
	mmun_soft_destroy(soft);
}

const struct memory_ops soft_memory = {
	.name = "secondary/kvm",
	.begin = begin,
	.end = end,
	.map = map,
	.unmap = unmap,
	.move = move,
	.protect = protect,
	.advise = advise,
	.load = load,
	.store = store,
	.fork = fork_child,
	.reap = reap,
	.truncate = truncate_file,
	.punch = punch,
	.write_file = write_file,
	.guest_load = guest_load,
	.guest_store = guest_store,
};
