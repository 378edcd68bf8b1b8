/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Files: their life, and which VMAs map one.
 *
 * I1  A file lives while somebody holds a reference; each VMA that maps it holds
 *     one.  So at the last put no VMA is left, and what remains is the page cache.
 * I2  A page of the cache may outlive its file, held by those that have a reference to
 *     it; its ->mapping is NULL then.
 * I3  A linear VMA is in the tree of its mapping, a nonlinear one in the list,
 *     an empty one in neither.
 * I4  A child of fork is entered after its parent, as in anon_vma.c.
 *
 * Devices have no page cache and no mapping: their driver owns the pages.
 *
 * Not here: contents (cache.c), reading and writing (call/file_io.c), sizes (call/truncate.c).
 * Tests: tests/unit/soft/file.c.
 */
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "alloc.h"
#include "rmap/rmap.h"

static struct soft_file *alloc_file(struct mmun_soft *soft, const char *name)
{
	struct soft_file *file = mmun_alloc(sizeof(*file));
	const size_t length = name ? strlen(name) : 0;

	if (!file)
		return NULL;
	file->name = mmun_alloc(length + 1);
	if (!file->name) {
		mmun_free(file);
		return NULL;
	}
	if (length)
		memcpy(file->name, name, length);
	mmun_rwlock_init(&file->io_lock, MMUN_RANK_SOFT_IO);
	file->soft = soft;
	file->refcount = 1;
	return file;
}

static void free_file(struct soft_file *file)
{
	mmun_rwlock_destroy(&file->io_lock);
	mmun_free(file->name);
	mmun_free(file);
}

static struct address_space *alloc_mapping(struct soft_file *file)
{
	struct address_space *mapping = mmun_alloc(sizeof(*mapping));

	if (!mapping)
		return NULL;
	mapping->file = file;
	mmun_rwlock_init(&mapping->invalidate_lock, MMUN_RANK_SOFT_INVALIDATE);
	mmun_rwlock_init(&mapping->i_mmap_lock.lock, MMUN_RANK_SOFT_I_MMAP);
	mmun_mutex_init(&mapping->pages_lock, MMUN_RANK_SOFT_PAGES);
	mmun_dlist_init(&mapping->nonlinear);
	return mapping;
}

static void free_mapping(struct address_space *mapping)
{
	mmun_soft_cache_drop_range(mapping, 0, ULONG_MAX);
	mmun_mutex_destroy(&mapping->pages_lock);
	mmun_rwlock_destroy(&mapping->i_mmap_lock.lock);
	mmun_rwlock_destroy(&mapping->invalidate_lock);
	mmun_free(mapping);
}

static void enlist(struct soft_file *file)
{
	mmun_mutex_lock(&file->soft->list_lock);
	mmun_dlist_add_tail(&file->link, &file->soft->files);
	mmun_mutex_unlock(&file->soft->list_lock);
}

static void delist(struct soft_file *file)
{
	mmun_mutex_lock(&file->soft->list_lock);
	mmun_dlist_del(&file->link);
	mmun_mutex_unlock(&file->soft->list_lock);
}

int mmun_soft_file_create(struct mmun_soft *soft, const char *name, enum mmun_soft_file_kind kind,
			  uint64_t size, struct file **out)
{
	struct soft_file *file;

	if (size > INT64_MAX || (unsigned int)kind > MMUN_SOFT_FILE_SHMEM)
		return -EINVAL;
	file = alloc_file(soft, name);
	if (!file)
		return -ENOMEM;
	file->mapping = alloc_mapping(file);
	if (!file->mapping) {
		free_file(file);
		return -ENOMEM;
	}
	file->kind = kind;
	file->size = size;
	enlist(file);
	*out = &file->f;
	return 0;
}

int mmun_soft_device_create(struct mmun_soft *soft, const char *name,
			    const struct file_operations *fops, void *private_data,
			    struct file **out)
{
	struct soft_file *file;
	int ret;

	if (!fops)
		return -EINVAL;
	file = alloc_file(soft, name);
	if (!file)
		return -ENOMEM;
	file->device = true;
	file->f.f_op = fops;
	file->f.private_data = private_data;
	ret = fops->open ? fops->open(NULL, &file->f) : 0;
	if (ret) {
		free_file(file);
		return ret;
	}
	enlist(file);
	*out = &file->f;
	return 0;
}

struct file *mmun_soft_file_get(struct file *f)
{
	(void)mmun_add_full(&soft_file(f)->refcount, 1);
	return f;
}

/* The last put is the close() of all descriptors and the end of all mappings in
 * one: ->flush comes first, as a driver expects. */
static void close_device(struct soft_file *file)
{
	const struct file_operations *fops = file->f.f_op;

	if (fops->flush)
		(void)fops->flush(&file->f, NULL);
	if (fops->release)
		(void)fops->release(file->f.f_inode, &file->f);
}

void mmun_soft_file_put(struct file *f)
{
	struct soft_file *file = soft_file(f);

	if (mmun_sub_full(&file->refcount, 1))
		return;
	if (file->device)
		close_device(file);
	else
		free_mapping(file->mapping);
	delist(file);
	free_file(file);
}

const char *mmun_soft_file_name(const struct file *f)
{
	return soft_file(f)->name;
}

uint64_t mmun_soft_file_size(const struct file *f)
{
	return mmun_load_relaxed(&soft_file(f)->size);
}

/* VMAs. */

void mmun_soft_mapping_link(struct address_space *mapping, struct soft_vma *vma)
{
	if (!vma)
		return;
	vma->i_mmap.start = 1;
	vma->i_mmap.last = 0;
	mmun_dlist_init(&vma->nonlinear);
	if (vma->v.vm_start == vma->v.vm_end)
		return;
	if (vma->v.vm_flags & VM_NONLINEAR) {
		mmun_dlist_add_tail(&vma->nonlinear, &mapping->nonlinear);
		return;
	}
	vma->i_mmap.start = vma->v.vm_pgoff;
	vma->i_mmap.last = vma->v.vm_pgoff + soft_vma_pages(vma) - 1;
	mmun_interval_insert(&mapping->i_mmap, &vma->i_mmap);
}

/* Goes by where the VMA is, not by its flags, which may have changed. */
void mmun_soft_mapping_unlink(struct address_space *mapping, struct soft_vma *vma)
{
	if (!vma)
		return;
	mmun_dlist_del(&vma->nonlinear);
	if (vma->i_mmap.start > vma->i_mmap.last)
		return;
	mmun_interval_remove(&mapping->i_mmap, &vma->i_mmap);
	vma->i_mmap.start = 1;
	vma->i_mmap.last = 0;
}

void mmun_soft_mapping_add(struct soft_vma *vma)
{
	struct address_space *mapping = soft_vma_mapping(vma);

	if (!mapping)
		return;
	mmun_rwlock_write_lock(&mapping->i_mmap_lock.lock);
	mmun_soft_mapping_link(mapping, vma);
	mmun_rwlock_write_unlock(&mapping->i_mmap_lock.lock);
}

void mmun_soft_mapping_remove(struct soft_vma *vma)
{
	struct address_space *mapping = soft_vma_mapping(vma);

	if (!mapping)
		return;
	mmun_rwlock_write_lock(&mapping->i_mmap_lock.lock);
	mmun_soft_mapping_unlink(mapping, vma);
	mmun_rwlock_write_unlock(&mapping->i_mmap_lock.lock);
}
