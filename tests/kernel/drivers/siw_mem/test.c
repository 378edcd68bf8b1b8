/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Memory that a software device reads and writes for others: found by its tag, checked, and
 * accessed page by page, while the task changes the memory below and drops the region.
 */
#include "../../changes.h"

#include "siw.h"

#include <drivers/infiniband/sw/siw/siw_mem.h>
#include <rdma/ib_umem_odp.h>

#define AT     0x10000000ul
#define PAGES  600ul /* more than a chunk of the driver's has */
#define SMALL  16ul
#define ROUNDS 300

static struct device dma_device;
static struct siw_device siw = { .base_dev = { .dma_device = &dma_device } };
static struct ib_pd pd = { .device = &siw.base_dev }, other_pd = { .device = &siw.base_dev };

/* umem.c has them for regions of other kinds. */
void ib_umem_odp_release(struct ib_umem_odp *umem_odp)
{
	bail_out("no region is one on demand");
}

void ib_umem_dmabuf_release(struct ib_umem_dmabuf *umem_dmabuf)
{
	bail_out("no region is of a buffer");
}

static int register_memory(struct siw_mr *mr, unsigned long start, unsigned long length)
{
	int rights = IB_ACCESS_LOCAL_WRITE | IB_ACCESS_REMOTE_WRITE | IB_ACCESS_REMOTE_READ, ret;
	struct siw_umem *umem = siw_umem_get(&siw.base_dev, start, length, rights);

	if (IS_ERR(umem))
		return (int)PTR_ERR(umem);
	ret = siw_mr_add_mem(mr, &pd, umem, start, length, rights);
	if (ret) {
		siw_umem_release(umem);
		return ret;
	}
	mr->mem->stag_valid = 1;
	return 0;
}

/*
 * Look-ups of a tag wait while it is dropped: siw_mem_id2obj() finds an object in an RCU section,
 * and siw_free_mem() frees it without a grace period, so one that comes just then reads what is
 * freed, as AddressSanitizer says without this lock.
 */
static pthread_rwlock_t tags = PTHREAD_RWLOCK_INITIALIZER;

/* One request of a peer: a word at @address by @tag. */
static int access_word(u32 tag, unsigned long address, unsigned long *value, bool write)
{
	struct siw_sge sge = { .laddr = address, .length = sizeof(*value), .lkey = tag };
	struct siw_wqe wqe = { .sqe = { .num_sge = 1 } };
	int ret;

	pthread_rwlock_rdlock(&tags);
	ret = siw_check_sge(&pd, &sge, wqe.mem,
			    write ? IB_ACCESS_REMOTE_WRITE : IB_ACCESS_REMOTE_READ, 0,
			    sizeof(*value));
	pthread_rwlock_unlock(&tags);
	if (!ret) {
		struct page *page = siw_get_upage(wqe.mem[0]->umem, address);

		if (!page)
			ret = -ENXIO;
		else if (write)
			memcpy_to_page(page, offset_in_page(address), (char *)value,
				       sizeof(*value));
		else
			memcpy_from_page((char *)value, page, offset_in_page(address),
					 sizeof(*value));
	}
	siw_wqe_put_mem(&wqe, SIW_OP_WRITE);
	return ret;
}

static void test_one_by_one(void)
{
	unsigned long value = 77;
	struct siw_mr mr;
	u32 tag;

	is(register_memory(&mr, AT + 8, PAGES * PAGE_SIZE - 8), 0, "a region of two chunks");
	is(atomic64_read(&mm->pinned_vm), PAGES, "is pinned");
	tag = mr.base_mr.lkey;
	is(access_word(tag, AT + 599 * PAGE_SIZE, &value, true), 0, "a peer writes its last page");
	is(get(AT + 599 * PAGE_SIZE), 77, "the task reads it");
	put(AT + 8, 5);
	change(MIGRATE, AT, 2);
	change(RECLAIM, AT, PAGES);
	is(access_word(tag, AT + 8, &value, false), 0, "a peer reads its first");
	is(value, 5, "what the task wrote");
	is(access_word(tag, AT, &value, false), -E_BASE_BOUNDS, "not before it");
	is(access_word(tag + 256, AT + 8, &value, false), -E_STAG_INVALID, "by no other tag");
	is(siw_check_mem(&other_pd, mr.mem, AT + 8, IB_ACCESS_REMOTE_READ, 8), -E_PD_MISMATCH,
	   "in no other domain");
	is(siw_invalidate_stag(&pd, tag), 0, "the tag is taken away");
	is(access_word(tag, AT + 8, &value, false), -E_STAG_INVALID, "and no use any more");
	siw_mr_drop_mem(&mr);
	is(atomic64_read(&mm->pinned_vm), 0, "what is dropped is not pinned");
	is(register_memory(&mr, 0x60000000, 8), -EFAULT, "nothing is no region");
}

static long countdown;

static bool refuse(size_t size, void *arg)
{
	return __atomic_sub_fetch(&countdown, 1, __ATOMIC_SEQ_CST) == 0;
}

static void test_failing_allocations(void)
{
	int failures = 0, ret;
	struct siw_mr mr;

	mmun_compat_fail_allocations(refuse, NULL);
	do {
		countdown = ++failures;
		ret = register_memory(&mr, AT, SMALL * PAGE_SIZE);
	} while (ret && failures < 50);
	mmun_compat_fail_allocations(NULL, NULL);
	ok(!ret && failures > 5, "each of its %d allocations may fail", failures - 1);
	siw_mr_drop_mem(&mr);
	is(atomic64_read(&mm->pinned_vm), 0, "with nothing left pinned");
}

/* The tag that peers use now; they go on when it is gone. */
static u32 current_tag;
static unsigned long accesses, refused, wrong;
static bool stop;

static void *peer_main(void *none)
{
	unsigned int state = 5;

	while (!__atomic_load_n(&stop, __ATOMIC_ACQUIRE)) {
		unsigned long address = AT + draw(&state, SMALL) * PAGE_SIZE + 512, value = 1;
		int ret = access_word(__atomic_load_n(&current_tag, __ATOMIC_ACQUIRE), address,
				      &value, draw(&state, 2));

		accesses += !ret;
		if (ret == -E_STAG_INVALID)
			__atomic_add_fetch(&refused, 1, __ATOMIC_RELAXED);
		wrong += (ret && ret != -E_STAG_INVALID) || value == 0xaaaaaaaaaaaaaaaaul;
	}
	return NULL;
}

static void test_threads(void)
{
	struct changes changes = { .at = AT, .pages = SMALL, .which = ALL_CHANGES };
	pthread_t peer;

	start_changes(&changes);
	if (pthread_create(&peer, NULL, peer_main, NULL))
		bail_out("no thread");
	/* The peer may begin late. */
	for (int i = 0; i < ROUNDS || changed(&changes) < ROUNDS ||
			!__atomic_load_n(&refused, __ATOMIC_RELAXED);
	     i++) {
		struct siw_mr mr;

		if (register_memory(&mr, AT, SMALL * PAGE_SIZE))
			continue;
		__atomic_store_n(&current_tag, mr.base_mr.rkey, __ATOMIC_RELEASE);
		sched_yield();
		pthread_rwlock_wrlock(&tags);
		siw_mr_drop_mem(&mr);
		pthread_rwlock_unlock(&tags);
	}
	__atomic_store_n(&stop, true, __ATOMIC_RELEASE);
	pthread_join(peer, NULL);
	stop_changes(&changes);
	is(wrong, 0, "a peer reads and writes pages of the region or is refused");
	ok(refused > 0, "which it is when the region has been dropped");
	is(atomic64_read(&mm->pinned_vm), 0, "nothing stays pinned");
	diag("%lu changes, %lu accesses, %lu refused", changed(&changes), accesses, refused);
}

static void test_exit(void)
{
	unsigned long value = 0;
	struct siw_mr mr;

	is(register_memory(&mr, AT, PAGE_SIZE), 0, "a region at the end");
	put(AT, 3);
	end_task();
	ok(!access_word(mr.base_mr.lkey, AT, &value, false) && value == 3,
	   "is the device's after the task, until it is dropped");
	siw_mr_drop_mem(&mr);
}

int main(void)
{
	start_machine();
	xa_init_flags(&siw.mem_xa, XA_FLAGS_ALLOC1);
	map(AT, PAGES, PROT_READ | PROT_WRITE, 0, NULL);
	test_one_by_one();
	test_failing_allocations();
	test_threads();
	test_exit();
	xa_destroy(&siw.mem_xa);
	stop_machine(0);
	return tap_done();
}
