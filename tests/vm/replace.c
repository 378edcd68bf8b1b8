/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * replace MESSAGES BYTES... - is what arrives what was sent, when the memory of both
 * buffers is replaced between the messages?
 *
 * An MPI program of two ranks.  Per row, a way to replace a buffer, and size, rank 1
 * prints "row size wrong messages"; wrong are messages that did not arrive as they
 * were sent.  The first message of each series goes through memory that was never
 * replaced, and no series uses the addresses of another, so that whatever is wrong
 * comes from the row's own way.  Run by guest.sh, read by table.py.
 */
#include <fcntl.h>
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ways.h"

#define ADDRESSES 0x100000000000ul /* of the first series: nobody else maps here */

static int rank;

/* Each rank punches the other's file: neither process that uses the memory calls anything. */
static void replace_punch_by_other(struct buffer *buffer)
{
	int mine[2] = { getpid(), buffer->fd }, other[2], fd;
	char path[64];

	MPI_Sendrecv(mine, 2, MPI_INT, !rank, 1, other, 2, MPI_INT, !rank, 1, MPI_COMM_WORLD,
		     MPI_STATUS_IGNORE);
	snprintf(path, sizeof(path), "/proc/%d/fd/%d", other[0], other[1]);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		fail(path);
	punch(fd, buffer->bytes);
	close(fd);
	MPI_Barrier(MPI_COMM_WORLD);
}

static const struct way by_other = {
	.name = "punch-by-other",
	.replace = replace_punch_by_other,
	.has_file = 1,
};

/* Returns whether a message that counts up from @first arrived as something else. */
static int send_one(const struct buffer *buffer, uint64_t first)
{
	size_t words = buffer->bytes / sizeof(uint64_t);
	int wrong = 0;

	if (rank == 0) {
		for (size_t i = 0; i < words; i++)
			buffer->words[i] = first + i;
		MPI_Send(buffer->words, (int)buffer->bytes, MPI_BYTE, 1, 2, MPI_COMM_WORLD);
		MPI_Recv(&wrong, 1, MPI_INT, 1, 3, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
	} else {
		memset(buffer->words, 0xee, buffer->bytes);
		MPI_Recv(buffer->words, (int)buffer->bytes, MPI_BYTE, 0, 2, MPI_COMM_WORLD,
			 MPI_STATUS_IGNORE);
		for (size_t i = 0; i < words; i++)
			wrong |= buffer->words[i] != first + i;
		MPI_Send(&wrong, 1, MPI_INT, 0, 3, MPI_COMM_WORLD);
	}
	return wrong;
}

static void run_series(const struct way *way, size_t bytes, int messages)
{
	static uint64_t first = 0x5100000000000000ul;
	static uintptr_t address = ADDRESSES;
	struct buffer buffer;
	int wrong = 0;

	buffer_map(&buffer, way, address, bytes);
	address += 2 * bytes;
	for (int i = 0; i < messages; i++) {
		if (i)
			way->replace(&buffer);
		wrong += send_one(&buffer, first);
		first += 1ul << 32;
	}
	if (rank == 1) {
		printf("replaced %s %zu %d %d\n", way->name, bytes, wrong, messages);
		fflush(stdout);
	}
	buffer_unmap(&buffer);
}

int main(int argc, char **argv)
{
	MPI_Init(&argc, &argv);
	MPI_Comm_rank(MPI_COMM_WORLD, &rank);
	for (int way = 0; way <= NR_WAYS; way++)
		for (int i = 2; i < argc; i++)
			run_series(way < NR_WAYS ? &ways[way] : &by_other,
				   strtoul(argv[i], NULL, 0), atoi(argv[1]));
	MPI_Finalize();
	return 0;
}
