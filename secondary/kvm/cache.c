/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Pages that the hypervisor itself reads and writes, looked up once: time pages,
 * queues of a device.
 *
 * I1  A cache is valid only as long as no section covered it, the slots are the
 *     same and the program's memory lives; all three are looked at under mmu_lock
 *     together with the access itself.
 * I2  What makes a cache valid is the same protocol as a fault's.  Two that
 *     refresh it at once do no harm: each enters what it has checked.
 *
 * Not here: the guest's own accesses (fault.c).
 * Tests: tests/contract/secondary/kvm_races.c.
 */
#include "vm.h"

#include <errno.h>

#include "alloc.h"

int mmun_kvm_cache_create(struct mmun_kvm *kvm, unsigned long gpa, struct mmun_kvm_cache **out)
{
	struct mmun_kvm_cache *cache = mmun_alloc(sizeof(*cache));

	if (!cache)
		return -ENOMEM;
	cache->kvm = kvm;
	cache->gpa = gpa & MMUN_SOFT_PAGE_MASK;
	pthread_mutex_lock(&kvm->mmu_lock);
	cache->next = kvm->caches;
	kvm->caches = cache;
	pthread_mutex_unlock(&kvm->mmu_lock);
	*out = cache;
	return 0;
}

void mmun_kvm_cache_destroy(struct mmun_kvm_cache *cache)
{
	struct mmun_kvm *kvm = cache->kvm;
	struct mmun_kvm_cache **link = &kvm->caches;

	pthread_mutex_lock(&kvm->mmu_lock);
	while (*link != cache)
		link = &(*link)->next;
	*link = cache->next;
	pthread_mutex_unlock(&kvm->mmu_lock);
	mmun_free(cache);
}

void mmun_kvm_caches_invalidate(struct mmun_kvm *kvm, unsigned long start, unsigned long end)
{
	for (struct mmun_kvm_cache *cache = kvm->caches; cache; cache = cache->next) {
		if (cache->address < end && start < cache->address + MMUN_SOFT_PAGE_SIZE)
			cache->valid = false;
	}
}

static bool is_valid(const struct mmun_kvm_cache *cache)
{
	return cache->valid && cache->slots_generation == cache->kvm->slots_generation;
}

static int refresh_begin(struct mmun_kvm_cache *cache, unsigned long *address, unsigned long *seq,
			 unsigned long *generation)
{
	struct mmun_kvm *kvm = cache->kvm;
	struct kvm_slot *slot;
	int ret = 0;

	pthread_mutex_lock(&kvm->mmu_lock);
	slot = mmun_kvm_slot_of(kvm, kvm_gfn(cache->gpa));
	if (kvm->released)
		ret = -EIO;
	else if (!slot || slot->flags & MMUN_KVM_READONLY)
		ret = -ENXIO;
	else
		*address = kvm_slot_address(slot, kvm_gfn(cache->gpa));
	*seq = kvm_seq_begin(kvm);
	*generation = kvm->slots_generation;
	pthread_mutex_unlock(&kvm->mmu_lock);
	return ret;
}

/* 0 also when it must be tried again: the caller looks whether the cache is valid. */
static int refresh(struct mmun_kvm_cache *cache)
{
	struct mmun_kvm *kvm = cache->kvm;
	unsigned long address, seq, generation;
	struct mmun_soft_translation t;
	int ret;

	ret = refresh_begin(cache, &address, &seq, &generation);
	if (ret)
		return ret;
	ret = mmun_kvm_look_up(kvm, cache->gpa, address, true, &t);
	pthread_mutex_lock(&kvm->mmu_lock);
	if (kvm->released) {
		ret = -EIO;
	} else if (generation != kvm->slots_generation || mmun_kvm_seq_retry(kvm, seq, address)) {
		ret = 0;
	} else if (!ret) {
		cache->address = address;
		cache->slots_generation = generation;
		cache->t = t;
		cache->valid = true;
		kvm_count(kvm, cache_refreshed);
	}
	pthread_mutex_unlock(&kvm->mmu_lock);
	return ret;
}

static int use_locked(struct mmun_kvm_cache *cache, size_t offset, void *buffer, size_t length,
		      bool write)
{
	struct mmun_kvm *kvm = cache->kvm;
	unsigned long gfn = kvm_gfn(cache->gpa), address = cache->address + offset;

	kvm_count(kvm, cache_hits);
	if (!write)
		return mmun_soft_device_read(kvm->mm, address, &cache->t, buffer, length);
	mmun_kvm_slot_mark_dirty(kvm, mmun_kvm_slot_of(kvm, gfn), gfn);
	mmun_soft_set_page_dirty(cache->t.page);
	return mmun_soft_device_write(kvm->mm, address, &cache->t, buffer, length);
}

/* -EAGAIN: not valid. */
static int use(struct mmun_kvm_cache *cache, size_t offset, void *buffer, size_t length, bool write)
{
	struct mmun_kvm *kvm = cache->kvm;
	int ret = -EAGAIN;

	pthread_mutex_lock(&kvm->mmu_lock);
	if (kvm->released)
		ret = -EIO;
	else if (is_valid(cache))
		ret = use_locked(cache, offset, buffer, length, write);
	pthread_mutex_unlock(&kvm->mmu_lock);
	return ret;
}

static int cache_access(struct mmun_kvm_cache *cache, size_t offset, void *buffer, size_t length,
			bool write)
{
	struct mm_struct *mm = cache->kvm->mm;
	int ret;

	if (offset >= MMUN_SOFT_PAGE_SIZE || length > MMUN_SOFT_PAGE_SIZE - offset)
		return -EINVAL;
	if (!mmget_not_zero(mm))
		return -EIO;
	while ((ret = use(cache, offset, buffer, length, write)) == -EAGAIN) {
		ret = refresh(cache);
		if (ret)
			break;
	}
	mmput(mm);
	return ret;
}

int mmun_kvm_cache_read(struct mmun_kvm_cache *cache, size_t offset, void *buffer, size_t length)
{
	return cache_access(cache, offset, buffer, length, false);
}

int mmun_kvm_cache_write(struct mmun_kvm_cache *cache, size_t offset, const void *buffer,
			 size_t length)
{
	return cache_access(cache, offset, (void *)(uintptr_t)buffer, length, true);
}
