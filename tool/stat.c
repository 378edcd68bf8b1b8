/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * `mmunotify stat`: the counters of adapters and registration caches in running processes.
 *
 * A process's page is what it has mapped of a file of our name and what says its own pid: a
 * child has its parent's mapped as well.  The page is read with pread() through a descriptor
 * of the process, or, if it has closed it, through its memory, for which the kernel wants
 * more rights.  A file is opened only if it is one of the kernel's own mount of files in
 * memory: what a process calls so may be a device, or one that never answers.
 * Tests: tests/system/stat.py.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "command.h"
#include "counters.h"
#include "json.h"

static const char help_text[] =
	"Usage: mmunotify stat [OPTION...]\n"
	"\n"
	"Show the counters of the adapters and registration caches in running processes: all of\n"
	"this user, or one.\n"
	"\n"
	"  -p, --pid=PID           of this process\n"
	"  -i, --interval=SECONDS  again and again, until interrupted or the process has ended\n"
	"  -c, --count=COUNT       so many times\n"
	"      --json              one JSON object per process and line\n"
	"  -h, --help              print this text\n"
	"\n"
	"Exit status: 0 if something was shown; 1 if there is no such process, it may not be\n"
	"looked into, or it has no adapters connected and no cache; 2 wrong usage, or output\n"
	"that cannot be written; 125 the tool failed.\n";

struct options {
	pid_t pid;
	double interval;
	unsigned long count;
	bool json;
};

/* A part of a process's memory that may be its page. */
struct place {
	unsigned long start, offset;
	unsigned long inode;
};

#define MAX_PLACES 64

struct process {
	pid_t pid;
	/* As it sees itself. */
	pid_t inner;
	char command[64];
	unsigned int nr_places;
	struct place places[MAX_PLACES];
};

enum result { SHOWN, NOTHING, NO_PROCESS, NO_ACCESS, CLOSED };

__attribute__((format(printf, 2, 3))) static FILE *open_of(pid_t pid, const char *format, ...)
{
	char name[128], path[160];
	va_list args;

	va_start(args, format);
	vsnprintf(name, sizeof(name), format, args);
	va_end(args);
	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	return fopen(path, "re");
}

/* The last number of "NStgid: 812 7": in the innermost namespace. */
static pid_t read_inner(pid_t pid)
{
	FILE *status = open_of(pid, "status");
	char line[512], *last;
	pid_t inner = pid;

	while (status && fgets(line, sizeof(line), status)) {
		if (strncmp(line, "NStgid:", 7))
			continue;
		last = strrchr(line, '\t');
		if (last)
			inner = (pid_t)strtol(last, NULL, 10);
		break;
	}
	if (status)
		fclose(status);
	return inner;
}

static void read_command(struct process *process)
{
	FILE *comm = open_of(process->pid, "comm");
	char text[sizeof(process->command)] = "";
	size_t length = comm ? fread(text, 1, sizeof(text), comm) : 0;

	if (comm)
		fclose(comm);
	length -= length && text[length - 1] == '\n';
	counters_clean(process->command, sizeof(process->command), text, length);
}

/* "START-END rw-s OFFSET DEVICE INODE   NAME" */
static bool parse_place(const char *line, struct place *place)
{
	const char *name = strchr(line, '/');

	return name && !strcmp(name, COUNTERS_LINK "\n") &&
	       sscanf(line, "%lx-%*x %*s %lx %*s %lu", &place->start, &place->offset,
		      &place->inode) == 3;
}

static enum result find_places(struct process *process)
{
	FILE *maps = open_of(process->pid, "maps");
	char *line = NULL;
	size_t size = 0;

	if (!maps)
		return errno == ENOENT || errno == ESRCH ? NO_PROCESS : NO_ACCESS;
	while (process->nr_places < MAX_PLACES && getline(&line, &size, maps) > 0)
		process->nr_places += parse_place(line, &process->places[process->nr_places]);
	free(line);
	fclose(maps);
	return process->nr_places ? SHOWN : NOTHING;
}

/* The mount of an open file; -1: unknown. */
static long mount_of(pid_t pid, const char *fd)
{
	FILE *info = open_of(pid, "fdinfo/%s", fd);
	char line[256];
	long id = -1;

	while (id < 0 && info && fgets(line, sizeof(line), info))
		if (sscanf(line, "mnt_id: %ld", &id) != 1)
			id = -1;
	if (info)
		fclose(info);
	return id;
}

/* The one that files in memory are on. */
static long mount_of_memory(void)
{
	int fd = memfd_create("mmunotify-probe", MFD_CLOEXEC);
	char name[16];
	long id;

	if (fd < 0)
		return -1;
	snprintf(name, sizeof(name), "%d", fd);
	id = mount_of(getpid(), name);
	close(fd);
	return id;
}

static int open_same(pid_t pid, const char *fd, unsigned long inode)
{
	char path[64], text[sizeof(COUNTERS_LINK)];
	long mount = mount_of_memory();
	struct stat file;
	int opened;

	snprintf(path, sizeof(path), "/proc/%d/fd/%.20s", pid, fd);
	if (readlink(path, text, sizeof(text)) != sizeof(text) - 1 ||
	    memcmp(text, COUNTERS_LINK, sizeof(text) - 1) || mount < 0 ||
	    mount_of(pid, fd) != mount)
		return -1;
	opened = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (opened >= 0 && !fstat(opened, &file) && file.st_ino == inode)
		return opened;
	if (opened >= 0)
		close(opened);
	return -1;
}

/* Return: a descriptor, or -1. */
static int open_file(pid_t pid, unsigned long inode)
{
	const struct dirent *entry;
	char path[64];
	int fd = -1;
	DIR *folder;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	folder = opendir(path);
	while (folder && fd < 0 && (entry = readdir(folder)))
		if (isdigit((unsigned char)entry->d_name[0]))
			fd = open_same(pid, entry->d_name, inode);
	if (folder)
		closedir(folder);
	return fd;
}

static bool read_at(int fd, unsigned long at, struct counters *counters)
{
	static char page[MMUN_STAT_PAGE_SIZE];

	return fd >= 0 && pread(fd, page, sizeof(page), (off_t)at) == (ssize_t)sizeof(page) &&
	       counters_parse(page, sizeof(page), counters);
}

static enum result read_place(const struct process *process, const struct place *place,
			      struct counters *counters)
{
	int fd = open_file(process->pid, place->inode);
	unsigned long at = place->offset;
	bool closed = fd < 0, found;
	char path[64];

	if (closed) {
		snprintf(path, sizeof(path), "/proc/%d/mem", process->pid);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		at = place->start;
	}
	found = read_at(fd, at, counters);
	if (fd < 0)
		return CLOSED;
	close(fd);
	return found && counters->pid == process->inner ? SHOWN : NOTHING;
}

static bool is_bytes(const char *label)
{
	const char *last = strrchr(label, '_');

	return !strcmp(last ? last + 1 : label, "bytes") || !strcmp(label, "memory");
}

static void print_counter(const char *label, uint64_t value)
{
	static const char *const units[] = { "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	double scaled = (double)value / 1024;
	size_t unit = 0;

	printf("    %-*s %llu", MMUN_STAT_LABEL_SIZE - 1, label, (unsigned long long)value);
	if (is_bytes(label) && value >= 1024) {
		for (; scaled >= 1024 && unit + 1 < sizeof(units) / sizeof(units[0]); unit++)
			scaled /= 1024;
		printf(" (%.1f %s)", scaled, units[unit]);
	}
	putchar('\n');
}

static void print_text(const struct process *process, const struct counters *counters)
{
	printf("%d %s\n", process->pid, process->command);
	for (unsigned int i = 0; i < counters->nr; i++) {
		const struct counters_user *user = &counters->users[i];

		printf("  %s: %s%s%s\n", user->name, user->connected ? "" : "not connected",
		       user->connected || !*user->state ? "" : ", ",
		       *user->state || !user->connected ? user->state : "connected");
		for (unsigned int j = 0; j < user->nr; j++)
			print_counter(user->counters[j].label, user->counters[j].value);
	}
}

static void print_json(const struct process *process, const struct counters *counters)
{
	struct json_object *object = json_object_new_object(), *users = json_object_new_array();

	json_add_number(object, "pid", (uint64_t)process->pid);
	json_add_text(object, "command", process->command);
	for (unsigned int i = 0; i < counters->nr; i++) {
		const struct counters_user *user = &counters->users[i];
		struct json_object *one = json_object_new_object();
		struct json_object *values = json_object_new_object();

		json_add_text(one, "name", user->name);
		json_object_object_add(one, "connected", json_object_new_boolean(user->connected));
		json_add_text(one, "state", user->state);
		for (unsigned int j = 0; j < user->nr; j++)
			json_add_number(values, user->counters[j].label, user->counters[j].value);
		json_object_object_add(one, "counters", values);
		json_object_array_add(users, one);
	}
	json_object_object_add(object, "users", users);
	json_print_line(stdout, object);
}

static enum result show_process(pid_t pid, bool json)
{
	struct process process = { .pid = pid };
	enum result result = find_places(&process), one;
	struct counters counters;

	if (result != SHOWN)
		return result;
	process.inner = read_inner(pid);
	read_command(&process);
	result = NOTHING;
	for (unsigned int i = 0; i < process.nr_places; i++) {
		one = read_place(&process, &process.places[i], &counters);
		if (one == SHOWN && counters.nr) {
			(json ? print_json : print_text)(&process, &counters);
			result = SHOWN;
		} else if (one == CLOSED && result == NOTHING) {
			result = CLOSED;
		}
	}
	return result;
}

static int say(pid_t pid, enum result result)
{
	switch (result) {
	case SHOWN:
		return 0;
	case NOTHING:
		if (pid)
			mmunotify_error("stat",
					"process %d has no adapters connected and no registration "
					"cache",
					pid);
		else
			mmunotify_error("stat", "no process of this user has adapters connected or "
						"a registration cache");
		break;
	case NO_PROCESS:
		mmunotify_error("stat", "there is no process %d", pid);
		break;
	case NO_ACCESS:
		mmunotify_error("stat", "process %d may not be looked into: %s", pid,
				strerror(errno));
		break;
	case CLOSED:
		mmunotify_error("stat",
				"process %d has closed the descriptor of its counters, and its "
				"memory may not be read: try as root",
				pid);
		break;
	}
	return MMUNOTIFY_EXIT_FAILED;
}

/* Those that may not be looked into are other people's, or want it so. */
static enum result show_all(bool json)
{
	enum result result = NOTHING;
	const struct dirent *entry;
	DIR *folder = opendir("/proc");
	struct stat file;

	while (folder && (entry = readdir(folder)))
		if (isdigit((unsigned char)entry->d_name[0]) &&
		    !fstatat(dirfd(folder), entry->d_name, &file, 0) && file.st_uid == geteuid() &&
		    show_process((pid_t)strtol(entry->d_name, NULL, 10), json) == SHOWN)
			result = SHOWN;
	if (folder)
		closedir(folder);
	return result;
}

static void pause_for(double seconds)
{
	struct timespec time = { .tv_sec = (time_t)seconds };

	time.tv_nsec = (long)((seconds - (double)time.tv_sec) * 1e9);
	nanosleep(&time, NULL);
}

static int show(const struct options *options)
{
	enum result result;

	if (access("/proc/self", F_OK) < 0) {
		mmunotify_error("stat", "/proc is not mounted (mount -t proc proc /proc), and "
					"without it no process is found");
		return MMUNOTIFY_EXIT_TOOL;
	}

	for (unsigned long i = 0; !options->count || i < options->count; i++) {
		if (i) {
			pause_for(options->interval);
			if (!options->json)
				putchar('\n');
		}
		result = options->pid ? show_process(options->pid, options->json)
				      : show_all(options->json);
		if (!i && result != SHOWN)
			return say(options->pid, result);
		if (fflush(stdout))
			return mmunotify_output_error("stat", NULL, errno);
		/* It was there before: it has ended. */
		if (result != SHOWN && options->pid)
			return 0;
	}
	return 0;
}

static bool parse_number(const char *text, double least, double most, double *value)
{
	char *end;

	*value = strtod(text, &end);
	return isdigit((unsigned char)*text) && !*end && *value >= least && *value <= most;
}

/* Return: below 0 to go on, otherwise the exit status. */
static int parse_options(struct options *options, int argc, char **argv)
{
	static const struct option long_options[] = {
		{ "pid", required_argument, NULL, 'p' },
		{ "interval", required_argument, NULL, 'i' },
		{ "count", required_argument, NULL, 'c' },
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	double number;
	int option;

	optind = 0;
	while ((option = mmunotify_getopt("stat", argc, argv, "+p:i:c:h", long_options, NULL)) >=
	       0) {
		switch (option) {
		case 'p':
			if (!parse_number(optarg, 1, 1 << 30, &number) || number != (pid_t)number)
				return mmunotify_usage_error("stat",
							     "-p is the number of a "
							     "process, not '%s'",
							     optarg);
			options->pid = (pid_t)number;
			break;
		case 'i':
			if (!parse_number(optarg, 0.01, 1e6, &options->interval))
				return mmunotify_usage_error("stat",
							     "-i is a number of seconds "
							     "from 0.01 on, not '%s'",
							     optarg);
			break;
		case 'c':
			if (!parse_number(optarg, 1, 1e9, &number) ||
			    number != (double)(unsigned long)number)
				return mmunotify_usage_error("stat",
							     "-c is a number from 1 on, "
							     "not '%s'",
							     optarg);
			options->count = (unsigned long)number;
			break;
		case 'j':
			options->json = true;
			break;
		case 'h':
			fputs(help_text, stdout);
			return 0;
		default:
			return MMUNOTIFY_EXIT_USAGE;
		}
	}
	if (optind < argc)
		return mmunotify_usage_error("stat", "'%s' is one argument too many", argv[optind]);
	return -1;
}

int mmunotify_cmd_stat(int argc, char **argv)
{
	struct options options = { 0 };
	int status = parse_options(&options, argc, argv);

	if (status >= 0)
		return status;
	if (!options.interval && !options.count)
		options.count = 1;
	if (!options.interval)
		options.interval = 1;
	return show(&options);
}
