/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * mm_lock() of a software address space: three ways to keep every change of its
 * entries out (types.h, M1: every change holds those).
 *
 * Semaphore: every change holds the mm's ->changes for reading, so to hold it for
 * writing is enough, however many mappings there are.
 * Sort: the caller's mmap lock, held for write, keeps out everything that needs that lock;
 * everybody else comes through a reverse map, so all reverse-map locks of the mm's
 * VMAs are taken.  I1: each distinct one once (L1: taken once); i_mmap before anon_vma, the
 * order in which changes of a VMA take the two (B3: not the opposite); inside a class by ascending
 * address, so two tasks never wait for each other, whatever locks their mms
 * share (L2: no deadlock).  I2: memory is allocated before the first lock (R8, B4: none under locks), two pointers
 * per VMA (L4: at most); unlocking walks the arrays.
 * Mark: the same locks in the order of VMAs, by one task at a time machine wide;
 * a mark in the lock says that it was taken already.  Neither memory nor order
 * is needed, but no two mms are ever quiesced at once.
 *
 * With sort and mark the mmap lock held for read does not keep page faults out.
 *
 * Not here: one mm_lock per task, core/mm_lock.c.  Why the semaphore is the default:
 * docs/PERFORMANCE.md.  Tests: tests/unit/soft/mm_lock.c, tests/model/mm_lock.pml.
 */
#include <errno.h>

#include "alloc.h"
#include "bug.h"
#include "vma/vma.h"

/* A class of locks: which one does a VMA have, if any? */
typedef struct soft_rmap_lock *(*lock_of)(const struct soft_vma *vma);

static struct soft_rmap_lock *i_mmap_lock(const struct soft_vma *vma)
{
	struct address_space *mapping = soft_vma_mapping(vma);

	return mapping ? &mapping->i_mmap_lock : NULL;
}

static struct soft_rmap_lock *anon_vma_lock(const struct soft_vma *vma)
{
	/* With the mmap lock held for read a fault may be setting it. */
	struct anon_vma *anon_vma = mmun_load_acquire(&vma->anon_vma);

	return anon_vma ? &anon_vma->root->lock : NULL;
}

/* Sorting. */

/* One class, sorted. */
struct lock_array {
	struct soft_rmap_lock **lock;
	size_t count;
};

static void sift_down(struct soft_rmap_lock **lock, size_t top, size_t count)
{
	struct soft_rmap_lock *moved = lock[top];
	size_t child;

	while ((child = 2 * top + 1) < count) {
		if (child + 1 < count && lock[child] < lock[child + 1])
			child++;
		if (moved >= lock[child])
			break;
		lock[top] = lock[child];
		top = child;
	}
	lock[top] = moved;
}

/* A heap sort: in place, and N log N whatever the order was. */
static void sort(const struct lock_array *array)
{
	for (size_t top = array->count / 2; top-- > 0;)
		sift_down(array->lock, top, array->count);
	for (size_t end = array->count; end-- > 1;) {
		struct soft_rmap_lock *largest = array->lock[0];

		array->lock[0] = array->lock[end];
		array->lock[end] = largest;
		sift_down(array->lock, 0, end);
	}
}

/* One entry for each VMA that has such a lock.  Often they are in order already. */
static void collect(const struct soft_mm *sm, lock_of which, struct lock_array *array)
{
	struct soft_rmap_lock *lock, *last = NULL;
	bool sorted = true;
	struct soft_vma *vma;

	soft_for_each_vma(vma, sm) {
		lock = which(vma);
		if (!lock)
			continue;
		sorted &= lock >= last;
		array->lock[array->count++] = last = lock;
	}
	if (!sorted)
		sort(array);
}

static int make_array(const struct soft_mm *sm, lock_of which, struct lock_array *array)
{
	array->count = 0;
	array->lock = NULL;
	if (!sm->map_count)
		return 0;
	array->lock = mmun_alloc(sm->map_count * sizeof(array->lock[0]));
	if (!array->lock)
		return -ENOMEM;
	collect(sm, which, array);
	if (!array->count) {
		mmun_free(array->lock);
		array->lock = NULL;
	}
	return 0;
}

static void drop_repeated(struct lock_array *array)
{
	size_t distinct = 0;

	for (size_t i = 0; i < array->count; i++) {
		if (!distinct || array->lock[i] != array->lock[distinct - 1])
			array->lock[distinct++] = array->lock[i];
	}
	array->count = distinct;
}

static void lock_array(const struct lock_array *array)
{
	for (size_t i = 0; i < array->count; i++)
		mmun_rwlock_write_lock_many(&array->lock[i]->lock, NULL);
}

static void unlock_array(struct soft_rmap_lock **lock, size_t count)
{
	for (size_t i = count; i-- > 0;)
		mmun_rwlock_write_unlock_many(&lock[i]->lock);
	mmun_free(lock);
}

static int lock_sorted(struct soft_mm *sm, struct mm_lock_data *data)
{
	struct lock_array files, anons;

	if (make_array(sm, i_mmap_lock, &files))
		return -ENOMEM;
	if (make_array(sm, anon_vma_lock, &anons)) {
		mmun_free(files.lock);
		return -ENOMEM;
	}
	drop_repeated(&files);
	drop_repeated(&anons);
	lock_array(&files);
	lock_array(&anons);
	data->i_mmap_locks = files.lock;
	data->nr_i_mmap_locks = files.count;
	data->anon_vma_locks = anons.lock;
	data->nr_anon_vma_locks = anons.count;
	return 0;
}

static void unlock_sorted(struct mm_lock_data *data)
{
	unlock_array(data->anon_vma_locks, data->nr_anon_vma_locks);
	unlock_array(data->i_mmap_locks, data->nr_i_mmap_locks);
}

/* Marking. */

static size_t mark_and_lock(struct soft_mm *sm, lock_of which)
{
	struct soft_rmap_lock *lock;
	struct soft_vma *vma;
	size_t count = 0;

	soft_for_each_vma(vma, sm) {
		lock = which(vma);
		if (!lock || lock->marked)
			continue;
		mmun_rwlock_write_lock_many(&lock->lock, &sm->soft->all_locks);
		lock->marked = true;
		count++;
	}
	return count;
}

static void unlock_marked_class(struct soft_mm *sm, lock_of which)
{
	struct soft_rmap_lock *lock;
	struct soft_vma *vma;

	soft_for_each_vma(vma, sm) {
		lock = which(vma);
		if (!lock || !lock->marked)
			continue;
		lock->marked = false;
		mmun_rwlock_write_unlock_many(&lock->lock);
	}
}

static void lock_marked(struct soft_mm *sm, struct mm_lock_data *data)
{
	mmun_mutex_lock(&sm->soft->all_locks);
	data->nr_i_mmap_locks = mark_and_lock(sm, i_mmap_lock);
	data->nr_anon_vma_locks = mark_and_lock(sm, anon_vma_lock);
}

static void unlock_marked(struct soft_mm *sm)
{
	unlock_marked_class(sm, anon_vma_lock);
	unlock_marked_class(sm, i_mmap_lock);
	mmun_mutex_unlock(&sm->soft->all_locks);
}

int mmun_soft_lock(struct mm_struct *mm, struct mm_lock_data *data)
{
	struct soft_mm *sm = soft_mm(mm);
	size_t locks;
	int ret = 0;

	switch (sm->soft->params.mm_lock) {
	case MMUN_SOFT_MM_LOCK_PERCPU_RWSEM:
		mmun_percpu_write_lock(&sm->changes);
		break;
	case MMUN_SOFT_MM_LOCK_SORT:
		ret = lock_sorted(sm, data);
		break;
	case MMUN_SOFT_MM_LOCK_MARK:
		lock_marked(sm, data);
		break;
	}
	if (ret)
		return ret;
	locks = data->nr_i_mmap_locks + data->nr_anon_vma_locks;
	soft_stat_inc(sm->soft, mm_locks);
	soft_stat_add(sm->soft, mm_lock_locks, locks);
	return 0;
}

void mmun_soft_unlock(struct mm_struct *mm, struct mm_lock_data *data)
{
	struct soft_mm *sm = soft_mm(mm);

	switch (sm->soft->params.mm_lock) {
	case MMUN_SOFT_MM_LOCK_PERCPU_RWSEM:
		mmun_percpu_write_unlock(&sm->changes);
		break;
	case MMUN_SOFT_MM_LOCK_SORT:
		unlock_sorted(data);
		break;
	case MMUN_SOFT_MM_LOCK_MARK:
		unlock_marked(sm);
		break;
	}
}

/* Showing them. */

typedef int (*lock_visitor)(const struct mmun_soft_lock *lock, void *arg);

static const char *mapping_name(const struct soft_rmap_lock *lock)
{
	const struct address_space *mapping =
		mmun_container_of(lock, struct address_space, i_mmap_lock);

	return mmun_soft_file_name(&mapping->file->f);
}

static int visit_class(const struct lock_array *array, bool files, lock_visitor visit, void *arg)
{
	struct mmun_soft_lock shown = { .kind = files ? "i_mmap" : "anon_vma" };
	size_t from, to;
	int ret = 0;

	for (from = 0; from < array->count && !ret; from = to) {
		for (to = from; to < array->count && array->lock[to] == array->lock[from]; to++)
			;
		shown.address = array->lock[from];
		shown.name = files ? mapping_name(array->lock[from]) : "";
		shown.vmas = (unsigned int)(to - from);
		ret = visit(&shown, arg);
	}
	return ret;
}

static int visit_locks(const struct soft_mm *sm, lock_visitor visit, void *arg)
{
	struct lock_array files = { 0 }, anons = { 0 };
	int ret = make_array(sm, i_mmap_lock, &files);

	if (!ret)
		ret = make_array(sm, anon_vma_lock, &anons);
	if (!ret)
		ret = visit_class(&files, true, visit, arg);
	if (!ret)
		ret = visit_class(&anons, false, visit, arg);
	mmun_free(anons.lock);
	mmun_free(files.lock);
	return ret;
}

int mmun_soft_locks(struct mm_struct *mm, lock_visitor visit, void *arg)
{
	int ret;

	mmap_read_lock(mm);
	ret = visit_locks(soft_mm(mm), visit, arg);
	mmap_read_unlock(mm);
	return ret;
}
