/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Of IOMMUs, what shared virtual addressing has to do with.  tests/kernel/sva.h is behind it. */
#ifndef MMUN_TESTS_KERNEL_LINUX_IOMMU_H
#define MMUN_TESTS_KERNEL_LINUX_IOMMU_H

#include <linux/device.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/refcount.h>
#include <linux/workqueue.h>

typedef unsigned int ioasid_t;

#define IOMMU_PASID_INVALID      (~0u)
#define IOMMU_NO_PASID           0u
#define IOMMU_FIRST_GLOBAL_PASID 1u

/* The kernel has bits here. */
#define IOMMU_DOMAIN_BLOCKED  0u
#define IOMMU_DOMAIN_IDENTITY 4u
#define IOMMU_DOMAIN_SVA      16u

struct bus_type;
struct fwnode_handle;
struct iommu_domain;
struct iommu_ops;
struct iopf_group;
struct notifier_block;

struct iommu_fwspec {
	struct fwnode_handle *iommu_fwnode;
};

struct iommu_domain_ops {
	int (*set_dev_pasid)(struct iommu_domain *domain, struct device *dev, ioasid_t pasid,
			     struct iommu_domain *old);
	void (*free)(struct iommu_domain *domain);
};

#define IOMMU_COOKIE_SVA 5

struct iommu_domain {
	unsigned int type;
	unsigned int cookie_type;
	const struct iommu_domain_ops *ops;
	const struct iommu_ops *owner;
	unsigned long pgsize_bitmap;
	int (*iopf_handler)(struct iopf_group *group);
	/* Of IOMMU_DOMAIN_SVA. */
	struct mm_struct *mm;
	int users;
	struct list_head next;
};

struct iommu_ops {
	struct iommu_domain *(*domain_alloc)(unsigned int type);
	struct iommu_domain *(*domain_alloc_sva)(struct device *dev, struct mm_struct *mm);
	void (*remove_dev_pasid)(struct device *dev, ioasid_t pasid, struct iommu_domain *domain);
};

struct iommu_device {
	const struct iommu_ops *ops;
};

struct dev_iommu {
	struct iommu_fault_param *fault_param;
	struct iommu_device *iommu_dev;
	void *priv;
	u32 max_pasids;
};

static inline void *dev_iommu_priv_get(struct device *dev)
{
	return dev->iommu->priv;
}

/* Bonds of devices with address spaces. */

struct iommu_mm_data {
	u32 pasid;
	struct mm_struct *mm;
	struct list_head sva_domains;
	struct list_head mm_list_elm;
};

struct iommu_attach_handle {
	struct iommu_domain *domain;
};

struct iommu_sva {
	struct iommu_attach_handle handle;
	struct device *dev;
	refcount_t users;
};

static inline u32 mm_get_enqcmd_pasid(struct mm_struct *mm)
{
	struct iommu_mm_data *data = READ_ONCE(mm->iommu_mm);

	return data ? data->pasid : IOMMU_PASID_INVALID;
}

ioasid_t iommu_alloc_global_pasid(struct device *dev);
void iommu_free_global_pasid(ioasid_t pasid);
int iommu_attach_device_pasid(struct iommu_domain *domain, struct device *dev, ioasid_t pasid,
			      struct iommu_attach_handle *handle);
void iommu_detach_device_pasid(struct iommu_domain *domain, struct device *dev, ioasid_t pasid);
void iommu_domain_free(struct iommu_domain *domain);
struct iommu_sva *iommu_sva_bind_device(struct device *dev, struct mm_struct *mm);
void iommu_sva_unbind_device(struct iommu_sva *handle);
u32 iommu_sva_get_pasid(struct iommu_sva *handle);
void mm_pasid_drop(struct mm_struct *mm);

/* Page requests. */

#define IOMMU_FAULT_PERM_READ  (1u << 0)
#define IOMMU_FAULT_PERM_WRITE (1u << 1)
#define IOMMU_FAULT_PERM_EXEC  (1u << 2)
#define IOMMU_FAULT_PERM_PRIV  (1u << 3)

#define IOMMU_FAULT_PAGE_REQUEST_PASID_VALID (1u << 0)

struct iommu_fault_page_request {
	u32 flags;
	u32 pasid;
	u32 grpid;
	u32 perm;
	u64 addr;
};

struct iommu_fault {
	u32 type;
	struct iommu_fault_page_request prm;
};

enum iommu_page_response_code {
	IOMMU_PAGE_RESP_SUCCESS,
	IOMMU_PAGE_RESP_INVALID,
	IOMMU_PAGE_RESP_FAILURE,
};

struct iopf_fault {
	struct iommu_fault fault;
	struct list_head list;
};

struct iopf_queue {
	struct workqueue_struct *wq;
};

struct iommu_fault_param {
	struct device *dev;
	struct iopf_queue *queue;
};

struct iopf_group {
	struct iopf_fault last_fault;
	struct list_head faults;
	struct work_struct work;
	struct iommu_attach_handle *attach_handle;
	struct iommu_fault_param *fault_param;
};

void iopf_group_response(struct iopf_group *group, enum iommu_page_response_code status);
void iopf_free_group(struct iopf_group *group);
int iopf_queue_add_device(struct iopf_queue *queue, struct device *dev);
void iopf_queue_remove_device(struct iopf_queue *queue, struct device *dev);

#endif
