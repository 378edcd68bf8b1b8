/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Contexts of SGI's GRU, which threads of a task map and give instructions.  The chiplets of
 * chiplet.h ask the driver for what their TLB lacks, and the driver's callback takes out of it
 * what changes.
 */
#include "../../changes.h"

#include "chiplet.h"

#include <linux/fs.h>
#include <linux/mmu_notifier.h>

#define AT        0x10000000ul
#define HOOKED    0x18000000ul
#define ARGUMENTS 0x20000000ul
#define PAGES     24u

static bool small_contexts;

/* The control: notifiers whose callbacks do nothing. */
static bool deaf;

#undef mmu_notifier_get_locked
struct mmu_notifier *mmu_notifier_get_locked(const struct mmu_notifier_ops *ops,
					     struct mm_struct *of);
struct mmu_notifier *get_of_test(const struct mmu_notifier_ops *ops, struct mm_struct *of);

struct mmu_notifier *get_of_test(const struct mmu_notifier_ops *ops, struct mm_struct *of)
{
	static struct mmu_notifier_ops deaf_ops;

	deaf_ops.alloc_notifier = ops->alloc_notifier;
	deaf_ops.free_notifier = ops->free_notifier;
	return mmu_notifier_get_locked(deaf ? &deaf_ops : ops, of);
}

/* The file of the segments, as that of grufile.c. */

static void segments_close(struct vm_area_struct *vma)
{
	struct gru_vma_data *data = vma->vm_private_data;
	struct gru_thread_state *gts, *next;

	list_for_each_entry_safe(gts, next, &data->vd_head, ts_next) {
		list_del(&gts->ts_next);
		mutex_lock(&gts->ts_ctxlock);
		if (gts->ts_gru)
			gru_unload_context(gts, 0);
		mutex_unlock(&gts->ts_ctxlock);
		gts_drop(gts);
	}
	kfree(data);
}

const struct vm_operations_struct gru_vm_ops = { .close = segments_close, .fault = gru_fault };

static int segments_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct gru_vma_data *data = gru_alloc_vma_data(vma, 0);

	if (!data)
		return -ENOMEM;
	data->vd_user_options = GRU_OPT_MISS_USER_POLL;
	data->vd_cbr_au_count = 1;
	data->vd_dsr_au_count = small_contexts ? 1 : GRU_DSR_AU;
	data->vd_tlb_preload_count = 4;
	vm_flags_set(vma, VM_MIXEDMAP | VM_DONTCOPY | VM_DONTEXPAND);
	vma->vm_ops = &gru_vm_ops;
	vma->vm_private_data = data;
	return 0;
}

static const struct file_operations segments_fops = { .mmap = segments_mmap };

static struct file *segments_file;

static void unmap_segments(void)
{
	mmun_soft_munmap(mm, GSEGS, THREADS * GRU_GSEG_PAGESIZE);
}

/* @small: all fit into one chiplet, otherwise each needs one. */
static void map_segments(bool small)
{
	small_contexts = small;
	map(GSEGS, THREADS * GRU_GSEG_PAGESIZE / PAGE_SIZE, PROT_READ | PROT_WRITE, 0,
	    segments_file);
}

/* Requests. */

static int option(unsigned int number, int op, int val0, long val1)
{
	struct gru_set_context_option_req req = {
		.gseg = segment(number), .op = op, .val0 = val0, .val1 = val1
	};
	unsigned long arg = ARGUMENTS + number * PAGE_SIZE;

	mmun_soft_write(mm, arg, &req, sizeof(req), NULL);
	return gru_set_context_option(arg);
}

/* A context is made by an option that says nothing. */
static int make_context(unsigned int number)
{
	return option(number, sco_cch_req_slice, 0, 0);
}

static int unload(unsigned int number)
{
	struct gru_unload_context_req req = { .gseg = segment(number) };
	unsigned long arg = ARGUMENTS + number * PAGE_SIZE;

	mmun_soft_write(mm, arg, &req, sizeof(req), NULL);
	return gru_user_unload_context(arg);
}

static struct gru_gseg_statistics statistics(unsigned int number)
{
	struct gru_get_gseg_statistics_req req = { .gseg = segment(number) };

	mmun_soft_write(mm, ARGUMENTS, &req, sizeof(req), NULL);
	gru_get_gseg_statistics(ARGUMENTS);
	mmun_soft_read(mm, ARGUMENTS, &req, sizeof(req), NULL);
	return req.stats;
}

static int flush(unsigned int number, unsigned long address)
{
	struct gru_flush_tlb_req req = { .gseg = segment(number),
					 .vaddr = address,
					 .len = PAGE_SIZE };

	mmun_soft_write(mm, ARGUMENTS, &req, sizeof(req), NULL);
	return gru_user_flush_tlb(ARGUMENTS);
}

static unsigned long reads(unsigned int number, unsigned long address)
{
	unsigned long value = ~0ul;

	return segment_access(number, address, false, &value) ? ~0ul : value;
}

/* One after the other. */

static void test_in_turn(void)
{
	unsigned long at = AT + PAGE_SIZE, value = 5;

	is(gru_handle_user_call_os(AT), -EINVAL, "no segment is there");
	map_segments(true);
	is(make_context(0), 0, "a context");
	is(chiplet_of(0), -1, "is not loaded before it is used");
	put(at, 4);
	is(reads(0, at), 4, "it reads what the task wrote");
	is(chiplet_of(0), 0, "on the first chiplet");
	ok(has_entry(0, at), "which has an entry for it");
	is(segment_access(0, at, true, &value), 0, "it writes");
	is(get(at), 5, "what the task reads");
	is(segment_access(0, at + PAGE_SIZE, true, &value), 0, "and where nothing was");
	is(statistics(0).tlbdropin, 3, "by three entries");
	for (unsigned int i = 0; i < 9; i++) {
		unsigned long before = counts.flushed;

		put(at, 20 + i);
		reads(0, at);
		change((enum change)(1u << i), at, 1);
		ok(1u << i == WRITE || 1u << i == RECLAIM || counts.flushed > before,
		   "change %u takes it out", i);
		is(reads(0, at), get(at), "after which what is there is read");
	}
	is(segment_access(0, AT - PAGE_SIZE, false, &value), -EFAULT, "outside of all mappings");
	is(counts.exceptions, 1, "the instruction ends in an exception");
	reads(0, at);
	is(flush(0, at), 0, "a flush that the task asks for");
	ok(!has_entry(0, at), "takes the entry out");
	is(counts.late + counts.wrong, 0, "no entry was used that was not so");
}

static void invalidate(void)
{
	mmun_soft_madvise(mm, HOOKED, PAGE_SIZE, MADV_DONTNEED);
}

static void hook(void)
{
	aside(invalidate);
}

static void test_misses(void)
{
	unsigned long ignored = counts.ignored;

	for (unsigned int i = 0; i < 6; i++)
		put(AT + i * PAGE_SIZE, i);
	change(MIGRATE, AT, 6);
	is(copy_misses(0, AT, 5 * PAGE_SIZE / GRU_CACHE_LINE_BYTES), 0, "an instruction to copy");
	ok(has_entry(0, AT) && has_entry(0, AT + PAGE_SIZE) && has_entry(0, AT + 4 * PAGE_SIZE),
	   "has entries made that it needs next");
	change(DONTNEED, AT, 6);
	ok(!has_entry(0, AT) && !has_entry(0, AT + PAGE_SIZE) && !has_entry(0, AT + 4 * PAGE_SIZE),
	   "all are taken out");
	miss_interrupts(0, AT);
	is(statistics(0).fmm_tlbmiss, 1, "an interrupt of a miss");
	is(counts.polled, 1, "leaves it to the task");
	is(gru_handle_user_call_os(segment(0)), 0, "which asks");
	ok(has_entry(0, AT), "then it is there");
	map_hooked(HOOKED, 1);
	in_fault = hook;
	reads(0, HOOKED);
	is(counts.ignored - ignored, 1, "what is invalidated in the middle is not taken in");
	ok(has_entry(0, HOOKED), "but at the second time");
	mmun_soft_munmap(mm, AT, 1100 * PAGE_SIZE);
	map(AT, PAGES, PROT_READ | PROT_WRITE, 0, NULL);
	is(counts.purged_whole, 1, "a large range is all that it has");
	ok(!has_entry(0, HOOKED), "its other entries too");
	is(counts.late + counts.wrong, 0, "no entry was used that was not so");
}

/* Contexts that are unloaded, moved and stolen. */
static void test_contexts(void)
{
	unsigned long at = AT + 3 * PAGE_SIZE;

	put(at, 9);
	reads(0, at);
	is(unload(0), 0, "a context is unloaded");
	is(chiplet_of(0), -1, "it does not run");
	change(DONTNEED, at, 1);
	is(reads(0, at), 0, "loaded again it reads what is there");
	is(option(0, sco_gseg_owner, 0, 0), 0, "it has an owner");
	is(option(0, sco_blade_chiplet, 7, 0), -EINVAL, "no such chiplet");
	is(option(0, sco_blade_chiplet, 1, 0), 0, "another chiplet");
	is(reads(0, at), 0, "from there it reads");
	is(chiplet_of(0), 1, "being there");
	is(make_context(1), 0, "another context");
	is(reads(1, at), 0, "reads too");
	put(at, 10);
	is(reads(0, at) + reads(1, at), 20, "both read what is written");
	change(MIGRATE, at, 1);
	ok(!has_entry(0, at) && !has_entry(1, at), "both chiplets are flushed");
	unmap_segments();
	map_segments(false);
	for (unsigned int i = 0; i < 3; i++) {
		make_context(i);
		is(reads(i, at), 10, "context %u needs a chiplet", i);
	}
	is(statistics(2).context_stolen, 1, "the third one takes another's");
	is((chiplet_of(0) < 0) + (chiplet_of(1) < 0), 1, "which does not run");
	change(DONTNEED, at, 1);
	is(reads(2, at), 0, "it reads what is there");
	unmap_segments();
	is(counts.late + counts.wrong, 0, "no entry was used that was not so");
}

/* Threads with their contexts, against changes. */

static struct changes changes = { .at = AT, .pages = PAGES, .which = ALL_CHANGES };
static unsigned long foreign, refused;

static void *device_main(void *arg)
{
	unsigned int number = *(unsigned int *)arg, state = number + 1;

	mmun_compat_set_current(task);
	for (unsigned int i = 0; i < 400 || (i < 20000 && changed(&changes) < 400); i++) {
		unsigned long at = AT + draw(&state, PAGES) * PAGE_SIZE + 8, value = at;
		int ret = segment_access(number, at, draw(&state, 2), &value);

		/* Refused: between two mprotect()s, or unmapped. */
		if (ret)
			__atomic_fetch_add(&refused, 1, __ATOMIC_RELAXED);
		else if (value && value != at)
			__atomic_fetch_add(&foreign, 1, __ATOMIC_RELAXED);
		if (!draw(&state, 50))
			unload(draw(&state, THREADS));
	}
	mmun_compat_set_current(NULL);
	return NULL;
}

static void test_against_changes(void)
{
	unsigned int numbers[THREADS];
	pthread_t threads[THREADS];

	map_segments(true);
	for (unsigned int i = 0; i < THREADS; i++)
		make_context(i);
	start_changes(&changes);
	for (unsigned int i = 0; i < THREADS; i++) {
		numbers[i] = i;
		if (pthread_create(&threads[i], NULL, device_main, &numbers[i]))
			bail_out("no thread");
	}
	for (unsigned int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	stop_changes(&changes);
	diag("%lu changes; %lu entries, %lu not taken in, %lu taken out, %lu refused",
	     changed(&changes), counts.taken, counts.ignored, counts.flushed, refused);
	is(counts.wrong, 0, "against changes: no entry was wrong from the start");
	is(counts.late + violations(), 0, "none was used when it was not so any more");
	is(foreign, 0, "none read another's");
	unmap_segments();
}

static void test_control(void)
{
	unsigned long value;

	deaf = true;
	map_segments(true);
	make_context(0);
	deaf = false;
	put(AT, 1);
	is(reads(0, AT), 1, "without the callbacks it reads");
	change(DONTNEED, AT, 1);
	is(segment_access(0, AT, false, &value), -ESTALE, "but after DONTNEED the page that was");
	is(violations(), 1, "which the machine sees");
	is(counts.late, 1, "as the test does");
	flush(0, AT);
	is(reads(0, AT), 0, "until it is flushed by hand");
	unmap_segments();
}

/* The task goes with its contexts loaded. */
static void test_exit(void)
{
	map_segments(true);
	mmun_soft_file_put(segments_file);
	make_context(0);
	make_context(1);
	put(AT, 3);
	is(reads(0, AT) + reads(1, AT), 6, "contexts are loaded");
	end_task();
	is(chiplet_of(0) + chiplet_of(1), -2, "when the task is gone none runs");
	mmu_notifier_synchronize();
	is(atomic_long_read(&gru_stats.gms_alloc), atomic_long_read(&gru_stats.gms_free),
	   "nor has it a notifier");
	is(atomic_long_read(&gru_stats.gts_alloc), atomic_long_read(&gru_stats.gts_free),
	   "nor a context");
}

int main(void)
{
	start_machine();
	if (!start_chiplets(mm))
		bail_out("no segments");
	gru_options = OPT_STATS;
	if (mmun_soft_device_create(soft, "gru", &segments_fops, NULL, &segments_file))
		bail_out("no file");
	map(AT, PAGES, PROT_READ | PROT_WRITE, 0, NULL);
	map(ARGUMENTS, THREADS, PROT_READ | PROT_WRITE, 0, NULL);
	test_in_turn();
	test_misses();
	test_contexts();
	test_against_changes();
	test_control();
	test_exit();
	stop_chiplets();
	stop_machine(0);
	return tap_done();
}
