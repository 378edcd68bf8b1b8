/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A user of mmunotify/stat.h, for the tests of `mmunotify run` and `mmunotify stat`.  Each
 * argument is a step:
 *
 *   create=NAME       a user, of which the next steps speak
 *   connected=TEXT    its state
 *   aside=TEXT
 *   add=COUNTER:N
 *   cache=NAME        a registration cache, of a device that does nothing
 *   get=N             N gets of 1 MiB, and their puts
 *   unmap=1           that memory is unmapped
 *   children=N        N children at once do the rest; then the process ends
 *   fork              a child does the rest; the process waits for it and ends as it did
 *   ready             prints "ready" and waits for a line
 *   closefrom         closes every descriptor above the standard streams
 *   garble=OFFSET:HEX writes bytes into the page
 *   signal=N          sends it to itself
 *   say=TEXT          prints it
 *   on=N              prints "signal N" at each signal of that number
 *   until=N           waits until it has come
 *   status=N          ends so
 *   daemon            goes on in the background
 *   exec              executes this program again, for the rest
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <mmunotify/rcache.h>
#include <mmunotify/self.h>
#include <mmunotify/stat.h>

static const char *const labels[] = { "sections", "invalidations", "refused", "level" };
static struct mmun_stat *stat;
static volatile sig_atomic_t came[65];

static void on_signal(int number)
{
	char text[] = "signal 00\n";

	text[7] += (char)(number / 10);
	text[8] += (char)(number % 10);
	came[number] = 1;
	if (write(1, text, sizeof(text) - 1) < 0)
		_exit(1);
}

static void wait_for_signal(int number)
{
	sigset_t all, none;

	sigfillset(&all);
	sigemptyset(&none);
	sigprocmask(SIG_BLOCK, &all, NULL);
	while (!came[number])
		sigsuspend(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static void add(const char *value)
{
	char *end;
	unsigned long counter = strtoul(value, &end, 10);

	mmun_stat_add(stat, (unsigned int)counter, strtoul(end + 1, NULL, 10));
}

static unsigned char *find_page(void)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	unsigned long start;
	char line[512];

	while (maps && fgets(line, sizeof(line), maps))
		if (strstr(line, MMUN_STAT_NAME) && sscanf(line, "%lx", &start) == 1)
			return (unsigned char *)start;
	abort();
}

static void garble(const char *value)
{
	char *hex;
	unsigned char *to = find_page() + strtoul(value, &hex, 10);
	unsigned int byte;

	for (hex++; sscanf(hex, "%2x", &byte) == 1; hex += 2)
		*to++ = (unsigned char)byte;
}

static void ready(void)
{
	puts("ready");
	fflush(stdout);
	getchar();
}

static void fork_and_wait(void)
{
	pid_t child = fork();
	int status;

	if (!child)
		return;
	waitpid(child, &status, 0);
	exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}

static void fork_many(long count)
{
	for (; count > 0; count--)
		if (!fork())
			return;
	while (wait(NULL) > 0)
		;
	exit(0);
}

static void create(const char *name)
{
	if (mmun_stat_create(name, labels, 4, &stat))
		exit(99);
}

static struct mmun_rcache *cache;
static char *memory;

static int register_nothing(void *arg, struct mmun_registration *reg)
{
	return 0;
}

static void deregister_nothing(void *arg, struct mmun_registration *reg)
{
}

static void create_cache(const char *name)
{
	static const struct mmun_rcache_ops ops = {
		.register_memory = register_nothing,
		.deregister_memory = deregister_nothing,
	};
	const struct mmun_rcache_options options = { .name = name };

	memory = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED || mmun_rcache_create(mmun_self(), &ops, NULL, &options, &cache))
		exit(99);
}

static void get_and_put(long count)
{
	struct mmun_registration *reg;

	for (; count > 0; count--) {
		reg = mmun_rcache_get(cache, (unsigned long)memory, 1 << 20, MMUN_RCACHE_READ);
		if (mmun_is_err(reg))
			exit(99);
		mmun_rcache_put(cache, reg);
	}
}

static void step(const char *name, const char *value)
{
	long number = strtol(value, NULL, 10);

	if (!strcmp(name, "create"))
		create(value);
	else if (!strcmp(name, "connected"))
		mmun_stat_state(stat, true, value);
	else if (!strcmp(name, "aside"))
		mmun_stat_state(stat, false, value);
	else if (!strcmp(name, "add"))
		add(value);
	else if (!strcmp(name, "cache"))
		create_cache(value);
	else if (!strcmp(name, "get"))
		get_and_put(number);
	else if (!strcmp(name, "unmap"))
		munmap(memory, 1 << 20);
	else if (!strcmp(name, "children"))
		fork_many(number);
	else if (!strcmp(name, "fork"))
		fork_and_wait();
	else if (!strcmp(name, "ready"))
		ready();
	else if (!strcmp(name, "closefrom"))
		closefrom(3);
	else if (!strcmp(name, "garble"))
		garble(value);
	else if (!strcmp(name, "signal"))
		raise((int)number);
	else if (!strcmp(name, "say"))
		puts(value);
	else if (!strcmp(name, "on"))
		signal((int)number, on_signal);
	else if (!strcmp(name, "until"))
		wait_for_signal((int)number);
	else if (!strcmp(name, "status"))
		exit((int)number);
	else if (!strcmp(name, "daemon") && daemon(1, 1))
		exit(98);
}

int main(int argc, char **argv)
{
	char *value;

	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "exec"))
			return execv("/proc/self/exe", argv + i);
		value = strchr(argv[i], '=');
		if (value)
			*value = '\0';
		step(argv[i], value ? value + 1 : "");
		fflush(stdout);
	}
	return 0;
}
