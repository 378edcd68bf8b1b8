/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * arm-smmu-v3-sva.c is below the kernel's iommu-sva.c; here is what lies below it: domains,
 * context descriptors that the device finds its page tables by, and both of its caches.
 */
#include "../../sva.h"

#include "arm-smmu-v3.h"

DEFINE_XARRAY_ALLOC1(arm_smmu_asid_xa);

static struct arm_smmu_cd descriptors[SVA_PASIDS];
/* Which ASID's entries are whose. */
static u16 asids[SVA_PASIDS];

struct arm_smmu_domain *arm_smmu_domain_alloc(void)
{
	struct arm_smmu_domain *smmu_domain = kzalloc(sizeof(*smmu_domain), GFP_KERNEL);

	if (!smmu_domain)
		return ERR_PTR(-ENOMEM);
	INIT_LIST_HEAD(&smmu_domain->devices);
	spin_lock_init(&smmu_domain->devices_lock);
	return smmu_domain;
}

struct arm_smmu_cd *arm_smmu_get_cd_ptr(struct arm_smmu_master *master, u32 ssid)
{
	return &descriptors[ssid];
}

void arm_smmu_make_s1_cd(struct arm_smmu_cd *target, struct arm_smmu_master *master,
			 struct arm_smmu_domain *smmu_domain)
{
	bail_out("no page tables of the driver's own");
}

/* The device looks at once: no tables where the walk of them is off. */
void arm_smmu_write_cd_entry(struct arm_smmu_master *master, int ssid, struct arm_smmu_cd *cdptr,
			     const struct arm_smmu_cd *target)
{
	u64 first = le64_to_cpu(target->data[0]);
	bool off = !(first & CTXDESC_CD_0_V) || (first & CTXDESC_CD_0_TCR_EPD0);

	*cdptr = *target;
	asids[ssid] = FIELD_GET(CTXDESC_CD_0_ASID, first);
	sva_set_tables(ssid, off ? NULL
				 : (struct mm_struct *)(le64_to_cpu(target->data[1]) &
							CTXDESC_CD_1_TTB0_MASK));
}

int arm_smmu_set_pasid(struct arm_smmu_master *master, struct arm_smmu_domain *smmu_domain,
		       ioasid_t pasid, struct arm_smmu_cd *cd)
{
	struct arm_smmu_master_domain *entry = kzalloc(sizeof(*entry), GFP_KERNEL);

	if (!entry)
		return -ENOMEM;
	entry->master = master;
	entry->ssid = pasid;
	spin_lock(&smmu_domain->devices_lock);
	list_add(&entry->devices_elm, &smmu_domain->devices);
	spin_unlock(&smmu_domain->devices_lock);
	arm_smmu_write_cd_entry(master, pasid, arm_smmu_get_cd_ptr(master, pasid), cd);
	return 0;
}

/* The SMMU's own TLB is by ASID, the device's by PASID: an entry is gone when both are. */
static void flush_asid(u16 asid, unsigned long start, unsigned long last)
{
	for (u32 pasid = 0; pasid < SVA_PASIDS; pasid++)
		if (asids[pasid] == asid)
			sva_flush(pasid, start, last);
}

void arm_smmu_tlb_inv_asid(struct arm_smmu_device *smmu, u16 asid)
{
	flush_asid(asid, 0, ~0ul);
}

void arm_smmu_tlb_inv_range_asid(unsigned long iova, size_t size, int asid, size_t granule,
				 bool leaf, struct arm_smmu_domain *smmu_domain)
{
	flush_asid(asid, iova, iova + size - 1);
}

/* Size 0: everything. */
int arm_smmu_atc_inv_domain(struct arm_smmu_domain *smmu_domain, unsigned long iova, size_t size)
{
	struct arm_smmu_master_domain *entry;

	spin_lock(&smmu_domain->devices_lock);
	list_for_each_entry(entry, &smmu_domain->devices, devices_elm)
		sva_flush(entry->ssid, size ? iova : 0, size ? iova + size - 1 : ~0ul);
	spin_unlock(&smmu_domain->devices_lock);
	return 0;
}

/* The driver's arm-smmu-v3.c. */
static void remove_dev_pasid(struct device *dev, ioasid_t pasid, struct iommu_domain *domain)
{
	struct arm_smmu_domain *smmu_domain = to_smmu_domain(domain);
	struct arm_smmu_cd none = {};
	struct arm_smmu_master_domain *entry, *next;

	arm_smmu_write_cd_entry(dev_iommu_priv_get(dev), pasid, &descriptors[pasid], &none);
	sva_flush(pasid, 0, ~0ul);
	spin_lock(&smmu_domain->devices_lock);
	list_for_each_entry_safe(entry, next, &smmu_domain->devices, devices_elm)
		if (entry->ssid == pasid) {
			list_del(&entry->devices_elm);
			kfree(entry);
		}
	spin_unlock(&smmu_domain->devices_lock);
}

int iopf_queue_add_device(struct iopf_queue *queue, struct device *dev)
{
	return queue == &sva_queue ? 0 : -EINVAL;
}

void iopf_queue_remove_device(struct iopf_queue *queue, struct device *dev)
{
}

static const struct iommu_ops ops = {
	.domain_alloc_sva = arm_smmu_sva_domain_alloc,
	.remove_dev_pasid = remove_dev_pasid,
};

static struct device device;
static struct arm_smmu_device smmu = {
	.dev = &device,
	.features = ARM_SMMU_FEAT_COHERENCY | ARM_SMMU_FEAT_SVA | ARM_SMMU_FEAT_RANGE_INV,
	.oas = 48,
	.pgsize_bitmap = PAGE_SIZE,
	.asid_bits = 16,
	.evtq.iopf = &sva_queue,
};
static struct arm_smmu_master master = {
	.smmu = &smmu,
	.dev = &device,
	.num_streams = 1,
	.ssid_bits = 3,
	.stall_enabled = true,
	.iopf_enabled = true,
};

int main(void)
{
	ok(arm_smmu_sva_supported(&smmu) && arm_smmu_master_sva_supported(&master),
	   "the SMMU and the device can share address spaces");
	is(arm_smmu_master_enable_sva(&master), 0, "which is switched on");
	ok(arm_smmu_master_sva_enabled(&master), "as it says");
	sva_test(&ops, &device, &master);
	is(arm_smmu_master_disable_sva(&master), 0, "and off");
	return tap_done();
}
