/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The same processes and files in software.  Each has a secondary MMU that caches
 * a few translations and follows the notifier chain; every use of one is checked
 * (a stale one is a complaint), so the event sites are tested on the way.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <mmunotify/soft.h>

#include "diff.h"

#define CACHED 16

struct cached {
	uint32_t page;
	bool valid;
	struct mmun_soft_translation to;
};

/* The steps run one at a time: the device needs no lock.  Another part of it walks the page
 * tables and follows their flushes. */
struct device {
	struct mmu_notifier mn, walker;
	unsigned int open;
	struct cached cached[CACHED], walked[CACHED];
};

struct soft_side {
	struct mmun_soft *soft;
	struct file *file[FILES];
	struct mmun_soft_task *task[PROCESSES];
	struct device device[PROCESSES];
	char complaint[200];
};

static const char *const file_names[FILES] = { "0", "1", "2", "3" };

static void complain(struct soft_side *side, const char *text, unsigned long address)
{
	if (!side->complaint[0])
		snprintf(side->complaint, sizeof(side->complaint), "%s at page %lu", text,
			 (address - ARENA) / PAGE);
}

static void on_violation(const struct mmun_soft_violation *what, void *arg)
{
	complain(arg, mmun_soft_violation_name(what->kind), what->address);
}

static void drop(struct cached *cached, unsigned long start, unsigned long end)
{
	for (int i = 0; i < CACHED; i++) {
		unsigned long address = ARENA + cached[i].page * PAGE;

		if (address >= start && address < end)
			cached[i].valid = false;
	}
}

/* Of the operation in progress; merged as far as they follow each other. */
static struct range notified[2000];
static uint32_t nr_notified, nr_told_by_step;

static void log_range(unsigned long start, unsigned long end)
{
	if (nr_notified && notified[nr_notified - 1].end == start)
		notified[nr_notified - 1].end = end;
	else if (nr_notified < sizeof(notified) / sizeof(notified[0]))
		notified[nr_notified++] = (struct range){ start, end };
}

/* Was the page that was written to kept, and not copied, or was none there? */
static bool kept_page;

bool soft_kept_page(void)
{
	return kept_page;
}

bool soft_notified(uint64_t address)
{
	for (uint32_t i = 0; i < nr_told_by_step; i++)
		if (address >= notified[i].start && address < notified[i].end)
			return true;
	return false;
}

static int device_start(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	struct device *device = (struct device *)(void *)mn;

	log_range(range->start, range->end);
	device->open++;
	drop(device->cached, range->start, range->end);
	return 0;
}

static void device_end(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	(void)range;
	((struct device *)(void *)mn)->open--;
}

static void device_release(struct mmu_notifier *mn, struct mm_struct *mm)
{
	(void)mm;
	drop(((struct device *)(void *)mn)->cached, 0, -1ul);
}

static struct device *device_of_walker(struct mmu_notifier *mn)
{
	return (struct device *)(void *)((char *)mn - offsetof(struct device, walker));
}

static void walker_flush(struct mmu_notifier *mn, struct mm_struct *mm, unsigned long start,
			 unsigned long end)
{
	(void)mm;
	drop(device_of_walker(mn)->walked, start, end);
}

static void walker_release(struct mmu_notifier *mn, struct mm_struct *mm)
{
	walker_flush(mn, mm, 0, -1ul);
}

static const struct mmu_notifier_ops walker_ops = {
	.arch_invalidate_secondary_tlbs = walker_flush,
	.release = walker_release,
};

static const struct mmu_notifier_ops device_ops = {
	.invalidate_range_start = device_start,
	.invalidate_range_end = device_end,
	.release = device_release,
};

static struct mm_struct *mm_of(struct soft_side *side, unsigned int process)
{
	return mmun_soft_task_mm(side->task[process]);
}

static void attach(struct soft_side *side, unsigned int process)
{
	struct device *device = &side->device[process];

	memset(device, 0, sizeof(*device));
	device->mn.ops = &device_ops;
	device->walker.ops = &walker_ops;
	if (mmu_notifier_register(&device->mn, mm_of(side, process)) ||
	    mmu_notifier_register(&device->walker, mm_of(side, process)))
		complain(side, "the device could not be registered", ARENA);
}

static void detach(struct soft_side *side, unsigned int process)
{
	struct device *device = &side->device[process];
	struct mm_struct *mm = mm_of(side, process);

	if (device->open)
		complain(side, "a section was never closed", ARENA);
	mmgrab(mm);
	mmun_soft_exit(side->task[process]);
	side->task[process] = NULL;
	mmu_notifier_unregister(&device->walker, mm);
	mmu_notifier_unregister(&device->mn, mm);
	mmdrop(mm);
}

struct soft_side *soft_begin(void)
{
	struct soft_side *side = calloc(1, sizeof(*side));
	struct mmun_soft_params params = {
		.memory = 64 << 20,
		.swap = 64 << 20,
		.violation = on_violation,
		.violation_arg = side,
	};

	if (!side)
		return NULL;
	if (mmun_soft_create(&params, &side->soft))
		abort();
	for (int i = 0; i < FILES; i++)
		if (mmun_soft_file_create(side->soft, file_names[i],
					  i < SHMEM_FILES ? MMUN_SOFT_FILE_SHMEM
							  : MMUN_SOFT_FILE_REGULAR,
					  FILE_PAGES / 2 * PAGE, &side->file[i]))
			abort();
	if (mmun_soft_task_create(side->soft, &side->task[0]))
		abort();
	attach(side, 0);
	return side;
}

const char *soft_complaint(struct soft_side *side)
{
	return side->complaint[0] ? side->complaint : NULL;
}

void soft_end(struct soft_side *side)
{
	for (unsigned int i = 0; i < PROCESSES; i++)
		if (side->task[i])
			detach(side, i);
	for (int i = 0; i < FILES; i++)
		mmun_soft_file_put(side->file[i]);
	if (mmun_soft_destroy(side->soft)) {
		fprintf(stderr, "the machine is still in use after the last exit\n");
		abort();
	}
	free(side);
}

bool soft_alive(struct soft_side *side, unsigned int process)
{
	return side->task[process];
}

static unsigned long address_of(uint32_t page)
{
	return ARENA + page * PAGE;
}

static long mapped_at(struct mm_struct *mm, mmun_soft_address at, size_t length)
{
	if (mmun_soft_is_error(at))
		return (long)at;
	if (at >= ARENA && at < ARENA + ARENA_PAGES * PAGE)
		return (long)((at - ARENA) / PAGE);
	mmun_soft_munmap(mm, at, length);
	return ELSEWHERE;
}

static void do_fork(struct soft_side *side, const struct op *op, struct view *view)
{
	view->result = mmun_soft_fork(side->task[op->process], &side->task[op->to]);
	if (view->result)
		side->task[op->to] = NULL;
	else
		attach(side, op->to);
}

static void set_fault(struct view *view, int ret, const struct mmun_soft_fault *fault)
{
	if (ret)
		view->fault = (struct fault){ fault->signal, fault->code, fault->address };
}

static void do_access(struct mm_struct *mm, const struct op *op, struct view *view)
{
	unsigned long address = address_of(op->page) + slot_offset[op->to];
	struct mmun_soft_fault fault = { 0 };
	unsigned char byte;
	int ret;

	if (op->kind == OP_WRITE)
		ret = mmun_soft_write(mm, address, &op->value, 8, &fault);
	else if (op->kind == OP_READ)
		ret = mmun_soft_read(mm, address, &view->value, 8, &fault);
	else
		ret = mmun_soft_fetch(mm, address_of(op->page), &byte, 1, &fault);
	set_fault(view, ret, &fault);
	if (ret)
		view->value = 0;
}

static void do_file(struct soft_side *side, const struct op *op, struct view *view)
{
	struct file *file = side->file[op->file];
	uint64_t at = op->page * PAGE + op->to;

	switch ((enum kind)op->kind) {
	case OP_TRUNCATE:
		view->result = mmun_soft_ftruncate(file, at);
		break;
	case OP_PUNCH:
		view->result = mmun_soft_punch_hole(file, at, op->pages * PAGE);
		break;
	case OP_PWRITE:
		view->result = mmun_soft_pwrite(file, &op->value, 8, at);
		break;
	case OP_PREAD:
		view->result = mmun_soft_pread(file, &view->value, 8, at);
		break;
	default:
		view->result = mmun_soft_fsync(file);
	}
}

/* Nobody may notice these. */
static void do_behind_the_back(struct soft_side *side, struct mm_struct *mm, const struct op *op)
{
	switch ((enum kind)op->kind) {
	case OP_RECLAIM:
		mmun_soft_reclaim(side->soft, op->pages);
		break;
	case OP_KSM:
		mmun_soft_ksm_scan(side->soft);
		break;
	case OP_MIGRATE:
		mmun_soft_migrate(mm, address_of(op->page));
		break;
	case OP_COMPACT:
		mmun_soft_compact(side->soft);
		break;
	case OP_COLLAPSE:
		mmun_soft_collapse(mm, address_of(op->page));
		break;
	default:
		mmun_soft_clear_soft_dirty(mm);
	}
}

static void perform(struct soft_side *side, const struct op *op, struct view *view)
{
	struct mm_struct *mm = mm_of(side, op->process);
	unsigned long address = address_of(op->page);
	size_t length = op->pages * PAGE;

	switch ((enum kind)op->kind) {
	case OP_MMAP:
		view->result =
			mapped_at(mm,
				  mmun_soft_mmap(mm, address, length, (int)op->prot, (int)op->flags,
						 op->file < 0 ? NULL : side->file[op->file],
						 op->file < 0 ? 0 : op->to * PAGE),
				  length);
		break;
	case OP_MUNMAP:
		view->result = mmun_soft_munmap(mm, address, length);
		break;
	case OP_MPROTECT:
		view->result = mmun_soft_mprotect(mm, address, length, (int)op->prot);
		break;
	case OP_MREMAP:
		view->result = mapped_at(mm,
					 mmun_soft_mremap(mm, address, length, op->to_pages * PAGE,
							  (int)op->flags, address_of(op->to)),
					 op->to_pages * PAGE);
		break;
	case OP_MADVISE:
		view->result = mmun_soft_madvise(mm, address, length, (int)op->flags);
		break;
	case OP_WRITE:
	case OP_READ:
	case OP_FETCH:
		do_access(mm, op, view);
		break;
	case OP_FORK:
		do_fork(side, op, view);
		break;
	case OP_EXIT:
		detach(side, op->process);
		break;
	case OP_TRUNCATE:
	case OP_PUNCH:
	case OP_PWRITE:
	case OP_PREAD:
	case OP_FSYNC:
		do_file(side, op, view);
		break;
	case OP_MSYNC:
		view->result = mmun_soft_msync(mm, address, length, (int)op->flags);
		break;
	case OP_MLOCK:
		view->result = mmun_soft_mlock(mm, address, length);
		break;
	case OP_MUNLOCK:
		view->result = mmun_soft_munlock(mm, address, length);
		break;
	default:
		do_behind_the_back(side, mm, op);
	}
}

static int add_area(const struct mmun_soft_map *map, void *arg)
{
	struct view *view = arg;
	struct area *area = &view->areas[view->nr_areas];

	if (map->end <= ARENA)
		return 0;
	if (map->start >= ARENA + ARENA_PAGES * PAGE || view->nr_areas == MAX_AREAS)
		return 1;
	*area = (struct area){
		.start = map->start,
		.end = map->end,
		.file = -1,
		.prot = (map->flags & VM_READ ? PROT_READ : 0) |
			(map->flags & VM_WRITE ? PROT_WRITE : 0) |
			(map->flags & VM_EXEC ? PROT_EXEC : 0) |
			(map->flags & VM_SHARED ? AREA_SHARED : 0),
	};
	for (int i = 0; i < FILES; i++)
		if (!strcmp(map->name, file_names[i]))
			area->file = i;
	area->offset = area->file >= 0 ? map->offset : 0;
	view->nr_areas++;
	return 0;
}

static long frame_at(struct mm_struct *mm, uint32_t page)
{
	struct mmun_soft_entry entry;

	mmun_soft_pagemap(mm, address_of(page), &entry);
	return entry.present ? (long)entry.pfn : -1;
}

static bool is_resident(struct mm_struct *mm, uint32_t page)
{
	struct mmun_soft_entry entry;

	mmun_soft_pagemap(mm, address_of(page), &entry);
	return entry.present || entry.swapped;
}

static void choose(struct view *view, uint32_t page)
{
	if (view->nr_looks < MAX_LOOKS)
		view->looks[view->nr_looks++].page = page;
}

/* What is resident among the dense pages, and a few others. */
static void choose_looks(struct mm_struct *mm, struct random *r, struct view *view)
{
	view->nr_looks = 0;
	for (uint32_t i = 0; i < view->nr_areas; i++) {
		const struct area *area = &view->areas[i];
		uint32_t first = (uint32_t)((area->start - ARENA) / PAGE);
		uint32_t last = (uint32_t)((area->end - ARENA) / PAGE);

		if (last - first > 64 || first >= DENSE_PAGES) {
			choose(view, first + below(r, last - first));
			continue;
		}
		for (uint32_t page = first; page < last; page++)
			if (area->prot & 7 && is_resident(mm, page))
				choose(view, page);
	}
	choose(view, below(r, DENSE_PAGES));
	if (below(r, 8) == 0)
		choose(view, below(r, ARENA_PAGES));
}

static void take_looks(struct mm_struct *mm, struct view *view)
{
	for (uint32_t i = 0; i < view->nr_looks; i++) {
		struct look *look = &view->looks[i];
		struct mmun_soft_fault fault = { 0 };
		int ret = 0;

		memset(look->value, 0, sizeof(look->value));
		for (unsigned int slot = 0; slot < SLOTS && !ret; slot++)
			ret = mmun_soft_read(mm, address_of(look->page) + slot_offset[slot],
					     &look->value[slot], 8, &fault);
		look->signal = ret ? fault.signal : 0;
		look->code = ret ? fault.code : 0;
		if (ret)
			memset(look->value, 0, sizeof(look->value));
	}
}

static void use_walker(struct soft_side *side, struct mm_struct *mm, struct cached *walked,
		       const struct look *look)
{
	unsigned long address = address_of(look->page);
	uint64_t value;

	if (walked->valid && walked->page == look->page) {
		if (mmun_soft_device_read(mm, address, &walked->to, &value, 8) ||
		    (!look->signal && value != look->value[0]))
			complain(side, "what walks the tables saw something else", address);
		return;
	}
	walked->page = look->page;
	walked->valid = !mmun_soft_translate_present(mm, address, &walked->to);
}

/* The device sees what the processor sees, through what it has cached. */
static void use_device(struct soft_side *side, unsigned int process, struct random *r,
		       const struct view *view)
{
	struct device *device = &side->device[process];
	struct mm_struct *mm = mm_of(side, process);
	uint64_t value;

	for (uint32_t i = 0; i < view->nr_looks; i++) {
		const struct look *look = &view->looks[i];
		struct cached *cached = &device->cached[look->page % CACHED];
		unsigned long address = address_of(look->page);

		if (cached->valid && cached->page == look->page) {
			if (mmun_soft_device_read(mm, address, &cached->to, &value, 8) ||
			    (!look->signal && value != look->value[0]))
				complain(side, "the device saw something else", address);
		} else if (!below(r, 4) && !mmun_soft_translate_present(mm, address, &cached->to)) {
			cached->page = look->page;
			cached->valid = true;
		}
		use_walker(side, mm, &device->walked[look->page % CACHED], look);
	}
}

void soft_look(struct soft_side *side, unsigned int process, struct random *r, struct view *view)
{
	struct mm_struct *mm = mm_of(side, process);

	view->nr_areas = 0;
	mmun_soft_maps(mm, add_area, view);
	choose_looks(mm, r, view);
	take_looks(mm, view);
	use_device(side, process, r, view);
}

void soft_step(struct soft_side *side, const struct op *op, struct random *r, struct view *view)
{
	long frame;

	view->result = 0;
	view->value = 0;
	view->fault = (struct fault){ 0 };
	nr_notified = 0;
	frame = frame_at(mm_of(side, op->process), op->page);
	perform(side, op, view);
	kept_page = frame < 0 || (side->task[op->process] &&
				  frame == frame_at(mm_of(side, op->process), op->page));
	nr_told_by_step = nr_notified;
	if (side->task[op->process])
		soft_look(side, op->process, r, view);
}
