/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A piece of kernel code that must end the program, in a child of its own. */
#ifndef MMUN_TESTS_COMPAT_PART_H
#define MMUN_TESTS_COMPAT_PART_H

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../tap.h"

__attribute__((unused)) static void dies(void (*code)(void), const char *what)
{
	int status = 0;
	pid_t child = fork();

	if (!child) {
		dup2(open("/dev/null", O_WRONLY), STDERR_FILENO);
		code();
		_exit(0);
	}
	waitpid(child, &status, 0);
	ok(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT, "%s ends the program", what);
}

#endif
