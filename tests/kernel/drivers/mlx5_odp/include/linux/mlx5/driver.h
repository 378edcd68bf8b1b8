/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The device below: what it can do, its commands, and the queue of its events. */
#ifndef MMUN_KERNEL_MLX5_DRIVER_H
#define MMUN_KERNEL_MLX5_DRIVER_H

#include <linux/completion.h>
#include <linux/interrupt.h>
#include <linux/mempool.h>
#include <linux/refcount.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>

/* Of the layouts of queues. */
#define DECLARE_FLEX_ARRAY(type, name) \
	struct { \
		struct { \
		} empty_##name; \
		type name[]; \
	}
#define struct_group(name, ...) \
	union { \
		struct { \
			__VA_ARGS__ \
		}; \
		struct { \
			__VA_ARGS__ \
		} name; \
	}

struct ib_grh {
	u8 bytes[40];
};

struct ib_ah {
	void *device;
};

#include <linux/mlx5/device.h>

#define mlx5_get_roce_state(dev) ((void)(dev), false)

enum {
	MLX5_PFAULT_REQUESTOR = 1,
};

struct mlx5_hca_cap {
	u32 cur[MLX5_UN_SZ_DW(hca_cap_union)];
};

struct mlx5_core_dev {
	struct {
		struct mlx5_hca_cap *hca[MLX5_CAP_NUM];
	} caps;
};

enum mlx5_res_type {
	MLX5_RES_QP,
	MLX5_RES_SRQ = 3,
	MLX5_RES_XSRQ,
};

struct mlx5_core_rsc_common {
	enum mlx5_res_type res;
	refcount_t refcount;
	struct completion free;
};

struct notifier_block {
	int (*notifier_call)(struct notifier_block *nb, unsigned long action, void *data);
};

struct mlx5_eq;

struct mlx5_eq_param {
	int nent;
	u64 mask[4];
};

#define MLX5_NUM_CMD_EQE 32
#define MLX5_24BIT_MASK  ((1 << 24) - 1)

struct mlx5_eq *mlx5_eq_create_generic(struct mlx5_core_dev *dev, struct mlx5_eq_param *param);
int mlx5_eq_destroy_generic(struct mlx5_core_dev *dev, struct mlx5_eq *eq);
int mlx5_eq_enable(struct mlx5_core_dev *dev, struct mlx5_eq *eq, struct notifier_block *nb);
void mlx5_eq_disable(struct mlx5_core_dev *dev, struct mlx5_eq *eq, struct notifier_block *nb);
struct mlx5_eqe *mlx5_eq_get_eqe(struct mlx5_eq *eq, u32 cc);

static inline u32 mlx5_eq_update_cc(struct mlx5_eq *eq, u32 cc)
{
	return cc;
}

static inline void mlx5_eq_update_ci(struct mlx5_eq *eq, u32 cc, bool arm)
{
}

int mlx5_cmd_exec(struct mlx5_core_dev *dev, void *in, int in_size, void *out, int out_size);
#define mlx5_cmd_exec_in(dev, command, in) \
	mlx5_cmd_exec(dev, in, MLX5_ST_SZ_BYTES(command##_in), NULL, 0)

int mlx5_core_create_mkey(struct mlx5_core_dev *dev, u32 *mkey, u32 *in, int inlen);
int mlx5_core_destroy_mkey(struct mlx5_core_dev *dev, u32 mkey);
int mlx5_core_query_mkey(struct mlx5_core_dev *dev, u32 mkey, u32 *out, int outlen);

static inline u32 mlx5_base_mkey(u32 key)
{
	return key & 0xffffff00u;
}

#endif
