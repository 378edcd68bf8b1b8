/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Grace periods: two banks of counters, after the classic two-bank SRCU of
 * McKenney; the waiting here is a futex, there are no sleeping periods.
 *
 * I1  A reader that has counted itself into a bank of a slot keeps that bank from
 *     being seen empty until it has counted itself out of the same one.
 * I2  A grace period sees each bank of each slot empty once after it began.  The bank
 *     that new readers do not use goes first: a reader may have read ->idx long ago
 *     and still be about to enter it.  Then ->idx flips, so that readers that
 *     keep coming cannot hold the second bank up.
 * I3  ->waiting is raised before the last look at the counters and readers look
 *     at it after they counted themselves out, so no wake-up is lost.
 * I4  A reader keeps the domain alive beyond its unlock by means of its own
 *     (the caller of a walk holds the mm): unlock looks at ->waiting last.
 * I5  The plain additions of a cell are those of one thread.  Its id owns the cell
 *     from the claim until somebody finds that there is no such thread; then one more
 *     generation begins, and whoever still comes to close a section of an earlier
 *     one changes nothing.
 * I6  A claim takes no lock and no memory, and a signal handler may interrupt it
 *     anywhere with a claim of its own.
 *
 * Not here: callbacks (srcu_worker.c).  Tests: tests/unit/core/{srcu,srcu_claim}.c,
 * tests/torture/srcu.c, tests/model/srcu.pml.
 */
#include "srcu.h"

#include <linux/membarrier.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bug.h"
#include "clock.h"
#include "futex.h"
#include "raw_syscall.h"

/* Where libc keeps the area it shares with the kernel; absent before glibc 2.35. */
extern const ptrdiff_t __rseq_offset __attribute__((weak));
extern const unsigned int __rseq_size __attribute__((weak));

/* Looks at a counter before the waiter goes to sleep: about ten microseconds,
 * more than a usual system call inside a section takes. */
#define SPINS 200

/* Nobody wakes the waiter when a thread ends: looked for this often, ns. */
#define LOOK_PERIOD 10000000

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

unsigned int mmun_srcu_nr_slots(void)
{
	long cpus = sysconf(_SC_NPROCESSORS_CONF);
	unsigned int nr = 1;

	while (nr < MMUN_SRCU_MAX_SLOTS && (long)nr < cpus)
		nr *= 2;
	return nr;
}

void mmun_srcu_init(struct srcu_struct *ssp, struct srcu_slot *slots, unsigned int nr)
{
	MMUN_BUG_ON(nr == 0 || (nr & (nr - 1)));
	*ssp = (struct srcu_struct){ .slots = slots, .mask = nr - 1 };
	if (&__rseq_offset && &__rseq_size && __rseq_size)
		ssp->rseq_offset = __rseq_offset;
	mmun_mutex_init(&ssp->grace_lock, MMUN_RANK_GRACE);
}

void mmun_srcu_destroy(struct srcu_struct *ssp)
{
	/* Whoever has had one may remember it. */
	if (ssp->cells && !mmun_load_full(&ssp->cells->nr))
		mmun_syscall3(SYS_munmap, (unsigned long)ssp->cells, CELLS_BYTES + 4096, 0);
	mmun_mutex_destroy(&ssp->grace_lock);
}

/* Barriers. */

static bool have_membarrier(void)
{
#ifdef NO_CELLS
	return false;
#else
	return !mmun_syscall3(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) &&
	       !mmun_syscall3(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
#endif
}

/*
 * It worked once and does not any more: a seccomp filter came later.  To take rights away
 * from a page that is in use makes the kernel interrupt every processor that runs a
 * thread of ours, where it does not have the hardware flush their translations; in that
 * case the time that passes is many times what a store takes to leave its processor.
 */
static void barrier_by_rights(struct srcu_struct *ssp)
{
	const struct {
		long sec, nsec;
	} while_stores_drain = { 0, 1000000 };
	char *page = ssp->cells->page;

	(void)mmun_add_relaxed(&ssp->fallbacks, 1);
	mmun_store_full(page, 1);
	mmun_syscall3(SYS_mprotect, (unsigned long)page, 4096, PROT_NONE);
	mmun_syscall3(SYS_nanosleep, (unsigned long)&while_stores_drain, 0, 0);
	mmun_syscall3(SYS_mprotect, (unsigned long)page, 4096, PROT_READ | PROT_WRITE);
}

/* A full barrier here and, as far as readers lack it, in every thread of the process. */
static void barrier_everywhere(struct srcu_struct *ssp)
{
	/* Full, for readers in shared slots. */
	(void)mmun_add_full(&ssp->grace_periods, 0);
	if (ssp->cells && mmun_syscall3(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0))
		barrier_by_rights(ssp);
}

/* Cells. */

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

void mmun_srcu_share(void)
{
	mmun_task.shared = true;
	for (int i = 0; i < MMUN_TASK_CELLS; i++)
		mmun_store_relaxed(&mmun_task.cell[i].slot, NULL);
	/* The sections that are open count as closed elsewhere when they end. */
}

/* The state of a zombie, which a signal still finds: the first thread, when it has ended
 * before the others. */
bool mmun_thread_is_zombie(int tid)
{
	char path[] = "/proc/self/task/0000000000/stat", stat[512];
	char *digit = path + sizeof("/proc/self/task/0000000000") - 1;
	long fd, size;

	for (int i = 0; i < 10; i++, tid /= 10)
		*--digit = (char)('0' + tid % 10);
	/* No leading zeroes there. */
	while (*digit == '0')
		digit++;
	for (char *to = path + sizeof("/proc/self/task/") - 1; (*to = *digit); to++, digit++)
		;
	fd = mmun_syscall3(SYS_open, (unsigned long)path, 02000000 /* O_CLOEXEC */, 0);
	if (fd < 0)
		return false;
	size = mmun_syscall3(SYS_read, fd, (unsigned long)stat, sizeof(stat));
	mmun_syscall3(SYS_close, fd, 0, 0);
	for (long i = size - 3; i > 0; i--)
		if (stat[i] == ')')
			return stat[i + 2] == 'Z' || stat[i + 2] == 'X';
	return false;
}

#define ESRCH_RESULT -3

static bool is_gone(const struct srcu_struct *ssp, unsigned int tid)
{
	if (mmun_syscall3(SYS_tgkill, ssp->pid, tid, 0) == ESRCH_RESULT)
		return true;
	return (int)tid == ssp->pid && mmun_thread_is_zombie(ssp->pid);
}

#define HALF 0xfffffffful

/* Sections that are open in @bank: exact for a moment between the first load and the last. */
static unsigned long nr_open(const struct srcu_slot *slot, unsigned int bank)
{
	/* C: the exits are looked at first; pairs with B. */
	unsigned long elsewhere = mmun_load_full(&slot->elsewhere[bank]);
	unsigned long closed = mmun_load_full(&slot->closed[bank]);

	/* D: an entry that is not seen began after the exits were; pairs with A. */
	return (mmun_load_full(&slot->opened[bank]) - closed - elsewhere) & HALF;
}

/* What nobody will close counts as closed, in a generation of its own. */
static unsigned long next_generation(const struct srcu_slot *slot, unsigned int bank,
				     unsigned long elsewhere)
{
	unsigned long left =
		(mmun_load_full(&slot->opened[bank]) - mmun_load_full(&slot->closed[bank])) & HALF;

	return ((elsewhere & ~HALF) + HALF + 1) | left;
}

/*
 * Nobody else changes the counts of a cell whose owner is gone.  If a new thread has got
 * its id or the cell meanwhile, it has begun a generation before its first section, and
 * the exchange fails.
 */
static bool drop_left_open(struct srcu_struct *ssp, unsigned int index, unsigned int bank)
{
	struct srcu_slot *cell = &ssp->cells->cell[index];
	unsigned long elsewhere = mmun_load_full(&cell->elsewhere[bank]);
	unsigned long next = next_generation(cell, bank, elsewhere);

	if (!is_gone(ssp, (unsigned int)mmun_load_full(&ssp->cells->owner[index])) ||
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
			next = generation << 32 | (next_generation(cell, bank, elsewhere) & HALF);
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

		if (!owner || !is_gone(ssp, (unsigned int)owner))
			continue;
		if (mmun_cas_full(&cells->owner[i], &owner, ((owner & ~HALF) + HALF + 1) | tid))
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

		/* Counted: who found that its last owner is gone comes too late. */
		while ((unsigned int)owner == tid)
			if (mmun_cas_full(&ssp->cells->owner[i], &owner, owner + HALF + 1))
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
static int get_cell(struct srcu_struct *ssp)
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

/* With all entries in use a section goes unnoticed: who waits for himself then waits. */
static void hold(const struct srcu_struct *ssp)
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

static void let_go(const struct srcu_struct *ssp)
{
	int i = held_entry(ssp);

	/* Else another thread has opened it. */
	if (i >= 0 && mmun_task.held[i].ssp == ssp && mmun_task.held[i].open)
		uncount(&mmun_task.held[i].open);
}

static bool slots_idle(const struct srcu_struct *ssp)
{
	for (unsigned int i = 0; i <= ssp->mask; i++)
		if (nr_open(&ssp->slots[i], 0) || nr_open(&ssp->slots[i], 1))
			return false;
	return true;
}

unsigned long mmun_srcu_open_here(struct srcu_struct *ssp)
{
	int i = ssp->cells ? task_cell(ssp, false) : -1;
	unsigned long open = 0;

	if (i >= 0)
		open = nr_open(mmun_task.cell[i].slot, 0) + nr_open(mmun_task.cell[i].slot, 1);
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
	mmun_syscall3(SYS_munmap, (unsigned long)cells, CELLS_BYTES + 4096, 0);
	return true;
}

bool mmun_srcu_open_anywhere(void)
{
	for (int i = 0; i < MMUN_TASK_CELLS; i++) {
		const struct srcu_slot *cell = mmun_task.cell[i].slot;

		if (cell && (nr_open(cell, 0) || nr_open(cell, 1)))
			return true;
	}
	for (int i = 0; i < MMUN_TASK_HELD; i++)
		if (mmun_task.held[i].open)
			return true;
	return false;
}

/* Readers, where the inline functions do not suffice. */

struct mmun_reader mmun_srcu_enter_slowly(struct srcu_struct *ssp)
{
	int entry = get_cell(ssp);
	unsigned long bank = mmun_load_relaxed(&ssp->idx) & 1;
	struct srcu_slot *slot;

	if (entry >= 0) {
		slot = mmun_task.cell[entry].slot;
		mmun_srcu_count(&slot->opened[bank]);
		return (struct mmun_reader){ slot, mmun_task.cell[entry].generation | bank };
	}
	hold(ssp);
	slot = mmun_srcu_slot(ssp);
	/* Full, see A. */
	(void)mmun_add_full(&slot->opened[bank], 1);
	return (struct mmun_reader){ slot, bank };
}

static bool is_own(const struct mmun_reader *reader)
{
	for (int i = 0; i < MMUN_TASK_CELLS; i++)
		if (reader->slot == mmun_task.cell[i].slot &&
		    (reader->state & ~1ul) == mmun_task.cell[i].generation)
			return true;
	return false;
}

/* For the owner, while he lives and nobody has taken the section for closed. */
static void close_elsewhere(struct srcu_slot *cell, const struct mmun_reader *reader)
{
	unsigned long *word = &cell->elsewhere[reader->state & 1];
	unsigned long elsewhere = mmun_load_full(word), next;

	do {
		if (elsewhere >> 32 != reader->state >> 1)
			return;
		next = (elsewhere & ~HALF) | ((elsewhere + 1) & HALF);
	} while (!mmun_cas_full(word, &elsewhere, next));
}

void mmun_srcu_leave_slowly(struct srcu_struct *ssp, const struct mmun_reader *reader)
{
	struct srcu_slot *slot = reader->slot;

	if (!mmun_srcu_is_cell(ssp, slot)) {
		/* Full, see B. */
		(void)mmun_add_full(&slot->closed[reader->state & 1], 1);
		let_go(ssp);
	} else if (is_own(reader)) {
		mmun_srcu_count(&slot->closed[reader->state & 1]);
	} else {
		close_elsewhere(slot, reader);
	}
	if (mmun_load_full(&ssp->waiting))
		mmun_srcu_wake(ssp);
}

void mmun_srcu_wake(struct srcu_struct *ssp)
{
	if (mmun_swap_full(&ssp->waiting, 0))
		mmun_futex_wake_all(&ssp->waiting);
}

/* Grace periods. */

/* A slot, and in @cell its number among the cells or -1. */
struct place {
	struct srcu_slot *slot;
	int cell;
};

static bool sleep_for_slot(struct srcu_struct *ssp, struct place place, unsigned int bank,
			   uint64_t deadline)
{
	bool idle;

	for (;;) {
		/* E: raised before the counters are looked at, on every processor; pairs
		 * with the look at ->waiting after B. */
		(void)mmun_swap_full(&ssp->waiting, 1);
		barrier_everywhere(ssp);
		idle = !nr_open(place.slot, bank) ||
		       (place.cell >= 0 && drop_left_open(ssp, (unsigned int)place.cell, bank));
		if (idle || mmun_is_past(deadline))
			break;
		mmun_futex_wait_for(&ssp->waiting, 1, mmun_time_left(deadline, LOOK_PERIOD));
	}
	mmun_store_full(&ssp->waiting, 0);
	return idle;
}

static bool wait_for_slot(struct srcu_struct *ssp, struct place place, unsigned int bank,
			  uint64_t deadline)
{
	for (unsigned int i = 0; i < SPINS; i++) {
		if (!nr_open(place.slot, bank))
			return true;
		mmun_cpu_relax();
	}
	return sleep_for_slot(ssp, place, bank, deadline);
}

static bool wait_for_bank(struct srcu_struct *ssp, unsigned int bank, unsigned int nr_cells,
			  uint64_t deadline)
{
	for (unsigned int i = 0; i <= ssp->mask; i++)
		if (!wait_for_slot(ssp, (struct place){ &ssp->slots[i], -1 }, bank, deadline))
			return false;
	for (unsigned int i = 0; i < nr_cells; i++)
		if (!wait_for_slot(ssp, (struct place){ &ssp->cells->cell[i], (int)i }, bank,
				   deadline))
			return false;
	return true;
}

static bool wait_for_readers(struct srcu_struct *ssp, uint64_t deadline)
{
	unsigned int bank = mmun_load_relaxed(&ssp->idx) & 1, nr_cells;

	(void)mmun_add_full(&ssp->grace_periods, 1);
	/* F: what the caller changed comes before the counters are looked at, on every
	 * processor; pairs with A: a reader whose entry is not seen sees the change. */
	barrier_everywhere(ssp);
	/* Whoever claims a cell later enters later. */
	nr_cells = ssp->cells ? mmun_load_full(&ssp->cells->nr) : 0;
	if (!wait_for_bank(ssp, bank ^ 1, nr_cells, deadline))
		return false;
	/* G: the first bank is known empty before readers are sent to it; a
	 * reader that reads the new ->idx does so after that. */
	(void)mmun_swap_full(&ssp->idx, bank ^ 1);
	return wait_for_bank(ssp, bank, nr_cells, deadline);
}

bool mmun_srcu_synchronize_until(struct srcu_struct *ssp, uint64_t deadline)
{
	struct mmun_wait wait;
	bool done = false;

	mmun_wait_push(&wait, ssp);
	if (mmun_mutex_lock_until(&ssp->grace_lock, deadline)) {
		done = wait_for_readers(ssp, deadline);
		mmun_mutex_unlock(&ssp->grace_lock);
	}
	mmun_wait_pop(&wait);
	return done;
}

void synchronize_srcu(struct srcu_struct *ssp)
{
	(void)mmun_srcu_synchronize_until(ssp, 0);
}
