/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Regions on demand of mlx5: a device with tables of its own, which the driver writes when pages
 * have been faulted in, and empties in its callback.  What is not in a table the device asks for
 * by an event, and waits until the driver lets it go on.
 *
 * An access is a look into the table and the use of what is there, under a lock that updates of
 * tables take too: an update waits until accesses have ended.
 */
#include "../../changes.h"

#include <mlx5_ib.h>

#define AT       0x10000000ul
#define PAGES    16ul
#define REGIONS  64
#define ROUNDS   400
#define PATIENCE 50

static struct device dma_device;
static struct mlx5_hca_cap general, odp_cap;
static struct mlx5_core_dev core;
static struct mlx5_ib_dev dev = { .mdev = &core, .mkeys.null_mkey = 0xffffff00u };
static struct mlx5_ib_pd pd = { .ibpd.device = &dev.ib_dev };

/* The device. */

static DEFINE_SPINLOCK(device_lock);
/* By their keys; and what of the watched memory each was given. */
static struct mlx5_ib_mr *regions[REGIONS];
static struct given given[REGIONS][PAGES];
static unsigned long wrong, zaps, faults, children;

static unsigned int slot_of(u32 key)
{
	return (key >> 8) % REGIONS;
}

/* The last slot is that of the null key. */
struct mlx5_ib_mr *mlx5_mr_cache_alloc(struct mlx5_ib_dev *mdev, int access_flags, int access_mode,
				       int ndescs)
{
	struct mlx5_ib_mr *mr = kzalloc(sizeof(*mr), GFP_KERNEL);
	unsigned int slot = 1;

	if (!mr)
		return ERR_PTR(-ENOMEM);
	if (access_mode == MLX5_MKC_ACCESS_MODE_KSM)
		mr->klm = kvcalloc(ndescs, sizeof(*mr->klm), GFP_KERNEL);
	else
		mr->mtt = kvcalloc(ndescs, sizeof(*mr->mtt), GFP_KERNEL);
	spin_lock(&device_lock);
	while (slot < REGIONS - 1 && regions[slot])
		slot++;
	if (slot < REGIONS - 1 && (mr->klm || mr->mtt)) {
		regions[slot] = mr;
		memset(given[slot], 0, sizeof(given[slot]));
	} else {
		slot = 0;
	}
	spin_unlock(&device_lock);
	if (!slot) {
		kvfree(mr->mtt);
		kvfree(mr->klm);
		kfree(mr);
		return ERR_PTR(-ENOMEM);
	}
	mr->mmkey.key = slot << 8 | 1;
	mr->mmkey.type = MLX5_MKEY_MR;
	mr->mmkey.ndescs = ndescs;
	init_waitqueue_head(&mr->mmkey.wait);
	return mr;
}

int mlx5_ib_dereg_mr(struct ib_mr *ibmr, struct ib_udata *udata)
{
	struct mlx5_ib_mr *mr = container_of(ibmr, struct mlx5_ib_mr, ibmr);

	if (refcount_read(&mr->mmkey.usecount) &&
	    xa_erase(&dev.odp_mkeys, mlx5_base_mkey(mr->mmkey.key)))
		mlx5r_deref_wait_odp_mkey(&mr->mmkey);
	spin_lock(&device_lock);
	regions[slot_of(mr->mmkey.key)] = NULL;
	spin_unlock(&device_lock);
	if (mr->is_odp_implicit)
		mlx5_ib_free_odp_mr(mr);
	ib_umem_odp_release(to_ib_umem_odp(mr->umem));
	kvfree(mr->mtt);
	kvfree(mr->klm);
	kfree(mr);
	return 0;
}

/* An entry of a table is written: it is that of the page that is there. */
static void enter(struct mlx5_ib_mr *mr, u64 i, __be64 entry)
{
	unsigned long address = ib_umem_start(to_ib_umem_odp(mr->umem)) + i * PAGE_SIZE;
	u64 value = be64_to_cpu(entry);
	struct given *g;

	mr->mtt[i] = entry;
	if (address < AT || address >= AT + PAGES * PAGE_SIZE)
		return;
	g = &given[slot_of(mr->mmkey.key)][(address - AT) >> PAGE_SHIFT];
	g->there = false;
	if (value & MLX5_IB_MTT_READ)
		wrong += !give(g, address, pfn_to_page(PHYS_PFN(value & ODP_DMA_ADDR_MASK)));
}

int mlx5r_umr_update_xlt(struct mlx5_ib_mr *mr, u64 idx, int npages, int page_shift, int flags)
{
	__be64 *chunk;

	if (flags & MLX5_IB_UPD_XLT_INDIRECT) {
		spin_lock(&device_lock);
		mlx5_odp_populate_xlt(&mr->klm[idx], idx, npages, mr, flags);
		spin_unlock(&device_lock);
		return 0;
	}
	/* A new table is empty. */
	if (flags & MLX5_IB_UPD_XLT_ENABLE && flags & MLX5_IB_UPD_XLT_ZAP) {
		__atomic_add_fetch(&children, 1, __ATOMIC_RELAXED);
		return 0;
	}
	chunk = kvcalloc(npages, sizeof(*chunk), GFP_KERNEL);
	if (!chunk)
		return -ENOMEM;
	mlx5_odp_populate_xlt(chunk, idx, npages, mr, flags);
	spin_lock(&device_lock);
	for (int i = 0; i < npages; i++)
		enter(mr, idx + i, chunk[i]);
	zaps += !!(flags & MLX5_IB_UPD_XLT_ZAP);
	spin_unlock(&device_lock);
	kvfree(chunk);
	return 0;
}

/* One access to the word at @address by the key of @mr: -EAGAIN if there is no page, -EACCES if
 * the key is not one to write; entries may say more than keys. */
static int try(struct mlx5_ib_mr *mr, unsigned long address, bool write)
{
	int ret = -EAGAIN;

	if (write && !(mr->access_flags & IB_ACCESS_LOCAL_WRITE))
		return -EACCES;
	spin_lock(&device_lock);
	if (mr->klm)
		mr = regions[slot_of(be32_to_cpu(mr->klm[address >> 30].key))];
	if (mr) {
		u64 i = (address - ib_umem_start(to_ib_umem_odp(mr->umem))) >> PAGE_SHIFT;
		struct given *g = &given[slot_of(mr->mmkey.key)][(address - AT) >> PAGE_SHIFT];

		if (be64_to_cpu(mr->mtt[i]) & (write ? MLX5_IB_MTT_WRITE : MLX5_IB_MTT_READ)) {
			if (write)
				device_writes(g, address, address);
			else
				device_reads(g, address);
			ret = 0;
		}
	}
	spin_unlock(&device_lock);
	return ret;
}

/* Its events and commands. */

static struct mlx5_eq {
	struct notifier_block *nb;
	struct mlx5_eqe eqe;
	bool pending;
} queue;

static DECLARE_COMPLETION(resumed);
static bool resumed_with_error;

struct mlx5_eq *mlx5_eq_create_generic(struct mlx5_core_dev *mdev, struct mlx5_eq_param *param)
{
	return &queue;
}

int mlx5_eq_destroy_generic(struct mlx5_core_dev *mdev, struct mlx5_eq *eq)
{
	return 0;
}

int mlx5_eq_enable(struct mlx5_core_dev *mdev, struct mlx5_eq *eq, struct notifier_block *nb)
{
	eq->nb = nb;
	return 0;
}

void mlx5_eq_disable(struct mlx5_core_dev *mdev, struct mlx5_eq *eq, struct notifier_block *nb)
{
	eq->nb = NULL;
}

struct mlx5_eqe *mlx5_eq_get_eqe(struct mlx5_eq *eq, u32 cc)
{
	bool pending = eq->pending;

	eq->pending = false;
	return pending ? &eq->eqe : NULL;
}

/* A page fault is resumed: there is no other command. */
int mlx5_cmd_exec(struct mlx5_core_dev *mdev, void *in, int in_size, void *out, int out_size)
{
	void *info = MLX5_ADDR_OF(page_fault_resume_in, in, page_fault_info.trans_page_fault_info);

	resumed_with_error = MLX5_GET(trans_page_fault_info, info, error);
	complete(&resumed);
	return 0;
}

int mlx5_core_create_mkey(struct mlx5_core_dev *mdev, u32 *mkey, u32 *in, int inlen)
{
	return -EOPNOTSUPP;
}

int mlx5_core_destroy_mkey(struct mlx5_core_dev *mdev, u32 mkey)
{
	return -EOPNOTSUPP;
}

int mlx5_core_query_mkey(struct mlx5_core_dev *mdev, u32 mkey, u32 *out, int outlen)
{
	return -EOPNOTSUPP;
}

/* The device asks for @length bytes, and waits. */
static int page_fault(u32 key, unsigned long address, u32 length)
{
	struct mlx5_eqe_page_fault *fault = &queue.eqe.data.page_fault;

	memset(&queue.eqe, 0, sizeof(queue.eqe));
	queue.eqe.sub_type = MLX5_PFAULT_SUBTYPE_RDMA;
	fault->rdma.r_key = cpu_to_be32(key);
	fault->rdma.rdma_op_len = cpu_to_be32(length);
	fault->rdma.rdma_va = cpu_to_be64(address);
	queue.pending = true;
	reinit_completion(&resumed);
	queue.nb->notifier_call(queue.nb, 0, NULL);
	wait_for_completion(&resumed);
	faults++;
	return resumed_with_error ? -EFAULT : 0;
}

static int use(struct mlx5_ib_mr *mr, unsigned long page, bool write)
{
	unsigned long address = AT + page * PAGE_SIZE;

	for (int i = 0; i < PATIENCE; i++) {
		int ret = try(mr, address, write);

		if (ret != -EAGAIN)
			return ret;
		if (page_fault(mr->ibmr.rkey, address, sizeof(long)))
			return -EFAULT;
	}
	return -EAGAIN;
}

static int use_all(struct mlx5_ib_mr *mr, bool write)
{
	int ret = 0;

	for (unsigned long i = 0; i < PAGES && !ret; i++)
		ret = use(mr, i, write);
	return ret;
}

/* As a program registers one. */
static struct mlx5_ib_mr *region(int access)
{
	struct ib_umem_odp *odp;
	struct mlx5_ib_mr *mr;

	odp = ib_umem_odp_get(&dev.ib_dev, AT, PAGES * PAGE_SIZE, access | IB_ACCESS_ON_DEMAND,
			      &mlx5_mn_ops);
	if (IS_ERR(odp))
		bail_out("no region");
	mr = mlx5_mr_cache_alloc(&dev, access, MLX5_MKC_ACCESS_MODE_MTT, PAGES);
	if (IS_ERR(mr))
		bail_out("no place for a region");
	mr->umem = &odp->umem;
	mr->access_flags = access;
	mr->ibmr = (struct ib_mr){ .device = &dev.ib_dev,
				   .pd = &pd.ibpd,
				   .lkey = mr->mmkey.key,
				   .rkey = mr->mmkey.key,
				   .iova = AT };
	xa_init(&mr->implicit_children);
	odp->private = mr;
	is(mlx5r_store_odp_mkey(&dev, &mr->mmkey), 0, "a key");
	is(mlx5_ib_init_odp_mr(mr), 0, "and what is there already");
	return mr;
}

static int prefetch(struct mlx5_ib_mr *mr, enum ib_uverbs_advise_mr_advice advice, u32 key,
		    u32 flags)
{
	struct ib_sge sge = { AT, PAGES * PAGE_SIZE, key };

	return mlx5_ib_advise_mr_prefetch(&pd.ibpd, advice, flags, &sge, 1);
}

static void start_device(void)
{
	dev.ib_dev.dma_device = &dma_device;
	xa_init(&dev.odp_mkeys);
	core.caps.hca[MLX5_CAP_GENERAL] = &general;
	core.caps.hca[MLX5_CAP_ODP] = &odp_cap;
	MLX5_SET(cmd_hca_cap, general.cur, pg, 1);
	MLX5_SET(cmd_hca_cap, general.cur, fixed_buffer_size, 1);
	MLX5_SET(cmd_hca_cap, general.cur, null_mkey, 1);
	MLX5_SET(cmd_hca_cap, general.cur, umr_extended_translation_offset, 1);
	is(mlx5_ib_odp_init(), 0, "a driver");
	is(mlx5_ib_odp_init_one(&dev), 0, "and a device");
	is(dev.odp_caps.general_caps, IB_ODP_SUPPORT | IB_ODP_SUPPORT_IMPLICIT, "that can do it");
	is(mlx5r_odp_create_eq(&dev, &dev.odp_pf_eq), 0, "events");
}

static void test_one_by_one(struct mlx5_ib_mr *mr, const char *what)
{
	unsigned long before;

	for (unsigned int c = 1; c < ALL_CHANGES; c <<= 1) {
		is(use_all(mr, true), 0, "%s: all pages", what);
		before = zaps;
		change((enum change)c, AT, 4);
		/* Children whose last page has gone. */
		flush_workqueue(system_unbound_wq);
		is(use_all(mr, false), 0, "%s: and after change %#x", what, c);
		if (c != WRITE && c != RECLAIM)
			ok(zaps > before, "of which the device heard");
	}
	mmun_soft_munmap(mm, AT + PAGE_SIZE, PAGE_SIZE);
	is(use(mr, 1, false), -EFAULT, "%s: nothing is mapped", what);
	map(AT + PAGE_SIZE, 1, PROT_READ, 0, NULL);
	is(use(mr, 1, true), -EFAULT, "%s: not to be written", what);
	map(AT + PAGE_SIZE, 1, PROT_READ | PROT_WRITE, 0, NULL);
	is(use(mr, 1, true), 0, "%s: as before", what);
	is(get(AT + PAGE_SIZE), AT + PAGE_SIZE, "%s: the task reads what it wrote", what);
	is(violations(), 0, "%s: no page was used after its time", what);
	is(wrong, 0, "%s: each was the right one", what);
}

static void test_prefetch(struct mlx5_ib_mr *mr)
{
	const enum ib_uverbs_advise_mr_advice write = IB_UVERBS_ADVISE_MR_ADVICE_PREFETCH_WRITE;
	unsigned long before;

	change(DONTNEED, AT, PAGES);
	is(prefetch(mr, write, mr->ibmr.lkey, IB_UVERBS_ADVISE_MR_FLAG_FLUSH), 0, "a prefetch");
	before = faults;
	is(use_all(mr, true), 0, "then all pages");
	is(faults, before, "without a fault");
	change(DONTNEED, AT, PAGES);
	is(prefetch(mr, IB_UVERBS_ADVISE_MR_ADVICE_PREFETCH_NO_FAULT, mr->ibmr.lkey,
		    IB_UVERBS_ADVISE_MR_FLAG_FLUSH),
	   0, "one that does not fault");
	is(try(mr, AT, false), -EAGAIN, "finds nothing");
	is(prefetch(mr, write, mr->ibmr.lkey, 0), 0, "one by a worker");
	flush_workqueue(system_unbound_wq);
	before = faults;
	is(use_all(mr, true), 0, "then all pages");
	is(faults, before, "without a fault");
	is(prefetch(mr, write, 0x7f00, 0), -ENOENT, "none with a wrong key");
	is(page_fault(0x7f00, AT, 8), 0, "which is not the driver's, when it faults");
}

static unsigned long sections;

static void section(void)
{
	sections++;
	mmun_soft_madvise(mm, AT, 3 * PAGE_SIZE, MADV_DONTNEED);
}

static void section_aside(void)
{
	aside(section);
}

static void test_section_in_the_middle(struct mlx5_ib_mr *mr)
{
	map_hooked(AT + 2 * PAGE_SIZE, 1);
	sections = 0;
	is(use(mr, 0, true), 0, "a page");
	in_fault = section_aside;
	is(page_fault(mr->ibmr.rkey, AT, 3 * PAGE_SIZE), 0, "a fault with a section in its middle");
	is(sections, 1, "there was one");
	for (unsigned long i = 0; i < 3; i++)
		is(use(mr, i, true), 0, "page %lu after it", i);
	is(violations(), 0, "what was found before is not used");
	is(wrong, 0, "nor entered");
	map(AT, PAGES, PROT_READ | PROT_WRITE, 0, NULL);
}

static void test_threads(struct mlx5_ib_mr *one, struct mlx5_ib_mr *all)
{
	struct changes changes = { .at = AT, .pages = PAGES, .which = ALL_CHANGES };
	unsigned long used = 0, other = 0;
	unsigned int state = 1;

	start_changes(&changes);
	for (int i = 0; i < ROUNDS || (i < 20 * ROUNDS && changed(&changes) < ROUNDS / 4); i++) {
		int ret = use(draw(&state, 3) ? one : all, draw(&state, PAGES), draw(&state, 2));

		used += !ret;
		/* It may not be mapped, or not for writing, for the moment. */
		other += ret && ret != -EFAULT && ret != -EAGAIN;
	}
	stop_changes(&changes);
	flush_workqueue(system_unbound_wq);
	is(other, 0, "accesses against changes");
	is(use_all(one, true), 0, "all pages at the end");
	is(use_all(all, true), 0, "by the other region too");
	is(wrong, 0, "each page that was entered was the right one");
	is(violations(), 0, "none was used after its time");
	diag("%lu changes, %lu uses, %lu faults, %lu zaps, %lu children", changed(&changes), used,
	     faults, zaps, children);
}

/* A region of all memory has one for each GiB, as long as it has pages. */
static void test_children(struct mlx5_ib_mr *all)
{
	unsigned long before;

	is(use(all, 0, true), 0, "a page of all memory");
	ok(xa_load(&all->implicit_children, AT >> 30), "by a child");
	change(DONTNEED, AT, PAGES);
	flush_workqueue(system_unbound_wq);
	ok(!xa_load(&all->implicit_children, AT >> 30), "which goes with its last page");
	before = children;
	is(use(all, 0, true), 0, "the page again");
	is(children, before + 1, "by another");
}

static bool hear_nothing(struct mmu_interval_notifier *mni, const struct mmu_notifier_range *range,
			 unsigned long cur_seq)
{
	return true;
}

/* Shows that the rest would be seen. */
static void test_control(struct mlx5_ib_mr *mr)
{
	static const struct mmu_interval_notifier_ops deaf = { .invalidate = hear_nothing };
	struct mmu_interval_notifier *mni = &to_ib_umem_odp(mr->umem)->notifier;
	unsigned long before = violations();

	is(use(mr, 0, true), 0, "a page");
	mni->ops = &deaf;
	change(DONTNEED, AT, 1);
	is(use(mr, 0, true), 0, "used under a callback that does nothing");
	ok(violations() > before, "is one that the task has no more");
	mni->ops = &mlx5_mn_ops;
	change(DONTNEED, AT, 1);
}

static void test_exit(struct mlx5_ib_mr *one, struct mlx5_ib_mr *all)
{
	is(use_all(one, true), 0, "all pages");
	is(use_all(all, true), 0, "twice");
	mmgrab(mm);
	/* The driver's own last users of the memory are put by a worker. */
	flush_scheduled_work();
	end_task();
	is(to_ib_umem_odp(one->umem)->npages, 0, "the end of the memory takes every page back");
	is(try(one, AT, false), -EAGAIN, "from the device too");
	ok(page_fault(one->ibmr.rkey, AT, 8), "and no more come");
	flush_workqueue(system_unbound_wq);
	ok(!xa_load(&all->implicit_children, AT >> 30), "nor is there a child");
	mm = one->umem->owning_mm;
	mlx5_ib_dereg_mr(&one->ibmr, NULL);
	mlx5_ib_dereg_mr(&all->ibmr, NULL);
	mmdrop(mm);
}

int main(void)
{
	struct mlx5_ib_mr *one, *all, *reads;

	start_machine();
	start_device();
	map(AT, PAGES, PROT_READ | PROT_WRITE, 0, NULL);
	put(AT, 3);
	one = region(IB_ACCESS_LOCAL_WRITE);
	is(try(one, AT, true), 0, "a page that was there");
	is(try(one, AT + PAGE_SIZE, false), -EAGAIN, "and one that was not");
	reads = region(0);
	is(use(reads, 0, false), 0, "a region to read");
	is(use(reads, 1, false), 0, "with a fault too");
	is(use(reads, 0, true), -EACCES, "is not written");
	mlx5_ib_dereg_mr(&reads->ibmr, NULL);
	all = mlx5_ib_alloc_implicit_mr(&pd, IB_ACCESS_LOCAL_WRITE);
	ok(!IS_ERR(all), "a region of all memory");
	test_one_by_one(one, "one range");
	test_one_by_one(all, "all memory");
	test_prefetch(one);
	test_section_in_the_middle(one);
	test_section_in_the_middle(all);
	test_children(all);
	test_threads(one, all);
	test_control(one);
	test_exit(one, all);
	mlx5_ib_odp_cleanup_one(&dev);
	stop_machine(0);
	return tap_done();
}
