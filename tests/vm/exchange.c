/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * exchange SECONDS [raw] - two MPI ranks send each other messages, replace the memory of
 * their buffers in between, and fork, while a second thread of each maps, unmaps and
 * allocates.
 *
 * Every message is compared with what was sent.  raw: also in the way that only strict
 * mode sees.  Rank 0 prints "exchanged messages wrong forks other" of both ranks (other:
 * rounds of the second threads).  A child that has not ended after CHILD_SECONDS ends the
 * program.  Run by guest.sh, read by stress.py.
 */
#include <mpi.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "ways.h"

#define SEND_ADDRESS  0x100000000000ul
#define RECV_ADDRESS  0x110000000000ul
#define LARGEST       (1ul << 20)
#define CHILD_SECONDS 60

static int rank;
static int stop;
static long rounds_of_thread;

/* What is random is the same in every run. */
static unsigned int draw(unsigned int *state, unsigned int below)
{
	*state = *state * 1103515245u + 12345u;
	return (*state >> 16) % below;
}

static void churn(unsigned int *state)
{
	size_t bytes = 4096ul << draw(state, 8);
	char *memory = draw(state, 2) ? malloc(bytes) : NULL;
	char *map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (map == MAP_FAILED)
		fail("mmap");
	map[bytes - 1] = 1;
	if (memory)
		memory[bytes - 1] = 1;
	munmap(map, bytes);
	free(memory);
}

static void *run_thread(void *unused)
{
	unsigned int state = 77 + rank;

	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		churn(&state);
		__atomic_fetch_add(&rounds_of_thread, 1, __ATOMIC_RELAXED);
		usleep(1000);
	}
	return unused;
}

/* The child has memory calls of its own; its copies of our hooks must not wait for us. */
static void fork_once(void)
{
	unsigned int state = 5;
	int status, waited = 0;
	pid_t child = fork();

	if (child < 0)
		fail("fork");
	if (!child) {
		for (int i = 0; i < 20; i++)
			churn(&state);
		_exit(0);
	}
	while (!waitpid(child, &status, WNOHANG)) {
		usleep(1000);
		if (++waited > CHILD_SECONDS * 1000) {
			kill(child, SIGKILL);
			fail("a forked child hangs");
		}
	}
	if (status)
		fail("a forked child died");
}

static void renew(struct buffer *buffer, unsigned int *state, int with_raw, uintptr_t address)
{
	const struct way *way = &ways[draw(state, NR_WAYS)];

	if (way->is_raw && !with_raw)
		return;
	/* The kind of memory changes too. */
	if (way->has_file != (buffer->fd >= 0)) {
		buffer_unmap(buffer);
		buffer_map(buffer, way, address, LARGEST);
		return;
	}
	way->replace(buffer);
}

/* Returns whether what came is not what was sent. */
static int exchange(struct buffer *out, struct buffer *in, size_t bytes, uint64_t first)
{
	size_t words = bytes / sizeof(uint64_t);
	uint64_t mine = first + rank, others = first + !rank;
	int wrong = 0;

	for (size_t i = 0; i < words; i++)
		out->words[i] = mine + 2 * i;
	memset(in->words, 0xee, bytes);
	MPI_Sendrecv(out->words, (int)bytes, MPI_BYTE, !rank, 1, in->words, (int)bytes, MPI_BYTE,
		     !rank, 1, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
	for (size_t i = 0; i < words; i++)
		wrong |= in->words[i] != others + 2 * i;
	return wrong;
}

int main(int argc, char **argv)
{
	unsigned int shared_state = 1, state;
	struct buffer out, in;
	long counts[4] = { 0 }, sums[4];
	int with_raw = argc > 2, provided, over = 0;
	pthread_t thread;
	double end;

	MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &provided);
	MPI_Comm_rank(MPI_COMM_WORLD, &rank);
	state = 1000 + rank;
	buffer_map(&out, &ways[0], SEND_ADDRESS, LARGEST);
	buffer_map(&in, &ways[0], RECV_ADDRESS, LARGEST);
	if (pthread_create(&thread, NULL, run_thread, NULL))
		fail("pthread_create");
	for (end = MPI_Wtime() + atof(argv[1]); !over; counts[0]++) {
		size_t bytes = LARGEST >> draw(&shared_state, 9);

		if (draw(&state, 4))
			renew(&out, &state, with_raw, SEND_ADDRESS);
		if (draw(&state, 4))
			renew(&in, &state, with_raw, RECV_ADDRESS);
		if (!draw(&state, 20)) {
			fork_once();
			counts[2]++;
		}
		counts[1] += exchange(&out, &in, bytes, (uint64_t)counts[0] << 32);
		over = MPI_Wtime() > end;
		MPI_Bcast(&over, 1, MPI_INT, 0, MPI_COMM_WORLD);
	}
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	counts[3] = rounds_of_thread;
	MPI_Reduce(counts, sums, 4, MPI_LONG, MPI_SUM, 0, MPI_COMM_WORLD);
	if (rank == 0)
		printf("exchanged %ld %ld %ld %ld\n", sums[0], sums[1], sums[2], sums[3]);
	MPI_Finalize();
	return 0;
}
