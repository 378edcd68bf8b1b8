/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Two views of one process: the first thing in which they differ. */
#include <sys/mman.h>

#include "diff.h"

static char text[400];

static const char *compare_outcome(const struct view *soft, const struct view *kernel)
{
	if (soft->result != kernel->result) {
		snprintf(text, sizeof(text), "result %ld, the kernel's %ld", soft->result,
			 kernel->result);
		return text;
	}
	if (soft->value != kernel->value) {
		snprintf(text, sizeof(text), "value %#lx, the kernel's %#lx",
			 (unsigned long)soft->value, (unsigned long)kernel->value);
		return text;
	}
	if (soft->fault.signal != kernel->fault.signal || soft->fault.code != kernel->fault.code ||
	    soft->fault.address != kernel->fault.address) {
		snprintf(text, sizeof(text),
			 "signal %d code %d at %#lx, the kernel's %d code %d at %#lx",
			 soft->fault.signal, soft->fault.code, (unsigned long)soft->fault.address,
			 kernel->fault.signal, kernel->fault.code,
			 (unsigned long)kernel->fault.address);
		return text;
	}
	return NULL;
}

static void print_area(char *to, size_t size, const struct view *view, uint32_t i)
{
	const struct area *area = &view->areas[i];

	if (i >= view->nr_areas)
		snprintf(to, size, "nothing more");
	else
		snprintf(to, size, "pages %lu-%lu prot %#x file %d offset %lu",
			 (unsigned long)(area->start - ARENA) / PAGE,
			 (unsigned long)(area->end - ARENA) / PAGE, area->prot, area->file,
			 (unsigned long)area->offset / PAGE);
}

static bool same_area(const struct area *a, const struct area *b)
{
	return a->start == b->start && a->end == b->end && a->prot == b->prot &&
	       a->file == b->file && a->offset == b->offset;
}

static const char *compare_layout(const struct view *soft, const struct view *kernel)
{
	char ours[120], theirs[120];
	uint32_t i;

	for (i = 0; i < soft->nr_areas && i < kernel->nr_areas; i++)
		if (!same_area(&soft->areas[i], &kernel->areas[i]))
			break;
	if (i == soft->nr_areas && i == kernel->nr_areas)
		return NULL;
	print_area(ours, sizeof(ours), soft, i);
	print_area(theirs, sizeof(theirs), kernel, i);
	snprintf(text, sizeof(text), "mapping %u: %s, the kernel's: %s", i, ours, theirs);
	return text;
}

static const char *compare_looks(const struct view *soft, const struct view *kernel)
{
	for (uint32_t i = 0; i < soft->nr_looks; i++) {
		const struct look *a = &soft->looks[i], *b = &kernel->looks[i];

		if (a->signal != b->signal || a->code != b->code) {
			snprintf(text, sizeof(text),
				 "reading page %u: signal %d code %d, in the kernel %d code %d",
				 a->page, a->signal, a->code, b->signal, b->code);
			return text;
		}
		for (unsigned int slot = 0; slot < SLOTS; slot++) {
			if (a->value[slot] == b->value[slot])
				continue;
			snprintf(text, sizeof(text),
				 "page %u byte %u holds %#lx, in the kernel %#lx", a->page,
				 slot_offset[slot], (unsigned long)a->value[slot],
				 (unsigned long)b->value[slot]);
			return text;
		}
	}
	return NULL;
}

const char *compare(const struct view *soft, const struct view *kernel)
{
	const char *difference = compare_outcome(soft, kernel);

	if (!difference)
		difference = compare_layout(soft, kernel);
	if (!difference)
		difference = compare_looks(soft, kernel);
	return difference;
}

/*
 * What only the kernel has reason to notify of.
 *
 * It copies a page that is not shared any more when somebody looks at it
 * in that moment (a batch of another processor, for instance), and it maps file pages
 * around the one that is read.  Where the software keeps its page or had none, nothing
 * has changed and nobody need be notified.
 */
static bool excused(const struct op *op, const struct range *range, uint64_t at)
{
	switch ((enum kind)op->kind) {
	case OP_WRITE:
		return soft_kept_page() && range->start == ARENA + op->page * PAGE &&
		       range->end == range->start + PAGE;
	/* These write to the pages one by one. */
	case OP_MLOCK:
		return true;
	case OP_MMAP:
		return op->flags & (MAP_POPULATE | MAP_LOCKED);
	case OP_MADVISE:
		/* A large folio that gets a hole, or is cold in part, is split, and all of it
		 * unmapped for that. */
		if (op->flags == MADV_REMOVE)
			return at - ARENA - op->page * PAGE >= op->pages * PAGE;
		return op->flags == MADV_POPULATE_WRITE || op->flags == MADV_COLD;
	/* A file system writes back, and write-protects, whole large folios. */
	case OP_PUNCH:
	case OP_TRUNCATE:
	case OP_FSYNC:
		return op->file >= SHMEM_FILES;
	case OP_MSYNC:
		return op->flags == MS_SYNC;
	default:
		return false;
	}
}

const char *compare_events(const struct op *op, const struct view *kernel)
{
	for (uint32_t i = 0; i < kernel->nr_ranges; i++) {
		const struct range *range = &kernel->ranges[i];

		for (uint64_t at = range->start; at < range->end; at += PAGE) {
			if (soft_notified(at) || excused(op, range, at))
				continue;
			snprintf(
				text, sizeof(text),
				"the kernel notified of pages %lu-%lu, nobody here was notified of %lu",
				(unsigned long)(range->start - ARENA) / PAGE,
				(unsigned long)(range->end - ARENA) / PAGE,
				(unsigned long)(at - ARENA) / PAGE);
			return text;
		}
	}
	return NULL;
}
