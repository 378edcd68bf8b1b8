/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The device of ../../sva.h behind an OpenCAPI link: it finds a task's tables by what the link has
 * entered, is flushed by the link's registers, and asks for a page by an interrupt.
 */
#include "../../sva.h"

#include "ocxl_internal.h"

#define PASID 3

static u64 registers[4];
static irq_handler_t handler;
static void *handler_data;
static unsigned long errors;

int pnv_ocxl_map_xsl_regs(struct pci_dev *dev, void __iomem **dsisr, void __iomem **dar,
			  void __iomem **tfc, void __iomem **pe_handle)
{
	*dsisr = &registers[0];
	*dar = &registers[1];
	*tfc = &registers[2];
	*pe_handle = &registers[3];
	return 0;
}

void pnv_ocxl_unmap_xsl_regs(void __iomem *dsisr, void __iomem *dar, void __iomem *tfc,
			     void __iomem *pe_handle)
{
}

int pnv_ocxl_get_xsl_irq(struct pci_dev *dev, int *hwirq)
{
	*hwirq = 5;
	return 0;
}

int pnv_ocxl_spa_setup(struct pci_dev *dev, void *spa, int mask, void **data)
{
	*data = NULL;
	return 0;
}

void pnv_ocxl_spa_release(void *data)
{
}

int pnv_ocxl_spa_remove_pe_from_cache(void *data, int handle)
{
	return 0;
}

int pnv_ocxl_map_lpar(struct pci_dev *dev, u64 lparid, u64 lpcr, void __iomem **arva)
{
	*arva = registers;
	return 0;
}

void pnv_ocxl_unmap_lpar(void __iomem *arva)
{
}

/* By the name that the processor has for the address space: there is one. */
void pnv_ocxl_tlb_invalidate(void __iomem *arva, unsigned long pid, unsigned long address,
			     unsigned long size)
{
	sva_flush(PASID, address, address + size - 1);
}

int request_irq(unsigned int irq, irq_handler_t function, unsigned long flags, const char *name,
		void *data)
{
	handler = function;
	handler_data = data;
	return 0;
}

int copro_handle_mm_fault(struct mm_struct *of, unsigned long address, unsigned long dsisr,
			  vm_fault_t *fault)
{
	bool write = dsisr & PPC_BIT(38);
	struct vm_area_struct *vma;
	int ret = -EFAULT;

	mmap_read_lock(of);
	vma = vma_lookup(of, address);
	if (vma && (vma->vm_flags & (write ? VM_WRITE : VM_READ))) {
		*fault = handle_mm_fault(vma, address, write ? FAULT_FLAG_WRITE : 0, NULL);
		ret = *fault & VM_FAULT_ERROR ? -EFAULT : 0;
	}
	mmap_read_unlock(of);
	return ret;
}

/* The link is done with the fault. */
void ocxl_register_written(void __iomem *reg, u64 value)
{
	sva_answer = value == PPC_BIT(31) ? IOMMU_PAGE_RESP_SUCCESS : IOMMU_PAGE_RESP_INVALID;
	complete(&sva_answered);
}

static void failed(void *data, u64 address, u64 dsisr)
{
	errors++;
}

/* What sva.h asks instead of the IOMMU core. */
static int link_request(struct iopf_group *group)
{
	const struct iommu_fault_page_request *prm = &group->last_fault.fault.prm;

	registers[0] = PPC_BIT(3) | (prm->perm & IOMMU_FAULT_PERM_WRITE ? PPC_BIT(38) : 0);
	registers[1] = prm->addr;
	registers[3] = PASID;
	kfree(group);
	handler(5, handler_data);
	return 0;
}

static void *link_of_test;

static struct iommu_domain domain = { .iopf_handler = link_request };
static struct iommu_attach_handle attached = { .domain = &domain };
static struct pci_bus bus;
static struct pci_dev pci = { .bus = &bus };

static int enter(void)
{
	mm->context.id = 1;
	sva_group.handles[PASID] = &attached;
	sva_set_tables(PASID, mm);
	return ocxl_link_add_pe(link_of_test, PASID, 1, 2, 0, 8, mm, failed, NULL);
}

/* The device is stopped first, as the driver above does. */
static int leave(void)
{
	sva_set_tables(PASID, NULL);
	return ocxl_link_remove_pe(link_of_test, PASID);
}

static bool link_access(unsigned long address, bool write, unsigned long *value)
{
	return !sva_access(&pci.dev, PASID, address, write, value);
}

static unsigned long link_reads(unsigned long address)
{
	unsigned long value = ~0ul;

	return link_access(address, false, &value) ? value : ~0ul;
}

static void test_in_turn(void)
{
	unsigned long at = SVA_MEMORY + PAGE_SIZE, value = 5;

	is(enter(), 0, "a context of the task is entered");
	is(ocxl_link_add_pe(link_of_test, PASID, 1, 2, 0, 8, mm, failed, NULL), -EBUSY,
	   "only once");
	put(at, 4);
	is(link_reads(at), 4, "the device reads what the task wrote");
	ok(link_access(at + PAGE_SIZE, true, &value), "it writes where nothing was");
	is(get(at + PAGE_SIZE), 5, "which the task reads");
	for (unsigned int i = 0; i < 9; i++) {
		/* A flush of everything, which the driver would do page by page: not in a life. */
		if (1u << i == FORK)
			continue;
		put(at, 20 + i);
		link_reads(at);
		change((enum change)(1u << i), at, 1);
		is(link_reads(at), get(at), "after change %u it reads what is there", i);
	}
	is(ocxl_link_update_pe(link_of_test, PASID, 9), 0, "the thread's number is changed");
	ok(!link_access(SVA_MEMORY - PAGE_SIZE, false, &value), "outside of all mappings it fails");
	is(errors, 1, "which the driver is notified of");
	is(sva.freed + sva.late, 0, "no entry was used that was not so");
	is(leave(), 0, "the context is taken out");
	is(ocxl_link_remove_pe(link_of_test, PASID), -EINVAL, "only once");
}

static void test_against_changes(void)
{
	struct changes changes = { .at = SVA_MEMORY,
				   .pages = SVA_PAGES,
				   .which = ALL_CHANGES & ~FORK };
	unsigned long foreign = 0, refused = 0, value;
	unsigned int state = 3;

	enter();
	start_changes(&changes);
	for (unsigned int i = 0; i < 1000 || changed(&changes) < 100; i++) {
		unsigned long at = SVA_MEMORY + draw(&state, SVA_PAGES) * PAGE_SIZE + 8;

		value = at;
		/* Refused: between two mprotect()s, or unmapped. */
		if (link_access(at, draw(&state, 2), &value))
			foreign += value && value != at;
		else
			refused++;
	}
	stop_changes(&changes);
	diag("%lu refused, %lu flushed", refused, sva.flushed);
	is(sva.freed + foreign, 0, "against changes: no page was used that is free or another's");
	leave();
}

static void test_control(void)
{
	unsigned long value;

	sva_deaf = true;
	enter();
	sva_deaf = false;
	put(SVA_MEMORY, 1);
	is(link_reads(SVA_MEMORY), 1, "without its flush it reads");
	mmun_soft_madvise(mm, SVA_MEMORY, PAGE_SIZE, MADV_DONTNEED);
	sva.freed = sva.late = 0;
	is(sva_once(&pci.dev, PASID, SVA_MEMORY, false, &value), -EAGAIN, "but after DONTNEED");
	is(sva.freed, 1, "the page that is free");
	leave();
}

int main(void)
{
	void *again;

	sva_start(NULL, &pci.dev, NULL);
	is(ocxl_link_setup(&pci, 0, &link_of_test), 0, "the link is set up");
	is(ocxl_link_setup(&pci, 0, &again), 0, "functions of a device share it");
	ok(again == link_of_test, "that one");
	ocxl_link_release(&pci, again);
	test_in_turn();
	test_against_changes();
	test_control();
	ocxl_link_release(&pci, link_of_test);
	sva_stop();
	return tap_done();
}
