/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A cache of buffers that are pinned for sending, as the driver's user SDMA keeps it: found by
 * address and length, in use by a reference, dropped from the tree by a callback, unpinned by a
 * work item or by who used it last.
 */
#include "../../changes.h"

#include <drivers/infiniband/hw/hfi1/mmu_rb.h>

#define AT     0x10000000ul
#define PAGES  32ul
#define ROUNDS 2000

struct buffer {
	struct mmu_rb_node rb;
	unsigned long npages;
	struct page *pages[PAGES];
};

static struct mmu_rb_handler *cache;
static struct workqueue_struct *wq;
static long buffers;
static bool found_by_length(struct mmu_rb_node *node, unsigned long addr, unsigned long len)
{
	return node->addr == addr && node->len == len;
}

/* It sleeps: no lock of the cache is held. */
static void remove_buffer(void *arg, struct mmu_rb_node *node)
{
	struct buffer *buffer = container_of(node, struct buffer, rb);

	might_sleep();
	hfi1_release_user_pages((struct mm_struct *)arg, buffer->pages, buffer->npages, false);
	__atomic_fetch_sub(&buffers, 1, __ATOMIC_RELAXED);
	kfree(buffer);
}

/* As many as it takes. */
static int evict_buffer(void *arg, struct mmu_rb_node *node, void *evict_arg, bool *stop)
{
	unsigned long *wanted = (unsigned long *)evict_arg;

	*wanted -= min(*wanted, container_of(node, struct buffer, rb)->npages);
	*stop = !*wanted;
	return 1;
}

#if TEST_LINUX < 0x0604
static int insert_buffer(void *arg, struct mmu_rb_node *node)
{
	return 0;
}

/* Whether it goes: all do. */
static int invalidate_buffer(void *arg, struct mmu_rb_node *node)
{
	return 1;
}
#endif

static struct mmu_rb_ops ops = {
	.filter = found_by_length,
	.remove = remove_buffer,
	.evict = evict_buffer,
#if TEST_LINUX < 0x0604
	.insert = insert_buffer,
	.invalidate = invalidate_buffer,
#endif
};

/* With a reference for the caller, or NULL. */
static struct buffer *find(unsigned long address, unsigned long length)
{
	struct mmu_rb_node *node;
	unsigned long flags;

	spin_lock_irqsave(&cache->lock, flags);
	node = hfi1_mmu_rb_get_first(cache, address, length);
	if (node && found_by_length(node, address, length))
		kref_get(&node->refcount);
	else
		node = NULL;
	spin_unlock_irqrestore(&cache->lock, flags);
	return node ? container_of(node, struct buffer, rb) : NULL;
}

static void put_buffer(struct buffer *buffer)
{
	kref_put(&buffer->rb.refcount, hfi1_mmu_rb_release);
}

/* Pinned and in the cache, with a reference for the caller; or an error. */
static struct buffer *add(unsigned long address, unsigned long npages)
{
	struct buffer *buffer = (struct buffer *)kzalloc(sizeof(*buffer), GFP_KERNEL);
	int ret;

	buffer->rb.addr = address;
	buffer->rb.len = npages * PAGE_SIZE;
	kref_init(&buffer->rb.refcount);
	ret = hfi1_acquire_user_pages(mm, address, npages, false, buffer->pages);
	if (ret != (int)npages) {
		if (ret > 0)
			hfi1_release_user_pages(mm, buffer->pages, (size_t)ret, false);
		kfree(buffer);
		return (struct buffer *)ERR_PTR(-EFAULT);
	}
	buffer->npages = npages;
	kref_get(&buffer->rb.refcount);
	ret = hfi1_mmu_rb_insert(cache, &buffer->rb);
	if (!ret) {
		__atomic_fetch_add(&buffers, 1, __ATOMIC_RELAXED);
		return buffer;
	}
	hfi1_release_user_pages(mm, buffer->pages, npages, false);
	kfree(buffer);
	return (struct buffer *)ERR_PTR(ret);
}

static long in_cache(void)
{
	flush_workqueue(wq);
	return __atomic_load_n(&buffers, __ATOMIC_RELAXED);
}

static void test_one_by_one(void)
{
	struct buffer *buffer = add(AT, 4);

	ok(!IS_ERR(buffer), "a buffer is pinned and kept");
	ok(PTR_ERR(add(AT, 4)) == -EEXIST, "once");
	ok(find(AT, 4 * PAGE_SIZE) == buffer, "it is found");
	put_buffer(buffer);
	ok(!find(AT, 5 * PAGE_SIZE) && !find(AT + PAGE_SIZE, PAGE_SIZE), "nothing else is");
	mmun_soft_munmap(mm, AT, PAGE_SIZE);
	ok(!find(AT, 4 * PAGE_SIZE), "after munmap() of its first page it is not");
	is(in_cache(), 1, "but lives as long as it is in use");
	put_buffer(buffer);
	is(in_cache(), 0, "and no longer");
	is(atomic64_read(&mm->pinned_vm), 0, "nor are its pages pinned");
	map(AT, 1, PROT_READ | PROT_WRITE, 0, NULL);
	for (unsigned int what = 1; what < ALL_CHANGES; what <<= 1) {
		/* Those that leave what is pinned alone need not be heard of. */
		if (!(what & (DONTNEED | UNMAP | PROTECT | MOVE)))
			continue;
		put_buffer(add(AT, 4));
		change((enum change)what, AT + PAGE_SIZE, 1);
		ok(!find(AT, 4 * PAGE_SIZE), "nor after change %#x", what);
	}
	is(in_cache(), 0, "and all go");
}

static void test_evict(void)
{
	struct buffer *used = add(AT, 2);
	unsigned long wanted = 3;

	for (unsigned long i = 0; i < 4; i++)
		put_buffer(add(AT + (2 + 2 * i) * PAGE_SIZE, 2));
	hfi1_mmu_rb_evict(cache, &wanted);
	is(in_cache(), 3, "two buffers are given up for three pages");
	ok(find(AT, 2 * PAGE_SIZE) == used, "not the one that is in use");
	put_buffer(used);
	put_buffer(used);
	ok(!find(AT + 2 * PAGE_SIZE, 2 * PAGE_SIZE), "but the oldest");
	mmun_soft_munmap(mm, AT, PAGES * PAGE_SIZE);
	is(in_cache(), 0, "munmap() takes the rest");
	map(AT, PAGES, PROT_READ | PROT_WRITE, 0, NULL);
}

/* What is found is what was there when it was found: its pages are those of the address, as
 * long as no callback has run since. */
static void test_threads(void)
{
	struct changes changes = { .at = AT, .pages = PAGES, .which = ALL_CHANGES };
	unsigned long hits = 0, wrong = 0;
	unsigned int state = 3;

	start_changes(&changes);
	/* Where changes are much faster than this a buffer does not stay long. */
	for (int i = 0; i < ROUNDS || changed(&changes) < ROUNDS / 8 || !hits; i++) {
		unsigned long first = draw(&state, PAGES - 4), npages = 1 + draw(&state, 4);
		unsigned long address = AT + first * PAGE_SIZE;
		struct buffer *buffer = find(address, npages * PAGE_SIZE);

		hits += !!buffer;
		if (!buffer)
			buffer = add(address, npages);
		if (IS_ERR(buffer))
			continue;
		wrong += buffer->rb.addr != address || buffer->npages != npages;
		for (unsigned long j = 0; j < npages; j++) {
			unsigned char bytes[8];

			memcpy_from_page((char *)bytes, buffer->pages[j], 256, sizeof(bytes));
			wrong += bytes[0] == MMUN_SOFT_POISON;
		}
		put_buffer(buffer);
		if (!draw(&state, 64)) {
			unsigned long wanted = 4;

			hfi1_mmu_rb_evict(cache, &wanted);
		}
	}
	stop_changes(&changes);
	is(wrong, 0, "no buffer in use has a page that is free");
	ok(hits > 0, "buffers are found again");
	diag("%lu changes, %lu hits", changed(&changes), hits);
	mmun_soft_munmap(mm, AT, PAGES * PAGE_SIZE);
	is(in_cache(), 0, "munmap() takes all");
	is(atomic64_read(&mm->pinned_vm), 0, "nothing stays pinned");
	map(AT, PAGES, PROT_READ | PROT_WRITE, 0, NULL);
}

/* Shows that the rest would be seen. */
static void test_control(void)
{
	struct mmu_notifier_ops none = { 0 };
	const struct mmu_notifier_ops *heard = cache->mn.ops;
	struct buffer *stale;

	put_buffer(add(AT, 4));
	cache->mn.ops = &none;
	change(UNMAP, AT, 4);
	cache->mn.ops = heard;
	stale = find(AT, 4 * PAGE_SIZE);
	ok(stale, "without the callback a buffer of what was unmapped is found");
	put_buffer(stale);
}

int main(void)
{
	start_machine();
	map(AT, PAGES, PROT_READ | PROT_WRITE, 0, NULL);
	wq = alloc_workqueue("cache", 0, 1);
	if (hfi1_mmu_rb_register(mm, &ops, wq, &cache))
		bail_out("no cache");
	test_one_by_one();
	test_evict();
	test_threads();
	test_control();
	hfi1_mmu_rb_unregister(cache);
	is(in_cache(), 0, "the end of the cache takes what is left");
	destroy_workqueue(wq);
	stop_machine(0);
	return tap_done();
}
