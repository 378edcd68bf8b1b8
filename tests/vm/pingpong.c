/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * pingpong ROUNDS BYTES... - how long messages between two MPI ranks take.
 *
 * Per size rank 0 prints "latency bytes us", half the median of ROUNDS round trips, and
 * "bandwidth bytes MB/s", the median of ROUNDS / 4 times WINDOW messages at once and an
 * answer; of large messages fewer.  The buffers stay where they are: after the first message each is found in the
 * registration cache.  Run by guest.sh, read by pingpong.py.
 */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WINDOW 8

static int rank;

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *times, int nr)
{
	qsort(times, nr, sizeof(*times), compare);
	return times[nr / 2];
}

static void round_trip(char *buffer, int bytes)
{
	if (rank == 0) {
		MPI_Send(buffer, bytes, MPI_BYTE, 1, 1, MPI_COMM_WORLD);
		MPI_Recv(buffer, bytes, MPI_BYTE, 1, 1, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
	} else {
		MPI_Recv(buffer, bytes, MPI_BYTE, 0, 1, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
		MPI_Send(buffer, bytes, MPI_BYTE, 0, 1, MPI_COMM_WORLD);
	}
}

static void window(char *buffer, int bytes)
{
	MPI_Request requests[WINDOW];

	for (int i = 0; i < WINDOW; i++) {
		char *part = buffer + (size_t)i * bytes;

		if (rank == 0)
			MPI_Isend(part, bytes, MPI_BYTE, 1, 2, MPI_COMM_WORLD, &requests[i]);
		else
			MPI_Irecv(part, bytes, MPI_BYTE, 0, 2, MPI_COMM_WORLD, &requests[i]);
	}
	MPI_Waitall(WINDOW, requests, MPI_STATUSES_IGNORE);
	round_trip(buffer, 1);
}

static double measure(void (*exchange)(char *, int), char *buffer, int bytes, int rounds)
{
	double *times = malloc(rounds * sizeof(*times)), result;

	/* The first two find connections and registrations not made yet. */
	for (int i = -2; i < rounds; i++) {
		double start = MPI_Wtime();

		exchange(buffer, bytes);
		if (i >= 0)
			times[i] = MPI_Wtime() - start;
	}
	result = median(times, rounds);
	free(times);
	return result;
}

int main(int argc, char **argv)
{
	int rounds = atoi(argv[1]);

	MPI_Init(&argc, &argv);
	MPI_Comm_rank(MPI_COMM_WORLD, &rank);
	for (int i = 2; i < argc; i++) {
		int bytes = atoi(argv[i]);
		int enough = bytes < 1 << 18 ? rounds : rounds / 6;
		char *buffer = calloc(WINDOW, bytes);
		double latency = measure(round_trip, buffer, bytes, enough) / 2;
		double time = measure(window, buffer, bytes, (enough + 3) / 4);

		if (rank == 0) {
			printf("latency %d %.1f\n", bytes, latency * 1e6);
			printf("bandwidth %d %.2f\n", bytes, WINDOW * bytes / time / 1e6);
			fflush(stdout);
		}
		free(buffer);
	}
	MPI_Finalize();
	return 0;
}
