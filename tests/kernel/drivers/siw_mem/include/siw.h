/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Software iWARP: the memory objects of a device, and the requests that name them. */
#ifndef MMUN_TESTS_KERNEL_SIW_H
#define MMUN_TESTS_KERNEL_SIW_H

#include <linux/const.h>
#include <linux/kref.h>
#include <linux/random.h>
#include <linux/slab.h>
#include <linux/xarray.h>
#include <rdma/ib_umem.h>
#include <rdma/ib_verbs.h>

#define IWARP_ACCESS_MASK (IB_ACCESS_LOCAL_WRITE | IB_ACCESS_REMOTE_WRITE | IB_ACCESS_REMOTE_READ)
#define SIW_WQE_INLINE    1
#define E_ACCESS_OK       0
#define E_STAG_INVALID    1
#define E_BASE_BOUNDS     2
#define E_ACCESS_PERM     3
#define E_PD_MISMATCH     4

struct ib_pd {
	struct ib_device *device;
};

struct ib_mr {
	u32 lkey, rkey;
};

struct siw_device {
	struct ib_device base_dev;
	struct xarray mem_xa;
};

struct siw_page_chunk {
	struct page **plist;
};

struct siw_umem {
	struct ib_umem *base_mem;
#if TEST_LINUX < 0x0700
	struct siw_page_chunk *page_chunk;
#endif
	int num_pages;
	unsigned int num_chunks;
	u64 fp_addr;
#if TEST_LINUX >= 0x0700
	struct siw_page_chunk page_chunk[];
#endif
};

struct siw_pble {
	dma_addr_t addr;
	unsigned int size;
	unsigned long pbl_off;
};

struct siw_pbl {
	unsigned int num_buf, max_buf;
	struct siw_pble pbe[];
};

struct siw_mem {
	struct siw_device *sdev;
	struct kref ref;
	u64 va, len;
	u32 stag;
	u8 stag_valid, is_pbl, is_mw;
	enum ib_access_flags perms;
	union {
		struct siw_umem *umem;
		struct siw_pbl *pbl;
		void *mem_obj;
	};
	struct ib_pd *pd;
};

struct siw_mr {
	struct ib_mr base_mr;
	struct siw_mem *mem;
};

struct siw_sge {
	u64 laddr;
	u32 length, lkey;
};

enum siw_opcode {
	SIW_OP_WRITE,
	SIW_OP_READ,
	SIW_OP_READ_LOCAL_INV,
	SIW_OP_SEND,
	SIW_OP_SEND_WITH_IMM,
	SIW_OP_SEND_REMOTE_INV,
	SIW_OP_RECEIVE,
	SIW_OP_READ_RESPONSE,
};

struct siw_wqe {
	struct siw_mem *mem[6];
	struct {
		u16 flags, num_sge;
	} sqe, rqe;
};

#define to_siw_dev(dev)            container_of(dev, struct siw_device, base_dev)
#define siw_dbg(dev, fmt, ...)     ((void)(dev), no_printk(fmt, ##__VA_ARGS__))
#define siw_dbg_mem(mem, fmt, ...) ((void)(mem), no_printk(fmt, ##__VA_ARGS__))
#define siw_dbg_pd(pd, fmt, ...)   ((void)(pd), no_printk(fmt, ##__VA_ARGS__))

#endif
