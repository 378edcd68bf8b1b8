/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What one worker of soft.c does in a step, and how it knows what it must find.
 *
 * The region is private memory that is readable and writable between two steps.
 * After an operation that failed half way (an allocation was made to fail) the
 * worker does not know what is there, and maps the range anew.
 */
#include "soft_work.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>

#include "atomic.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

#define RW             (PROT_READ | PROT_WRITE)
#define MAX_COMPLAINTS 20

__thread struct rng *inject_rng;

static long complaints;
static pthread_mutex_t orphan_lock = PTHREAD_MUTEX_INITIALIZER;
static struct mmun_soft_task *orphan;

/* All words of one page. */
struct words {
	uint64_t word[PAGE / sizeof(uint64_t)];
};

/* A part of the region. */
struct part {
	unsigned int first, count;
	unsigned long at;
	size_t size;
};

struct mm_struct *mm_of(const struct worker *w)
{
	return mmun_soft_task_mm(w->task);
}

unsigned int below(struct worker *w, unsigned int limit)
{
	return (unsigned int)(next_random(&w->rng) % limit);
}

long work_wrong(void)
{
	return mmun_load_full(&complaints);
}

void wrong(const struct worker *w, const char *what, unsigned long address, uint64_t got,
	   uint64_t expected)
{
	if (mmun_add_full(&complaints, 1) <= MAX_COMPLAINTS)
		diag("worker %u, %s at %#lx: %#llx instead of %#llx", w->id, what, address,
		     (unsigned long long)got, (unsigned long long)expected);
}

static unsigned long address_of(const struct worker *w, unsigned int page)
{
	return w->base + page * PAGE;
}

static struct part some_part(struct worker *w)
{
	unsigned int first = below(w, REGION_PAGES), count = 1 + below(w, 32);

	if (one_in(&w->rng, 8))
		return (struct part){ 0, REGION_PAGES, w->base, REGION_PAGES * PAGE };
	if (first + count > REGION_PAGES)
		count = REGION_PAGES - first;
	return (struct part){ first, count, address_of(w, first), count * PAGE };
}

static void expect(struct worker *w, const struct part *p, uint64_t value)
{
	for (unsigned int i = p->first; i < p->first + p->count; i++) {
		w->expected[i] = value;
		w->lazy[i] = false;
	}
}

/* Back to zeros, whatever is there; must not fail. */
static void renew(struct worker *w, const struct part *p)
{
	struct rng *saved = inject_rng;

	inject_rng = NULL;
	while (mmun_soft_is_error(mmun_soft_mmap(mm_of(w), p->at, p->size, RW,
						 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, NULL, 0)))
		sched_yield();
	inject_rng = saved;
	expect(w, p, 0);
}

static void renew_all(struct worker *w)
{
	const struct part all = { 0, REGION_PAGES, w->base, REGION_PAGES * PAGE };

	renew(w, &all);
	memset(w->file_mapped, 0, sizeof(w->file_mapped));
}

static void judge(struct worker *w, const char *what, unsigned int page, const struct words *got)
{
	uint64_t first = got->word[0];

	for (unsigned int i = 1; i < PAGE / sizeof(uint64_t); i++) {
		if (got->word[i] != first) {
			wrong(w, "torn page", address_of(w, page), got->word[i], first);
			return;
		}
	}
	if (w->lazy[page] && !first) {
		w->expected[page] = 0;
		w->lazy[page] = false;
	}
	if (first != w->expected[page])
		wrong(w, what, address_of(w, page), first, w->expected[page]);
}

static void check_at(struct worker *w, struct mm_struct *mm, unsigned long address,
		     unsigned int page, const char *what)
{
	struct words got;
	int ret = mmun_soft_read(mm, address, &got, sizeof(got), NULL);

	if (!ret)
		judge(w, what, page, &got);
	else if (ret != -ENOMEM)
		wrong(w, what, address, (uint64_t)(int64_t)ret, w->expected[page]);
}

static void check_page(struct worker *w, unsigned int page)
{
	check_at(w, mm_of(w), address_of(w, page), page, "read");
}

static void check_some(struct worker *w, const struct part *p)
{
	for (unsigned int i = 0; i < 4; i++)
		check_page(w, p->first + below(w, p->count));
}

/* Often one of few values, so that pages are equal. */
static uint64_t new_value(struct worker *w)
{
	return one_in(&w->rng, 3) ? 1 + below(w, 3) : (uint64_t)(w->id + 1) << 56 | ++w->sequence;
}

static void fill(struct words *words, uint64_t value)
{
	for (unsigned int i = 0; i < PAGE / sizeof(uint64_t); i++)
		words->word[i] = value;
}

static void wrote(struct worker *w, unsigned int page, uint64_t value)
{
	w->expected[page] = value;
	w->lazy[page] = false;
}

static void write_page(struct worker *w, unsigned int page)
{
	uint64_t value = new_value(w);
	struct words words;
	int ret;

	fill(&words, value);
	ret = mmun_soft_write(mm_of(w), address_of(w, page), &words, sizeof(words), NULL);
	if (!ret)
		wrote(w, page, value);
	else if (ret != -ENOMEM)
		wrong(w, "write refused", address_of(w, page), (uint64_t)(int64_t)ret, 0);
}

/* Steps. */

static void step_write(struct worker *w)
{
	struct part p = some_part(w);

	for (unsigned int i = 0; i < p.count && i < 16; i++)
		write_page(w, p.first + i);
}

static void step_read(struct worker *w)
{
	struct part p = some_part(w);

	for (unsigned int i = 0; i < p.count && i < 16; i++)
		check_page(w, p.first + i);
}

static void step_map(struct worker *w)
{
	struct part p = some_part(w);

	if (below(w, 2) && mmun_soft_munmap(mm_of(w), p.at, p.size) && p.count)
		check_some(w, &p);
	renew(w, &p);
}

static void step_protect(struct worker *w)
{
	struct part p = some_part(w);
	uint64_t word = 1;
	int ret = mmun_soft_mprotect(mm_of(w), p.at, p.size, PROT_READ);

	if (!ret) {
		ret = mmun_soft_write(mm_of(w), p.at, &word, sizeof(word), NULL);
		if (ret != -EFAULT)
			wrong(w, "write to read-only memory", p.at, (uint64_t)(int64_t)ret, 0);
		check_some(w, &p);
	}
	while (mmun_soft_mprotect(mm_of(w), p.at, p.size, RW))
		;
	check_some(w, &p);
}

static void advised_free(struct worker *w, const struct part *p)
{
	for (unsigned int i = p->first; i < p->first + p->count; i++)
		w->lazy[i] = true;
}

static void step_advise(struct worker *w)
{
	static const int advice[] = {
		MADV_DONTNEED,       MADV_FREE,        MADV_PAGEOUT,  MADV_COLD,
		MADV_MERGEABLE,      MADV_UNMERGEABLE, MADV_HUGEPAGE, MADV_NOHUGEPAGE,
		MADV_COLLAPSE,       MADV_WILLNEED,    MADV_DOFORK,   MADV_POPULATE_READ,
		MADV_POPULATE_WRITE,
	};
	const int chosen = advice[below(w, sizeof(advice) / sizeof(advice[0]))];
	struct part p = some_part(w);
	int ret = mmun_soft_madvise(mm_of(w), p.at, p.size, chosen);

	if (chosen == MADV_FREE)
		advised_free(w, &p);
	else if (chosen == MADV_DONTNEED && !ret)
		expect(w, &p, 0);
	else if (chosen == MADV_DONTNEED)
		renew(w, &p);
	check_some(w, &p);
}

static void step_lock(struct worker *w)
{
	struct part p = some_part(w);

	if (p.count < 64 && below(w, 2))
		mmun_soft_mlock(mm_of(w), p.at, p.size);
	else
		mmun_soft_munlock(mm_of(w), w->base, REGION_PAGES * PAGE);
	check_some(w, &p);
}

static void check_moved(struct worker *w, const struct part *p, unsigned long at)
{
	for (unsigned int i = 0; i < 4; i++) {
		unsigned int page = below(w, p->count);

		check_at(w, mm_of(w), at + page * PAGE, p->first + page, "moved");
	}
}

/* Away and back; the hole left meanwhile may be mapped (DONTUNMAP). */
static void step_mremap(struct worker *w)
{
	struct part p = some_part(w);
	unsigned long to = w->base + SCRATCH_AT + below(w, REGION_PAGES) * PAGE;
	int flags = MREMAP_MAYMOVE | MREMAP_FIXED | (below(w, 2) ? MREMAP_DONTUNMAP : 0);

	if (mmun_soft_mremap(mm_of(w), p.at, p.size, p.size, flags, to) != to)
		goto unknown;
	check_moved(w, &p, to);
	if (one_in(&w->rng, 4))
		mmun_soft_migrate(mm_of(w), to);
	if (mmun_soft_mremap(mm_of(w), to, p.size, p.size, MREMAP_MAYMOVE | MREMAP_FIXED, p.at) !=
	    p.at)
		goto unknown;
	check_some(w, &p);
	return;

unknown:
	renew(w, &p);
	while (mmun_soft_munmap(mm_of(w), w->base + SCRATCH_AT, 2 * REGION_PAGES * PAGE))
		;
}

static void step_machine(struct worker *w)
{
	switch (below(w, 12)) {
	case 0:
		mmun_soft_ksm_scan(w->soft);
		break;
	case 1:
		mmun_soft_compact(w->soft);
		break;
	case 2:
		mmun_soft_clear_soft_dirty(mm_of(w));
		break;
	case 3:
		mmun_soft_collapse(mm_of(w), w->base);
		break;
	case 4 ... 7:
		mmun_soft_migrate(mm_of(w), address_of(w, below(w, REGION_PAGES)));
		break;
	default:
		mmun_soft_reclaim(w->soft, below(w, 64));
		break;
	}
}

/* A driver that pins a page and writes there while the machine does what it likes. */
static void write_pinned(struct worker *w, unsigned int page, struct page *pinned)
{
	uint64_t *words = mmun_soft_page_address(pinned);
	uint64_t value = new_value(w);

	for (unsigned int i = 0; i < PAGE / sizeof(uint64_t); i++)
		mmun_store_relaxed(&words[i], value);
	wrote(w, page, value);
	mmun_soft_set_page_dirty(pinned);
}

static void step_pin(struct worker *w)
{
	unsigned int page = below(w, REGION_PAGES);
	struct page *pinned;
	long got;

	mmap_read_lock(mm_of(w));
	got = mmun_soft_get_user_pages(mm_of(w), address_of(w, page), 1, FOLL_WRITE | FOLL_PIN,
				       &pinned);
	mmap_read_unlock(mm_of(w));
	if (got != 1)
		return;
	write_pinned(w, page, pinned);
	step_machine(w);
	check_page(w, page);
	write_pinned(w, page, pinned);
	check_page(w, page);
	mmun_soft_unpin_page(pinned);
}

/* Devices. */

static void drop_device(struct worker *w)
{
	if (w->device)
		device_destroy(w->device);
	w->device = NULL;
	if (w->tlb)
		tlb_destroy(w->tlb);
	w->tlb = NULL;
}

static void device_access(struct worker *w)
{
	const bool walks = w->tlb && below(w, 2);
	unsigned int page = below(w, REGION_PAGES);
	uint64_t value = new_value(w);
	struct words words;
	int ret;

	fill(&words, value);
	if (below(w, 2)) {
		ret = walks ? tlb_access(w->tlb, page, true, &words)
			    : device_write(w->device, page, &words);
		if (!ret)
			wrote(w, page, value);
	} else {
		ret = walks ? tlb_access(w->tlb, page, false, &words)
			    : device_read(w->device, page, &words);
		if (!ret)
			judge(w, "device read", page, &words);
	}
	if (ret == -EFAULT)
		wrong(w, "device refused", address_of(w, page), (uint64_t)(int64_t)ret, 0);
}

static void step_device(struct worker *w)
{
	if (!w->device)
		w->device = device_create(mm_of(w), w->base);
	if (!w->tlb)
		w->tlb = tlb_create(mm_of(w), w->base);
	if (!w->device)
		return;
	for (unsigned int i = 0; i < 8; i++)
		device_access(w);
	device_read_any(next_random(&w->rng));
	if (one_in(&w->rng, 10))
		drop_device(w);
}

/* Pages that leave for the memory of a device, or are lent to it. */
static void step_gpu(struct worker *w)
{
	struct part p = some_part(w);
	bool coherent = below(w, 2);
	uint64_t value;

	switch (below(w, 8)) {
	case 0:
		gpu_evict(coherent);
		break;
	case 1 ... 2:
		value = new_value(w);
		if (gpu_write_lent(mm_of(w), p.at, value))
			wrote(w, p.first, value);
		break;
	default:
		gpu_move(mm_of(w), p.at, p.at + p.size, coherent, below(w, 3));
		break;
	}
	check_some(w, &p);
}

/* Tasks. */

/* The device may go before its mm, or after (U4: legal at any time). */
static void leave(struct worker *w)
{
	bool before = below(w, 2);

	if (before)
		drop_device(w);
	mmun_soft_exit(w->task);
	w->task = NULL;
	if (!before)
		drop_device(w);
}

/* The copies of other workers' regions, and what they had in flight. */
static void drop_strangers(struct worker *w)
{
	const unsigned long end = w->base + STRIPE;

	while (mmun_soft_munmap(mm_of(w), MMUN_SOFT_MIN_ADDRESS, w->base - MMUN_SOFT_MIN_ADDRESS))
		;
	while (mmun_soft_munmap(mm_of(w), end, MMUN_SOFT_TASK_SIZE - end))
		;
}

static void play_child(struct worker *w, struct mmun_soft_task *child)
{
	struct mm_struct *mm = mmun_soft_task_mm(child);
	unsigned int page = below(w, REGION_PAGES);
	struct words words;

	for (unsigned int i = 0; i < 4; i++) {
		unsigned int other = below(w, REGION_PAGES);

		if (!w->lazy[other])
			check_at(w, mm, address_of(w, other), other, "child");
	}
	fill(&words, ~0ull);
	mmun_soft_write(mm, address_of(w, page), &words, sizeof(words), NULL);
	check_page(w, page);
	if (one_in(&w->rng, 4))
		mmun_soft_oom_reap(mm);
}

static void step_fork(struct worker *w)
{
	struct mmun_soft_task *child;

	if (mmun_soft_fork(w->task, &child))
		return;
	if (below(w, 3)) {
		play_child(w, child);
		mmun_soft_exit(child);
		return;
	}
	leave(w);
	w->task = child;
	drop_strangers(w);
}

static void step_exec(struct worker *w)
{
	bool before = below(w, 2);

	if (before)
		drop_device(w);
	if (mmun_soft_exec(w->task))
		return;
	if (!before)
		drop_device(w);
	renew_all(w);
}

static struct mmun_soft_task *swap_orphan(struct mmun_soft_task *task)
{
	struct mmun_soft_task *old;

	pthread_mutex_lock(&orphan_lock);
	old = orphan;
	orphan = task;
	pthread_mutex_unlock(&orphan_lock);
	return old;
}

/* A task in this address space that another worker may become. */
static void step_clone(struct worker *w)
{
	struct mmun_soft_task *task;

	if (mmun_soft_clone(w->task, &task))
		return;
	task = swap_orphan(task);
	if (task)
		mmun_soft_exit(task);
}

static void step_adopt(struct worker *w)
{
	struct mmun_soft_task *task = swap_orphan(NULL);

	if (!task)
		return;
	leave(w);
	w->task = task;
	renew_all(w);
}

static const struct {
	void (*step)(struct worker *w);
	unsigned int weight;
} steps[] = {
	{ step_write, 20 },  { step_read, 16 }, { step_map, 4 },     { step_protect, 4 },
	{ step_advise, 10 }, { step_lock, 2 },  { step_mremap, 4 },  { step_machine, 6 },
	{ step_pin, 3 },     { step_gpu, 10 },  { step_device, 16 }, { file_step, 20 },
	{ step_fork, 3 },    { step_exec, 1 },  { step_clone, 2 },   { step_adopt, 2 },
};

#define NR_STEPS (sizeof(steps) / sizeof(steps[0]))

void worker_step(struct worker *w)
{
	unsigned int total = 0, i, chosen;

	for (i = 0; i < NR_STEPS; i++)
		total += steps[i].weight;
	chosen = below(w, total);
	for (i = 0; chosen >= steps[i].weight; i++)
		chosen -= steps[i].weight;
	inject_rng = below(w, 2) ? &w->rng : NULL;
	steps[i].step(w);
	inject_rng = NULL;
}

void worker_create(struct worker *w, struct mmun_soft *soft, unsigned int id, struct rng rng)
{
	w->id = id;
	w->rng = rng;
	w->soft = soft;
	w->base = 0x100000000ul + id * STRIPE;
	if (mmun_soft_task_create(soft, &w->task))
		bail_out("cannot make a task");
	renew_all(w);
}

void worker_destroy(struct worker *w)
{
	struct mmun_soft_task *task = swap_orphan(NULL);

	for (unsigned int i = 0; i < REGION_PAGES; i++)
		check_page(w, i);
	leave(w);
	if (task)
		mmun_soft_exit(task);
}
