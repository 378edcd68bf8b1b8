/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * stat/: the statistics page of a process, who counts into it, and where it is when it
 * cannot be what it should.  Each scene is a process of its own, in which nothing has been
 * counted yet.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <mmunotify/stat.h>

#include "alloc.h"
#include "contract/sanitizer.h"
#include "tap.h"

#define LINK_TEXT "/memfd:" MMUN_STAT_NAME " (deleted)"
#define SEALS     (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

static const char *const labels[] = { "sections", "invalidations", "refused" };

/* In a scene: says where it failed, and fails it. */
#define CHECK(condition) \
	do { \
		if (!(condition)) { \
			diag("%s:%d: %s", __FILE__, __LINE__, #condition); \
			return false; \
		} \
	} while (0)

/* Return: its wait status. */
static int in_child(bool (*scene)(void))
{
	pid_t child = fork();
	int status = -1;

	if (!child)
		_exit(scene() ? 0 : 1);
	if (waitpid(child, &status, 0) != child)
		return -1;
	if (WIFSIGNALED(status))
		diag("ended by signal %d", WTERMSIG(status));
	return status;
}

/* What this process counts into: mapped, and said to be its own.  NULL: nothing that others
 * see. */
static struct mmun_stat_page *own_page(void)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	struct mmun_stat_page *page, *found = NULL;
	unsigned long start;
	char line[512];

	while (maps && fgets(line, sizeof(line), maps)) {
		if (!strstr(line, LINK_TEXT) || sscanf(line, "%lx-", &start) != 1)
			continue;
		page = (struct mmun_stat_page *)start;
		if (!memcmp(page->magic, MMUN_STAT_MAGIC, 8) && page->pid == getpid())
			found = page;
	}
	if (maps)
		fclose(maps);
	return found;
}

/* How many descriptors there are for it; *@fd is one. */
static int count_descriptors(int *fd)
{
	char path[64], text[64];
	int count = 0;

	for (int i = 0; i < 1024; i++) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", i);
		if (readlink(path, text, sizeof(text)) != sizeof(LINK_TEXT) - 1 ||
		    memcmp(text, LINK_TEXT, sizeof(LINK_TEXT) - 1))
			continue;
		*fd = i;
		count++;
	}
	return count;
}

static struct mmun_stat *create(const char *name)
{
	struct mmun_stat *stat;

	return mmun_stat_create(name, labels, 3, &stat) ? NULL : stat;
}

static bool page_of_process(void)
{
	const struct mmun_stat_page *page;
	struct mmun_stat *stat;
	struct stat file;
	int fd;

	CHECK(!own_page() && !count_descriptors(&fd));
	stat = create("ucx");
	page = own_page();
	CHECK(stat && page);
	CHECK(count_descriptors(&fd) == 1 && fd > 2);
	CHECK(fcntl(fd, F_GETFD) == FD_CLOEXEC);
	CHECK((fcntl(fd, F_GET_SEALS) & SEALS) == SEALS && ftruncate(fd, 0) < 0 && errno == EPERM);
	CHECK(!fstat(fd, &file) && file.st_size == MMUN_STAT_PAGE_SIZE && file.st_blocks == 32);
	CHECK(page->version == 1 && page->size == MMUN_STAT_PAGE_SIZE && page->head_size == 1024 &&
	      page->slot_size == 1024 && page->nr_slots == MMUN_STAT_SLOTS && page->made);
	CHECK(page->slots[0].used == 1 && page->slots[0].nr == 3 && !page->slots[0].connected &&
	      !page->slots[1].used);
	CHECK(!strcmp(page->slots[0].name, "ucx") && !strcmp(page->slots[0].state, "") &&
	      !strcmp(page->slots[0].labels[1], "invalidations"));
	mmun_stat_state(stat, true, "connected to UCX 1.13.1");
	CHECK(page->slots[0].connected == 1 &&
	      !strcmp(page->slots[0].state, "connected to UCX 1.13.1"));
	mmun_stat_state(stat, false, "gone");
	CHECK(!page->slots[0].connected && !strcmp(page->slots[0].state, "gone") &&
	      !page->slots[0].state[20]);
	mmun_stat_state(stat, true, NULL);
	CHECK(!page->slots[0].state[0]);
	mmun_stat_add(stat, 0, 5);
	mmun_stat_add(stat, 0, 2);
	mmun_stat_add(stat, 2, 1);
	mmun_stat_set(stat, 1, 40);
	mmun_stat_set(stat, 1, 30);
	CHECK(page->slots[0].values[0] == 7 && page->slots[0].values[1] == 30 &&
	      page->slots[0].values[2] == 1);
	return true;
}

static bool misuse(void)
{
	const char *many[MMUN_STAT_COUNTERS + 1], *name = "a name of more than the forty-eight "
							  "bytes that there are for it";
	const struct mmun_stat_page *page;
	struct mmun_stat *stat = (void *)1;
	char text[1000] = "";

	for (int i = 0; i <= MMUN_STAT_COUNTERS; i++)
		many[i] = "a label of more than twenty-four bytes";
	CHECK(mmun_stat_create(NULL, labels, 3, &stat) == -EINVAL && !stat);
	CHECK(mmun_stat_create("", labels, 3, &stat) == -EINVAL && !stat);
	CHECK(mmun_stat_create("x", many, MMUN_STAT_COUNTERS + 1, &stat) == -EINVAL && !stat);
	mmun_stat_add(NULL, 0, 1);
	mmun_stat_set(NULL, 0, 1);
	mmun_stat_state(NULL, true, "nobody");
	CHECK(!own_page());
	CHECK(!mmun_stat_create(name, many, MMUN_STAT_COUNTERS, &stat));
	page = own_page();
	CHECK(page && !strncmp(page->slots[0].name, name, 47) && !page->slots[0].name[47]);
	for (int i = 0; i < MMUN_STAT_COUNTERS; i++)
		CHECK(!strcmp(page->slots[0].labels[i], "a label of more than tw"));
	memset(text, 'x', sizeof(text) - 1);
	mmun_stat_state(stat, true, text);
	CHECK(strlen(page->slots[0].state) == MMUN_STAT_STATE_SIZE - 1);
	mmun_stat_add(stat, MMUN_STAT_COUNTERS - 1, 9);
	mmun_stat_add(stat, MMUN_STAT_COUNTERS, 1);
	mmun_stat_set(stat, -1u, 1);
	CHECK(page->slots[0].values[MMUN_STAT_COUNTERS - 1] == 9 && !page->slots[1].used);
	return true;
}

static bool many_users(void)
{
	struct mmun_stat *stats[MMUN_STAT_SLOTS], *more;
	const struct mmun_stat_page *page;
	int fd;

	for (int i = 0; i < MMUN_STAT_SLOTS; i++) {
		stats[i] = create("rcache");
		CHECK(stats[i]);
	}
	CHECK(mmun_stat_create("rcache", labels, 3, &more) == -ENOSPC && !more);
	page = own_page();
	CHECK(page && count_descriptors(&fd) == 1);
	for (int i = 0; i < MMUN_STAT_SLOTS; i++)
		mmun_stat_add(stats[i], 1, (unsigned long)i);
	for (int i = 0; i < MMUN_STAT_SLOTS; i++)
		CHECK(page->slots[i].values[1] == (uint64_t)i && !page->slots[i].values[0]);
	return true;
}

#define THREADS 4
#define ADDS    200000

static struct mmun_stat *counted;

static void *add_many(void *unused)
{
	for (int i = 0; i < ADDS; i++)
		mmun_stat_add(counted, 0, 1);
	return NULL;
}

static void *create_one(void *stat)
{
	*(struct mmun_stat **)stat = create("ucx");
	return NULL;
}

static bool threads(void)
{
	struct mmun_stat *stats[THREADS];
	pthread_t thread[THREADS];
	int fd;

	for (int i = 0; i < THREADS; i++)
		CHECK(!pthread_create(&thread[i], NULL, create_one, &stats[i]));
	for (int i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	CHECK(count_descriptors(&fd) == 1 && own_page()->slots[THREADS - 1].used);
	counted = stats[0];
	CHECK(counted);
	for (int i = 0; i < THREADS; i++)
		CHECK(!pthread_create(&thread[i], NULL, add_many, NULL));
	for (int i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	for (int i = 0; i < THREADS; i++)
		if (own_page()->slots[i].values[0])
			CHECK(own_page()->slots[i].values[0] == THREADS * ADDS);
	return true;
}

/* A forked child, by whatever made it: @parents is the page that it may not touch. */
static bool child_counts(struct mmun_stat *stat, const struct mmun_stat_page *parents)
{
	const struct mmun_stat_page *page;
	int fd;

	CHECK(!own_page());
	mmun_stat_add(stat, 0, 100);
	mmun_stat_set(stat, 1, 50);
	CHECK(!own_page() && parents->slots[1].values[0] == 7 && !parents->slots[1].values[1]);
	mmun_stat_state(stat, true, "connected again");
	page = own_page();
	CHECK(page && page != parents && count_descriptors(&fd) == 2);
	CHECK(!page->slots[0].used && page->slots[1].used && page->slots[1].connected &&
	      !strcmp(page->slots[1].name, "two") && !strcmp(page->slots[1].labels[2], "refused") &&
	      !strcmp(page->slots[1].state, "connected again"));
	CHECK(page->slots[1].values[0] == 100 && page->slots[1].values[1] == 50);
	mmun_stat_add(stat, 0, 1);
	CHECK(page->slots[1].values[0] == 101);
	CHECK(create("three") && page->slots[2].used);
	CHECK(parents->slots[1].values[0] == 7 && !strcmp(parents->slots[1].state, "first") &&
	      !parents->slots[2].used);
	return true;
}

static struct mmun_stat *inherited;
static const struct mmun_stat_page *inherited_page;

static bool child(void)
{
	return child_counts(inherited, inherited_page);
}

static bool grandchild(void)
{
	return in_child(child) == 0;
}

static bool child_of_raw_clone(void)
{
	long pid = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
	int status = -1;

	if (!pid)
		_exit(child() ? 0 : 1);
	return waitpid((pid_t)pid, &status, 0) == pid && !status;
}

/* Shares the memory, and so the page. */
static int shares(void *unused)
{
	mmun_stat_add(inherited, 0, 1);
	return 0;
}

static bool child_of_vfork(void)
{
	static char stack[65536] __attribute__((aligned(64)));
	pid_t pid = clone(shares, stack + sizeof(stack), CLONE_VM | CLONE_VFORK | SIGCHLD, NULL);
	int status = -1;

	CHECK(pid > 0 && waitpid(pid, &status, 0) == pid && !status);
	CHECK(inherited_page->slots[1].values[0] == 8);
	return true;
}

static bool forks(bool (*scene)(void))
{
	CHECK(create("one"));
	inherited = create("two");
	inherited_page = own_page();
	CHECK(inherited && inherited_page);
	mmun_stat_state(inherited, true, "first");
	mmun_stat_add(inherited, 0, 7);
	return scene();
}

static bool fork_of_libc(void)
{
	return forks(grandchild);
}

static bool fork_of_kernel(void)
{
	return forks(child_of_raw_clone);
}

static bool shared_memory(void)
{
	return forks(child_of_vfork);
}

static bool generations(void)
{
	for (int i = 0; i < 3; i++) {
		pid_t pid;
		int status = -1;

		CHECK(i ? !own_page() : !inherited);
		if (!i)
			inherited = create("ucx");
		else
			mmun_stat_state(inherited, true, "again");
		mmun_stat_add(inherited, 0, 1);
		CHECK(own_page() && own_page()->slots[0].values[0] == 1);
		pid = fork();
		if (pid) {
			CHECK(waitpid(pid, &status, 0) == pid && !status);
			CHECK(own_page()->slots[0].values[0] == 1);
			return true;
		}
	}
	_exit(0);
}

/* Whatever keeps the page from being seen, users and counters work. */
static bool counts_unseen(void)
{
	struct mmun_stat *stat;
	int fd;

	CHECK(!mmun_stat_create("ucx", labels, 3, &stat) && stat);
	CHECK(!own_page() && !count_descriptors(&fd));
	mmun_stat_state(stat, true, "connected");
	mmun_stat_add(stat, 0, 1);
	mmun_stat_set(stat, 1, 2);
	CHECK(create("libfabric"));
	CHECK(!own_page() && !count_descriptors(&fd));
	return true;
}

static bool without_memfd(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_memfd_create, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { 4, filter };

	CHECK(!prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) &&
	      !prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program));
	CHECK(memfd_create("x", 0) < 0);
	return counts_unseen();
}

static bool limited(int resource, rlim_t value)
{
	struct rlimit limit, none;

	CHECK(!getrlimit(resource, &limit));
	none = limit;
	none.rlim_cur = value;
	CHECK(!setrlimit(resource, &none));
	/* Looking into /proc needs a descriptor. */
	if (resource == RLIMIT_NOFILE)
		CHECK(create("early"));
	CHECK(!setrlimit(resource, &limit));
	if (resource == RLIMIT_NOFILE)
		return counts_unseen();
	CHECK(!setrlimit(resource, &none));
	return counts_unseen();
}

static bool without_descriptors(void)
{
	return limited(RLIMIT_NOFILE, 3);
}

static bool without_file_sizes(void)
{
	return limited(RLIMIT_FSIZE, 0);
}

static bool turned_off(void)
{
	setenv(MMUN_STAT_ENV, "off", 1);
	return counts_unseen();
}

static bool fail_all(size_t size)
{
	return true;
}

static bool without_memory(void)
{
	struct mmun_stat *stat = (void *)1;

	mmun_alloc_fail = fail_all;
	CHECK(mmun_stat_create("ucx", labels, 3, &stat) == -ENOMEM && !stat);
	mmun_alloc_fail = NULL;
	CHECK(!mmun_stat_create("ucx", labels, 3, &stat) && stat && own_page());
	return true;
}

/* Everything is closed, and the number is another file's: neither matters. */
static bool descriptors_closed(void)
{
	struct mmun_stat *stat = create("ucx");
	int fd, other;

	CHECK(stat && count_descriptors(&fd) == 1);
	close(fd);
	other = open("/dev/null", O_RDONLY);
	CHECK(other == fd);
	mmun_stat_add(stat, 0, 3);
	mmun_stat_state(stat, true, "still");
	CHECK(create("libfabric") && own_page()->slots[0].values[0] == 3 &&
	      own_page()->slots[1].used);
	CHECK(fcntl(other, F_GETFD) >= 0 && read(other, &fd, 1) == 0);
	return true;
}

static bool streams_closed(void)
{
	int fd = -1, out = dup2(1, 100);
	bool alone, high;

	close(0);
	close(1);
	close(2);
	alone = create("ucx") && count_descriptors(&fd) == 1;
	high = fd > 2 && open("/dev/null", O_RDWR) == 0 && open("/dev/null", O_RDWR) == 1;
	dup2(out, 1);
	CHECK(alone && high);
	return true;
}

static bool exec_closes(void)
{
	CHECK(create("ucx"));
	/* Its status is 0 if something is found. */
	execlp("sh", "sh", "-c", "ls -l /proc/self/fd | grep -q mmunotify-stat; test $? = 1", NULL);
	return false;
}

/* A file of many pages. */

struct many {
	int fd;
	struct mmun_stat_file *file;
};

#define MANY_PAGES 3

static bool make_file(struct many *many, const char *name, unsigned int seals)
{
	size_t size = (MANY_PAGES + 1) * MMUN_STAT_PAGE_SIZE;
	char value[100];

	many->fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	CHECK(many->fd >= 0 && !ftruncate(many->fd, (off_t)size));
	many->file = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, many->fd, 0);
	CHECK(many->file != MAP_FAILED && !fcntl(many->fd, F_ADD_SEALS, seals));
	memcpy(many->file->magic, MMUN_STAT_FILE_MAGIC, 8);
	many->file->version = MMUN_STAT_VERSION;
	many->file->page_size = MMUN_STAT_PAGE_SIZE;
	many->file->nr_pages = MANY_PAGES;
	many->file->token = 12345678901234567890u;
	snprintf(value, sizeof(value), "/proc/%d/fd/%d:12345678901234567890", getpid(), many->fd);
	setenv(MMUN_STAT_ENV, value, 1);
	return true;
}

static const struct mmun_stat_page *page_at(const struct many *many, int i)
{
	return (const struct mmun_stat_page *)((const char *)many->file +
					       (i + 1) * MMUN_STAT_PAGE_SIZE);
}

static bool counts_by_pid(void)
{
	struct mmun_stat *stat = create("ucx");
	int fd;

	mmun_stat_add(stat, 0, (unsigned long)getpid());
	/* Its own descriptor, and the one that the test has. */
	CHECK(own_page() && count_descriptors(&fd) == 2);
	return true;
}

static bool own_after_all(void)
{
	const struct mmun_stat_page *page;

	CHECK(create("ucx"));
	page = own_page();
	/* It is not a part of the file: there is nothing behind it. */
	CHECK(page);
	return true;
}

static bool is_empty(const struct many *many)
{
	for (int i = 0; i < MANY_PAGES; i++)
		if (page_at(many, i)->magic[0])
			return false;
	return true;
}

static bool pages_of_one_file(void)
{
	struct many many;

	CHECK(make_file(&many, MMUN_STAT_NAME, SEALS));
	for (int i = 0; i < MANY_PAGES; i++) {
		CHECK(!in_child(counts_by_pid));
		CHECK(!memcmp(page_at(&many, i)->magic, MMUN_STAT_MAGIC, 8));
		CHECK(page_at(&many, i)->slots[0].values[0] == (uint64_t)page_at(&many, i)->pid);
	}
	/* There are no more, and those that asked for one are counted. */
	CHECK(!in_child(own_after_all) && !in_child(own_after_all));
	CHECK(many.file->claimed == MANY_PAGES + 2);
	/* A number that is too large leads neither out of the file nor back into it. */
	for (int shift = 50; shift < 64; shift++) {
		int pid = page_at(&many, 0)->pid;

		many.file->claimed = 1ul << shift;
		many.file->nr_pages = UINT64_MAX;
		CHECK(!in_child(own_after_all) && page_at(&many, 0)->pid == pid);
	}
	return true;
}

static bool refuses(const char *name, unsigned int seals, void (*spoil)(struct many *many))
{
	struct many many;

	CHECK(make_file(&many, name, seals));
	if (spoil)
		spoil(&many);
	CHECK(!in_child(own_after_all));
	CHECK(is_empty(&many) && !many.file->claimed);
	return true;
}

static void spoil_token(struct many *many)
{
	many->file->token++;
}

static void spoil_magic(struct many *many)
{
	many->file->magic[7] = 'x';
}

static void spoil_version(struct many *many)
{
	many->file->version++;
}

static void spoil_size(struct many *many)
{
	many->file->page_size *= 2;
}

static void spoil_path(struct many *many)
{
	static const char *const values[] = {
		"",
		"/",
		":",
		"/proc/",
		"/proc/self/fd/3:1",
		"/proc/1/fd/",
		"/proc/1/fd/0",
		"/proc/1/fd/0:",
		"/proc/1/fd/0:1x",
		"/proc/99999999999999999999/fd/3:1",
		"/dev/null:1",
		"/proc/1/fd/000000000000000000000000000000000000000000000000000:1",
	};

	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		setenv(MMUN_STAT_ENV, values[i], 1);
		if (in_child(own_after_all))
			many->file->claimed = 1;
	}
}

static bool foreign_files(void)
{
	CHECK(refuses("something-else", SEALS, NULL));
	CHECK(refuses(MMUN_STAT_NAME, 0, NULL));
	CHECK(refuses(MMUN_STAT_NAME, F_SEAL_GROW | F_SEAL_SEAL, NULL));
	CHECK(refuses(MMUN_STAT_NAME, SEALS, spoil_token));
	CHECK(refuses(MMUN_STAT_NAME, SEALS, spoil_magic));
	CHECK(refuses(MMUN_STAT_NAME, SEALS, spoil_version));
	CHECK(refuses(MMUN_STAT_NAME, SEALS, spoil_size));
	CHECK(refuses(MMUN_STAT_NAME, SEALS, spoil_path));
	return true;
}

static const struct {
	const char *name;
	bool (*run)(void);
} scenes[] = {
	{ "a process has a page, sealed, described and closed by exec", page_of_process },
	{ "wrong names and counters are refused or cut", misuse },
	{ "fifteen users of one name, and no more", many_users },
	{ "threads create users and count", threads },
	{ "a child of fork() counts into a page of its own", fork_of_libc },
	{ "so does one of the system call", fork_of_kernel },
	{ "who shares the memory shares the page", shared_memory },
	{ "three generations", generations },
	{ "memfd_create() forbidden: it counts unseen", without_memfd },
	{ "no descriptor left: it counts unseen", without_descriptors },
	{ "no file may grow: it counts unseen, and no signal comes", without_file_sizes },
	{ "MMUNOTIFY_STAT=off", turned_off },
	{ "no memory", without_memory },
	{ "the program closes the descriptor and has another there", descriptors_closed },
	{ "the standard streams are closed", streams_closed },
	{ "exec closes it", exec_closes },
	{ "pages of one file, until there are no more", pages_of_one_file },
	{ "a file that is not what the variable says is left alone", foreign_files },
};

int main(void)
{
	unsetenv(MMUN_STAT_ENV);
	for (size_t i = 0; i < sizeof(scenes) / sizeof(scenes[0]); i++) {
		if (THREAD_SANITIZED && scenes[i].run == shared_memory)
			skip(scenes[i].name, "ThreadSanitizer takes any clone for a fork");
		else
			ok(in_child(scenes[i].run) == 0, "%s", scenes[i].name);
	}
	return tap_done();
}
