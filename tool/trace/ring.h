/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The ring between the traced processes and the tool: shared memory, many
 * producers in many processes, one consumer.
 *
 * Each slot carries one word of state: its position in the endless sequence,
 * its phase, and the thread that writes it.
 *
 *     FREE(pos)  -- producer's compare-and-swap -->  BUSY(pos, tid)
 *     BUSY       -- producer's compare-and-swap -->  FULL(pos)
 *     FULL(pos)  -- consumer ---------------------->  FREE(pos + slots)
 *     BUSY       -- consumer, writer dead or stuck ->  LOST for ever, counted
 *
 * Reservation is the swap on the slot, not on the tail, so who holds a slot is
 * known from the same instant that it is held: a producer killed half way never
 * blocks the consumer.  The tail is only a hint that anybody may advance.
 * A slot given up is never used again: its writer may still come back (the
 * thread that looks dead may only be numbered differently where it lives).
 *
 * Producers allocate nothing, take no lock and never wait: they run inside
 * munmap(), inside free() and in signal handlers.  A full ring drops the message
 * and counts it.
 */
#ifndef MMUN_TOOL_TRACE_RING_H
#define MMUN_TOOL_TRACE_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <atomic.h>

#define RING_MAGIC   0x676e697272756d6dull
#define RING_VERSION 2u

/* The memory's name; producers check it before they open what the environment names. */
#define RING_NAME "mmunotify-ring"
#define RING_ENV  "MMUNOTIFY_TRACE_RING"

#define RING_MIN_SLOTS     8u
#define RING_DEFAULT_BYTES (4ul << 20)
#define RING_MAX_BYTES     (1ul << 30)

enum ring_message_type {
	RING_EVENT = 1,
	RING_PROCESS,
	RING_RELEASE,
	/* A piece of a blob: text or stack that others refer to by its hash. */
	RING_BLOB,
	/* A program is about to be executed; it was not, after all. */
	RING_EXEC,
	RING_EXEC_FAILED,
	/* Of `mmunotify audit`: what became of one registration. */
	RING_AUDIT,
};

/* What the range was before the operation. */
enum mapping_kind {
	MAPPING_UNKNOWN,
	MAPPING_NONE,
	MAPPING_ANONYMOUS,
	MAPPING_HEAP,
	MAPPING_STACK,
	MAPPING_THREAD_STACK,
	MAPPING_FILE,
	MAPPING_MEMFD,
	MAPPING_SYSV,
	MAPPING_SHARED_ANONYMOUS,
	MAPPING_SPECIAL,
	/* The range is (nearly) the whole address space. */
	MAPPING_ALL,
	NR_MAPPING_KINDS
};

enum ring_blob_kind { RING_BLOB_TEXT = 1, RING_BLOB_STACK };

#define RING_MAX_FRAMES 24
#define RING_MAX_TEXT   1024

/* Flags of events. */
#define RING_UNCHANGED (1u << 0)
/* More than one mapping lay in the range; the first one is named. */
#define RING_MORE_MAPPINGS (1u << 1)
#define RING_PINNED_SAFE   (1u << 2)
/* The operation's result is known. */
#define RING_HAS_RESULT (1u << 3)
/* Of processes: the start of a program, not of a fork. */
#define RING_AFTER_EXEC (1u << 4)
/* Of programs about to be executed: one that the tracer stays away from. */
#define RING_NOT_REACHED (1u << 5)

/* A return address: hash of the module's name (0: none) and offset in it. */
struct ring_frame {
	uint64_t module;
	uint64_t offset;
};

struct ring_event {
	uint8_t op;
	uint8_t event;
	uint8_t kind;
	uint8_t unused[5];
	uint64_t duration;
	uint64_t start;
	uint64_t end;
	int64_t result;
	/* In the file, of the range's first byte. */
	uint64_t offset;
	/* Hashes of the mapping's name and the caller's stack; 0: none. */
	uint64_t name;
	uint64_t stack;
};

struct ring_process {
	uint32_t ppid;
	/* Why the process cannot be watched, as a positive errno; or 0. */
	int32_t error;
	char comm[16];
	uint64_t exe;
	/* Where the program's stack began: as in /proc/PID/stat. */
	uint64_t stack;
};

struct ring_exec {
	/* Of RING_EXEC: why the environment does not lead to us, as a positive errno, or 0. */
	int32_t error;
	uint32_t ppid, uid;
	uint64_t file;
};

struct ring_blob {
	uint64_t hash;
	uint32_t total;
	uint32_t offset;
	uint16_t kind;
	uint8_t bytes[78];
};

/* See tool/audit/audit.h. */
struct ring_audit {
	/* enum audit_what, enum audit_kind, enum mmun_op, enum mapping_kind */
	uint8_t what, kind, op, mapping;
	/* Of what the registration is known by: a ring's descriptor and the index in it. */
	int32_t holder;
	uint64_t index;
	/* Number of the registration in its process. */
	uint64_t id;
	/* Registered; and of that what is stale. */
	uint64_t start, end, stale_start, stale_end;
	/* When it was made. */
	uint64_t made;
	/* Hashes: where it was made, where this happened, the memory's name. */
	uint64_t made_stack, stack, name;
};

struct ring_message {
	uint8_t type;
	uint8_t unused[3];
	uint32_t flags;
	uint32_t pid;
	uint32_t tid;
	/* CLOCK_MONOTONIC, ns. */
	uint64_t time;
	union {
		struct ring_event event;
		struct ring_process process;
		struct ring_blob blob;
		struct ring_exec exec;
		struct ring_audit audit;
	};
};

struct ring_slot {
	uint64_t state;
	struct ring_message message;
} __attribute__((aligned(MMUN_CACHE_LINE)));

_Static_assert(sizeof(struct ring_slot) == 128, "two cache lines");

/* What the tool wants of the traced processes. */
#define RING_WANT_STACKS (1u << 0)
#define RING_FOLLOW      (1u << 1)
#define RING_STRICT      (1u << 2)
/* A bit for each enum audit_kind that is watched, from this one on. */
#define RING_AUDIT_SHIFT 16

struct ring_header {
	uint64_t magic;
	uint32_t version;
	uint32_t slot_size;
	uint32_t nr_slots;
	uint32_t wants;
	/* The reader has gone: producers stop. */
	uint32_t closed;

	/* Producers' line. */
	uint64_t tail __attribute__((aligned(MMUN_CACHE_LINE)));

	/* The consumer's line. */
	uint64_t head __attribute__((aligned(MMUN_CACHE_LINE)));
	/* A futex: 1 while the consumer sleeps. */
	uint32_t sleeping;

	/* Written when something is lost only. */
	uint64_t dropped __attribute__((aligned(MMUN_CACHE_LINE)));
	/* Reserved, never completed. */
	uint64_t abandoned;
	/* Sections nested too deep to be remembered. */
	uint64_t too_deep;
	/* Attempts to redirect libraries loaded later that failed. */
	uint64_t unredirected;
};

struct ring {
	struct ring_header *header;
	struct ring_slot *slots;
	uint64_t mask;
};

#define RING_PHASE_FREE 0u
#define RING_PHASE_BUSY 1u
#define RING_PHASE_FULL 2u
#define RING_PHASE_LOST 3u

/* 40 bits of position, 2 of phase, 22 of thread id (the kernel's limit). */
static inline uint64_t ring_state(uint64_t pos, unsigned int phase, uint32_t tid)
{
	return pos << 24 | (uint64_t)phase << 22 | (tid & 0x3fffff);
}

static inline uint64_t ring_state_pos(uint64_t state)
{
	return state >> 24;
}

static inline unsigned int ring_state_phase(uint64_t state)
{
	return state >> 22 & 3;
}

static inline uint32_t ring_state_tid(uint64_t state)
{
	return state & 0x3fffff;
}

/* Positions are compared and stored modulo 2^40. */
static inline uint64_t ring_pos(uint64_t pos)
{
	return pos & ((1ull << 40) - 1);
}

static inline size_t ring_header_size(void)
{
	return (sizeof(struct ring_header) + 4095) & ~4095ul;
}

static inline size_t ring_size(uint32_t nr_slots)
{
	return ring_header_size() + (size_t)nr_slots * sizeof(struct ring_slot);
}

static inline void ring_bind(struct ring *ring, void *memory)
{
	ring->header = memory;
	ring->slots = (struct ring_slot *)((char *)memory + ring_header_size());
	ring->mask = ring->header->nr_slots - 1;
}

/* A reservation: where to write, and the state that proves it is still ours. */
struct ring_ticket {
	struct ring_slot *slot;
	uint64_t pos;
	uint64_t busy;
};

/**
 * ring_reserve() - take the next slot for @tid.
 *
 * Any context; lock-free.  Return: false when the ring is full (counted).
 */
static inline bool ring_reserve(const struct ring *ring, uint32_t tid, struct ring_ticket *ticket)
{
	struct ring_header *header = ring->header;
	uint64_t pos = mmun_load_full(&header->tail);
	uint64_t budget = ring->mask + 64;

	while (budget--) {
		struct ring_slot *slot = &ring->slots[pos & ring->mask];
		uint64_t state = mmun_load_acquire(&slot->state);
		uint64_t tail;

		ticket->slot = slot;
		ticket->pos = pos;
		ticket->busy = ring_state(pos, RING_PHASE_BUSY, tid);
		if (state == ring_state(pos, RING_PHASE_FREE, 0) &&
		    mmun_cas_full(&slot->state, &state, ticket->busy)) {
			mmun_cas_full(&header->tail, &pos, ring_pos(pos + 1));
			return true;
		}
		tail = mmun_load_full(&header->tail);
		if (tail == pos) {
			/* Still last lap's message: the ring is full. */
			if (ring_state_phase(state) != RING_PHASE_LOST &&
			    ring_state_pos(state) != pos)
				break;
			/* Taken (its owner has not moved the tail yet) or lost. */
			mmun_cas_full(&header->tail, &tail, ring_pos(pos + 1));
			tail = mmun_load_full(&header->tail);
		}
		pos = tail;
	}
	mmun_add_relaxed(&header->dropped, 1);
	return false;
}

/**
 * ring_commit() - publish what was written into the ticket's slot.
 *
 * Return: whether the consumer sleeps and should be woken now (the ring is
 * more than a quarter full; otherwise it comes by itself).
 */
static inline bool ring_commit(const struct ring *ring, const struct ring_ticket *ticket)
{
	struct ring_header *header = ring->header;
	uint64_t state = ticket->busy;

	/* The consumer gave this slot up and counted it: leave it alone. */
	if (!mmun_cas_full(&ticket->slot->state, &state,
			   ring_state(ticket->pos, RING_PHASE_FULL, 0)))
		return false;
	if (!mmun_load_full(&header->sleeping))
		return false;
	return ring_pos(ticket->pos - mmun_load_relaxed(&header->head)) > ring->mask / 4;
}

/* The consumer's side, in ring.c. */

/**
 * ring_create() - a new ring in anonymous shared memory.
 *
 * Return: 0 with the descriptor of the memory in *@fd, or -errno.
 */
int ring_create(struct ring *ring, size_t bytes, unsigned int wants, int *fd);
void ring_destroy(struct ring *ring);

/* What the consumer remembers between two looks at a slot that is not done. */
struct ring_reader {
	struct ring *ring;
	uint64_t stuck_state;
	uint64_t stuck_since;
};

/**
 * ring_read() - take the oldest message.
 *
 * A slot whose writer is dead is passed at once, one whose writer does not
 * finish for RING_PATIENCE_NS is given up; both are counted as abandoned.
 * Return: false when there is none now.
 */
bool ring_read(struct ring_reader *reader, struct ring_message *out);
#define RING_PATIENCE_NS 2000000000ull

/* ring_wait() - sleep until a producer wakes us, a signal comes or @ns have passed. */
void ring_wait(struct ring *ring, uint64_t ns);

#endif
