/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Where a thread counts its read sections: the cell that it claims, and what it has open
 * in shared slots.
 *
 * I1  The plain additions of a cell are those of one thread.  Its id owns the cell
 *     from the claim until somebody finds that there is no such thread; then one more
 *     generation begins, and whoever still comes to close a section of an earlier
 *     one changes nothing.
 * I2  A claim takes no lock and no memory, and a signal handler may interrupt it
 *     anywhere with a claim of its own.
 *
 * Not here: the counting, and who waits for it (srcu.h, srcu.c).
 * Tests: tests/unit/core/{srcu,srcu_claim}.c, tests/torture/srcu.c.
 */
#include "srcu_cells.h"

#include <errno.h>
#include <linux/membarrier.h>
#include <sys/mman.h>

#include "raw_syscall.h"

/* Cells that a claim looks at for an owner who is gone, before it takes a new one and
 * when there is none; and the sections before a thread without a cell tries again. */
#define FEW_TRIES  2
#define MANY_TRIES 32
#define TRY_AGAIN  10000

#define CELLS_BYTES ((sizeof(struct srcu_cells) + 4095) & ~4095ul)

/* Neither knows membarrier nor sees additions in assembly. */
#if defined(__SANITIZE_THREAD__)
#define NO_CELLS 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define NO_CELLS 1
#endif
#endif

static bool have_membarrier(void)
{
#ifdef NO_CELLS
	return false;
#else
	return !mmun_syscall3(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) &&
	       !mmun_syscall3(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
#endif
}

bool mmun_srcu_use_cells(struct srcu_struct *ssp)
{
	struct srcu_cells *cells;
	long ret;

	if (!have_membarrier())
		return false;
	ret = mmun_syscall6(SYS_mmap, 0, CELLS_BYTES + 4096, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, (unsigned long)-1, 0);
	if (ret < 0)
		return false;
	cells = (struct srcu_cells *)ret;
	cells->page = (char *)cells + CELLS_BYTES;
	ssp->pid = (int)mmun_syscall3(SYS_getpid, 0, 0, 0);
	ssp->cells = cells;
	ssp->cells_size = sizeof(cells->cell);
	return true;
}

void mmun_srcu_unmap_cells(struct srcu_cells *cells)
{
	mmun_syscall3(SYS_munmap, (unsigned long)cells, CELLS_BYTES + 4096, 0);
}

void mmun_srcu_share(void)
{
	mmun_task.shared = true;
	for (int i = 0; i < MMUN_TASK_CELLS; i++)
		mmun_store_relaxed(&mmun_task.cell[i].slot, NULL);
	/* The sections that are open count as closed elsewhere when they end. */
}

static bool owner_is_gone(const struct srcu_struct *ssp, unsigned int tid)
{
	if (mmun_syscall3(SYS_tgkill, ssp->pid, tid, 0) == -ESRCH)
		return true;
	return (int)tid == ssp->pid && mmun_thread_is_zombie(ssp->pid);
}

/* What nobody will close counts as closed, in a generation of its own. */
static unsigned long next_generation(const struct srcu_slot *slot, unsigned int bank,
				     unsigned long elsewhere)
{
	unsigned long left =
		(mmun_load_full(&slot->opened[bank]) - mmun_load_full(&slot->closed[bank])) &
		MMUN_SRCU_HALF;

	return ((elsewhere & ~MMUN_SRCU_HALF) + MMUN_SRCU_HALF + 1) | left;
}

/*
 * Nobody else changes the counts of a cell whose owner is gone.  If a new thread has got
 * its id or the cell meanwhile, it has begun a generation before its first section, and
 * the exchange fails.
 */
bool mmun_srcu_drop_left_open(struct srcu_struct *ssp, unsigned int index, unsigned int bank)
{
	struct srcu_slot *cell = &ssp->cells->cell[index];
	unsigned long elsewhere = mmun_load_full(&cell->elsewhere[bank]);
	unsigned long next = next_generation(cell, bank, elsewhere);

	if (!owner_is_gone(ssp, (unsigned int)mmun_load_full(&ssp->cells->owner[index])) ||
	    !mmun_cas_full(&cell->elsewhere[bank], &elsewhere, next))
		return false;
	(void)mmun_add_relaxed(&ssp->dropped, 1);
	return true;
}

/* By the new owner, before its first section: the two banks' generations need not agree
 * before, and do afterwards. */
static unsigned long begin_generation(struct srcu_slot *cell)
{
	unsigned long generation = 0;

	for (unsigned int bank = 0; bank < 2; bank++) {
		unsigned long has = mmun_load_full(&cell->elsewhere[bank]) >> 32;

		generation = has >= generation ? has + 1 : generation;
	}
	for (unsigned int bank = 0; bank < 2; bank++) {
		unsigned long elsewhere = mmun_load_full(&cell->elsewhere[bank]);
		unsigned long next;

		do {
			/* A handler has begun one of its own, in both: it stays. */
			if (elsewhere >> 32 > generation)
				break;
			next = generation << 32 |
			       (next_generation(cell, bank, elsewhere) & MMUN_SRCU_HALF);
		} while (!mmun_cas_full(&cell->elsewhere[bank], &elsewhere, next));
	}
	return generation;
}

/* An owner who is gone, among @tries cells from where the last search ended. */
static struct srcu_slot *take_over(struct srcu_struct *ssp, unsigned int tid, unsigned int nr,
				   unsigned int tries)
{
	struct srcu_cells *cells = ssp->cells;

	while (tries-- && nr) {
		unsigned int i = mmun_add_relaxed(&cells->hand, 1) % nr;
		unsigned long owner = mmun_load_full(&cells->owner[i]);

		if (!owner || !owner_is_gone(ssp, (unsigned int)owner))
			continue;
		if (mmun_cas_full(&cells->owner[i], &owner,
				  ((owner & ~MMUN_SRCU_HALF) + MMUN_SRCU_HALF + 1) | tid))
			return &cells->cell[i];
	}
	return NULL;
}

static struct srcu_slot *take_new(struct srcu_struct *ssp, unsigned int tid)
{
	struct srcu_cells *cells = ssp->cells;
	unsigned int nr = mmun_load_full(&cells->nr);
	unsigned long nobody;

	for (; nr < MMUN_SRCU_CELLS; nr++) {
		nobody = 0;
		if (!mmun_cas_full(&cells->owner[nr], &nobody, tid))
			continue;
		/* Seen by every grace period that a section of ours can matter to. */
		for (unsigned int old = mmun_load_full(&cells->nr); old <= nr;)
			if (mmun_cas_full(&cells->nr, &old, nr + 1))
				break;
		return &cells->cell[nr];
	}
	return NULL;
}

/* A cell that says to be ours although this thread does not remember it: claimed by what
 * we have interrupted, or left by an earlier thread of the same id. */
static struct srcu_slot *find_own(struct srcu_struct *ssp, unsigned int tid, unsigned int nr)
{
	for (unsigned int i = 0; i < nr; i++) {
		unsigned long owner = mmun_load_full(&ssp->cells->owner[i]);

		/* Counted: a thread that found its last owner gone comes too late. */
		while ((unsigned int)owner == tid)
			if (mmun_cas_full(&ssp->cells->owner[i], &owner,
					  owner + MMUN_SRCU_HALF + 1))
				return &ssp->cells->cell[i];
	}
	return NULL;
}

/* The entry of this thread for @ssp, the one to fill if @fill, or -1. */
static int task_cell(const struct srcu_struct *ssp, bool fill)
{
	for (int i = 0; i < MMUN_TASK_CELLS; i++) {
		struct srcu_slot *slot = mmun_load_relaxed(&mmun_task.cell[i].slot);

		if (slot ? mmun_srcu_is_cell(ssp, slot) : fill)
			return i;
	}
	return -1;
}

/*
 * The first section in @cell.  A handler may have done the same meanwhile, and has begun
 * a generation of its own; its sections are over.
 */
static void remember(struct srcu_slot *cell, int entry)
{
	struct srcu_slot *known = mmun_load_relaxed(&mmun_task.cell[entry].slot);

	if (!known) {
		mmun_task.cell[entry].generation = begin_generation(cell) << 1;
		mmun_compiler_barrier();
		known = mmun_load_relaxed(&mmun_task.cell[entry].slot);
	}
	/* From here on no handler claims. */
	if (!known)
		mmun_store_relaxed(&mmun_task.cell[entry].slot, known = cell);
	mmun_compiler_barrier();
	mmun_task.cell[entry].generation = mmun_load_full(&known->elsewhere[0]) >> 32 << 1;
}

static void claim(struct srcu_struct *ssp, unsigned int tid, int entry)
{
	unsigned int nr = mmun_load_full(&ssp->cells->nr);
	struct srcu_slot *cell = find_own(ssp, tid, nr);

	if (!cell)
		cell = take_over(ssp, tid, nr, FEW_TRIES);
	if (!cell)
		cell = take_new(ssp, tid);
	if (!cell)
		cell = take_over(ssp, tid, nr, MANY_TRIES);
	if (cell)
		remember(cell, entry);
	else
		mmun_task.no_cell = TRY_AGAIN;
}

/* The entry of this thread's cell, or -1: none to be had. */
int mmun_srcu_get_cell(struct srcu_struct *ssp)
{
	int entry, tid;

	if (!ssp->cells || mmun_task.shared)
		return -1;
	entry = task_cell(ssp, false);
	if (entry >= 0)
		return entry;
	if (mmun_task.no_cell) {
		mmun_task.no_cell--;
		return -1;
	}
	/* A process that was made by vfork() or the like shares our memory and perhaps our
	 * thread-local storage; it counts where everybody may. */
	if ((int)mmun_syscall3(SYS_getpid, 0, 0, 0) != ssp->pid)
		return -1;
	tid = (int)mmun_syscall3(SYS_gettid, 0, 0, 0);
	if (mmun_task.tid != tid) {
		/* A forked child: what is remembered are cells of its parent. */
		for (int i = 0; i < MMUN_TASK_CELLS; i++)
			mmun_store_relaxed(&mmun_task.cell[i].slot, NULL);
		mmun_task.tid = tid;
	}
	entry = task_cell(ssp, true);
	if (entry >= 0)
		claim(ssp, (unsigned int)tid, entry);
	return task_cell(ssp, false);
}

/* What a thread has open in shared slots. */

static void uncount(unsigned long *count)
{
	__asm__ volatile("subq $1, %0" : "+m"(*count) : : "memory");
}

/* An entry of @ssp, else one that is free, or -1. */
static int held_entry(const struct srcu_struct *ssp)
{
	int free = -1;

	for (int i = 0; i < MMUN_TASK_HELD; i++) {
		if (mmun_task.held[i].ssp == ssp)
			return i;
		if (!mmun_task.held[i].open)
			free = i;
	}
	return free;
}

/* With all entries in use a section goes unnoticed: a thread that waits for itself then waits. */
void mmun_srcu_hold(const struct srcu_struct *ssp)
{
	int i;

	while ((i = held_entry(ssp)) >= 0) {
		mmun_store_relaxed(&mmun_task.held[i].ssp, ssp);
		mmun_srcu_count(&mmun_task.held[i].open);
		/* A handler may have used the entry before it was counted. */
		if (mmun_load_relaxed(&mmun_task.held[i].ssp) == ssp)
			break;
		uncount(&mmun_task.held[i].open);
	}
}

void mmun_srcu_let_go(const struct srcu_struct *ssp)
{
	int i = held_entry(ssp);

	/* Else another thread has opened it. */
	if (i >= 0 && mmun_task.held[i].ssp == ssp && mmun_task.held[i].open)
		uncount(&mmun_task.held[i].open);
}

static bool slots_idle(const struct srcu_struct *ssp)
{
	for (unsigned int i = 0; i <= ssp->mask; i++)
		if (mmun_srcu_nr_open(&ssp->slots[i], 0) || mmun_srcu_nr_open(&ssp->slots[i], 1))
			return false;
	return true;
}

unsigned long mmun_srcu_open_here(struct srcu_struct *ssp)
{
	int i = ssp->cells ? task_cell(ssp, false) : -1;
	unsigned long open = 0;

	if (i >= 0)
		open = mmun_srcu_nr_open(mmun_task.cell[i].slot, 0) +
		       mmun_srcu_nr_open(mmun_task.cell[i].slot, 1);
	i = held_entry(ssp);
	if (i >= 0 && mmun_task.held[i].ssp == ssp && mmun_task.held[i].open && !slots_idle(ssp))
		open += mmun_task.held[i].open;
	return open;
}

bool mmun_srcu_drop_cells(struct srcu_struct *ssp)
{
	struct srcu_cells *cells = ssp->cells;

	if (!cells || mmun_srcu_open_here(ssp))
		return !cells;
	for (int i = 0; i < MMUN_TASK_CELLS; i++)
		if (mmun_srcu_is_cell(ssp, mmun_task.cell[i].slot))
			mmun_store_relaxed(&mmun_task.cell[i].slot, NULL);
	ssp->cells_size = 0;
	ssp->cells = NULL;
	mmun_srcu_unmap_cells(cells);
	return true;
}

bool mmun_srcu_open_anywhere(void)
{
	for (int i = 0; i < MMUN_TASK_CELLS; i++) {
		const struct srcu_slot *cell = mmun_task.cell[i].slot;

		if (cell && (mmun_srcu_nr_open(cell, 0) || mmun_srcu_nr_open(cell, 1)))
			return true;
	}
	for (int i = 0; i < MMUN_TASK_HELD; i++)
		if (mmun_task.held[i].open)
			return true;
	return false;
}
