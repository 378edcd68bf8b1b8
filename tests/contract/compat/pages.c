/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Pages as drivers hand them on: folios and their lock, DMA, scatter lists, page tables,
 * mappings one after the other, the owner's name. */
#include "machine.h"

#include <linux/dma-mapping.h>
#include <linux/io.h>
#include <linux/kthread.h>
#include <linux/pagemap.h>
#include <linux/pid.h>
#include <linux/scatterlist.h>
#include <linux/sched/task.h>
#include <linux/swap.h>

static struct page *pages[16];

static void pin(unsigned long nr)
{
	map(AT, nr, PROT_READ | PROT_WRITE);
	if (pin_user_pages_fast(AT, (int)nr, FOLL_WRITE, pages) != (int)nr)
		bail_out("no pages");
}

static void unpin(unsigned long nr)
{
	unpin_user_pages_dirty_lock(pages, nr, true);
	mmun_soft_munmap(current->mm, AT, nr * PAGE_SIZE);
}

/* A thread's function is run to its end: one that is stopped before it began would not be. */
static DECLARE_COMPLETION(ran);

static int join(int (*fn)(void *arg), void *arg)
{
	struct task_struct *thread = kthread_run(fn, arg, "joined");

	wait_for_completion(&ran);
	return kthread_stop(thread);
}

static long order, inside;

static int locker(void *folio)
{
	for (int i = 0; i < 500; i++) {
		folio_lock((struct folio *)folio);
		order += ++inside == 1;
		inside--;
		folio_unlock((struct folio *)folio);
	}
	complete(&ran);
	return 0;
}

static void unlock_unlocked(void)
{
	unlock_page(pages[0]);
}

static void test_folios(void)
{
	struct task_struct *threads[2];
	struct folio *folio;

	pin(2);
	folio = page_folio(pages[1]);
	ok(folio_page(folio, 0) == pages[1] && folio_pfn(folio) == page_to_pfn(pages[1]),
	   "a folio is its page");
	is(folio_size(folio), PAGE_SIZE, "and one page long");
	folio_get(folio);
	ok(folio_trylock(folio) && !trylock_page(pages[1]), "its lock is the page's");
	ok(trylock_page(pages[0]), "another page has another");
	ok(folio_test_locked(folio), "it is locked");
	unlock_page(pages[0]);
	folio_unlock(folio);
	ok(!PageLocked(pages[1]), "and unlocked");
	dies(unlock_unlocked, "unlocking it once more");
	for (int i = 0; i < 2; i++)
		threads[i] = kthread_run(locker, folio, "locker/%d", i);
	for (int i = 0; i < 2; i++)
		wait_for_completion(&ran);
	for (int i = 0; i < 2; i++)
		kthread_stop(threads[i]);
	is(order, 1000, "one holder at a time");
	folio_mark_dirty(folio);
	folio_put(folio);
	folio = folio_alloc(GFP_KERNEL, 0);
	ok(folio && &folio->page == folio_page(folio, 0), "a folio of its own");
	folio_put(folio);
	ok(!folio_alloc(GFP_KERNEL, 1), "but none of two pages");
	unpin(2);
}

static bool refuse(size_t size, void *arg)
{
	return true;
}

static void test_dma(void)
{
	struct device dev = { .driver_data = NULL }, other = { .driver_data = NULL };
	unsigned long warnings = mmun_compat_warnings();
	struct dma_iova_state state;
	dma_addr_t address;

	pin(1);
	address = dma_map_page(&dev, pages[0], 16, 64, DMA_FROM_DEVICE);
	is(dma_mapping_error(&dev, address), 0, "a mapping");
	is(address, page_to_phys(pages[0]) + 16, "is the physical address");
	ok(phys_to_virt(address) == (char *)page_address(pages[0]) + 16, "which is memory");
	is(mmun_compat_allocated(), 1, "and counts as a block");
	dma_sync_single_for_cpu(&dev, address + 8, 8, DMA_FROM_DEVICE);
	is(mmun_compat_warnings(), warnings, "a part of it can be synced");
	mmun_compat_set_loglevel(0);
	dma_sync_single_for_cpu(&dev, address, 65, DMA_FROM_DEVICE);
	dma_unmap_page(&dev, address, 32, DMA_FROM_DEVICE);
	dma_unmap_page(&dev, address, 64, DMA_TO_DEVICE);
	dma_unmap_page(&other, address, 64, DMA_FROM_DEVICE);
	is(mmun_compat_warnings(), warnings + 4, "what was not mapped so is reported");
	is(mmun_compat_allocated(), 1, "and changes nothing");
	dma_unmap_page(&dev, address, 64, DMA_FROM_DEVICE);
	dma_unmap_page(&dev, address, 64, DMA_FROM_DEVICE);
	is(mmun_compat_warnings(), warnings + 5, "unmapped once");
	mmun_compat_set_loglevel(5);
	mmun_compat_fail_allocations(refuse, NULL);
	address = dma_map_single(&dev, page_address(pages[0]), PAGE_SIZE, DMA_TO_DEVICE);
	mmun_compat_fail_allocations(NULL, NULL);
	is(dma_mapping_error(&dev, address), -ENOMEM, "or it fails");
	ok(!dma_iova_try_alloc(&dev, &state, 0, PAGE_SIZE) && !dma_use_iova(&state),
	   "there is no IOMMU whose addresses a range could get");
	unpin(1);
}

/* The third mapping of a list fails. */
static bool third(size_t size, void *count)
{
	return ++*(int *)count == 3;
}

static void test_scatter(void)
{
	struct device dev = { .driver_data = NULL };
	unsigned long bytes = 0, at = 0;
	struct sg_dma_page_iter dma;
	struct sg_page_iter iter;
	struct scatterlist *sg;
	struct sg_table table;
	unsigned int i;
	int count = 0;

	pin(6);
	swap(pages[2], pages[4]);
	is(sg_alloc_table_from_pages(&table, pages, 6, 100, 5 * PAGE_SIZE, GFP_KERNEL), 0,
	   "a table");
	for_each_sgtable_sg(&table, sg, i)
		bytes += sg->length;
	is(bytes, 5 * PAGE_SIZE, "of the bytes that were asked for");
	is(sg_nents(table.sgl), table.orig_nents, "with an end");
	is(sg_phys(table.sgl), page_to_phys(pages[0]) + 100, "beginning at the offset");
	for_each_sgtable_page(&table, &iter, 0)
		at += sg_page_iter_page(&iter) == pages[at];
	is(at, 6, "its pages are those, in order");
	mmun_compat_fail_allocations(third, &count);
	i = (unsigned int)dma_map_sgtable(&dev, &table, DMA_BIDIRECTIONAL, 0);
	mmun_compat_fail_allocations(NULL, NULL);
	ok(table.orig_nents >= 3 && (int)i == -ENOMEM, "a mapping that fails half way");
	is(mmun_compat_allocated(), 1, "is undone");
	is(dma_map_sgtable(&dev, &table, DMA_BIDIRECTIONAL, 0), 0, "mapped");
	at = 0;
	for_each_sgtable_dma_page(&table, &dma, 0)
		at += (sg_page_iter_dma_address(&dma) & PAGE_MASK) == page_to_phys(pages[at]);
	is(at, 6, "at the addresses of its pages");
	dma_unmap_sgtable(&dev, &table, DMA_BIDIRECTIONAL, 0);
	sg_free_table(&table);
	swap(pages[2], pages[4]);
	is(sg_alloc_table_from_pages_segment(&table, pages, 6, 0, 6 * PAGE_SIZE, PAGE_SIZE,
					     GFP_KERNEL),
	   0, "one of short segments");
	is(table.nents, 6, "has one for each page");
	sg_free_table(&table);
	is(sg_alloc_table(&table, 0, GFP_KERNEL), -EINVAL, "no empty one");
	unpin(6);
}

/* A table in two pieces: the second goes on where the first ends, or not. */
static void test_append(void)
{
	struct sg_append_table table = { .prv = NULL };
	char bytes[3 * 16], out[16];
	bool joined;
	int count = 0;

	pin(6);
	is(sg_alloc_append_table_from_pages(&table, pages, 3, 0, 3 * PAGE_SIZE, UINT_MAX, 3,
					    GFP_KERNEL),
	   0, "the first piece of a table");
	joined = pages[3] == nth_page(pages[2], 1);
	count = (int)table.sgt.orig_nents;
	is(sg_alloc_append_table_from_pages(&table, pages + 3, 3, 0, 3 * PAGE_SIZE, UINT_MAX, 0,
					    GFP_KERNEL),
	   0, "the second");
	ok(joined ? (int)table.sgt.orig_nents >= count : (int)table.sgt.orig_nents > count,
	   "goes on in the last entry if it can");
	is(sg_nents(table.sgt.sgl), table.sgt.orig_nents, "the end is the second's");
	for (unsigned int i = 0; i < sizeof(bytes); i++)
		bytes[i] = (char)i;
	is(sg_pcopy_from_buffer(table.sgt.sgl, table.sgt.orig_nents, bytes, sizeof(bytes),
				3 * PAGE_SIZE - 20),
	   sizeof(bytes), "written across a page's end");
	copy_from_user(out, (void *)(AT + 3 * PAGE_SIZE - 4), sizeof(out));
	ok(out[0] == 16 && out[15] == 31, "where the task reads it");
	is(sg_pcopy_to_buffer(table.sgt.sgl, table.sgt.orig_nents, out, sizeof(out),
			      6 * PAGE_SIZE - 6),
	   6, "a read ends with the table");
	sg_free_append_table(&table);
	is(mmun_compat_allocated(), 0, "which is freed whole");
	unpin(6);
	is(sg_alloc_append_table_from_pages(&table, pages, 1, 0, PAGE_SIZE, UINT_MAX, 0,
					    GFP_ATOMIC),
	   0, "a table of one");
	count = 2;
	mmun_compat_fail_allocations(third, &count);
	is(sg_alloc_append_table_from_pages(&table, pages, 1, 0, PAGE_SIZE, UINT_MAX, 0,
					    GFP_KERNEL),
	   -ENOMEM, "an append that fails");
	mmun_compat_fail_allocations(NULL, NULL);
	is(table.sgt.orig_nents, 1, "leaves it as it was");
	sg_free_append_table(&table);
}

/* As a driver walks: the entry of @address, of a huge page too. */
static pte_t walk(unsigned long address)
{
	pgd_t *pgd = pgd_offset(current->mm, address);
	p4d_t *p4d = p4d_offset(pgd, address);
	pud_t *pud = pud_offset(p4d, address);
	pmd_t *pmd = pmd_offset(pud, address);

	if (pgd_none(*pgd) || p4d_none(*p4d) || pud_none(*pud) || pmd_none(*pmd))
		return (pte_t){ 0 };
	if (pmd_leaf(*pmd))
		return ptep_get((pte_t *)pmd);
	return *pte_offset_kernel(pmd, address);
}

static int count_present(pte_t *pte, unsigned long address, void *count)
{
	++*(int *)count;
	return pte_present(*pte) ? 0 : -ENXIO;
}

static void test_page_tables(void)
{
	struct mmun_soft_task *child;
	int count = 0;
	char c = 1;

	pin(1);
	ok(pte_present(walk(AT)) && pte_write(walk(AT)), "a page is there and may be written");
	ok(pte_page(walk(AT)) == pages[0], "it is the one that was pinned");
	unpin(1);
	ok(pte_none(walk(AT)), "after munmap() nothing is");
	map(AT, 3, PROT_READ | PROT_WRITE);
	mmun_soft_write(current->mm, AT, &c, 1, NULL);
	mmun_soft_write(current->mm, AT + 2 * PAGE_SIZE, &c, 1, NULL);
	if (mmun_soft_fork(task, &child))
		bail_out("no child");
	ok(pte_present(walk(AT)) && !pte_write(walk(AT)), "a shared page is write-protected");
	mmun_soft_exit(child);
	mmap_read_lock(current->mm);
	is(apply_to_page_range(current->mm, AT, 3 * PAGE_SIZE, count_present, &count), -ENXIO,
	   "a function for each page");
	is(count, 2, "until it says no");
	count = 0;
	is(apply_to_existing_page_range(current->mm, AT, 3 * PAGE_SIZE, count_present, &count), 0,
	   "or each that is there");
	is(count, 2, "of two");
	mmap_read_unlock(current->mm);
	mmun_soft_mmap(current->mm, AT, PMD_SIZE, PROT_READ | PROT_WRITE,
		       MAP_ANONYMOUS | MAP_PRIVATE | MAP_FIXED, NULL, 0);
	mmun_soft_madvise(current->mm, AT, PMD_SIZE, MADV_HUGEPAGE);
	mmun_soft_write(current->mm, AT, &c, 1, NULL);
	ok(pmd_leaf(*pmd_offset(&(pud_t){ current->mm }, AT + PAGE_SIZE)), "a huge page");
	ok(pte_present(walk(AT + PAGE_SIZE)) && !(pte_pfn(walk(AT + PAGE_SIZE)) % 512),
	   "is found in the level above");
	mmun_soft_munmap(current->mm, AT, PMD_SIZE);
}

static void test_faults(void)
{
	struct vm_area_struct *vma;
	bool unlocked = false;

	map(AT, 2, PROT_READ);
	mmap_read_lock(current->mm);
	vma = vma_lookup(current->mm, AT);
	is(handle_mm_fault(vma, AT, FAULT_FLAG_REMOTE, NULL), 0, "a fault of a device");
	ok(pte_present(walk(AT)), "brings the page");
	is(handle_mm_fault(vma, AT, FAULT_FLAG_WRITE, NULL), VM_FAULT_SIGSEGV,
	   "if that is allowed");
	is(fixup_user_fault(current->mm, AT + PAGE_SIZE, 0, &unlocked), 0, "fixup_user_fault()");
	is(fixup_user_fault(current->mm, AT + 2 * PAGE_SIZE, 0, &unlocked), -EFAULT, "of nothing");
	ok(!unlocked, "keeps the lock");
	mmap_read_unlock(current->mm);
	mmun_soft_munmap(current->mm, AT, 2 * PAGE_SIZE);
}

static void test_mappings(void)
{
	VMA_ITERATOR(vmi, current->mm, AT);
	struct vm_area_struct *vma;
	int count = 0;

	map(AT, 2, PROT_READ);
	map(AT + 2 * PAGE_SIZE, 2, PROT_READ | PROT_WRITE);
	map(AT + 6 * PAGE_SIZE, 1, PROT_READ);
	mmap_read_lock(current->mm);
	for_each_vma_range(vmi, vma, AT + 6 * PAGE_SIZE)
		count++;
	is(count, 2, "two mappings begin below an address");
	vma_iter_init(&vmi, current->mm, AT);
	for_each_vma(vmi, vma)
		count++;
	is(count, 5, "three in all");
	mmap_read_unlock(current->mm);
}

static int writer(void *mm)
{
	bool taken = mmap_write_trylock((struct mm_struct *)mm);

	if (taken)
		mmap_write_unlock((struct mm_struct *)mm);
	complete(&ran);
	return taken;
}

static void test_downgrade(void)
{
	struct mm_struct *mm = current->mm;

	mmap_write_lock(mm);
	mmap_write_downgrade(mm);
	mmap_assert_locked(mm);
	is(join(writer, mm), 0, "a reader that wrote keeps writers out");
	mmap_read_unlock(mm);
	ok(mmap_write_trylock(mm), "until it unlocks");
	mmap_write_unlock(mm);
}

/* A device that maps frames by their numbers, in its mmap or in a fault. */
static struct page *frames[2];
static bool in_fault;

static vm_fault_t frame_fault(struct vm_fault *vmf)
{
	return vmf_insert_pfn(vmf->vma, vmf->address, page_to_pfn(frames[0]));
}

static const struct vm_operations_struct frame_vm_ops = { .fault = frame_fault };

static int frame_mmap(struct file *file, struct vm_area_struct *vma)
{
	vma->vm_ops = &frame_vm_ops;
	if (in_fault) {
		vm_flags_set(vma, VM_PFNMAP);
		return 0;
	}
	return remap_pfn_range(vma, vma->vm_start, page_to_pfn(frames[0]),
			       vma->vm_end - vma->vm_start, vma->vm_page_prot);
}

static const struct file_operations frame_fops = { .mmap = frame_mmap };

static mmun_soft_address map_frames(struct file *file, unsigned long nr, int flags)
{
	return mmun_soft_mmap(current->mm, AT, nr * PAGE_SIZE, PROT_READ | PROT_WRITE,
			      flags | MAP_FIXED, file, 0);
}

static void insert_unprepared(void)
{
	map(AT, 1, PROT_READ);
	mmap_write_lock(current->mm);
	vmf_insert_pfn(vma_lookup(current->mm, AT), AT, page_to_pfn(frames[0]));
}

static void insert_twice(void)
{
	mmap_write_lock(current->mm);
	remap_pfn_range(vma_lookup(current->mm, AT), AT, page_to_pfn(frames[0]), PAGE_SIZE,
			__pgprot(0));
}

static void insert_unlocked(void)
{
	const unsigned long at = AT + 64 * PAGE_SIZE;

	map(at, 1, PROT_READ);
	remap_pfn_range(vma_lookup(current->mm, at), at, page_to_pfn(frames[0]), PAGE_SIZE,
			__pgprot(0));
}

static void test_frames(void)
{
	struct vm_area_struct *vma;
	struct page *got;
	struct file *file;
	char c = 5;

	/* Neighbours, whatever is free. */
	frames[0] = alloc_page(GFP_KERNEL);
	frames[1] = pfn_to_page(page_to_pfn(frames[0]) + 1);
	if (mmun_soft_device_create(soft, "frames", &frame_fops, NULL, &file))
		bail_out("no device");
	is(map_frames(file, 1, MAP_SHARED), AT, "a frame is mapped by its number");
	mmun_soft_write(current->mm, AT, &c, 1, NULL);
	is(*(char *)page_address(frames[0]), 5, "and written");
	is(pte_pfn(walk(AT)), page_to_pfn(frames[0]), "the tables name it");
	mmap_read_lock(current->mm);
	vma = vma_lookup(current->mm, AT);
	ok(vma->vm_flags & VM_PFNMAP && vma->vm_flags & VM_IO, "as the driver's own");
	is(get_user_pages(AT, 1, 0, &got), -EFAULT, "no page for get_user_pages()");
	zap_vma_ptes(vma, AT, PAGE_SIZE);
	ok(!pte_present(walk(AT)), "it is taken away");
	mmap_read_unlock(current->mm);
	mmun_soft_write(current->mm, AT, &c, 1, NULL);
	is(pte_pfn(walk(AT)), page_to_pfn(frames[0]), "and mapped by a fault");
	dies(insert_twice, "mapping another over it");
	dies(insert_unprepared, "a mapping that is not for that");
	dies(insert_unlocked, "making it one without the lock");
	is(map_frames(file, 1 << 20, MAP_SHARED), -EINVAL, "more than the machine has is refused");
	ok(!pte_present(walk(AT)), "and nothing stays");
	is(map_frames(file, 2, MAP_PRIVATE), AT, "a whole private mapping");
	c = 6;
	mmun_soft_write(current->mm, AT, &c, 1, NULL);
	is(*(char *)page_address(frames[0]), 5, "copies on a write");
	in_fault = true;
	is(map_frames(file, 2, MAP_SHARED), AT, "in a fault");
	mmun_soft_write(current->mm, AT + PAGE_SIZE, &c, 1, NULL);
	is(*(char *)page_address(frames[0]), 6, "one is mapped");
	mmun_soft_munmap(current->mm, AT, 2 * PAGE_SIZE);
	mmun_soft_file_put(file);
	ok(!mmun_soft_page_is_free(frames[0]), "all that took no reference");
	__free_page(frames[0]);
	ok(mmun_soft_page_is_free(frames[0]), "and put none");
}

static int give_name(void *pid)
{
	*(struct pid **)pid = get_task_pid(current, PIDTYPE_PID);
	complete(&ran);
	return 0;
}

static void test_names(void)
{
	struct pid *pid = get_task_pid(current->group_leader, PIDTYPE_PID);
	struct task_struct *owner = get_pid_task(pid, PIDTYPE_PID);

	ok(owner == current, "a name leads to its task");
	ok(pid == task_pid(current) && pid_nr(pid) == current->pid, "which has one");
	put_task_struct(owner);
	put_pid(pid);
	join(give_name, &pid);
	ok(!get_pid_task(pid, PIDTYPE_PID), "and to none when it has ended");
	put_pid(get_pid(pid));
	put_pid(pid);
	ok(!get_pid(NULL) && !get_pid_task(NULL, PIDTYPE_PID), "no name is no name");
}

static void test_registers(void)
{
	u64 registers[2] = { 0 };

	writel(0x12345678, (char *)registers + 4);
	is(readq(registers), 0x1234567800000000ul, "registers of memory");
	is(readb((char *)registers + 7), 0x12, "byte by byte");
}

int main(void)
{
	start_machine();
	is((char *)(pfn_to_page(2) + 1) - (char *)pfn_to_page(3), 0,
	   "a page here is as long as the machine's");
	test_folios();
	test_dma();
	test_scatter();
	test_append();
	test_page_tables();
	test_faults();
	test_mappings();
	test_frames();
	test_downgrade();
	test_names();
	test_registers();
	stop_machine(5);
	return tap_done();
}
