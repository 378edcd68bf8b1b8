/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Pages of a guest that the hypervisor itself reads and writes, such as its clock: looked up
 * once, then used under the cache's lock as long as the cache says that they are valid.  The
 * notifier around it is kvm_main.c's in a few lines: a count of open sections, a sequence
 * number, and the caches' own callback.
 */
#include "../../changes.h"

#include <linux/kvm_host.h>

#include <virt/kvm/kvm_mm.h>

#define AT     0x10000000ul
#define PAGES  16ul
#define GUEST  0x40000ul /* where the slot begins for the guest */
#define CACHES 6
#define ROUNDS 2000

static struct kvm kvm;
static struct cache {
	struct gfn_to_pfn_cache gpc;
	struct given given;
} caches[CACHES];

/* The control: the callback does nothing. */
static bool deaf;

static int range_start(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	spin_lock(&kvm.mn_invalidate_lock);
	kvm.mn_active_invalidate_count++;
	spin_unlock(&kvm.mn_invalidate_lock);
	if (!deaf)
		gfn_to_pfn_cache_invalidate_start(&kvm, range->start, range->end);
	return 0;
}

static void range_end(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	spin_lock(&kvm.mmu_lock);
	kvm.mmu_invalidate_seq++;
	smp_wmb();
	spin_unlock(&kvm.mmu_lock);
	spin_lock(&kvm.mn_invalidate_lock);
	kvm.mn_active_invalidate_count--;
	spin_unlock(&kvm.mn_invalidate_lock);
}

static const struct mmu_notifier_ops kvm_ops = { .invalidate_range_start = range_start,
						 .invalidate_range_end = range_end };

/* Called when a page has been found, before it is entered. */
static void (*after_lookup)(void);

static kvm_pfn_t look_up(unsigned long address, struct page **page)
{
	void (*hook)(void) = after_lookup;

	if (get_user_pages_unlocked(address, 1, page, FOLL_WRITE) != 1)
		return KVM_PFN_ERR_FAULT;
	after_lookup = NULL;
	if (hook)
		hook();
	return page_to_pfn(*page);
}

#if TEST_LINUX >= 0x060d
kvm_pfn_t hva_to_pfn(struct kvm_follow_pfn *kfp)
{
	return look_up(kfp->hva, kfp->refcounted_page);
}
#else
kvm_pfn_t hva_to_pfn(unsigned long addr, bool atomic, bool interruptible, bool *async,
		     bool write_fault, bool *writable)
{
	struct page *page;

	return look_up(addr, &page);
}
#endif

static unsigned long wrong;

/* As all users of a cache do: look whether it is valid, and if it is not refresh it. */
static bool use(struct cache *cache)
{
	struct gfn_to_pfn_cache *gpc = &cache->gpc;

	for (int tries = 0; tries < 50; tries++) {
		unsigned long address;
		bool valid;

		read_lock(&gpc->lock);
		address = gpc->uhva & PAGE_MASK;
		valid = kvm_gpc_check(gpc, 8);
		if (valid) {
			if (!cache->given.there)
				wrong += !give(&cache->given, address, pfn_to_page(gpc->pfn));
			device_reads(&cache->given, address);
			device_writes(&cache->given, address, 9);
		}
		read_unlock(&gpc->lock);
		if (valid)
			return true;
		cache->given.there = false;
		if (kvm_gpc_refresh(gpc, 8))
			return false;
	}
	return false;
}

static int activate(struct cache *cache, unsigned long page)
{
	unsigned long offset = page * PAGE_SIZE + 64;

	cache->given.there = false;
	if (page % 2)
		return kvm_gpc_activate_hva(&cache->gpc, AT + offset, 8);
	return kvm_gpc_activate(&cache->gpc, GUEST + offset, 8);
}

static void make_machine(void)
{
	spin_lock_init(&kvm.mn_invalidate_lock);
	spin_lock_init(&kvm.gpc_lock);
	spin_lock_init(&kvm.mmu_lock);
	INIT_LIST_HEAD(&kvm.gpc_list);
	kvm.slots.slot = (struct kvm_memory_slot){ gpa_to_gfn(GUEST), PAGES, AT };
	kvm.mmu_notifier.ops = &kvm_ops;
	if (mmu_notifier_register(&kvm.mmu_notifier, mm))
		bail_out("no notifier");
	for (int i = 0; i < CACHES; i++)
		kvm_gpc_init(&caches[i].gpc, &kvm);
}

static void test_one_by_one(void)
{
	struct cache *cache = &caches[0];

	ok(!kvm_gpc_check(&cache->gpc, 8), "a cache that is not active is not valid");
	is(activate(cache, 2), 0, "one is activated, by the guest's address");
	ok(kvm_gpc_check(&cache->gpc, 8), "and valid");
	ok(!kvm_gpc_check(&cache->gpc, PAGE_SIZE), "not beyond its page");
	ok(use(cache), "it is used");
	is(get(AT + 2 * PAGE_SIZE), 9, "and the guest sees that");
	is(activate(&caches[1], 3), 0, "another, by the host's");
	for (unsigned int what = 1; what < ALL_CHANGES; what <<= 1) {
		if (!(what & (DONTNEED | UNMAP | MIGRATE | FORK | PROTECT | PAGEOUT | MOVE)))
			continue;
		use(cache);
		use(&caches[1]);
		change((enum change)what, AT + 2 * PAGE_SIZE, 1);
		ok(!kvm_gpc_check(&cache->gpc, 8), "change %#x is heard of", what);
		/* fork() write-protects everything. */
		is(kvm_gpc_check(&caches[1].gpc, 8), what != FORK, "by those that it concerns");
		ok(use(cache), "and looked up again");
	}
	is(violations(), 0, "no page was used after its time");
	mmun_soft_munmap(mm, AT + 2 * PAGE_SIZE, PAGE_SIZE);
	ok(!use(cache), "what is unmapped cannot be");
	map(AT + 2 * PAGE_SIZE, 1, PROT_READ | PROT_WRITE, 0, NULL);
	ok(use(cache), "until it is mapped");
	use(&caches[1]);
	kvm.slots.generation++;
	ok(!kvm_gpc_check(&cache->gpc, 8), "another layout of the slots invalidates it");
	ok(kvm_gpc_check(&caches[1].gpc, 8), "but not the one by the host's address");
	is(kvm_gpc_activate(&cache->gpc, GUEST + PAGES * PAGE_SIZE, 8), -EFAULT, "beyond the slot");
	kvm_gpc_deactivate(&cache->gpc);
	kvm_gpc_deactivate(&caches[1].gpc);
	ok(list_empty(&kvm.gpc_list), "none is listed at the end");
}

static void drop(void)
{
	mmun_soft_madvise(mm, AT + 4 * PAGE_SIZE, PAGE_SIZE, MADV_DONTNEED);
}

static void drop_aside(void)
{
	aside(drop);
}

static void test_section_in_the_middle(void)
{
	after_lookup = drop_aside;
	is(activate(&caches[0], 4), 0, "a look-up with a section in its middle");
	ok(!after_lookup, "which came");
	ok(use(&caches[0]), "is used");
	is(violations(), 0, "with what was found after it");
	kvm_gpc_deactivate(&caches[0].gpc);
}

static void test_threads(void)
{
	struct changes changes = { .at = AT, .pages = PAGES, .which = ALL_CHANGES & ~WRITE };
	unsigned int state = 1;
	unsigned long used = 0;

	start_changes(&changes);
	for (int i = 0; i < ROUNDS || changed(&changes) < ROUNDS / 4; i++) {
		struct cache *cache = &caches[draw(&state, CACHES)];

		if (!draw(&state, 8)) {
			activate(cache, draw(&state, PAGES));
		} else if (!draw(&state, 40)) {
			kvm_gpc_deactivate(&cache->gpc);
		} else {
			used += use(cache);
		}
	}
	stop_changes(&changes);
	is(wrong, 0, "each page that was found was the right one");
	is(violations(), 0, "none was used after its time");
	is(kvm.mn_active_invalidate_count, 0, "sections balance");
	diag("%lu changes, %lu uses", changed(&changes), used);
}

/* Shows that the rest would be seen. */
static void test_control(void)
{
	unsigned long before = violations();

	is(activate(&caches[0], 6), 0, "a cache");
	use(&caches[0]);
	deaf = true;
	change(DONTNEED, AT + 6 * PAGE_SIZE, 1);
	use(&caches[0]);
	deaf = false;
	ok(violations() > before, "without the callback a page is used after its time");
}

int main(void)
{
	start_machine();
	map(AT, PAGES, PROT_READ | PROT_WRITE, 0, NULL);
	make_machine();
	test_one_by_one();
	test_section_in_the_middle();
	/* One that has never been active has no address to be refreshed by. */
	for (unsigned long i = 0; i < CACHES; i++)
		activate(&caches[i], i);
	test_threads();
	test_control();
	for (int i = 0; i < CACHES; i++)
		kvm_gpc_deactivate(&caches[i].gpc);
	mmu_notifier_unregister(&kvm.mmu_notifier, mm);
	stop_machine(0);
	return tap_done();
}
