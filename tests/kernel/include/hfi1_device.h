/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What hfi.h has for the files that pin and follow user memory; the device is an array. */
#ifndef MMUN_TESTS_KERNEL_HFI1_DEVICE_H
#define MMUN_TESTS_KERNEL_HFI1_DEVICE_H

#include <linux/capability.h>
#include <linux/device.h>
#include <linux/dma-mapping.h>
#include <linux/io.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/mmu_notifier.h>
#include <linux/mutex.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/stat.h>
#include <linux/uaccess.h>
#include <linux/workqueue.h>

#define HFI1_PRESENT                   1
#define HFI1_CAP_TID_UNMAP             1ul
#define HFI1_CAP_USER_SHIFT            24
#define MAX_EXPECTED_BUFFER            (2048 * 1024)
#define PT_EXPECTED                    0
#define PT_INVALID_FLUSH               2
#define HFI1_MAX_SHARED_CTXTS          8
#define _HFI1_EVENT_TID_MMU_NOTIFY_BIT 5
#define HFI1_CAP_UGET_MASK(mask, cap)  (((mask) >> HFI1_CAP_USER_SHIFT) & HFI1_CAP_##cap)

struct pci_dev {
	struct device dev;
};

struct exp_tid_set {
	struct list_head list;
	u32 count;
};

struct hfi1_devdata {
	struct pci_dev *pcidev;
	unsigned long flags;
	void __iomem *rcvarray_wc;
	struct {
		u16 group_size;
	} rcv_entries;
	unsigned long *events;
	u32 num_rcv_contexts, first_dyn_alloc_ctxt;
};

struct tid_group;
struct tid_rb_node;

struct hfi1_ctxtdata {
	struct hfi1_devdata *dd;
	struct mutex exp_mutex;
	struct exp_tid_set tid_group_list, tid_used_list, tid_full_list;
	struct tid_group *groups;
	u32 expected_count, expected_base;
	unsigned long flags;
	u16 ctxt;
	u8 subctxt_cnt;
	int numa_id;
};

struct hfi1_filedata {
	struct hfi1_ctxtdata *uctxt;
	struct mm_struct *mm;
	u16 subctxt;
	bool use_mn;
	spinlock_t tid_lock, invalid_lock;
	u32 tid_limit, tid_used, invalid_tid_idx;
	u32 tid_n_pinned;
	u32 *invalid_tids;
	struct tid_rb_node **entry_to_rb;
};

/* What PSM passes. */
struct hfi1_tid_info {
	u64 vaddr, tidlist;
	u32 tidcnt, length;
};

static inline unsigned long uctxt_offset(struct hfi1_ctxtdata *uctxt)
{
	return (uctxt->ctxt - uctxt->dd->first_dyn_alloc_ctxt) * HFI1_MAX_SHARED_CTXTS;
}

#define flush_wc()                         smp_mb()
#define dd_dev_err(dd, fmt, ...)           ((void)(dd), no_printk(fmt, ##__VA_ARGS__))
#define hfi1_cdbg(which, fmt, ...)         ((void)no_printk(fmt, ##__VA_ARGS__))
#define trace_hfi1_exp_tid_reg(...)        ((void)0)
#define trace_hfi1_exp_tid_unreg(...)      ((void)0)
#define trace_hfi1_exp_tid_inval(...)      ((void)0)
#define trace_hfi1_mmu_rb_insert(...)      ((void)0)
#define trace_hfi1_mmu_rb_search(...)      ((void)0)
#define trace_hfi1_mmu_release_node(...)   ((void)0)
#define trace_hfi1_mmu_rb_evict(...)       ((void)0)
#define trace_hfi1_mmu_mem_invalidate(...) ((void)0)

/* The device's array of receive entries, in the test. */
void hfi1_put_tid(struct hfi1_devdata *dd, u32 index, u32 type, unsigned long pa, u16 order);
void hfi1_clear_tids(struct hfi1_ctxtdata *rcd);

bool hfi1_can_pin_pages(struct hfi1_devdata *dd, struct mm_struct *mm, u32 nlocked, u32 npages);
int hfi1_acquire_user_pages(struct mm_struct *mm, unsigned long vaddr, size_t npages, bool writable,
			    struct page **pages);
void hfi1_release_user_pages(struct mm_struct *mm, struct page **p, size_t npages, bool dirty);

#endif
