/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The ring of `mmunotify trace`: order, overflow, producers that die or stand
 * still between reservation and commit, and many processes at once.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tap.h"

#include "ring.h"

static bool send_number(const struct ring *ring, uint64_t number)
{
	struct ring_ticket ticket;

	if (!ring_reserve(ring, (uint32_t)gettid(), &ticket))
		return false;
	ticket.slot->message.type = RING_EVENT;
	ticket.slot->message.pid = (uint32_t)getpid();
	ticket.slot->message.time = number;
	ring_commit(ring, &ticket);
	return true;
}

static void make_ring(struct ring *ring, struct ring_reader *reader, size_t bytes)
{
	int fd;

	if (ring_create(ring, bytes, 0, &fd))
		bail_out("no memory for a ring");
	close(fd);
	*reader = (struct ring_reader){ .ring = ring };
}

static void test_order(void)
{
	struct ring_message message;
	struct ring_reader reader;
	uint64_t sent = 0, got = 0;
	struct ring ring;
	bool in_order = true;

	make_ring(&ring, &reader, 1024);
	is(ring.mask + 1, 8, "1K makes 8 slots");
	ok(!ring_read(&reader, &message), "a new ring is empty");
	/* Many laps at every filling. */
	for (int fill = 1; fill <= 8; fill++) {
		for (int lap = 0; lap < 100; lap++) {
			for (int i = 0; i < fill; i++)
				in_order &= send_number(&ring, sent++);
			while (ring_read(&reader, &message))
				in_order &= message.time == got++;
		}
	}
	ok(in_order && got == sent, "messages come out as they went in, lap after lap");
	is(ring.header->dropped, 0, "nothing was dropped");
	ring_destroy(&ring);
}

static void test_overflow(void)
{
	struct ring_message message;
	struct ring_reader reader;
	struct ring ring;
	int sent = 0, got = 0;

	make_ring(&ring, &reader, 1024);
	for (int i = 0; i < 100; i++)
		sent += send_number(&ring, (uint64_t)i);
	is(sent, 8, "a full ring takes no more");
	is(ring.header->dropped, 92, "what it does not take is counted");
	while (ring_read(&reader, &message))
		got += message.time == (uint64_t)got;
	is(got, 8, "what it took comes out");
	ok(send_number(&ring, 1), "and then it takes again");
	ring_destroy(&ring);
}

/* A child that dies between reservation and commit. */
static void reserve_and_die(const struct ring *ring)
{
	struct ring_ticket ticket;
	pid_t child = fork();

	if (!child) {
		ring_reserve(ring, (uint32_t)gettid(), &ticket);
		kill(getpid(), SIGKILL);
	}
	waitpid(child, NULL, 0);
}

static void test_dead_writer(void)
{
	struct ring_message message;
	struct ring_reader reader;
	struct ring ring;
	bool fine = true;

	make_ring(&ring, &reader, 1024);
	send_number(&ring, 1);
	reserve_and_die(&ring);
	send_number(&ring, 2);
	fine &= ring_read(&reader, &message) && message.time == 1;
	fine &= ring_read(&reader, &message) && message.time == 2;
	ok(fine, "a writer that died half way does not block the reader");
	is(ring.header->abandoned, 1, "its message is counted as abandoned");
	for (uint64_t i = 0; i < 100; i++)
		fine &= send_number(&ring, i) && ring_read(&reader, &message) && message.time == i;
	ok(fine, "the ring goes on for many laps past the lost slot");
	is(ring.header->dropped, 0, "nothing was dropped on the way");
	for (int i = 0; i < 7; i++) {
		reserve_and_die(&ring);
		ring_read(&reader, &message);
	}
	ok(!send_number(&ring, 1), "with every slot lost, messages are dropped, not waited for");
	is(ring.header->abandoned, 8, "each lost slot is counted");
	ring_destroy(&ring);
}

static void test_stuck_writer(void)
{
	struct ring_message message;
	struct ring_reader reader;
	struct ring_ticket ticket = { 0 };
	struct ring ring;
	bool fine = true;

	make_ring(&ring, &reader, 1024);
	ring_reserve(&ring, (uint32_t)gettid(), &ticket);
	send_number(&ring, 2);
	ok(!ring_read(&reader, &message), "the reader waits for a writer that lives");
	is(ring.header->abandoned, 0, "and counts nothing");
	/* As if it had waited long enough. */
	reader.stuck_since -= RING_PATIENCE_NS;
	ok(ring_read(&reader, &message) && message.time == 2, "but not for ever");
	ticket.slot->message.time = 1;
	ring_commit(&ring, &ticket);
	is(ring_state_phase(ticket.slot->state), RING_PHASE_LOST,
	   "a writer that comes back late does not publish into a slot given up");
	for (uint64_t i = 0; i < 100; i++)
		fine &= send_number(&ring, i) && ring_read(&reader, &message) && message.time == i;
	ok(fine, "the ring goes on");
	ring_destroy(&ring);
}

#define WRITERS 4
#define EACH    20000

/* Tries until it is taken, so that every number must arrive. */
static void write_all(const struct ring *ring)
{
	for (uint64_t i = 0; i < EACH; i++)
		while (!send_number(ring, i))
			usleep(100);
}

static void test_many_processes(void)
{
	uint64_t next[WRITERS] = { 0 };
	struct ring_message message;
	pid_t writers[WRITERS];
	struct ring_reader reader;
	struct ring ring;
	bool in_order = true;
	int left = WRITERS;

	make_ring(&ring, &reader, 16384);
	for (int i = 0; i < WRITERS; i++) {
		writers[i] = fork();
		if (!writers[i]) {
			write_all(&ring);
			_exit(0);
		}
	}
	while (left) {
		if (!ring_read(&reader, &message)) {
			ring_wait(&ring, 1000000);
			continue;
		}
		for (int i = 0; i < WRITERS; i++) {
			if ((pid_t)message.pid != writers[i])
				continue;
			in_order &= message.time == next[i]++;
			left -= next[i] == EACH;
		}
	}
	ok(in_order, "%d processes, %d messages each: none lost, each one's in order", WRITERS,
	   EACH);
	is(ring.header->abandoned, 0, "no living writer was given up");
	while (wait(NULL) > 0)
		;
	ring_destroy(&ring);
}

/* Writers killed at any moment: the reader always gets to the end. */
static void test_killed_writers(void)
{
	struct ring_message message;
	struct ring_reader reader;
	struct ring ring;
	uint64_t got = 0;

	make_ring(&ring, &reader, 1 << 20);
	for (int round = 0; round < 200; round++) {
		pid_t writer = fork();

		if (!writer)
			for (uint64_t i = 0;; i++)
				send_number(&ring, i);
		usleep(100 + round % 50 * 10);
		kill(writer, SIGKILL);
		waitpid(writer, NULL, 0);
		while (ring_read(&reader, &message))
			got++;
	}
	/* One killed between its two steps leaves the second to the next writer. */
	ok(send_number(&ring, 0) && ring_read(&reader, &message) && message.time == 0,
	   "the next writer gets through");
	ok(got > 0 && ring.header->head == ring.header->tail,
	   "200 writers killed at work: everything reserved was read or given up");
	diag("%llu messages, %llu abandoned, %llu dropped", (unsigned long long)got,
	     (unsigned long long)ring.header->abandoned, (unsigned long long)ring.header->dropped);
	ring_destroy(&ring);
}

static void test_sizes(void)
{
	struct ring ring;
	int fd, error = ring_create(&ring, 0, 0, &fd);

	is(error, 0, "the smallest ring");
	is(ring.mask + 1, RING_MIN_SLOTS, "has its minimum of slots");
	ring_destroy(&ring);
	close(fd);
	is(sizeof(struct ring_message), 112 + 8, "a message fills a slot");
}

int main(void)
{
	test_sizes();
	test_order();
	test_overflow();
	test_dead_writer();
	test_stuck_writer();
	test_many_processes();
	test_killed_writers();
	return tap_done();
}
