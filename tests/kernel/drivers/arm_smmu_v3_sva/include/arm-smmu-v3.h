/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Of the driver's own header and of the processor's, what concerns shared virtual addressing. */
#ifndef MMUN_TESTS_KERNEL_ARM_SMMU_V3_H
#define MMUN_TESTS_KERNEL_ARM_SMMU_V3_H

#include <linux/bitfield.h>
#include <linux/bits.h>
#include <asm/byteorder.h>
#include <linux/dev_printk.h>
#include <linux/iommu.h>
#include <linux/mmu_notifier.h>
#include <linux/sizes.h>
#include <linux/spinlock.h>
#include <linux/xarray.h>

/* The processor: 48 bits of address, 16 of ASID. */
#define vabits_actual                                      48
#define SYS_ID_AA64MMFR0_EL1                               0
#define ID_AA64MMFR0_EL1_PARANGE_SHIFT                     0
#define ID_AA64MMFR0_EL1_ASIDBITS_SHIFT                    4
#define read_sanitised_ftr_reg(reg)                        0x25ul
#define read_sysreg(reg)                                   0xfful
#define cpuid_feature_extract_unsigned_field(value, shift) (((value) >> (shift)) & 15)
#define id_aa64mmfr0_parange_to_phys_shift(range)          ((range) == 5 ? 48u : 40u)
#define arm64_kernel_unmapped_at_el0()                     true
#define num_possible_cpus()                                4

#define ARM_SMMU_FEAT_COHERENCY   (1u << 8)
#define ARM_SMMU_FEAT_STALL_FORCE (1u << 13)
#define ARM_SMMU_FEAT_VAX         (1u << 14)
#define ARM_SMMU_FEAT_RANGE_INV   (1u << 15)
#define ARM_SMMU_FEAT_SVA         (1u << 17)

/* A context descriptor: of the first word, and of the second. */
#define CTXDESC_CD_0_TCR_T0SZ  GENMASK_ULL(5, 0)
#define CTXDESC_CD_0_TCR_TG0   GENMASK_ULL(7, 6)
#define CTXDESC_CD_0_TCR_IRGN0 GENMASK_ULL(9, 8)
#define CTXDESC_CD_0_TCR_ORGN0 GENMASK_ULL(11, 10)
#define CTXDESC_CD_0_TCR_SH0   GENMASK_ULL(13, 12)
#define CTXDESC_CD_0_TCR_EPD0  (1ull << 14)
#define CTXDESC_CD_0_TCR_EPD1  (1ull << 30)
#define CTXDESC_CD_0_V         (1ull << 31)
#define CTXDESC_CD_0_TCR_IPS   GENMASK_ULL(34, 32)
#define CTXDESC_CD_0_AA64      (1ull << 41)
#define CTXDESC_CD_0_S         (1ull << 44)
#define CTXDESC_CD_0_R         (1ull << 45)
#define CTXDESC_CD_0_A         (1ull << 46)
#define CTXDESC_CD_0_ASET      (1ull << 47)
#define CTXDESC_CD_0_ASID      GENMASK_ULL(63, 48)
#define CTXDESC_CD_1_TTB0_MASK GENMASK_ULL(51, 4)

struct arm_smmu_cd {
	__le64 data[8];
};

struct arm_smmu_device {
	struct device *dev;
	u32 features;
	unsigned long oas, pgsize_bitmap;
	unsigned int asid_bits;
	struct {
		struct iopf_queue *iopf;
	} evtq;
};

struct arm_smmu_master {
	struct arm_smmu_device *smmu;
	struct device *dev;
	unsigned int num_streams, ssid_bits;
	bool stall_enabled, sva_enabled, iopf_enabled;
};

struct arm_smmu_master_domain {
	struct list_head devices_elm;
	struct arm_smmu_master *master;
	ioasid_t ssid;
};

struct arm_smmu_domain {
	struct arm_smmu_device *smmu;
	struct {
		u16 asid;
	} cd;
	struct iommu_domain domain;
	struct list_head devices;
	spinlock_t devices_lock;
	struct mmu_notifier mmu_notifier;
};

extern struct xarray arm_smmu_asid_xa;

static inline struct arm_smmu_domain *to_smmu_domain(struct iommu_domain *domain)
{
	return container_of(domain, struct arm_smmu_domain, domain);
}

/* The page tables of a task are known by what their root is. */
#undef virt_to_phys
#define virt_to_phys(root) ((unsigned long)(root))

struct arm_smmu_domain *arm_smmu_domain_alloc(void);
struct arm_smmu_cd *arm_smmu_get_cd_ptr(struct arm_smmu_master *master, u32 ssid);
void arm_smmu_make_s1_cd(struct arm_smmu_cd *target, struct arm_smmu_master *master,
			 struct arm_smmu_domain *smmu_domain);
void arm_smmu_write_cd_entry(struct arm_smmu_master *master, int ssid, struct arm_smmu_cd *cdptr,
			     const struct arm_smmu_cd *target);
int arm_smmu_set_pasid(struct arm_smmu_master *master, struct arm_smmu_domain *smmu_domain,
		       ioasid_t pasid, struct arm_smmu_cd *cd);
void arm_smmu_tlb_inv_asid(struct arm_smmu_device *smmu, u16 asid);
void arm_smmu_tlb_inv_range_asid(unsigned long iova, size_t size, int asid, size_t granule,
				 bool leaf, struct arm_smmu_domain *smmu_domain);
int arm_smmu_atc_inv_domain(struct arm_smmu_domain *smmu_domain, unsigned long iova, size_t size);

bool arm_smmu_sva_supported(struct arm_smmu_device *smmu);
bool arm_smmu_master_iopf_supported(struct arm_smmu_master *master);
bool arm_smmu_master_sva_supported(struct arm_smmu_master *master);
bool arm_smmu_master_sva_enabled(struct arm_smmu_master *master);
int arm_smmu_master_enable_sva(struct arm_smmu_master *master);
int arm_smmu_master_disable_sva(struct arm_smmu_master *master);
void arm_smmu_sva_notifier_synchronize(void);
struct iommu_domain *arm_smmu_sva_domain_alloc(struct device *dev, struct mm_struct *mm);

#endif
