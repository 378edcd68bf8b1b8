/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * `mmunotify run`: a command in an environment in which the adapters load, and one line
 * about what they did.
 *
 * The processes of the command count in pages of one file that this process has made, and
 * that the environment names (mmunotify/stat.h): they may be started by others, and be
 * killed, and count all the same.  What they write is read with pread() and parsed as
 * something that nobody can trust.  The command's signals are its own: this process ends
 * when it has ended, and as it did.
 * Tests: tests/system/run.py.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "command.h"
#include "counters.h"
#include "launch.h"

static const char help_text[] =
	"Usage: mmunotify run [OPTION...] [--] COMMAND [ARGUMENT...]\n"
	"\n"
	"Run COMMAND with the adapters: UCX, libfabric and what uses them are fed by the notifier\n"
	"chain of their process.  At the end one line says how many processes were connected.\n"
	"\n"
	"      --strict     see system calls that no C library makes, too; they cost more\n"
	"      --with=LIST  these adapters only: ucx, libfabric\n"
	"  -h, --help       print this text\n"
	"\n"
	"Exit status: COMMAND's; 2 wrong usage; 125 the tool failed; 126 COMMAND cannot be run;\n"
	"127 there is no such command.\n";

/* Sparse: what no process has costs nothing. */
#define MAX_PAGES 16384

enum { UCX, LIBFABRIC, NR_ADAPTERS };

static const struct adapter {
	const char *name;
	/* Where it is in the build tree, and in the folder where it is installed. */
	const char *built, *installed;
} adapters[NR_ADAPTERS] = {
	[UCX] = { "ucx", "ucx/libmmunotify-ucx.so", "libmmunotify-ucx.so" },
	[LIBFABRIC] = { "libfabric", "libfabric/libmmunotify-fi.so", "fi/libmmunotify-fi.so" },
};

/* What the processes have in common that have a user of one name. */
struct tally {
	char name[MMUN_STAT_NAME_SIZE];
	unsigned int connected, aside;
	/* The page that was counted last: a process may have several copies of a library. */
	uint64_t connected_page, aside_page;
	/* Of the first that stood aside. */
	char why[MMUN_STAT_STATE_SIZE];
};

#define MAX_TALLIES 16

struct run {
	bool strict;
	bool with[NR_ADAPTERS];
	/* Were they asked for by name? */
	bool chosen;
	char paths[NR_ADAPTERS][PATH_MAX];
	char **command;
	struct launch launch;
	/* The user wants no pages. */
	bool uncounted_by_wish;
	/* -1: the processes cannot be counted. */
	int file;
	unsigned long nr_pages;

	struct tally tallies[MAX_TALLIES];
	unsigned int nr_tallies;
	uint64_t sections, invalidations, refused;
	uint64_t uncounted;
};

static int take_list(struct run *run, char *list)
{
	char *save, *word;

	memset(run->with, 0, sizeof(run->with));
	run->chosen = true;
	for (word = strtok_r(list, ",", &save); word; word = strtok_r(NULL, ",", &save)) {
		int i = 0;

		while (i < NR_ADAPTERS && strcmp(word, adapters[i].name))
			i++;
		if (i == NR_ADAPTERS)
			return mmunotify_usage_error("run", "there is no adapter '%s'", word);
		run->with[i] = true;
	}
	for (int i = 0; i < NR_ADAPTERS; i++)
		if (run->with[i])
			return -1;
	return mmunotify_usage_error("run", "--with names no adapter");
}

/* Return: below 0 to go on, otherwise the exit status. */
static int parse_options(struct run *run, int argc, char **argv)
{
	static const struct option options[] = {
		{ "strict", no_argument, NULL, 's' },
		{ "with", required_argument, NULL, 'w' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int option, status;

	for (int i = 0; i < NR_ADAPTERS; i++)
		run->with[i] = true;
	optind = 0;
	while ((option = mmunotify_getopt("run", argc, argv, "+h", options, NULL)) >= 0) {
		switch (option) {
		case 's':
			run->strict = true;
			break;
		case 'w':
			status = take_list(run, optarg);
			if (status >= 0)
				return status;
			break;
		case 'h':
			fputs(help_text, stdout);
			return 0;
		default:
			return MMUNOTIFY_EXIT_USAGE;
		}
	}
	if (optind == argc)
		return mmunotify_usage_error("run", "a command to run is missing");
	run->command = argv + optind;
	return -1;
}

/* Where the adapters are. */

static bool is_there(char *to, const char *format, const char *folder, const char *name)
{
	char path[2 * PATH_MAX];

	snprintf(path, sizeof(path), format, folder, name);
	return realpath(path, to);
}

static bool find_adapter(const struct adapter *adapter, char *to)
{
	const char *folder = getenv("MMUNOTIFY_ADAPTERS");
	char exe[PATH_MAX];

	if (folder)
		return is_there(to, "%s/%s", folder, adapter->installed);
	if (!realpath("/proc/self/exe", exe))
		strcpy(exe, "/");
	*strrchr(exe, '/') = '\0';
	/* In the build tree; else relative to us, because the tree may have been moved. */
	return is_there(to, "%s/../adapters/%s", exe, adapter->built) ||
	       is_there(to, "%s/../" TRACE_LIBDIR "/mmunotify/%s", exe, adapter->installed) ||
	       is_there(to, "%s/" TRACE_LIBDIR "/mmunotify/%s", TRACE_PREFIX, adapter->installed);
}

/* What separates the paths of LD_PRELOAD, and what the dynamic linker replaces in them. */
static int check_path(const char *path)
{
	if (!strpbrk(path, " :$"))
		return 0;
	mmunotify_error("run",
			"%s: LD_PRELOAD cannot name a path with a space, a colon or a "
			"dollar sign; install it elsewhere, or let MMUNOTIFY_ADAPTERS name "
			"another folder",
			path);
	return MMUNOTIFY_EXIT_TOOL;
}

static int find_adapters(struct run *run)
{
	bool any = false;

	if (launch_need_proc("run"))
		return MMUNOTIFY_EXIT_TOOL;
	for (int i = 0; i < NR_ADAPTERS; i++) {
		if (!run->with[i])
			continue;
		run->with[i] = find_adapter(&adapters[i], run->paths[i]);
		if (!run->with[i] && run->chosen) {
			mmunotify_error("run", "the adapter %s is not installed%s",
					adapters[i].name,
					getenv("MMUNOTIFY_ADAPTERS")
						? " where MMUNOTIFY_ADAPTERS says"
						: "");
			return MMUNOTIFY_EXIT_TOOL;
		}
		if (run->with[i] && check_path(run->paths[i]))
			return MMUNOTIFY_EXIT_TOOL;
		any |= run->with[i];
	}
	if (any)
		return 0;
	mmunotify_error("run", "no adapter is installed; MMUNOTIFY_ADAPTERS can name their folder");
	return MMUNOTIFY_EXIT_TOOL;
}

/* The environment. */

static void *need(void *memory)
{
	if (memory)
		return memory;
	mmunotify_error("run", "there is not enough memory");
	exit(MMUNOTIFY_EXIT_TOOL);
}

/* A list of paths that grows; with a colon between two. */
struct list {
	char *text;
};

static void append(struct list *list, const char *item, size_t length)
{
	char *longer;

	if (asprintf(&longer, "%s%s%.*s", list->text ? list->text : "", list->text ? ":" : "",
		     (int)length, item) < 0)
		longer = NULL;
	free(list->text);
	list->text = need(longer);
}

/* Their run-times want to be the first library of all. */
static bool is_sanitizer(const char *item, size_t length)
{
	static const char *const names[] = { "libasan.",  "libtsan.",   "liblsan.",
					     "libubsan.", "libhwasan.", "libclang_rt." };
	const char *name = memrchr(item, '/', length);

	name = name ? name + 1 : item;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (!strncmp(name, names[i], strlen(names[i])))
			return true;
	return false;
}

static bool is_ours(const struct run *run, const char *item, size_t length)
{
	for (int i = 0; i < NR_ADAPTERS; i++)
		if (run->with[i] && strlen(run->paths[i]) == length &&
		    !memcmp(run->paths[i], item, length))
			return true;
	return false;
}

/* In front of what the user preloads. */
static void set_preload(const struct run *run)
{
	const char *old = getenv("LD_PRELOAD"), *at = old ? old : "";
	struct list list = { NULL };
	bool done = false;

	for (;;) {
		size_t length;

		at += strspn(at, " :");
		length = strcspn(at, " :");
		if (!done && (!length || !is_sanitizer(at, length))) {
			for (int i = 0; i < NR_ADAPTERS; i++)
				if (run->with[i])
					append(&list, run->paths[i], strlen(run->paths[i]));
			done = true;
		}
		if (!length)
			break;
		if (!is_ours(run, at, length))
			append(&list, at, length);
		at += length;
	}
	setenv("LD_PRELOAD", list.text, 1);
	free(list.text);
}

/*
 * libfabric loads the providers of the folders in FI_PROVIDER_PATH.  A leading @ belongs to
 * the whole of it; items with a leading + are providers and no folders, and where there is
 * no folder among them, libfabric's own default counts: then ours is named so as well.
 * Source: fabric(7) of libfabric, "FI_PROVIDER_PATH".
 */
static void set_providers(const char *provider)
{
	const char *old = getenv("FI_PROVIDER_PATH"), *at = old ? old : "", *slash;
	bool order = *at == '@', folders = !old;
	struct list list = { NULL };
	size_t length, ours;
	char *value;

	at += order;
	for (const char *item = at; *item; item += length + (item[length] == ':')) {
		length = strcspn(item, ":");
		folders |= length && *item != '+';
	}
	slash = strrchr(provider, '/');
	if (folders) {
		append(&list, provider, (size_t)(slash - provider));
	} else {
		if (asprintf(&value, "+%s", provider) < 0)
			value = NULL;
		append(&list, need(value), strlen(value));
		free(value);
	}
	ours = strlen(list.text);
	for (; *at; at += length + (at[length] == ':')) {
		length = strcspn(at, ":");
		if (length && (length != ours || memcmp(at, list.text, length)))
			append(&list, at, length);
	}
	if (asprintf(&value, "%s%s", order ? "@" : "", list.text) < 0)
		value = NULL;
	setenv("FI_PROVIDER_PATH", need(value), 1);
	free(value);
	free(list.text);
}

/* The file of the processes' pages. */

static unsigned long allowed_pages(void)
{
	struct rlimit limit;

	/* Beyond it the kernel ends who makes a file longer, and who fills it. */
	if (getrlimit(RLIMIT_FSIZE, &limit) < 0 || limit.rlim_cur < 2 * MMUN_STAT_PAGE_SIZE)
		return 0;
	if (limit.rlim_cur / MMUN_STAT_PAGE_SIZE - 1 < MAX_PAGES)
		return limit.rlim_cur / MMUN_STAT_PAGE_SIZE - 1;
	return MAX_PAGES;
}

static int fill_file(struct run *run, struct mmun_stat_file *head)
{
	unsigned int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

	memcpy(head->magic, MMUN_STAT_FILE_MAGIC, sizeof(head->magic));
	head->version = MMUN_STAT_VERSION;
	head->page_size = MMUN_STAT_PAGE_SIZE;
	head->nr_pages = run->nr_pages;
	if (getrandom(&head->token, sizeof(head->token), 0) != (ssize_t)sizeof(head->token) ||
	    ftruncate(run->file, (off_t)((run->nr_pages + 1) * MMUN_STAT_PAGE_SIZE)) < 0 ||
	    pwrite(run->file, head, sizeof(*head), 0) != (ssize_t)sizeof(*head) ||
	    fcntl(run->file, F_ADD_SEALS, seals) < 0)
		return -errno;
	return 0;
}

static int create_file(void)
{
	unsigned int flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
	/* MFD_NOEXEC_SEAL, since Linux 6.3: some systems want it. */
	int fd = memfd_create(MMUN_STAT_NAME, flags | 8u);

	return fd < 0 && errno == EINVAL ? memfd_create(MMUN_STAT_NAME, flags) : fd;
}

/* Without it the command runs as well as with it. */
static void open_file(struct run *run)
{
	struct mmun_stat_file head = { 0 };
	const char *wish = getenv(MMUN_STAT_ENV);
	char self[32] = "", value[96];

	run->uncounted_by_wish = wish && !strcmp(wish, "off");
	run->nr_pages = run->uncounted_by_wish ? 0 : allowed_pages();
	run->file = run->nr_pages ? create_file() : -1;
	if (run->file >= 0 && fill_file(run, &head)) {
		close(run->file);
		run->file = -1;
	}
	/* The number by which this /proc knows us. */
	if (run->file < 0 || readlink("/proc/self", self, sizeof(self) - 1) < 0)
		return;
	snprintf(value, sizeof(value), "/proc/%s/fd/%d:%llu", self, run->file,
		 (unsigned long long)head.token);
	setenv(MMUN_STAT_ENV, value, 1);
}

static void set_environment(struct run *run)
{
	set_preload(run);
	if (run->with[LIBFABRIC])
		set_providers(run->paths[LIBFABRIC]);
	if (run->strict)
		setenv("MMUNOTIFY_STRICT", "1", 1);
}

/* Signals. */

static const int passed_on[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2 };

#define NR_PASSED_ON (sizeof(passed_on) / sizeof(passed_on[0]))

static volatile sig_atomic_t to_pass_on[NR_PASSED_ON];

/* What a key of the terminal causes the command gets as well. */
static void on_signal(int number, siginfo_t *info, void *context)
{
	bool key = (number == SIGINT || number == SIGQUIT) && info->si_code > 0;

	for (size_t i = 0; i < NR_PASSED_ON; i++)
		if (passed_on[i] == number && !key)
			to_pass_on[i] = 1;
}

/* What the caller ignores (nohup, a shell's background job) stays ignored, as in the command. */
static void install_handlers(void)
{
	struct sigaction action = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO }, old;

	sigfillset(&action.sa_mask);
	sigaction(SIGCHLD, &action, NULL);
	for (size_t i = 0; i < NR_PASSED_ON; i++) {
		sigaction(passed_on[i], NULL, &old);
		if (old.sa_handler != SIG_IGN)
			sigaction(passed_on[i], &action, NULL);
	}
}

/* Return: how the command ended. */
static int wait_for(pid_t child)
{
	sigset_t block, mask;
	int status;

	sigemptyset(&block);
	sigaddset(&block, SIGCHLD);
	for (size_t i = 0; i < NR_PASSED_ON; i++)
		sigaddset(&block, passed_on[i]);
	sigprocmask(SIG_BLOCK, &block, &mask);
	/* It may have been blocked by the caller, and the command has got it so. */
	sigdelset(&mask, SIGCHLD);
	while (waitpid(child, &status, WNOHANG) != child) {
		for (size_t i = 0; i < NR_PASSED_ON; i++) {
			if (to_pass_on[i])
				kill(child, passed_on[i]);
			to_pass_on[i] = 0;
		}
		sigsuspend(&mask);
	}
	return status;
}

/* The line at the end. */

static void add(uint64_t *sum, uint64_t value)
{
	if (__builtin_add_overflow(*sum, value, sum))
		*sum = UINT64_MAX;
}

static struct tally *find_tally(struct run *run, const char *name)
{
	for (unsigned int i = 0; i < run->nr_tallies; i++)
		if (!strcmp(run->tallies[i].name, name))
			return &run->tallies[i];
	if (run->nr_tallies == MAX_TALLIES)
		return NULL;
	strcpy(run->tallies[run->nr_tallies].name, name);
	return &run->tallies[run->nr_tallies++];
}

/* @page: its number, from 1. */
static void count_user(struct run *run, const struct counters_user *user, uint64_t page)
{
	static const char aside[] = "standing aside: ";
	struct tally *tally = find_tally(run, user->name);

	for (unsigned int i = 0; i < user->nr; i++) {
		const struct counter *counter = &user->counters[i];

		if (!strcmp(counter->label, "sections"))
			add(&run->sections, counter->value);
		else if (!strcmp(counter->label, "invalidations"))
			add(&run->invalidations, counter->value);
		else if (!strcmp(counter->label, "refused"))
			add(&run->refused, counter->value);
	}
	if (!tally)
		return;
	if (user->connected) {
		tally->connected += tally->connected_page != page;
		tally->connected_page = page;
		return;
	}
	tally->aside += tally->aside_page != page;
	tally->aside_page = page;
	if (!*tally->why)
		strcpy(tally->why, !strncmp(user->state, aside, sizeof(aside) - 1)
					   ? user->state + sizeof(aside) - 1
					   : user->state);
}

static void count_processes(struct run *run)
{
	static char page[MMUN_STAT_PAGE_SIZE];
	struct mmun_stat_file head;
	struct counters counters;

	if (pread(run->file, &head, sizeof(head), 0) != (ssize_t)sizeof(head))
		return;
	if (head.claimed > run->nr_pages) {
		run->uncounted = head.claimed - run->nr_pages;
		head.claimed = run->nr_pages;
	}
	for (uint64_t i = 0; i < head.claimed; i++) {
		off_t at = (off_t)((i + 1) * MMUN_STAT_PAGE_SIZE);

		if (pread(run->file, page, sizeof(page), at) != (ssize_t)sizeof(page) ||
		    !counters_parse(page, sizeof(page), &counters)) {
			run->uncounted++;
			continue;
		}
		for (unsigned int j = 0; j < counters.nr; j++)
			count_user(run, &counters.users[j], i + 1);
	}
}

static const char *plural(uint64_t count)
{
	return count == 1 ? "" : "es";
}

static void print_connected(const struct run *run, FILE *out)
{
	bool first = true;

	for (unsigned int i = 0; i < run->nr_tallies; i++) {
		const struct tally *tally = &run->tallies[i];

		if (!tally->connected)
			continue;
		fprintf(out, first ? "%s connected in %u process%s" : ", %s in %u", tally->name,
			tally->connected, plural(tally->connected));
		first = false;
	}
	fprintf(out, "%s%llu sections, %llu invalidations, %llu refused registrations",
		first ? "no adapter was connected; " : "; ", (unsigned long long)run->sections,
		(unsigned long long)run->invalidations, (unsigned long long)run->refused);
	for (unsigned int i = 0; i < run->nr_tallies; i++) {
		const struct tally *tally = &run->tallies[i];

		if (tally->aside)
			fprintf(out, "; %s stood aside in %u process%s%s%s%s", tally->name,
				tally->aside, plural(tally->aside), *tally->why ? " (" : "",
				tally->why, *tally->why ? ")" : "");
	}
}

static void print_line(struct run *run)
{
	const char *obstacle;
	char *line = NULL;
	size_t size;
	FILE *out = open_memstream(&line, &size);

	if (!out)
		return;
	fputs("mmunotify run: ", out);
	if (run->file < 0)
		fprintf(out, "the processes are not counted: %s",
			run->uncounted_by_wish ? "MMUNOTIFY_STAT=off"
					       : "a file in memory cannot be had");
	else
		count_processes(run);
	if (run->nr_tallies) {
		print_connected(run, out);
	} else if (run->file >= 0 && !run->uncounted) {
		obstacle = launch_obstacle(&run->launch);
		fprintf(out, "no adapter was connected: %s",
			obstacle
				? obstacle
				: "no process here has made a registration cache of UCX or libfabric");
	}
	if (run->uncounted)
		fprintf(out, "%s%llu process%s could not be counted", run->nr_tallies ? "; " : "",
			(unsigned long long)run->uncounted, plural(run->uncounted));
	putc('\n', out);
	fclose(out);
	/* Whole, between the lines of others; nobody may be there to read it. */
	signal(SIGPIPE, SIG_IGN);
	if (line && write(STDERR_FILENO, line, size) < 0)
		errno = 0;
	free(line);
}

int mmunotify_cmd_run(int argc, char **argv)
{
	static struct run run;
	int status = parse_options(&run, argc, argv), wait_status;
	pid_t child;

	if (status >= 0)
		return status;
	if ((status = launch_find(&run.launch, "run", run.command)) ||
	    (status = find_adapters(&run)))
		return status;
	set_environment(&run);
	open_file(&run);
	status = launch_start(&run.launch, &child, install_handlers);
	if (status)
		return status;
	wait_status = wait_for(child);
	print_line(&run);
	return launch_pass_on(wait_status);
}
