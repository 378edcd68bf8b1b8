/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The tool's end of the ring: creating the memory, taking messages out.
 *
 * Invariants: only this side moves head; a slot is given back for the next lap
 * only when its writer is known not to touch it any more.  It does not know what
 * messages mean.  Tests: tests/unit/tool/ring.c.
 */
#include <errno.h>
#include <linux/futex.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "ring.h"

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static uint32_t slots_for(size_t bytes)
{
	uint32_t slots = RING_MIN_SLOTS;

	while ((size_t)slots * 2 * sizeof(struct ring_slot) <= bytes)
		slots *= 2;
	return slots;
}

int ring_create(struct ring *ring, size_t bytes, unsigned int wants, int *fd)
{
	uint32_t nr_slots = slots_for(bytes);
	struct ring_header *header;
	int memory, error;

	memory = memfd_create(RING_NAME, MFD_CLOEXEC);
	if (memory < 0)
		return -errno;
	if (ftruncate(memory, (off_t)ring_size(nr_slots)) < 0)
		goto close_memory;
	header = mmap(NULL, ring_size(nr_slots), PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
	if (header == MAP_FAILED)
		goto close_memory;
	header->version = RING_VERSION;
	header->slot_size = sizeof(struct ring_slot);
	header->nr_slots = nr_slots;
	header->wants = wants;
	ring_bind(ring, header);
	for (uint64_t i = 0; i < nr_slots; i++)
		ring->slots[i].state = ring_state(i, RING_PHASE_FREE, 0);
	mmun_store_release(&header->magic, RING_MAGIC);
	*fd = memory;
	return 0;

close_memory:
	error = errno;
	close(memory);
	return -error;
}

void ring_destroy(struct ring *ring)
{
	munmap(ring->header, ring_size((uint32_t)ring->mask + 1));
	ring->header = NULL;
}

static void advance(struct ring *ring)
{
	mmun_store_release(&ring->header->head, ring_pos(ring->header->head + 1));
}

/* A thread that another process namespace numbers differently may look dead
 * here while it lives; its slot is then given up, not given away. */
static bool writer_is_dead(uint32_t tid)
{
	return syscall(SYS_tkill, (pid_t)tid, 0) < 0 && errno == ESRCH;
}

/* Takes the slot from a writer that does not finish.  Return: whether it was taken. */
static bool abandon(struct ring_reader *reader, struct ring_slot *slot, uint64_t state)
{
	struct ring *ring = reader->ring;

	if (reader->stuck_state != state) {
		reader->stuck_state = state;
		reader->stuck_since = now_ns();
	}
	if (!writer_is_dead(ring_state_tid(state)) &&
	    now_ns() - reader->stuck_since < RING_PATIENCE_NS)
		return false;
	if (!mmun_cas_full(&slot->state, &state, ring_state(0, RING_PHASE_LOST, 0)))
		return false;
	mmun_add_relaxed(&ring->header->abandoned, 1);
	advance(ring);
	return true;
}

bool ring_read(struct ring_reader *reader, struct ring_message *out)
{
	struct ring *ring = reader->ring;
	struct ring_header *header = ring->header;

	for (;;) {
		uint64_t pos = header->head;
		struct ring_slot *slot = &ring->slots[pos & ring->mask];
		uint64_t state = mmun_load_acquire(&slot->state);

		if (state == ring_state(pos, RING_PHASE_FULL, 0)) {
			*out = slot->message;
			mmun_store_release(&slot->state, ring_state(ring_pos(pos + ring->mask + 1),
								    RING_PHASE_FREE, 0));
			advance(ring);
			return true;
		}
		if (ring_state_phase(state) == RING_PHASE_LOST &&
		    mmun_load_full(&header->tail) != pos) {
			advance(ring);
			continue;
		}
		if (ring_state_phase(state) != RING_PHASE_BUSY || !abandon(reader, slot, state))
			return false;
	}
}

void ring_wait(struct ring *ring, uint64_t ns)
{
	struct ring_header *header = ring->header;
	struct timespec timeout = {
		.tv_sec = (time_t)(ns / 1000000000u),
		.tv_nsec = (long)(ns % 1000000000u),
	};

	mmun_swap_full(&header->sleeping, 1);
	/* Not FUTEX_PRIVATE: the waker is another process. */
	if (ring_pos(mmun_load_full(&header->tail) - header->head) <= ring->mask / 4)
		syscall(SYS_futex, &header->sleeping, FUTEX_WAIT, 1, &timeout, NULL, 0);
	mmun_store_full(&header->sleeping, 0);
}
