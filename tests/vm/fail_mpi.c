/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* fail() of MPI programs. */
#include <errno.h>
#include <mpi.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ways.h"

_Noreturn void fail(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	MPI_Abort(MPI_COMM_WORLD, 1);
	_exit(1);
}
