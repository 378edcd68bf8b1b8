/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Of the driver's own headers, what concerns shared virtual addressing. */
#ifndef MMUN_TESTS_KERNEL_INTEL_IOMMU_H
#define MMUN_TESTS_KERNEL_INTEL_IOMMU_H

#include <linux/iommu.h>
#include <linux/mmu_notifier.h>
#include <linux/spinlock.h>

#define VTD_FLAG_SVM_CAPABLE (1u << 2)
#define FLPT_DEFAULT_DID     1
#define PASID_FLAG_FL5LP     2u

/* Capabilities of the processor. */
#define X86_FEATURE_GBPAGES          0
#define X86_FEATURE_LA57             1
#define cpu_feature_enabled(feature) ((feature) == X86_FEATURE_GBPAGES)

#define cap_fl1gp_support(capabilities) (((capabilities) >> 56) & 1)
#define cap_fl5lp_support(capabilities) (((capabilities) >> 60) & 1)
#define ecap_smpwc(capabilities)        (((capabilities) >> 48) & 1)
#define pasid_supported(iommu)          (((iommu)->ecap >> 40) & 1)

struct intel_iommu {
	const char *name;
	u64 cap, ecap;
	u32 flags;
};

struct device_domain_info {
	struct intel_iommu *iommu;
};

struct dev_pasid_info {
	struct list_head link_domain;
	struct device *dev;
	ioasid_t pasid;
};

struct qi_batch;

struct dmar_domain {
	spinlock_t lock; /* ->dev_pasids */
	struct list_head dev_pasids;
	spinlock_t cache_lock; /* ->cache_tags */
	struct list_head cache_tags;
	struct qi_batch *qi_batch;
	bool use_first_level;
	struct mmu_notifier notifier;
	struct iommu_domain domain;
};

static inline struct dmar_domain *to_dmar_domain(struct iommu_domain *domain)
{
	return container_of(domain, struct dmar_domain, domain);
}

void intel_svm_check(struct intel_iommu *iommu);
struct iommu_domain *intel_svm_domain_alloc(struct device *dev, struct mm_struct *mm);

int cache_tag_assign_domain(struct dmar_domain *domain, struct device *dev, ioasid_t pasid);
void cache_tag_unassign_domain(struct dmar_domain *domain, struct device *dev, ioasid_t pasid);
void cache_tag_flush_range(struct dmar_domain *domain, unsigned long start, unsigned long end,
			   int hint);
void cache_tag_flush_all(struct dmar_domain *domain);
int intel_pasid_setup_first_level(struct intel_iommu *iommu, struct device *dev, void *pgd,
				  u32 pasid, u16 did, int flags);
void intel_pasid_tear_down_entry(struct intel_iommu *iommu, struct device *dev, u32 pasid,
				 bool fault_ignore);

#endif
