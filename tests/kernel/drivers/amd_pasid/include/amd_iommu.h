/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Of the driver's own headers, what concerns shared virtual addressing. */
#ifndef MMUN_TESTS_KERNEL_AMD_IOMMU_H
#define MMUN_TESTS_KERNEL_AMD_IOMMU_H

#include <linux/iommu.h>
#include <linux/mmu_notifier.h>
#include <linux/spinlock.h>

struct gcr3_tbl_info {
	u64 *gcr3_tbl;
};

struct iommu_dev_data {
	struct gcr3_tbl_info gcr3_info;
	u32 max_pasids;
	bool pasid_enabled;
};

struct pdom_dev_data {
	struct iommu_dev_data *dev_data;
	ioasid_t pasid;
	struct list_head list;
};

struct protection_domain {
	struct iommu_domain domain;
	spinlock_t lock; /* ->dev_data_list */
	struct mmu_notifier mn;
	struct list_head dev_data_list;
};

#define for_each_pdom_dev_data(entry, pdom) list_for_each_entry(entry, &(pdom)->dev_data_list, list)
#define for_each_pdom_dev_data_safe(entry, next, pdom) \
	list_for_each_entry_safe(entry, next, &(pdom)->dev_data_list, list)

static inline struct protection_domain *to_pdomain(struct iommu_domain *domain)
{
	return container_of(domain, struct protection_domain, domain);
}

/* The page tables of a task are known by what their root is. */
#define iommu_virt_to_phys(root) ((unsigned long)(root))

struct protection_domain *protection_domain_alloc(unsigned int type, int node);
void protection_domain_free(struct protection_domain *pdom);
void amd_iommu_domain_free(struct iommu_domain *domain);
int amd_iommu_set_gcr3(struct iommu_dev_data *dev_data, ioasid_t pasid, unsigned long gcr3);
int amd_iommu_clear_gcr3(struct iommu_dev_data *dev_data, ioasid_t pasid);
void amd_iommu_dev_flush_pasid_pages(struct iommu_dev_data *dev_data, ioasid_t pasid, u64 address,
				     size_t size);

int iommu_sva_set_dev_pasid(struct iommu_domain *domain, struct device *dev, ioasid_t pasid,
			    struct iommu_domain *old);
struct iommu_domain *amd_iommu_domain_alloc_sva(struct device *dev, struct mm_struct *mm);
void amd_iommu_remove_dev_pasid(struct device *dev, ioasid_t pasid, struct iommu_domain *domain);

#endif
