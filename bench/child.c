/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * One worker process and the socket to it.  A worker that crashes or hangs is
 * a result: it is killed, reaped and described in ->ended, never waited for
 * without a limit.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

extern char **environ;

const char *bench_beside(const char *name)
{
	static char path[4096];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 256);
	char *slash;

	path[n > 0 ? n : 0] = '\0';
	slash = strrchr(path, '/');
	snprintf(slash ? slash + 1 : path, 256, "%s", name);
	return path;
}

/* The environment and, in front of it, the leading words of @argv that are assignments. */
static char **environment_for(char *const **argv)
{
	size_t count = 0, own = 0;
	char **all;

	while (environ[count])
		count++;
	while (strchr((*argv)[own], '='))
		own++;
	all = calloc(own + count + 1, sizeof(*all));
	if (!all)
		return NULL;
	memcpy(all, *argv, own * sizeof(*all));
	memcpy(all + own, environ, count * sizeof(*all));
	*argv += own;
	return all;
}

void bench_spawn(struct bench_child *child, char *const *argv)
{
	char **environment = environment_for(&argv);
	posix_spawn_file_actions_t actions;
	const char *program;
	int ends[2], error;

	memset(child, 0, sizeof(*child));
	child->fd = -1;
	if (!environment || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends)) {
		snprintf(child->ended, sizeof(child->ended), "socketpair: %m");
		free(environment);
		return;
	}
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, ends[1], BENCH_SOCKET);
	program = argv[0][0] == '/' ? argv[0] : bench_beside(argv[0]);
	error = posix_spawn(&child->pid, program, &actions, NULL, argv, environment);
	free(environment);
	posix_spawn_file_actions_destroy(&actions);
	close(ends[1]);
	if (error) {
		close(ends[0]);
		child->pid = 0;
		snprintf(child->ended, sizeof(child->ended), "cannot start: %s", strerror(error));
		return;
	}
	child->fd = ends[0];
}

static void describe(struct bench_child *child, int status)
{
	if (WIFSIGNALED(status))
		snprintf(child->ended, sizeof(child->ended), "died: %s",
			 strsignal(WTERMSIG(status)));
	else if (WEXITSTATUS(status) == 77)
		snprintf(child->ended, sizeof(child->ended), "cannot run here");
	else
		snprintf(child->ended, sizeof(child->ended), "ended with status %d",
			 WEXITSTATUS(status));
}

/* The worker closed its socket by dying. */
static void bury(struct bench_child *child)
{
	int status = 0;

	waitpid(child->pid, &status, 0);
	child->pid = 0;
	describe(child, status);
	close(child->fd);
	child->fd = -1;
}

bool bench_ask(struct bench_child *child, double *figures, unsigned int seconds)
{
	const size_t wanted = BENCH_FIGURES * sizeof(*figures);
	struct pollfd pfd = { .fd = child->fd, .events = POLLIN };

	if (child->fd < 0)
		return false;
	if (send(child->fd, "b", 1, MSG_NOSIGNAL) == 1 && poll(&pfd, 1, (int)seconds * 1000) == 0) {
		bench_reap(child);
		snprintf(child->ended, sizeof(child->ended), "hung for %u s", seconds);
		return false;
	}
	if (recv(child->fd, figures, wanted, MSG_WAITALL) == (ssize_t)wanted)
		return true;
	bury(child);
	return false;
}

void bench_reap(struct bench_child *child)
{
	if (!child->pid)
		return;
	kill(child->pid, SIGKILL);
	close(child->fd);
	waitpid(child->pid, NULL, 0);
	child->pid = 0;
	child->fd = -1;
}
