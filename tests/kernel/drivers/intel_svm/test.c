/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * svm.c is below the kernel's iommu-sva.c; here is what lies below it: the tables of PASIDs and the
 * caches that it flushes.
 */
#include "../../sva.h"

#include "iommu.h"

/* One PASID of one device carries one tag here: a domain finds its PASIDs by them. */
struct cache_tag {
	struct list_head node;
	ioasid_t pasid;
};

int cache_tag_assign_domain(struct dmar_domain *domain, struct device *dev, ioasid_t pasid)
{
	struct cache_tag *tag = kzalloc(sizeof(*tag), GFP_KERNEL);

	if (!tag)
		return -ENOMEM;
	tag->pasid = pasid;
	spin_lock(&domain->cache_lock);
	list_add(&tag->node, &domain->cache_tags);
	spin_unlock(&domain->cache_lock);
	return 0;
}

void cache_tag_unassign_domain(struct dmar_domain *domain, struct device *dev, ioasid_t pasid)
{
	struct cache_tag *tag, *next;

	spin_lock(&domain->cache_lock);
	list_for_each_entry_safe(tag, next, &domain->cache_tags, node)
		if (tag->pasid == pasid) {
			list_del(&tag->node);
			kfree(tag);
		}
	spin_unlock(&domain->cache_lock);
}

/* [start, end], the last address included. */
void cache_tag_flush_range(struct dmar_domain *domain, unsigned long start, unsigned long end,
			   int hint)
{
	struct cache_tag *tag;

	spin_lock(&domain->cache_lock);
	list_for_each_entry(tag, &domain->cache_tags, node)
		sva_flush(tag->pasid, start, end);
	spin_unlock(&domain->cache_lock);
}

void cache_tag_flush_all(struct dmar_domain *domain)
{
	cache_tag_flush_range(domain, 0, ~0ul, 0);
}

int intel_pasid_setup_first_level(struct intel_iommu *iommu, struct device *dev, void *pgd,
				  u32 pasid, u16 did, int flags)
{
	sva_set_tables(pasid, pgd);
	return 0;
}

void intel_pasid_tear_down_entry(struct intel_iommu *iommu, struct device *dev, u32 pasid,
				 bool fault_ignore)
{
	sva_set_tables(pasid, NULL);
	sva_flush(pasid, 0, ~0ul);
}

/* The driver's iommu.c. */
static void remove_dev_pasid(struct device *dev, ioasid_t pasid, struct iommu_domain *domain)
{
	struct device_domain_info *info = dev_iommu_priv_get(dev);
	struct dmar_domain *dmar_domain = to_dmar_domain(domain);
	struct dev_pasid_info *entry, *next;
	unsigned long flags;

	spin_lock_irqsave(&dmar_domain->lock, flags);
	list_for_each_entry_safe(entry, next, &dmar_domain->dev_pasids, link_domain)
		if (entry->dev == dev && entry->pasid == pasid) {
			list_del(&entry->link_domain);
			kfree(entry);
		}
	spin_unlock_irqrestore(&dmar_domain->lock, flags);
	cache_tag_unassign_domain(dmar_domain, dev, pasid);
	intel_pasid_tear_down_entry(info->iommu, dev, pasid, false);
}

static const struct iommu_ops ops = {
	.domain_alloc_sva = intel_svm_domain_alloc,
	.remove_dev_pasid = remove_dev_pasid,
};

static struct intel_iommu iommu = { .name = "dmar0",
				    .cap = 1ull << 56,
				    .ecap = 1ull << 48 | 1ull << 40 };
static struct device_domain_info info = { .iommu = &iommu };
static struct device device;

int main(void)
{
	intel_svm_check(&iommu);
	is(iommu.flags, VTD_FLAG_SVM_CAPABLE, "the IOMMU can share address spaces");
	sva_test(&ops, &device, &info);
	return tap_done();
}
