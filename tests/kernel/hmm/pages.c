/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The page tables of a program: a secondary MMU whose entries are mappings of the host.
 *
 * I1  What is shown is what the software address space maps: an interval notifier over all of
 *     it hides what changes, and waits until that is done, before the change.
 * I2  A fault looks up and shows by the retry protocol of mmu_notifier.h.
 * I3  Something is shown writable only if the entry is writable and dirty already, so that
 *     nothing that the program stores is dropped as clean.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "program.h"
#include "wire.h"

static unsigned long block_of(unsigned long address)
{
	return address >> MMUN_SOFT_HUGE_SHIFT;
}

static unsigned int page_of(unsigned long address)
{
	return (unsigned int)(address >> MMUN_SOFT_PAGE_SHIFT) % MMUN_SOFT_HUGE_PAGES;
}

/* pages_lock held.  A program that has died maps nothing more. */
static void hide(struct program *program, unsigned long start, unsigned long end)
{
	const struct wire_hide message = { start, end - start };
	long done;

	if (program->mapper < 0)
		return;
	if (send(program->mapper, &message, sizeof(message), MSG_NOSIGNAL) == sizeof(message) &&
	    recv(program->mapper, &done, sizeof(done), 0) == sizeof(done))
		return;
	program->mapper = -1;
}

static bool is_shown(const struct shown *shown, unsigned int page)
{
	return shown->pages[page / 64] >> page % 64 & 1;
}

/* The pages of one block from @page to @last, in pieces. */
static void hide_in(struct program *program, struct shown *shown, unsigned int page,
		    unsigned int last)
{
	const unsigned long base = shown->block << MMUN_SOFT_HUGE_SHIFT;
	unsigned int begin;

	while (page <= last) {
		for (begin = page; page <= last && is_shown(shown, page); page++)
			shown->pages[page / 64] &= ~(1ull << page % 64);
		if (page > begin)
			hide(program, base + ((unsigned long)begin << MMUN_SOFT_PAGE_SHIFT),
			     base + ((unsigned long)page << MMUN_SOFT_PAGE_SHIFT));
		else
			page++;
	}
}

static bool stale;

void pages_show_stale(void)
{
	stale = true;
}

/* I1 */
static void hide_range(struct program *program, unsigned long start, unsigned long end)
{
	const unsigned long last = end - 1;

	for (struct shown *s = program->shown; s; s = s->next) {
		if (s->block < block_of(start) || s->block > block_of(last))
			continue;
		hide_in(program, s, s->block == block_of(start) ? page_of(start) : 0,
			s->block == block_of(last) ? page_of(last)
						   : (unsigned int)MMUN_SOFT_HUGE_PAGES - 1);
	}
}

static bool invalidate(struct mmu_interval_notifier *notifier,
		       const struct mmu_notifier_range *range, unsigned long seq)
{
	struct program *program =
		(struct program *)((char *)notifier - offsetof(struct program, notifier));

	if (mmu_notifier_range_blockable(range))
		pthread_mutex_lock(&program->pages_lock);
	else if (pthread_mutex_trylock(&program->pages_lock))
		return false;
	mmu_interval_set_seq(notifier, seq);
	if (!stale)
		hide_range(program, range->start, range->end);
	pthread_mutex_unlock(&program->pages_lock);
	return true;
}

static const struct mmu_interval_notifier_ops ops = { .invalidate = invalidate };

int pages_start(struct program *program)
{
	pthread_mutex_init(&program->pages_lock, NULL);
	pthread_cond_init(&program->is_ready, NULL);
	program->mapper = -1;
	return mmu_interval_notifier_insert(&program->notifier, program->mm, 0,
					    ~0ul & MMUN_SOFT_PAGE_MASK, &ops);
}

void pages_end(struct program *program)
{
	struct shown *next;

	mmu_interval_notifier_remove(&program->notifier);
	for (; program->shown; program->shown = next) {
		next = program->shown->next;
		free(program->shown);
	}
	pthread_cond_destroy(&program->is_ready);
	pthread_mutex_destroy(&program->pages_lock);
}

static int hide_map(const struct mmun_soft_map *map, void *arg)
{
	struct program *program = arg;

	pthread_mutex_lock(&program->pages_lock);
	hide(program, map->start, map->end);
	pthread_mutex_unlock(&program->pages_lock);
	return 0;
}

void pages_set_mapper(struct program *program, int mapper)
{
	pthread_mutex_lock(&program->pages_lock);
	program->mapper = mapper;
	pthread_mutex_unlock(&program->pages_lock);
	/* The program has one thread then, which waits for this: nothing is shown. */
	if (mapper >= 0)
		mmun_soft_maps(program->mm, hide_map, program);
	pthread_mutex_lock(&program->pages_lock);
	program->ready = true;
	pthread_cond_broadcast(&program->is_ready);
	pthread_mutex_unlock(&program->pages_lock);
}

void pages_wait_ready(struct program *program)
{
	pthread_mutex_lock(&program->pages_lock);
	while (!program->ready)
		pthread_cond_wait(&program->is_ready, &program->pages_lock);
	pthread_mutex_unlock(&program->pages_lock);
}

static struct shown *find_shown(struct program *program, unsigned long block)
{
	struct shown *s = program->shown;

	while (s && s->block != block)
		s = s->next;
	if (s)
		return s;
	s = calloc(1, sizeof(*s));
	if (!s)
		abort();
	s->block = block;
	s->next = program->shown;
	program->shown = s;
	return s;
}

/* I3 */
static void add_frame(struct wire_frames *frames, const struct mmun_soft_translation *t)
{
	frames->physical[frames->count++] = mmun_soft_page_pfn(t->page) << MMUN_SOFT_PAGE_SHIFT |
					    (t->writable ? WIRE_WRITABLE : 0);
}

/* What is there behind the page that faulted goes with it, as far as it needs no fault. */
static void add_more(struct program *program, struct wire_frames *frames)
{
	const unsigned long room = MMUN_SOFT_HUGE_PAGES - page_of(frames->address);
	unsigned long address = frames->address;
	struct mmun_soft_translation t;

	while (frames->count < WIRE_FRAMES && frames->count < room) {
		address += MMUN_SOFT_PAGE_SIZE;
		if (mmun_soft_translate_present(program->mm, address, &t))
			break;
		add_frame(frames, &t);
	}
}

/* pages_lock held: nothing is hidden before the thread has mapped the frames. */
static void show(struct program *program, int wire, const struct wire_frames *frames)
{
	struct shown *shown = find_shown(program, block_of(frames->address));
	unsigned int page = page_of(frames->address);
	long done;

	for (unsigned long i = 0; i < frames->count; i++, page++)
		shown->pages[page / 64] |= 1ull << page % 64;
	/* A thread that has died maps nothing. */
	if (send(wire, frames, sizeof(*frames), MSG_NOSIGNAL) != sizeof(*frames) ||
	    recv(wire, &done, sizeof(done), 0) != sizeof(done))
		return;
}

static int refused(struct mm_struct *mm, unsigned long address)
{
	struct mmun_soft_fault fault = { 0 };
	char c;

	/* What may be read was to be written. */
	if (!mmun_soft_read(mm, address, &c, 1, &fault))
		return SIGSEGV;
	return fault.signal ? fault.signal : SIGKILL;
}

static void refuse(int wire, int signal)
{
	const struct wire_frames frames = { .signal = signal };

	/* A program that does not wait for it has died. */
	if (send(wire, &frames, sizeof(frames), MSG_NOSIGNAL) < 0)
		return;
}

/* I2 */
void pages_fault(struct program *program, int wire, unsigned long address, bool write)
{
	struct wire_frames frames = { .address = address & MMUN_SOFT_PAGE_MASK };
	struct mm_struct *mm = program->mm;
	struct mmun_soft_translation t;
	unsigned long seq;
	int ret;

	for (;;) {
		seq = mmu_interval_read_begin(&program->notifier);
		mmap_read_lock(mm);
		ret = mmun_soft_translate(mm, address, write, &t);
		mmap_read_unlock(mm);
		if (ret && ret != -EBUSY) {
			refuse(wire, refused(mm, address));
			return;
		}
		pthread_mutex_lock(&program->pages_lock);
		if (!ret && !mmu_interval_read_retry(&program->notifier, seq))
			break;
		pthread_mutex_unlock(&program->pages_lock);
	}
	add_frame(&frames, &t);
	add_more(program, &frames);
	show(program, wire, &frames);
	pthread_mutex_unlock(&program->pages_lock);
}
