/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A ring of events per watch, many producers, one consumer at a time.
 *
 * A slot's sequence says whose turn it is: pos, the producer of that position; pos + 1, the
 * consumer.  A producer takes the position by advancing the tail, fills the slot, and hands it
 * over; a signal handler that interrupts it takes the next.  Nobody ever waits for a producer: a
 * slot that is not done yet only looks empty, and its producer wakes the reader when it is.
 *
 * `armed` says who sleeps.  A reader arms it and looks again; a producer hands over and looks
 * at it: both in one order (full operations), so that one of them sees the other.
 *
 * The ring is wiped in a forked child.  The table of watches is static and never goes, and its
 * word of state has the generation beside the count of those inside: a call with an old
 * handle finds another generation, and none can be inside when the ring is unmapped.
 * Tests: tests/unit/bindings/watch.c, tests/system/python_watch.py.
 */
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <mmunotify/mmu_notifier.h>
#include <mmunotify/primary.h>
#include <mmunotify/self.h>

#include <atomic.h>
#include <clock.h>
#include <futex.h>
#include <raw_syscall.h>

#include "watch.h"

#define PAGE 4096ul

#define ARMED_WAITER (1u << 0)
#define ARMED_FD     (1u << 1)

/* The lower half of a watch's state: bits, and a count of those inside. */
#define STATE_OPEN  (1u << 31)
#define STATE_BUSY  (1u << 30) /* being opened or closed */
#define STATE_USERS (STATE_BUSY - 1)

struct slot {
	uint64_t sequence;
	struct mmun_watch_event event;
} __attribute__((aligned(MMUN_CACHE_LINE)));

_Static_assert(sizeof(struct slot) == MMUN_CACHE_LINE, "one event is one cache line");

struct ring {
	uint64_t mask;
	uint64_t tail __attribute__((aligned(MMUN_CACHE_LINE)));
	uint64_t dropped;
	uint64_t head __attribute__((aligned(MMUN_CACHE_LINE)));
	unsigned int armed __attribute__((aligned(MMUN_CACHE_LINE)));
	unsigned int closed, ended;
	struct slot slots[] __attribute__((aligned(PAGE)));
};

struct watch {
	uint64_t state;
	struct mmu_notifier notifier;
	struct mm_struct *mm;
	struct ring *ring;
	/* Of the ring's memory. */
	size_t size;
	uint64_t start, end;
	uint32_t classes;
	unsigned int reading;
	/* 0, or 1: the sockets are being made; 2: there they are. */
	unsigned int has_fd;
	int fd[2];
	dev_t device[2];
	ino_t inode[2];
};

static struct watch watches[MMUN_WATCH_MAX];

static unsigned int *state_word(struct watch *watch)
{
	return (unsigned int *)&watch->state; /* the lower half: little endian */
}

/* Is the descriptor still the socket that we have made?  Makes one system call. */
static bool fd_is_ours(const struct watch *watch, int side)
{
	struct stat now;

	return mmun_load_acquire(&watch->has_fd) == 2 &&
	       !mmun_syscall3(SYS_fstat, (unsigned long)watch->fd[side], (unsigned long)&now, 0) &&
	       S_ISSOCK(now.st_mode) && now.st_dev == watch->device[side] &&
	       now.st_ino == watch->inode[side];
}

/* Context: any.  A full socket is readable already. */
static void signal_fd(const struct watch *watch)
{
	if (fd_is_ours(watch, 1))
		mmun_syscall6(SYS_sendto, (unsigned long)watch->fd[1], (unsigned long)"", 1,
			      MSG_DONTWAIT | MSG_NOSIGNAL, 0, 0);
}

static void wake(const struct watch *watch)
{
	struct ring *ring = watch->ring;
	unsigned int armed;

	if (!mmun_load_full(&ring->armed))
		return;
	armed = mmun_swap_full(&ring->armed, 0);
	if (armed & ARMED_WAITER)
		mmun_futex_wake_all(&ring->armed);
	if (armed & ARMED_FD)
		signal_fd(watch);
}

/* Return: the slot of a position that is ours now, or NULL: the ring is full. */
static struct slot *reserve(struct ring *ring, uint64_t *position)
{
	uint64_t pos = mmun_load_relaxed(&ring->tail);

	for (;;) {
		struct slot *slot = &ring->slots[pos & ring->mask];
		int64_t ahead = (int64_t)(mmun_load_acquire(&slot->sequence) - pos);

		if (ahead < 0)
			return NULL;
		if (ahead > 0)
			pos = mmun_load_relaxed(&ring->tail);
		else if (mmun_cas_full(&ring->tail, &pos, pos + 1)) {
			*position = pos;
			return slot;
		}
	}
}

static void fill(struct mmun_watch_event *event, const struct mmu_notifier_range *range)
{
	const struct mmun_origin *origin = range->origin;

	event->time = mmun_now();
	event->start = range->start;
	event->end = range->end;
	event->result = origin ? origin->result : 0;
	event->pc = origin ? origin->pc : 0;
	event->tid = (uint32_t)mmun_syscall3(SYS_gettid, 0, 0, 0);
	event->op = (uint16_t)(origin ? origin->op : MMUN_OP_NONE);
	event->event = (uint8_t)range->event;
	event->flags =
		(uint8_t)((range->flags & MMUN_RANGE_UNCHANGED ? MMUN_WATCH_UNCHANGED : 0) |
			  (range->flags & MMUN_RANGE_PINNED_SAFE ? MMUN_WATCH_PINNED_SAFE : 0) |
			  (origin ? MMUN_WATCH_HAS_RESULT : 0));
}

static struct watch *watch_of(struct mmu_notifier *mn)
{
	return (struct watch *)((char *)mn - offsetof(struct watch, notifier));
}

static bool is_wanted(const struct watch *watch, const struct mmu_notifier_range *range)
{
	return (!watch->classes || watch->classes >> range->event & 1) &&
	       (!watch->end || (range->start < watch->end && watch->start < range->end));
}

static void range_end(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	struct watch *watch = watch_of(mn);
	struct ring *ring = watch->ring;
	struct slot *slot;
	uint64_t pos;

	if (!is_wanted(watch, range))
		return;
	slot = reserve(ring, &pos);
	if (slot) {
		fill(&slot->event, range);
		slot->event.lost = 0;
		if (mmun_load_relaxed(&ring->dropped))
			slot->event.lost = mmun_swap_full(&ring->dropped, 0);
		mmun_store_full(&slot->sequence, pos + 1);
	} else {
		(void)mmun_add_full(&ring->dropped, 1);
	}
	wake(watch);
}

/* The watch is closed; or the process ends, or believed so: an exec that fails comes back. */
static void release(struct mmu_notifier *mn, struct mm_struct *mm)
{
	struct watch *watch = watch_of(mn);

	mmun_store_full(&watch->ring->ended, 1);
	wake(watch);
}

static const struct mmu_notifier_ops ops = {
	.release = release,
	.invalidate_range_end = range_end,
	.flags = MMUN_OPS_NO_CANCELLATION_POINT,
};

unsigned int mmun_watch_abi(void)
{
	return MMUN_WATCH_ABI;
}

/* All of it is there from the beginning: no page fault has to find memory in a hook. */
static int make_ring(struct watch *watch, uint64_t events)
{
	size_t size = sizeof(struct ring) + events * sizeof(struct slot);
	struct ring *ring = mmap(NULL, size, PROT_READ | PROT_WRITE,
				 MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	if (ring == MAP_FAILED)
		return -errno;
	if (madvise(ring, size, MADV_WIPEONFORK)) {
		munmap(ring, size);
		return -ENOMEM;
	}
	ring->mask = events - 1;
	for (uint64_t i = 0; i < events; i++)
		ring->slots[i].sequence = i;
	watch->ring = ring;
	watch->size = size;
	return 0;
}

static struct watch *claim(void)
{
	for (unsigned int i = 0; i < MMUN_WATCH_MAX; i++) {
		uint64_t state = mmun_load_relaxed(&watches[i].state);

		if (!(uint32_t)state &&
		    mmun_cas_full(&watches[i].state, &state, state | STATE_BUSY))
			return &watches[i];
	}
	return NULL;
}

static long handle_of(const struct watch *watch)
{
	/* Somebody with a handle of before may look at it too. */
	uint64_t generation = mmun_load_relaxed(&watch->state) >> 32;

	return (long)(generation * MMUN_WATCH_MAX) + (watch - watches) + 1;
}

static int set_up(struct watch *watch, struct mm_struct *mm,
		  const struct mmun_watch_options *options, uint64_t events)
{
	int error = make_ring(watch, events);

	if (error)
		return error;
	watch->mm = mm;
	watch->start = options->start;
	watch->end = options->end;
	watch->classes = options->classes;
	watch->reading = watch->has_fd = 0;
	memset(&watch->notifier, 0, sizeof(watch->notifier));
	watch->notifier.ops = &ops;
	error = mmu_notifier_register(&watch->notifier, mm);
	if (error)
		munmap(watch->ring, watch->size);
	return error;
}

long mmun_watch_open_on(struct mm_struct *mm, const struct mmun_watch_options *options)
{
	uint64_t events = options->events ? options->events : MMUN_WATCH_DEFAULT_EVENTS;
	struct watch *watch;
	int error;

	if (events & (events - 1) || events < MMUN_WATCH_MIN_EVENTS ||
	    events > MMUN_WATCH_MAX_EVENTS || options->start > options->end)
		return -EINVAL;
	watch = claim();
	if (!watch)
		return -ENOSPC;
	error = set_up(watch, mm, options, events);
	if (error) {
		mmun_store_full(state_word(watch), 0);
		return error;
	}
	mmun_store_full(state_word(watch), STATE_OPEN);
	return handle_of(watch);
}

long mmun_watch_open(const struct mmun_watch_options *options)
{
	struct mm_struct *mm;
	int error;

	if (options->strict) {
		error = mmun_self_start_strict();
		if (error)
			return error;
	}
	mm = mmun_self();
	return mm ? mmun_watch_open_on(mm, options) : -ENOMEM;
}

/* Counts the caller in; leave() counts it out.  Return: NULL: there is no such watch. */
static struct watch *enter(long handle)
{
	struct watch *watch = &watches[(unsigned long)(handle - 1) % MMUN_WATCH_MAX];
	uint64_t generation = (unsigned long)(handle - 1) / MMUN_WATCH_MAX;
	uint64_t state = mmun_load_full(&watch->state);

	do {
		if (handle <= 0 || state >> 32 != generation || !(state & STATE_OPEN))
			return NULL;
	} while (!mmun_cas_full(&watch->state, &state, state + 1));
	return watch;
}

static void leave(struct watch *watch)
{
	uint64_t state = mmun_sub_full(&watch->state, 1);

	if (!(state & STATE_OPEN) && !(state & STATE_USERS))
		mmun_futex_wake_all(state_word(watch));
}

static bool is_ready(const struct ring *ring)
{
	uint64_t head = mmun_load_relaxed(&ring->head);

	return mmun_load_full(&ring->slots[head & ring->mask].sequence) == head + 1 ||
	       mmun_load_full(&ring->dropped);
}

static size_t take(struct ring *ring, struct mmun_watch_event *events, size_t nr)
{
	uint64_t pos = mmun_load_relaxed(&ring->head);
	size_t taken = 0;

	for (; taken < nr; taken++, pos++) {
		struct slot *slot = &ring->slots[pos & ring->mask];

		if (mmun_load_acquire(&slot->sequence) != pos + 1)
			break;
		events[taken] = slot->event;
		mmun_store_release(&slot->sequence, pos + ring->mask + 1);
	}
	mmun_store_relaxed(&ring->head, pos);
	return taken;
}

/* The ring was empty: the descriptor is not readable until there is something again. */
static void calm_fd(struct watch *watch)
{
	char bytes[64];

	if (!fd_is_ours(watch, 0))
		return;
	while (recv(watch->fd[0], bytes, sizeof(bytes), MSG_DONTWAIT) == sizeof(bytes))
		;
	__atomic_or_fetch(&watch->ring->armed, ARMED_FD, __ATOMIC_SEQ_CST);
	if (is_ready(watch->ring) || mmun_load_full(&watch->ring->ended))
		signal_fd(watch);
}

static long do_read(struct watch *watch, struct mmun_watch_event *events, size_t nr, uint64_t *lost)
{
	struct ring *ring = watch->ring;
	bool ended = mmun_load_full(&ring->ended);
	size_t taken = take(ring, events, nr);

	*lost = 0;
	if (taken == nr)
		return (long)taken;
	if (mmun_load_relaxed(&ring->dropped))
		*lost = mmun_swap_full(&ring->dropped, 0);
	/* An unregistration releases too. */
	if (!taken && !*lost && ended)
		return mmun_load_full(&ring->closed) ? -EBADF : -ENODATA;
	calm_fd(watch);
	return (long)taken;
}

long mmun_watch_read(long handle, struct mmun_watch_event *events, size_t nr, uint64_t *lost)
{
	struct watch *watch = enter(handle);
	long result = -EBUSY;

	if (!watch)
		return -EBADF;
	if (mmun_mm_is_stale(watch->mm)) {
		result = -ESRCH;
	} else if (!mmun_swap_full(&watch->reading, 1)) {
		result = do_read(watch, events, nr, lost);
		mmun_store_release(&watch->reading, 0);
	}
	leave(watch);
	return result;
}

/* Return: as mmun_watch_wait(), or 2: not yet. */
static int look(const struct watch *watch)
{
	const struct ring *ring = watch->ring;
	bool ended = mmun_load_full(&ring->ended);

	if (mmun_load_full(&ring->closed))
		return -EBADF;
	if (is_ready(ring))
		return 1;
	return ended ? -ENODATA : 2;
}

static long sleep_on(const unsigned int *word, unsigned int value, uint64_t deadline)
{
	struct timespec left = { 0 };
	uint64_t now;

	if (!deadline)
		return mmun_syscall4(SYS_futex, (unsigned long)word, FUTEX_WAIT_PRIVATE, value, 0);
	now = mmun_now();
	if (now >= deadline)
		return -ETIMEDOUT;
	left.tv_sec = (time_t)((deadline - now) / MMUN_NSEC_PER_SEC);
	left.tv_nsec = (long)((deadline - now) % MMUN_NSEC_PER_SEC);
	return mmun_syscall4(SYS_futex, (unsigned long)word, FUTEX_WAIT_PRIVATE, value,
			     (unsigned long)&left);
}

static int do_wait(struct watch *watch, long nsec)
{
	uint64_t deadline = nsec < 0 ? 0 : mmun_now() + (uint64_t)nsec;
	unsigned int armed;
	long slept;
	int found;

	for (;;) {
		found = look(watch);
		if (found != 2)
			return found;
		armed = __atomic_or_fetch(&watch->ring->armed, ARMED_WAITER, __ATOMIC_SEQ_CST);
		found = look(watch);
		if (found != 2)
			return found;
		slept = sleep_on(&watch->ring->armed, armed, deadline);
		if (slept == -ETIMEDOUT || slept == -EINTR) {
			found = look(watch);
			return found != 2 ? found : slept == -EINTR ? -EINTR : 0;
		}
	}
}

int mmun_watch_wait(long handle, long nsec)
{
	struct watch *watch = enter(handle);
	int result;

	if (!watch)
		return -EBADF;
	result = mmun_mm_is_stale(watch->mm) ? -ESRCH : do_wait(watch, nsec);
	leave(watch);
	return result;
}

static int make_fd(struct watch *watch)
{
	struct stat made;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, watch->fd))
		return -errno;
	for (int side = 0; side < 2; side++) {
		if (fstat(watch->fd[side], &made)) {
			int error = -errno;

			close(watch->fd[0]);
			close(watch->fd[1]);
			return error;
		}
		watch->device[side] = made.st_dev;
		watch->inode[side] = made.st_ino;
	}
	return 0;
}

static int do_fd(struct watch *watch)
{
	unsigned int none = 0;
	int error;

	if (mmun_load_acquire(&watch->has_fd) == 2)
		return watch->fd[0];
	if (!mmun_cas_full(&watch->has_fd, &none, 1))
		return -EBUSY;
	error = make_fd(watch);
	mmun_store_full(&watch->has_fd, error ? 0 : 2);
	if (error)
		return error;
	__atomic_or_fetch(&watch->ring->armed, ARMED_FD, __ATOMIC_SEQ_CST);
	if (look(watch) != 2)
		signal_fd(watch);
	return watch->fd[0];
}

int mmun_watch_fd(long handle)
{
	struct watch *watch = enter(handle);
	int result;

	if (!watch)
		return -EBADF;
	result = mmun_mm_is_stale(watch->mm) ? -ESRCH : do_fd(watch);
	leave(watch);
	return result;
}

/* Hooks and readers leave; in a child there are none, and their count is the parent's. */
static void drive_out(struct watch *watch)
{
	unsigned int state;

	if (mmun_mm_is_stale(watch->mm)) {
		mmu_notifier_unregister(&watch->notifier, watch->mm);
		return;
	}
	mmun_store_full(&watch->ring->closed, 1);
	wake(watch);
	mmu_notifier_unregister(&watch->notifier, watch->mm);
	while ((state = mmun_load_full(state_word(watch))) & STATE_USERS) {
		wake(watch);
		mmun_futex_wait_for(state_word(watch), state, 10 * MMUN_NSEC_PER_MSEC);
	}
}

int mmun_watch_close(long handle)
{
	struct watch *watch = enter(handle);
	uint64_t state;

	if (!watch)
		return -EBADF;
	state = mmun_load_full(&watch->state);
	do {
		if (!(state & STATE_OPEN)) { /* somebody else closes it */
			leave(watch);
			return -EBADF;
		}
		/* And out with ourselves. */
	} while (!mmun_cas_full(&watch->state, &state, ((state & ~STATE_OPEN) | STATE_BUSY) - 1));
	drive_out(watch);
	for (int side = 0; side < 2; side++)
		if (fd_is_ours(watch, side))
			close(watch->fd[side]);
	munmap(watch->ring, watch->size);
	mmun_store_full(&watch->state, ((state >> 32) + 1) << 32);
	return 0;
}
