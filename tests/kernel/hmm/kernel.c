/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A kernel that is a process: a machine and a module, for programs that are its children.
 *
 *     kernel [--coherent] [--stale] [--memory MIB] PROGRAM [ARGUMENT...]
 *
 * A program is linked with client.c, which sends here what is the kernel's.  Sanitizers find
 * here what is wrong in the module and in the machine.  Ends with PROGRAM's status, or with 99
 * when the module or the machine did something wrong.
 */
#include <errno.h>
#include <poll.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <mmunotify/compat.h>
#include <mmunotify/soft_device.h>

#include "program.h"
#include "wire.h"

#define WRONG 99

extern char **environ;

static struct mmun_soft *soft;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t none = PTHREAD_COND_INITIALIZER;
static unsigned int connections;

static void fail(const char *what)
{
	fprintf(stderr, "kernel: %s\n", what);
	exit(WRONG);
}

static bool receive(int fd, struct wire_request *request)
{
	ssize_t n;

	do {
		n = recv(fd, request, sizeof(*request), 0);
	} while (n < 0 && errno == EINTR);
	request->text[sizeof(request->text) - 1] = '\0';
	return n == sizeof(*request);
}

static void answer(int fd, long value)
{
	/* A program that does not wait for it has died; the next receive() says so. */
	if (send(fd, &value, sizeof(value), MSG_NOSIGNAL) < 0)
		return;
}

static void serve_calls(int fd, struct program *program)
{
	struct mmun_soft_task *task;
	struct wire_request request;

	if (mmun_soft_clone(program->task, &task))
		fail("no memory for a task");
	mmun_compat_set_current(task);
	call_for(program);
	answer(fd, program->id);
	while (receive(fd, &request)) {
		if (request.call == WIRE_FAULT)
			pages_fault(program, fd, request.arg[0], request.arg[1]);
		else
			answer(fd, call(program, &request));
	}
	call_for(NULL);
	mmun_compat_set_current(NULL);
	mmun_soft_exit(task);
}

static void serve_mapper(int fd, struct program *program)
{
	struct pollfd end = { .fd = fd };

	answer(fd, 0);
	pages_set_mapper(program, fd);
	while (poll(&end, 1, -1) < 0 || !(end.revents & (POLLHUP | POLLERR)))
		;
	pages_set_mapper(program, -1);
}

static pid_t peer(int fd)
{
	struct ucred ucred = { 0 };
	socklen_t length = sizeof(ucred);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &ucred, &length) ? 0 : ucred.pid;
}

static void serve_program(int fd, const struct wire_request *request)
{
	const long id = (long)request->arg[0];
	struct program *program = id ? program_connect(id) : program_create(soft, peer(fd));

	if (!program) {
		answer(fd, -ESRCH);
		return;
	}
	if (request->call == WIRE_MAPPER) {
		program_set_pid(id, peer(fd));
		serve_mapper(fd, program);
	} else {
		serve_calls(fd, program);
	}
	program_disconnect(program);
}

static void *serve(void *arg)
{
	const int fd = (int)(long)arg;
	struct wire_request request;

	if (receive(fd, &request)) {
		if (request.call == WIRE_WAIT) {
			program_wait_gone((pid_t)request.arg[0]);
			answer(fd, 0);
		} else if (request.call == WIRE_HELLO || request.call == WIRE_MAPPER) {
			serve_program(fd, &request);
		}
	}
	close(fd);
	pthread_mutex_lock(&lock);
	if (!--connections)
		pthread_cond_signal(&none);
	pthread_mutex_unlock(&lock);
	return NULL;
}

static void *accept_all(void *arg)
{
	const int listening = (int)(long)arg;
	pthread_t thread;
	int fd;

	while ((fd = accept4(listening, NULL, NULL, SOCK_CLOEXEC)) >= 0 || errno == EINTR) {
		if (fd < 0)
			continue;
		pthread_mutex_lock(&lock);
		connections++;
		pthread_mutex_unlock(&lock);
		if (pthread_create(&thread, NULL, serve, (void *)(long)fd))
			fail("no thread");
		pthread_detach(thread);
	}
	return NULL;
}

static int listen_as(char *name, size_t size)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	snprintf(name, size, "mmunotify-kernel-%ld", (long)getpid());
	memcpy(address.sun_path + 1, name, strlen(name));
	if (fd < 0 ||
	    bind(fd, (struct sockaddr *)&address,
		 (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name))) ||
	    listen(fd, 64))
		fail("no socket");
	return fd;
}

static int create_machine(size_t memory)
{
	struct mmun_soft_params params = { .memory = memory };
	char path[64];
	int ret;

	params.memory_fd = memfd_create("memory", MFD_CLOEXEC);
	if (params.memory_fd < 0)
		return -errno;
	snprintf(path, sizeof(path), "/proc/%ld/fd/%d", (long)getpid(), params.memory_fd);
	setenv(WIRE_MEMORY, path, 1);
	ret = mmun_soft_create(&params, &soft);
	if (!ret)
		mmun_compat_start(soft);
	return ret;
}

/* The last two of the pieces that the module takes, one for each device. */
static void set_coherent(void)
{
	const uint64_t size = 256ul << 20;
	struct range space;
	char value[32];

	mmun_soft_device_space(soft, &space);
	snprintf(value, sizeof(value), "0x%lx", (unsigned long)(space.end + 1 - size));
	if (mmun_compat_set_param("spm_addr_dev0", value))
		fail("the module has no spm_addr_dev0");
	snprintf(value, sizeof(value), "0x%lx", (unsigned long)(space.end + 1 - 2 * size));
	if (mmun_compat_set_param("spm_addr_dev1", value))
		fail("the module has no spm_addr_dev1");
}

static int run(char **argv)
{
	int status;
	pid_t pid;

	if (posix_spawn(&pid, argv[0], NULL, NULL, argv, environ))
		fail("the program does not start");
	while (waitpid(pid, &status, 0) < 0)
		;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* What the module has left, and what was wrong meanwhile. */
static bool all_well(void)
{
	struct mmun_soft_stats stats;
	int ret;

	mmun_compat_unload();
	mmun_compat_stop();
	mmun_soft_stats(soft, &stats);
	ret = mmun_soft_destroy(soft);
	if (ret)
		fprintf(stderr, "kernel: the machine is still in use\n");
	if (mmun_compat_allocated())
		fprintf(stderr, "kernel: %ld blocks were not freed\n", mmun_compat_allocated());
	if (mmun_compat_warnings())
		fprintf(stderr, "kernel: %lu warnings\n", mmun_compat_warnings());
	if (stats.frames_free != stats.frames)
		fprintf(stderr, "kernel: %zu pages were not freed\n",
			stats.frames - stats.frames_free);
	return !ret && !mmun_compat_allocated() && !mmun_compat_warnings() &&
	       stats.frames_free == stats.frames;
}

static int run_kernel(char **argv)
{
	char name[64];
	int listening = listen_as(name, sizeof(name)), status;
	pthread_t thread;

	setenv(WIRE_SOCKET, name, 1);
	mmun_compat_outside_memory(call_outside);
	if (mmun_compat_load())
		fail("the module does not load");
	if (pthread_create(&thread, NULL, accept_all, (void *)(long)listening))
		fail("no thread");
	status = run(argv);
	program_wait_gone(0);
	shutdown(listening, SHUT_RDWR);
	pthread_join(thread, NULL);
	pthread_mutex_lock(&lock);
	while (connections)
		pthread_cond_wait(&none, &lock);
	pthread_mutex_unlock(&lock);
	return status;
}

int main(int argc, char **argv)
{
	bool coherent = false;
	size_t memory = 256;
	int status;

	while (*++argv && !strncmp(*argv, "--", 2)) {
		if (!strcmp(*argv, "--coherent"))
			coherent = true;
		else if (!strcmp(*argv, "--stale"))
			pages_show_stale();
		else if (!strcmp(*argv, "--memory") && argv[1])
			memory = strtoul(*++argv, NULL, 10);
		else
			fail("an option is unknown");
	}
	if (argc < 2 || !*argv)
		fail("no program");
	if (create_machine(memory << 20))
		fail("no machine");
	if (coherent)
		set_coherent();
	status = run_kernel(argv);
	return all_well() ? status : WRONG;
}
