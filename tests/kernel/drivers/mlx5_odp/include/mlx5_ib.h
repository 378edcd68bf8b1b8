/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Regions of memory and their keys, as far as page faults go.  What the device has of a region
 * (its tables) is in the region.  Queues there are none: a fault names a key and an address.
 */
#ifndef MMUN_KERNEL_MLX5_IB_H
#define MMUN_KERNEL_MLX5_IB_H

#include <linux/mlx5/driver.h>
#include <linux/mlx5/qp.h>
#include <linux/mm.h>
#include <linux/printk.h>
#include <linux/wait.h>
#include <rdma/ib_umem_odp.h>

#define mlx5_ib_dbg(dev, format, ...)  ((void)(dev), no_printk(format, ##__VA_ARGS__))
#define mlx5_ib_warn(dev, format, ...) ((void)(dev), no_printk(format, ##__VA_ARGS__))
#define mlx5_ib_err(dev, format, ...)  ((void)(dev), no_printk(format, ##__VA_ARGS__))

#define MLX5_IB_UPD_XLT_ZAP      BIT(0)
#define MLX5_IB_UPD_XLT_ENABLE   BIT(1)
#define MLX5_IB_UPD_XLT_ATOMIC   BIT(2)
#define MLX5_IB_UPD_XLT_INDIRECT BIT(6)
#define MLX5_IB_MTT_READ         1
#define MLX5_IB_MTT_WRITE        2
#define MLX5_MAX_UMR_SHIFT       16
#define MLX5_QP_FLAG_SIGNATURE   1
#define MLX5_IB_QPT_DCI          103
#define IB_QPT_UD                4
#define IB_QPT_XRC_INI           9

#define get_order(size) ((int)fls64(((size)-1) >> PAGE_SHIFT))

enum ib_uverbs_advise_mr_advice {
	IB_UVERBS_ADVISE_MR_ADVICE_PREFETCH,
	IB_UVERBS_ADVISE_MR_ADVICE_PREFETCH_WRITE,
	IB_UVERBS_ADVISE_MR_ADVICE_PREFETCH_NO_FAULT,
};

#define IB_UVERBS_ADVISE_MR_FLAG_FLUSH 1

#define IB_ODP_SUPPORT          1
#define IB_ODP_SUPPORT_IMPLICIT 2

enum {
	IB_ODP_SUPPORT_SEND = 1,
	IB_ODP_SUPPORT_RECV = 2,
	IB_ODP_SUPPORT_WRITE = 4,
	IB_ODP_SUPPORT_READ = 8,
	IB_ODP_SUPPORT_ATOMIC = 16,
	IB_ODP_SUPPORT_SRQ_RECV = 32,
};

struct ib_odp_caps {
	u64 general_caps;
	struct {
		u32 rc_odp_caps, uc_odp_caps, ud_odp_caps, xrc_odp_caps;
	} per_transport_caps;
};

struct ib_sge {
	u64 addr;
	u32 length, lkey;
};

struct ib_pd {
	struct ib_device *device;
};

struct ib_mr {
	struct ib_device *device;
	struct ib_pd *pd;
	u32 lkey, rkey;
	u64 iova;
};

struct ib_udata;
struct uverbs_attr_bundle;

struct ib_device_ops {
	int (*advise_mr)(struct ib_pd *pd, enum ib_uverbs_advise_mr_advice advice, u32 flags,
			 struct ib_sge *sg_list, u32 num_sge, struct uverbs_attr_bundle *attrs);
};

#define ib_set_device_ops(device, ops) ((void)(device), (void)(ops))

enum mlx5_mkey_type {
	MLX5_MKEY_MR = 1,
	MLX5_MKEY_MW,
	MLX5_MKEY_INDIRECT_DEVX,
	MLX5_MKEY_NULL,
	MLX5_MKEY_IMPLICIT_CHILD,
};

struct mlx5_ib_mkey {
	u32 key;
	enum mlx5_mkey_type type;
	unsigned int ndescs;
	wait_queue_head_t wait;
	refcount_t usecount;
};

struct mlx5_ib_mr {
	struct ib_mr ibmr;
	struct mlx5_ib_mkey mmkey, null_mmkey;
	struct ib_umem *umem;
	int access_flags;
	bool data_direct, is_odp_implicit;
	struct mlx5_ib_mr *parent;
	struct xarray implicit_children;
	union {
		struct work_struct work;
	} odp_destroy;
	struct {
		atomic64_t faults, invalidations, prefetch;
	} odp_stats;
	/* The device's: addresses of pages, or keys of other regions. */
	__be64 *mtt;
	struct mlx5_klm *klm;
};

#define mlx5_update_odp_stats(mr, counter, value) atomic64_add(value, &(mr)->odp_stats.counter)

struct mlx5_ib_dev;

struct mlx5_ib_pf_eq {
	struct notifier_block irq_nb;
	struct mlx5_ib_dev *dev;
	struct mlx5_eq *core;
	struct work_struct work;
	spinlock_t lock;
	struct workqueue_struct *wq;
	mempool_t *pool;
};

struct mlx5_ib_dev {
	struct ib_device ib_dev;
	struct mlx5_core_dev *mdev;
	struct {
		u32 null_mkey;
		__be32 terminate_scatter_list_mkey;
	} mkeys;
	struct ib_odp_caps odp_caps;
	u64 odp_max_size;
	struct mutex odp_eq_mutex;
	struct mlx5_ib_pf_eq odp_pf_eq;
	struct xarray odp_mkeys;
};

struct mlx5_ib_pd {
	struct ib_pd ibpd;
	u32 pdn;
};

static inline struct mlx5_ib_dev *to_mdev(struct ib_device *device)
{
	return container_of(device, struct mlx5_ib_dev, ib_dev);
}

#define mr_to_mdev(mr) to_mdev((mr)->ibmr.device)

static inline bool mlx5r_umr_can_load_pas(struct mlx5_ib_dev *dev, size_t length)
{
	return true;
}

static inline int mlx5r_store_odp_mkey(struct mlx5_ib_dev *dev, struct mlx5_ib_mkey *mkey)
{
	refcount_set(&mkey->usecount, 1);
	return xa_err(xa_store(&dev->odp_mkeys, mlx5_base_mkey(mkey->key), mkey, GFP_KERNEL));
}

static inline void mlx5r_deref_odp_mkey(struct mlx5_ib_mkey *mkey)
{
	if (refcount_dec_and_test(&mkey->usecount))
		wake_up(&mkey->wait);
}

static inline void mlx5r_deref_wait_odp_mkey(struct mlx5_ib_mkey *mkey)
{
	mlx5r_deref_odp_mkey(mkey);
	wait_event(mkey->wait, !refcount_read(&mkey->usecount));
}

int mlx5r_umr_update_xlt(struct mlx5_ib_mr *mr, u64 idx, int npages, int page_shift, int flags);
struct mlx5_ib_mr *mlx5_mr_cache_alloc(struct mlx5_ib_dev *dev, int access_flags, int access_mode,
				       int ndescs);
int mlx5_ib_dereg_mr(struct ib_mr *ibmr, struct ib_udata *udata);

/* Kept ready for regions of all memory: not here. */
struct mlx5_cache_ent;
struct mlx5r_cache_rb_key {
	unsigned int access_mode, ndescs;
};

static inline struct mlx5_cache_ent *
mlx5r_cache_create_ent_locked(struct mlx5_ib_dev *dev, struct mlx5r_cache_rb_key key, bool keep)
{
	return NULL;
}

/* Regions of another device's memory. */
#define ib_umem_dmabuf_map_pages(umem)               ((void)(umem), -EOPNOTSUPP)
#define ib_umem_dmabuf_unmap_pages(umem)             ((void)(umem))
#define mlx5_umem_dmabuf_find_best_pgsz(umem)        ((void)(umem), 0ul)
#define mlx5r_umr_update_mr_pas(mr, flags)           ((void)(flags), -EOPNOTSUPP)
#define mlx5r_umr_update_data_direct_ksm_pas(mr, fl) ((void)(fl), -EOPNOTSUPP)

/* Queues. */
struct mlx5_core_srq {
	struct mlx5_core_rsc_common common;
	int wqe_shift;
};

struct mlx5_ib_srq {
	struct mlx5_core_srq msrq;
};

struct mlx5_ib_wq {
	int wqe_shift;
};

struct mlx5_ib_qp {
	struct {
		struct {
			struct mlx5_core_qp mqp;
		} base;
	} trans_qp;
	struct mlx5_ib_wq rq;
	int flags_en, type;
};

#define to_mibqp(qp)   container_of(qp, struct mlx5_ib_qp, trans_qp.base.mqp)
#define to_mibsrq(srq) container_of(srq, struct mlx5_ib_srq, msrq)

#define mlx5_cmd_get_srq(dev, number)         ((void)(dev), (struct mlx5_core_srq *)NULL)
#define mlx5_core_res_hold(dev, number, type) ((void)(dev), (struct mlx5_core_rsc_common *)NULL)
#define mlx5_core_res_put(res)                ((void)(res))

static inline int mlx5_ib_read_no_wqe(void *queue, size_t *copied)
{
	*copied = 0;
	return -EOPNOTSUPP;
}

#define mlx5_ib_read_wqe_sq(qp, index, buffer, size, copied)   mlx5_ib_read_no_wqe(qp, copied)
#define mlx5_ib_read_wqe_rq(qp, index, buffer, size, copied)   mlx5_ib_read_no_wqe(qp, copied)
#define mlx5_ib_read_wqe_srq(srq, index, buffer, size, copied) mlx5_ib_read_no_wqe(srq, copied)

/* The driver's. */
extern const struct mmu_interval_notifier_ops mlx5_mn_ops;
int mlx5_ib_odp_init(void);
int mlx5_ib_odp_init_one(struct mlx5_ib_dev *dev);
void mlx5_ib_odp_cleanup_one(struct mlx5_ib_dev *dev);
int mlx5r_odp_create_eq(struct mlx5_ib_dev *dev, struct mlx5_ib_pf_eq *eq);
int mlx5_odp_init_mkey_cache(struct mlx5_ib_dev *dev);
void mlx5_odp_populate_xlt(void *xlt, size_t idx, size_t nentries, struct mlx5_ib_mr *mr,
			   int flags);
int mlx5_ib_init_odp_mr(struct mlx5_ib_mr *mr);
int mlx5_ib_init_dmabuf_mr(struct mlx5_ib_mr *mr);
struct mlx5_ib_mr *mlx5_ib_alloc_implicit_mr(struct mlx5_ib_pd *pd, int access_flags);
void mlx5_ib_free_odp_mr(struct mlx5_ib_mr *mr);
int mlx5_ib_advise_mr_prefetch(struct ib_pd *pd, enum ib_uverbs_advise_mr_advice advice, u32 flags,
			       struct ib_sge *sg_list, u32 num_sge);
int mlx5_ib_advise_mr(struct ib_pd *pd, enum ib_uverbs_advise_mr_advice advice, u32 flags,
		      struct ib_sge *sg_list, u32 num_sge, struct uverbs_attr_bundle *attrs);

#endif
