/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Executes programs in every way that leaves the tracer out of their environment.
 *
 *     lost-workload HOW PROGRAM [ARGUMENT...]
 *
 * The program is executed with an environment of its own, without a single variable unless
 * said otherwise.  Exit status: the program's; 3: what this program looks for is not so.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static char *none[] = { NULL };
static char **program;

static int wait_for(pid_t child)
{
	int status;

	if (child < 0 || waitpid(child, &status, 0) != child)
		return 3;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int spawn(void)
{
	pid_t child;

	return posix_spawn(&child, program[0], NULL, NULL, program, none) ? 3 : wait_for(child);
}

static int spawn_by_path(void)
{
	pid_t child;

	return posix_spawnp(&child, program[0], NULL, NULL, program, none) ? 3 : wait_for(child);
}

static int by_vfork(void)
{
	pid_t child = vfork();

	if (!child) {
		execve("/no/such/program", program, none);
		execve("/etc/passwd", program, none);
		execve(program[0], program, none);
		_exit(3);
	}
	return wait_for(child);
}

static int by_execve(void)
{
	return execve(program[0], program, none);
}

static int by_execvpe(void)
{
	return execvpe(program[0], program, none);
}

static int by_execle(void)
{
	return execle(program[0], program[0], program[1], (char *)NULL, none);
}

static int by_null(void)
{
	return execve(program[0], program, NULL);
}

static int by_execveat(void)
{
	return (int)syscall(SYS_execveat, AT_FDCWD, program[0], program, none, 0);
}

static int by_fexecve(void)
{
	return fexecve(open(program[0], O_RDONLY | O_CLOEXEC), program, none);
}

static int by_syscall(void)
{
	return (int)syscall(SYS_execve, program[0], program, none);
}

/* Seen in strict mode only. */
static int by_instruction(void)
{
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "0"((long)SYS_execve), "D"(program[0]), "S"(program), "d"(none)
			 : "rcx", "r11", "memory");
	return (int)result;
}

static int by_system(void)
{
	clearenv();
	return WEXITSTATUS(system(program[0]));
}

static int by_popen(void)
{
	FILE *pipe;
	int c;

	clearenv();
	pipe = popen(program[0], "r");
	while (pipe && (c = getc(pipe)) != EOF)
		putchar(c);
	return pipe ? WEXITSTATUS(pclose(pipe)) : 3;
}

/* A child of which the C library knows nothing. */
static int by_raw_fork(void)
{
	pid_t child = (pid_t)syscall(SYS_fork);

	if (!child) {
		execve(program[0], program, none);
		_exit(3);
	}
	return wait_for(child);
}

/* Another object is to be preloaded, and stays so. */
static int by_other_preload(void)
{
	char *other[] = { "A=b", "LD_PRELOAD=libm.so.6", "LD_PRELOAD=libm.so.6", "C=d", NULL };

	return execve(program[0], program, other);
}

static void *execute(void *arg)
{
	by_execve();
	return NULL;
}

static int in_thread(void)
{
	pthread_t thread;

	pthread_create(&thread, NULL, execute, NULL);
	pthread_join(thread, NULL);
	return 3;
}

static void on_signal(int number)
{
	by_execve();
}

static int in_handler(void)
{
	stack_t stack = { .ss_sp = malloc(32768), .ss_size = 32768 };
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_ONSTACK };

	sigaltstack(&stack, NULL);
	sigaction(SIGUSR1, &action, NULL);
	raise(SIGUSR1);
	return 3;
}

static int clone_child(void *arg)
{
	execve(program[0], program, none);
	_exit(3);
}

/* A child that shares the memory and whose end the program asks to be noted in it. */
static int by_clone(void)
{
	static char stack[65536] __attribute__((aligned(16)));
	static pid_t noted = -1;
	pid_t child = clone(clone_child, stack + sizeof(stack),
			    CLONE_VM | CLONE_VFORK | CLONE_CHILD_CLEARTID | SIGCHLD, NULL, NULL,
			    NULL, &noted);

	if (wait_for(child) || noted)
		return 3;
	return 0;
}

/* A pointer to nowhere is the kernel's to refuse. */
static int with_bad_environment(void)
{
	char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char **array = (char **)(page + 4096 - sizeof(char *));
	char **volatile nowhere = (char **)16;
	char *wrong[] = { "A=b", (char *)nowhere, NULL };

	mprotect(page + 4096, 4096, PROT_NONE);
	array[0] = "A=b";
	if (execve(program[0], program, nowhere) != -1 || errno != EFAULT)
		return 3;
	if (execve(program[0], program, wrong) != -1 || errno != EFAULT)
		return 3;
	/* The array runs into memory that may not be read, and so does a string. */
	if (execve(program[0], program, array) != -1 || errno != EFAULT)
		return 3;
	memset(page, 'x', 4096);
	wrong[1] = page + 4090;
	if (execve(program[0], program, wrong) != -1 || errno != EFAULT)
		return 3;
	return by_execve();
}

static int count_mappings(void)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	int lines = 0, c;

	while (maps && (c = getc(maps)) != EOF)
		lines += c == '\n';
	if (maps)
		fclose(maps);
	return lines;
}

/* More at once than there are loans is no matter of this one: one after the other. */
static int many(void)
{
	int before, status = spawn();

	before = count_mappings();
	for (int i = 0; i < 150 && !status; i++)
		status = spawn();
	return status ? status : count_mappings() > before + 1 ? 3 : 0;
}

/* Children that share the memory and execute at once. */
static void *spawn_some(void *arg)
{
	for (int i = 0; i < 5; i++)
		if (spawn())
			return (void *)1;
	return NULL;
}

static int together(void)
{
	pthread_t threads[16];
	void *failed;
	int status = 0;

	for (int i = 0; i < 16; i++)
		pthread_create(&threads[i], NULL, spawn_some, NULL);
	for (int i = 0; i < 16; i++) {
		pthread_join(threads[i], &failed);
		status |= failed ? 3 : 0;
	}
	return status;
}

static volatile bool enough;

static void *protect_for_ever(void *arg)
{
	char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	while (!enough) {
		mprotect(page, 4096, PROT_READ);
		mprotect(page, 4096, PROT_READ | PROT_WRITE);
	}
	return NULL;
}

static int count_descriptors(void)
{
	int open = 0;

	for (int fd = 0; fd < 64; fd++)
		open += fcntl(fd, F_GETFD) >= 0;
	return open;
}

/* Children have no descriptor that the program has not opened. */
static int descriptors(void)
{
	int before = count_descriptors(), wrong = 0;
	pthread_t thread;

	pthread_create(&thread, NULL, protect_for_ever, NULL);
	for (int i = 0; i < 500; i++) {
		pid_t child = fork();

		if (!child)
			_exit(count_descriptors() != before);
		wrong += wait_for(child) != 0;
	}
	enough = true;
	pthread_join(thread, NULL);
	return wrong ? 3 : 0;
}

/* As many variables as the kernel takes: with a single byte more it refuses. */
static int with_full_environment(void)
{
	static char *environment[4096], *string;
	size_t low = 0, high = 100000, nr = 0;
	int status;

	string = malloc(131072);
	memset(string, 'x', 131071);
	string[131071] = '\0';
	string[1] = '=';
	for (size_t i = 0; i < 4095; i++) {
		environment[i] = string;
		environment[i + 1] = NULL;
		status = fork();
		if (!status) {
			execve("/bin/true", (char *[]){ "true", NULL }, environment);
			_exit(3);
		}
		if (wait_for(status))
			break;
		nr = i + 1;
	}
	while (low + 1 < high) {
		size_t middle = (low + high) / 2;

		environment[nr] = string + 131071 - middle;
		status = fork();
		if (!status) {
			execve("/bin/true", (char *[]){ "true", NULL }, environment);
			_exit(3);
		}
		if (wait_for(status))
			high = middle;
		else
			low = middle;
	}
	printf("%zu %zu\n", nr, low);
	return 0;
}

static const struct way {
	const char *name;
	int (*execute)(void);
} ways[] = {
	{ "posix_spawn", spawn },
	{ "posix_spawnp", spawn_by_path },
	{ "vfork", by_vfork },
	{ "execve", by_execve },
	{ "execvpe", by_execvpe },
	{ "execle", by_execle },
	{ "null", by_null },
	{ "execveat", by_execveat },
	{ "fexecve", by_fexecve },
	{ "syscall", by_syscall },
	{ "instruction", by_instruction },
	{ "rawfork", by_raw_fork },
	{ "system", by_system },
	{ "popen", by_popen },
	{ "preload", by_other_preload },
	{ "thread", in_thread },
	{ "handler", in_handler },
	{ "clone", by_clone },
	{ "bad", with_bad_environment },
	{ "many", many },
	{ "together", together },
	{ "descriptors", descriptors },
	{ "full", with_full_environment },
};

int main(int argc, char **argv)
{
	if (argc < 3)
		return 2;
	program = argv + 2;
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)
		if (!strcmp(ways[i].name, argv[1]))
			return ways[i].execute();
	return 2;
}
