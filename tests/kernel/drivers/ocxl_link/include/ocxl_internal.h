/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Of the driver's own header and of the processor that it is for, what a link has to do with. */
#ifndef MMUN_TESTS_KERNEL_OCXL_INTERNAL_H
#define MMUN_TESTS_KERNEL_OCXL_INTERNAL_H

#include <linux/interrupt.h>
#include <linux/kernel.h>
#include <linux/kref.h>
#include <linux/mm.h>
#include <linux/pci.h>
#include <linux/radix-tree.h>
#include <linux/vmalloc.h>
#include <linux/workqueue.h>

typedef u64 __be64;
typedef u32 __be32;
typedef u16 __be16;

#define MAX_IRQ_PER_LINK 8

/* What the device finds a context by: 128 bytes, as the hardware has it. */
struct ocxl_process_element {
	__be64 config_state;
	__be32 pasid;
	__be16 bdf, reserved1;
	__be32 reserved2[9];
	__be32 lpid, tid, pid;
	__be32 reserved3[10];
	__be64 amr;
	__be32 reserved4[3];
	__be32 software_state;
};

/* The processor. */
#define PPC_BIT(bit)                                   (1ull << (63 - (bit)))
#define SPRN_LPID                                      0
#define SPRN_LPCR                                      1
#define LPCR_TC                                        1u
#define MSR_SF                                         1u
#define TIF_32BIT                                      0
#define _PAGE_READ                                     2u
#define _PAGE_WRITE                                    4u
#define _PAGE_PRIVILEGED                               8u
#define USER_REGION_ID                                 0u
#define mfspr(reg)                                     1u
#define mfmsr()                                        MSR_SF
#define radix_enabled()                                true
#define get_region_id(address)                         USER_REGION_ID
#define test_tsk_thread_flag(a, b)                     false
#define hash_page_mm(mm, address, access, trap, flags) ((void)(access), (void)(flags))
#define in_be64(reg)                                   (*(volatile u64 *)(reg))
#define out_be64(reg, value)                           ocxl_register_written(reg, value)
#define mm_context_add_copro(mm)                       ((void)(mm))
#define mm_context_remove_copro(mm)                    ((void)(mm))

void ocxl_register_written(void __iomem *reg, u64 value);
/* As copro_fault.c: 0, or -EFAULT. */
int copro_handle_mm_fault(struct mm_struct *mm, unsigned long address, unsigned long dsisr,
			  vm_fault_t *fault);

/* The table of contexts is 4 MiB in one piece. */
#define __get_free_pages(gfp, order) ((unsigned long)vzalloc(PAGE_SIZE << (order)))
#define free_pages(address, order)   vfree((void *)(address))

/* The platform. */
int pnv_ocxl_map_xsl_regs(struct pci_dev *dev, void __iomem **dsisr, void __iomem **dar,
			  void __iomem **tfc, void __iomem **pe_handle);
void pnv_ocxl_unmap_xsl_regs(void __iomem *dsisr, void __iomem *dar, void __iomem *tfc,
			     void __iomem *pe_handle);
int pnv_ocxl_get_xsl_irq(struct pci_dev *dev, int *hwirq);
int pnv_ocxl_spa_setup(struct pci_dev *dev, void *spa, int mask, void **data);
void pnv_ocxl_spa_release(void *data);
int pnv_ocxl_spa_remove_pe_from_cache(void *data, int handle);
int pnv_ocxl_map_lpar(struct pci_dev *dev, u64 lparid, u64 lpcr, void __iomem **arva);
void pnv_ocxl_unmap_lpar(void __iomem *arva);
void pnv_ocxl_tlb_invalidate(void __iomem *arva, unsigned long pid, unsigned long address,
			     unsigned long size);
static inline int xive_native_alloc_irq(void)
{
	return 7;
}
static inline void xive_native_free_irq(int irq)
{
}

typedef irqreturn_t (*irq_handler_t)(int irq, void *data);
int request_irq(unsigned int irq, irq_handler_t handler, unsigned long flags, const char *name,
		void *data);
static inline void free_irq(unsigned int irq, void *data)
{
}
static inline unsigned int irq_create_mapping(void *domain, unsigned long hwirq)
{
	return hwirq;
}
static inline void irq_dispose_mapping(unsigned int irq)
{
}

#define trace_ocxl_fault_ack(...) \
	do { \
	} while (0)
#define trace_ocxl_fault(...) \
	do { \
	} while (0)
#define trace_ocxl_mmu_notifier_range(...) \
	do { \
	} while (0)
#define trace_ocxl_init_mmu_notifier(...) \
	do { \
	} while (0)
#define trace_ocxl_release_mmu_notifier(...) \
	do { \
	} while (0)
#define trace_ocxl_context_add(...) \
	do { \
	} while (0)
#define trace_ocxl_context_remove(...) \
	do { \
	} while (0)

int ocxl_link_setup(struct pci_dev *dev, int mask, void **handle);
void ocxl_link_release(struct pci_dev *dev, void *handle);
int ocxl_link_add_pe(void *handle, int pasid, u32 pidr, u32 tidr, u64 amr, u16 bdf,
		     struct mm_struct *mm, void (*error)(void *data, u64 address, u64 dsisr),
		     void *data);
int ocxl_link_update_pe(void *handle, int pasid, u16 tid);
int ocxl_link_remove_pe(void *handle, int pasid);
int ocxl_link_irq_alloc(void *handle, int *irq);
void ocxl_link_free_irq(void *handle, int irq);

#endif
