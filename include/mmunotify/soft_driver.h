/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The driver's side of a software address space: devices that are mapped, the
 * pages that a driver handles, and the translations that a secondary MMU keeps.
 * Part of mmunotify/soft.h.
 *
 * Types with Linux's names keep Linux's contracts.  Functions are mmun_soft_*: this library is
 * loaded into programs; drivers find Linux's names in include/compat.
 */
#ifndef MMUNOTIFY_SOFT_DRIVER_H
#define MMUNOTIFY_SOFT_DRIVER_H

#include <mmunotify/soft.h>

#ifdef __cplusplus
extern "C" {
#endif

#pragma GCC visibility push(default)

/* Devices: files whose driver answers mmap and faults; kernel names, kernel contracts. */

struct inode;
struct poll_table_struct;
struct vm_fault {
	struct vm_area_struct *vma;
	unsigned int flags; /* FAULT_FLAG_* */
	unsigned long pgoff;
	unsigned long address; /* page aligned */
	/** A ->fault that returns 0 leaves here a page with a reference for the mapping. */
	struct page *page;
	/** In ->migrate_to_ram not NULL: the page is not part of a huge one.  Not to be followed. */
	const void *pte;
};
#define FAULT_FLAG_WRITE 0x01u
/** VM_FAULT_RETRY drops the mmap lock before the next try.  Without it (get_user_pages,
 *  translate) the lock stays held: do not wait for somebody who needs it.  VM_FAULT_RETRY is no
 *  answer to such a fault, which is not asked again; its caller gets -EBUSY. */
#define FAULT_FLAG_ALLOW_RETRY 0x04u
typedef unsigned int vm_fault_t;
#define VM_FAULT_OOM     0x0001u
#define VM_FAULT_SIGBUS  0x0002u
#define VM_FAULT_SIGSEGV 0x0040u
#define VM_FAULT_NOPAGE  0x0100u
#define VM_FAULT_RETRY   0x0400u

/*
 * vm_operations_struct - what a driver does for a mapping of its file.
 */
struct vm_operations_struct {
	/** A VMA came to be by split, move or fork / goes away.  mmap lock held for write. */
	void (*open)(struct vm_area_struct *vma);
	void (*close)(struct vm_area_struct *vma);
	int (*may_split)(struct vm_area_struct *vma, unsigned long address);
	/** mmap lock held for read.  VM_FAULT_NOPAGE: the driver has set the entry itself. */
	vm_fault_t (*fault)(struct vm_fault *vmf);
	const char *(*name)(struct vm_area_struct *vma);
	/* Xen's drivers set them; nothing here calls them, a page is found by its frame. */
	struct page *(*find_special_page)(struct vm_area_struct *vma, unsigned long address);
	struct page *(*find_normal_page)(struct vm_area_struct *vma, unsigned long address);
};

struct file_operations {
	void *owner;
	/** Inside mmun_soft_mmap(), the mmap lock held for write, @vma not yet in the tree.
	 *  0 or -errno: nothing is mapped then, but what was below MAP_FIXED is gone. */
	int (*mmap)(struct file *file, struct vm_area_struct *vma);
	long (*unlocked_ioctl)(struct file *file, unsigned int cmd, unsigned long arg);
	int (*open)(struct inode *inode, struct file *file);
	int (*flush)(struct file *file, void *id);
	int (*release)(struct inode *inode, struct file *file);
	/* Nothing here calls these; include/compat does.  long is the loff_t of libc. */
	ssize_t (*read)(struct file *file, char *buffer, size_t length, long *offset);
	ssize_t (*write)(struct file *file, const char *buffer, size_t length, long *offset);
	long (*llseek)(struct file *file, long offset, int whence);
	unsigned int (*poll)(struct file *file, struct poll_table_struct *wait);
	long (*compat_ioctl)(struct file *file, unsigned int cmd, unsigned long arg);
};

struct file {
	const struct file_operations *f_op;
	void *private_data;
	/* For who opens it: handed to ->open and ->release. */
	struct inode *f_inode;
	unsigned int f_flags, f_mode;
	long f_pos;
};

/** mmun_soft_device_create() - a file that @fops drives; ->release runs at the last put. */
int mmun_soft_device_create(struct mmun_soft *soft, const char *name,
			    const struct file_operations *fops, void *private_data,
			    struct file **out);

#define VM_READ       0x00000001ul
#define VM_WRITE      0x00000002ul
#define VM_EXEC       0x00000004ul
#define VM_SHARED     0x00000008ul
#define VM_MAYREAD    0x00000010ul
#define VM_MAYWRITE   0x00000020ul
#define VM_MAYEXEC    0x00000040ul
#define VM_MAYSHARE   0x00000080ul
#define VM_GROWSDOWN  0x00000100ul
#define VM_PFNMAP     0x00000400ul
#define VM_LOCKED     0x00002000ul
#define VM_IO         0x00004000ul
#define VM_SEQ_READ   0x00008000ul
#define VM_RAND_READ  0x00010000ul
#define VM_DONTCOPY   0x00020000ul
#define VM_DONTEXPAND 0x00040000ul
#define VM_ACCOUNT    0x00100000ul
#define VM_NORESERVE  0x00200000ul
#define VM_HUGETLB    0x00400000ul
#define VM_NONLINEAR  0x00800000ul
#define VM_WIPEONFORK 0x02000000ul
#define VM_DONTDUMP   0x04000000ul
#define VM_SOFTDIRTY  0x08000000ul
#define VM_MIXEDMAP   0x10000000ul
#define VM_HUGEPAGE   0x20000000ul
#define VM_NOHUGEPAGE 0x40000000ul
#define VM_MERGEABLE  0x80000000ul

typedef struct {
	unsigned long pgprot;
} pgprot_t;

/** A mapping.  Stable while the mmap lock is held (read or write), changed under write. */
struct vm_area_struct {
	unsigned long vm_start, vm_end;
	struct mm_struct *vm_mm;
	unsigned long vm_flags;
	unsigned long vm_pgoff;
	struct file *vm_file;
	const struct vm_operations_struct *vm_ops;
	void *vm_private_data;
	/* Kept for drivers that set it; the rights are those of vm_flags. */
	pgprot_t vm_page_prot;
};

/** mmun_soft_find_vma() - the first VMA that ends above @address, or NULL.  mmap lock held. */
struct vm_area_struct *mmun_soft_find_vma(struct mm_struct *mm, unsigned long address);
/** mmun_soft_vma_lookup() - the VMA that contains @address, or NULL.  mmap lock held. */
struct vm_area_struct *mmun_soft_vma_lookup(struct mm_struct *mm, unsigned long address);

/** mmun_soft_vm_insert_page() - map @page at @address, in a driver's ->fault or ->mmap; the mapping
 *  takes a reference of its own.  mmap lock held.  Return: 0; -EFAULT, -EINVAL, -EBUSY, -ENOMEM. */
int mmun_soft_vm_insert_page(struct vm_area_struct *vma, unsigned long address, struct page *page);
/** mmun_soft_vm_insert_pfn() - map the frame @pfn at @address of a VM_PFNMAP mapping, in a driver's
 *  ->fault or ->mmap.
 *
 * The entry is special: no reference, no reverse map, no page for get_user_pages; unmapping and fork
 * leave the frame's counts alone.  Only the driver keeps it good: it holds the frame, or takes the
 * entry away before the frame can go (as a notifier of the address space that the frame is from).  A task
 * that touches it when the frame was freed since gets SIGBUS, and a violation is reported.
 * mmap lock held.  Return: 0; -EFAULT (outside of the mapping), -EINVAL (not VM_PFNMAP, no frame of
 * the machine), -EBUSY (something is there), -ENOMEM. */
int mmun_soft_vm_insert_pfn(struct vm_area_struct *vma, unsigned long address, unsigned long pfn);
/** mmun_soft_zap_vma_ptes() - unmap what a driver has put there, in a section.  mmap lock held. */
void mmun_soft_zap_vma_ptes(struct vm_area_struct *vma, unsigned long address, unsigned long size);

/* Pages, for drivers. */

#define FOLL_WRITE    0x01u
#define FOLL_FORCE    0x02u
#define FOLL_LONGTERM 0x100u
#define FOLL_PIN      0x200u

/** mmun_soft_get_user_pages() - fault @nr pages from @start in, with a reference each in @pages.
 *  FOLL_PIN: the pages also stay with this mm over fork, and are neither reclaimed nor migrated.
 *  FOLL_LONGTERM: a page in the memory of a device moves to the machine's first.
 *  Context: mmap lock held (read or write).  Return: pages got, or -EFAULT, -ENOMEM if none;
 *  -EBUSY if none and a driver has to have the mmap lock free first (VM_FAULT_RETRY), or a page that
 *  should move is somebody else's too. */
long mmun_soft_get_user_pages(struct mm_struct *mm, unsigned long start, unsigned long nr,
			      unsigned int gup_flags, struct page **pages);
void mmun_soft_get_page(struct page *page);
void mmun_soft_put_page(struct page *page);
void mmun_soft_unpin_page(struct page *page);
/** mmun_soft_page_pinned() - has it a pin at this moment?  Never said of the zero page, whose pins are not
 *  counted.  Any context. */
bool mmun_soft_page_pinned(const struct page *page);
/** The page will be written back or swapped before it is dropped. */
void mmun_soft_set_page_dirty(struct page *page);
/** A frame that belongs to no mapping yet, zeroed, one reference; NULL when memory ran out. */
struct page *mmun_soft_alloc_page(struct mmun_soft *soft);
unsigned long mmun_soft_page_pfn(const struct page *page);
struct page *mmun_soft_pfn_page(struct mmun_soft *soft, unsigned long pfn);
/** The 4096 bytes.  Valid while a reference is held; a freed frame reads as poison. */
void *mmun_soft_page_address(const struct page *page);
/** mmun_soft_page_is_free() - nobody has the frame now: a translation that still leads to it
 *  is stale.  Any context. */
bool mmun_soft_page_is_free(const struct page *page);
/** What every byte of a free frame holds. */
#define MMUN_SOFT_POISON 0xaa

/* What a secondary MMU caches, and how the checker follows it. */

/** A translation without a reference: only the notifier contract keeps it good. */
struct mmun_soft_translation {
	struct page *page;
	/** How often the frame had been freed when it was translated. */
	unsigned long generation;
	bool writable;
	/** It was used since its young bit was cleared. */
	bool young;
	/** The whole aligned 2 MiB around it is mapped alike. */
	bool huge;
};

/** mmun_soft_translate() - what @address maps; faults it in as a read, or as a @write.
 *  Context: mmap lock held (read or write).  The caller then follows the retry protocol of
 *  mmu_notifier.h before it uses *@out.
 *  Return: 0; -EFAULT; -ENOMEM; -EBUSY: let go of the mmap lock, then again (VM_FAULT_RETRY). */
int mmun_soft_translate(struct mm_struct *mm, unsigned long address, bool write,
			struct mmun_soft_translation *out);
/** mmun_soft_translate_present() - same without faulting, whatever rights the mapping has.
 *  -ENOENT when nothing is present, or the mapping has no right (PROT_NONE).  Any lock or none. */
int mmun_soft_translate_present(struct mm_struct *mm, unsigned long address,
				struct mmun_soft_translation *out);

/** mmun_soft_is_flushing() - is the calling thread in a callback that is called for a flush?  It must
 *  not sleep then.  Any context. */
bool mmun_soft_is_flushing(void);

/** mmun_soft_test_and_clear_young() - clears the young bit of what maps @address, and says whether
 *  it was set.  No notifier is asked.  Any lock or none. */
bool mmun_soft_test_and_clear_young(struct mm_struct *mm, unsigned long address);

/** mmun_soft_device_read() / _write() - access memory through a cached translation.
 *
 * The caller holds the lock of its driver that its invalidate callbacks take, so the contract
 * says that @address still maps @t; this checks it.  Within one page.  A device that follows
 * flushes cannot hold the lock that their callbacks take, under the page table lock: of what was
 * flushed meanwhile it is to make nothing.
 * Context: any callback or driver lock may be held; takes a page table lock only.
 * Return: 0; -EFAULT and a violation reported, nothing transferred. */
int mmun_soft_device_read(struct mm_struct *mm, unsigned long address,
			  const struct mmun_soft_translation *t, void *buffer, size_t length);
int mmun_soft_device_write(struct mm_struct *mm, unsigned long address,
			   const struct mmun_soft_translation *t, const void *buffer,
			   size_t length);

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif

#endif
