/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * pasid.c is below the kernel's iommu-sva.c; here is what lies below it: domains, the table
 * of PASIDs and the flush.
 */
#include "../../sva.h"

#include "amd_iommu.h"

struct protection_domain *protection_domain_alloc(unsigned int type, int node)
{
	struct protection_domain *pdom = kzalloc(sizeof(*pdom), GFP_KERNEL);

	if (pdom) {
		pdom->domain.type = type;
		spin_lock_init(&pdom->lock);
		INIT_LIST_HEAD(&pdom->dev_data_list);
	}
	return pdom;
}

void protection_domain_free(struct protection_domain *pdom)
{
	kfree(pdom);
}

void amd_iommu_domain_free(struct iommu_domain *domain)
{
	protection_domain_free(to_pdomain(domain));
}

int amd_iommu_set_gcr3(struct iommu_dev_data *dev_data, ioasid_t pasid, unsigned long gcr3)
{
	sva_set_tables(pasid, (struct mm_struct *)gcr3);
	return 0;
}

/* With the flush of all that the PASID had. */
int amd_iommu_clear_gcr3(struct iommu_dev_data *dev_data, ioasid_t pasid)
{
	sva_set_tables(pasid, NULL);
	sva_flush(pasid, 0, ~0ul);
	return 0;
}

void amd_iommu_dev_flush_pasid_pages(struct iommu_dev_data *dev_data, ioasid_t pasid, u64 address,
				     size_t size)
{
	sva_flush(pasid, address, address + size - 1);
}

static const struct iommu_ops ops = {
	.domain_alloc_sva = amd_iommu_domain_alloc_sva,
	.remove_dev_pasid = amd_iommu_remove_dev_pasid,
};

static u64 table[SVA_PASIDS];
static struct iommu_dev_data dev_data = {
	.gcr3_info.gcr3_tbl = table,
	.max_pasids = SVA_PASIDS,
	.pasid_enabled = true,
};
static struct device device;

int main(void)
{
	sva_test(&ops, &device, &dev_data);
	return tap_done();
}
