/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Contract: a doubt widens what is notified, it never narrows it.
 *
 * To say which memory a call changes the source asks the kernel: what a descriptor or
 * a name means, what is mapped where, whose process a pidfd is.  Here none of that can
 * be asked: there is no free descriptor, no /proc, a seccomp filter answers with an
 * error (any one), the process's first thread is gone.  Each call that succeeds all the
 * same must have been notified for the page that it took away.  Then sizes, numbers
 * and files that are not what they seem.  Each trial runs in a child of its own.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>

#include <mmunotify/mmu_notifier.h>
#include <mmunotify/self.h>

#include "operations.h"
#include "sanitizer.h"
#include "scene.h"

/* Younger than the headers of some systems this builds on. */
#define NR_OPENAT2      437
#define ADVICE_COLLAPSE 25

#define RW         (PROT_READ | PROT_WRITE)
#define HUGE_BYTES (2UL << 20)

/* The page that a call takes away, and the sections that acted on it. */
static struct {
	volatile unsigned long from, to;
	volatile unsigned int starts, acted;
	void (*edge)(void);
} page;

static int on_start(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	void (*edge)(void) = page.edge;

	if (range->start <= page.from && page.to <= range->end)
		page.starts++;
	page.edge = NULL;
	if (edge)
		edge();
	return 0;
}

static void on_end(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	if (range->start <= page.from && page.to <= range->end &&
	    !(range->flags & MMUN_RANGE_UNCHANGED))
		page.acted++;
}

static const struct mmu_notifier_ops ops = {
	.invalidate_range_start = on_start,
	.invalidate_range_end = on_end,
};
static struct mmu_notifier mn = { .ops = &ops };

static void watch_page(const void *at)
{
	page.from = (unsigned long)at;
	page.to = page.from + PAGE_BYTES;
	page.starts = page.acted = 0;
}

static bool was_notified(void)
{
	return page.starts && page.acted;
}

/* Trials: what is done, to the file or memory that was prepared. */

static struct {
	char *at, *other;
	int fd, pidfd;
	char path[64];
} t;

struct trial {
	const char *name;
	/* False: cannot be tried here.  Watches a page. */
	bool (*prepare)(void);
	/* Below 0: it failed, with nothing changed. */
	long (*act)(void);
};

static char *map_file(void)
{
	char *at = mmap(NULL, 4 * PAGE_BYTES, RW, MAP_SHARED, t.fd, 0);

	if (at != MAP_FAILED)
		memset(at, 7, 4 * PAGE_BYTES);
	return at;
}

static bool file(void)
{
	strcpy(t.path, REGION_FILE "XXXXXX");
	t.fd = mkstemp(t.path);
	if (t.fd < 0 || ftruncate(t.fd, 4 * PAGE_BYTES))
		return false;
	t.at = map_file();
	watch_page(t.at + 2 * PAGE_BYTES);
	return t.at != MAP_FAILED;
}

static bool file_twice(void)
{
	if (!file())
		return false;
	t.other = map_file();
	watch_page(t.other + 2 * PAGE_BYTES);
	return t.other != MAP_FAILED;
}

static bool memory(void)
{
	t.at = mmap(NULL, 4 * PAGE_BYTES, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	memset(t.at, 7, 4 * PAGE_BYTES);
	watch_page(t.at + 2 * PAGE_BYTES);
	return true;
}

static bool own_pidfd(void)
{
	t.pidfd = (int)syscall(SYS_pidfd_open, getpid(), 0);
	return t.pidfd >= 0;
}

static bool memory_and_pidfd(void)
{
	return memory() && own_pidfd();
}

static bool file_twice_and_pidfd(void)
{
	return file_twice() && own_pidfd();
}

static bool segment(void)
{
	int id = shmget(IPC_PRIVATE, 4 * PAGE_BYTES, IPC_CREAT | 0600);

	t.at = shmat(id, NULL, 0);
	shmctl(id, IPC_RMID, NULL);
	if (t.at == (void *)-1)
		return false;
	watch_page(t.at + 2 * PAGE_BYTES);
	return true;
}

static bool memory_and_segment(void)
{
	t.fd = shmget(IPC_PRIVATE, 4 * PAGE_BYTES, IPC_CREAT | 0600);
	t.other = shmat(t.fd, NULL, 0);
	shmctl(t.fd, IPC_RMID, NULL);
	return t.other != (void *)-1 && memory();
}

static long advise_self(void)
{
	struct iovec piece = { t.at + PAGE_BYTES, 2 * PAGE_BYTES };

	return syscall(SYS_process_madvise, t.pidfd, &piece, 1UL, MADV_DONTNEED, 0);
}

static long punch_self(void)
{
	struct iovec piece = { t.at + PAGE_BYTES, 2 * PAGE_BYTES };

	return syscall(SYS_process_madvise, t.pidfd, &piece, 1UL, MADV_REMOVE, 0);
}

static long punch_memory(void)
{
	return madvise(t.at + PAGE_BYTES, 2 * PAGE_BYTES, MADV_REMOVE);
}

static long cut(void)
{
	return ftruncate(t.fd, PAGE_BYTES);
}

static long cut_by_name(void)
{
	return truncate(t.path, PAGE_BYTES);
}

static long punch(void)
{
	return fallocate(t.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 2 * PAGE_BYTES,
			 PAGE_BYTES);
}

/* xfs's way, which Linux has for every file system that can punch. */
static long punch_by_ioctl(void)
{
	struct {
		short type, whence;
		long start, length;
		int system;
		unsigned int pid;
		int spare[4];
	} space = { .start = 2 * PAGE_BYTES, .length = PAGE_BYTES };

	return ioctl(t.fd, _IOW('X', 43, space), &space);
}

static long open_short(void)
{
	return open(t.path, O_RDWR | O_TRUNC);
}

static long open_short_by_old_call(void)
{
	return syscall(SYS_open, t.path, O_RDWR | O_TRUNC);
}

static long create_short(void)
{
	return syscall(SYS_creat, t.path, 0600);
}

static long open_short_by_openat2(void)
{
	struct {
		unsigned long flags, mode, resolve;
	} how = { O_RDWR | O_TRUNC, 0, 0 };

	return syscall(NR_OPENAT2, AT_FDCWD, t.path, &how, sizeof(how));
}

static long open_short_in_root(void)
{
	struct {
		unsigned long flags, mode, resolve;
	} how = { O_RDWR | O_TRUNC, 0, 0x10 };

	return syscall(NR_OPENAT2, AT_FDCWD, t.path, &how, sizeof(how));
}

static struct {
	struct file_handle handle;
	unsigned char room[MAX_HANDLE_SZ];
} handle;
static int mount_fd;

static bool file_with_handle(void)
{
	int id;

	handle.handle.handle_bytes = MAX_HANDLE_SZ;
	mount_fd = open(".", O_RDONLY);
	return file() && !name_to_handle_at(AT_FDCWD, t.path, &handle.handle, &id, 0);
}

static long open_short_by_handle(void)
{
	return open_by_handle_at(mount_fd, &handle.handle, O_RDWR | O_TRUNC);
}

static long detach(void)
{
	return shmdt(t.at);
}

static long attach_over(void)
{
	return shmat(t.fd, t.at, SHM_REMAP) == (void *)-1 ? -1 : 0;
}

static long shrink(void)
{
	return mremap(t.at, 4 * PAGE_BYTES, PAGE_BYTES, 0) == MAP_FAILED ? -1 : 0;
}

static const struct trial trials[] = {
	{ "process_madvise", memory_and_pidfd, advise_self },
	{ "process_madvise REMOVE, another mapping", file_twice_and_pidfd, punch_self },
	{ "madvise REMOVE, another mapping", file_twice, punch_memory },
	{ "ftruncate", file, cut },
	{ "truncate", file, cut_by_name },
	{ "fallocate", file, punch },
	{ "ioctl FS_IOC_UNRESVSP64", file, punch_by_ioctl },
	{ "openat O_TRUNC", file, open_short },
	{ "open O_TRUNC", file, open_short_by_old_call },
	{ "creat", file, create_short },
	{ "openat2 O_TRUNC", file, open_short_by_openat2 },
	{ "openat2 O_TRUNC, in root", file, open_short_in_root },
	{ "open_by_handle_at O_TRUNC", file_with_handle, open_short_by_handle },
	{ "shmdt", segment, detach },
	{ "shmat", memory_and_segment, attach_over },
	{ "mremap", memory, shrink },
};
#define NR_TRIALS (sizeof(trials) / sizeof(trials[0]))

/* Doubts. */

static bool none(void)
{
	return true;
}

/* The calls that make a descriptor themselves fail then, but for creat's like. */
static bool no_descriptor(void)
{
	struct rlimit few = { 64, 64 };

	setrlimit(RLIMIT_NOFILE, &few);
	while (dup(0) >= 0)
		;
	return errno == EMFILE;
}

/* Names go on to work: the current directory is the old one. */
static bool no_proc(void)
{
	char root[] = REGION_FILE "root-XXXXXX";

	if (!mkdtemp(root) || chroot(root))
		return false;
	rmdir(root);
	return access("/proc", F_OK) != 0;
}

/* Something stands at /proc that is not the kernel's. */
static bool false_proc(void)
{
	static const char line[] = "1000-2000 r--p 00000000 00:00 0\n";
	int fd;

	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("none", "/proc", "tmpfs", 0, NULL))
		return false;
	mkdir("/proc/self", 0700);
	mkdir("/proc/thread-self", 0700);
	fd = open("/proc/self/maps", O_CREAT | O_WRONLY, 0600);
	if (write(fd, line, sizeof(line) - 1) < 0 ||
	    link("/proc/self/maps", "/proc/thread-self/maps"))
		return false;
	close(fd);
	return true;
}

static int filtered_nr, filtered_error;

static bool filter(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned int)filtered_nr, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned int)filtered_error),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof(code) / sizeof(code[0]), code };

	return !prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) &&
	       !prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

enum { NOTIFIED, MISSED, FAILED, NOT_HERE };

static int try_here(const struct trial *trial, bool (*doubt)(void))
{
	alarm(30);
	if (!trial->prepare() || mmu_notifier_register(&mn, mmun_self()) || !doubt())
		return NOT_HERE;
	page.starts = page.acted = 0;
	if (trial->act() < 0)
		return FAILED;
	return was_notified() ? NOTIFIED : MISSED;
}

static const struct trial *threads_trial;

static void *try_without_first_thread(void *first)
{
	pthread_join(*(pthread_t *)first, NULL);
	_exit(try_here(threads_trial, none));
}

static void clean_up(void)
{
	/* The child's name for it. */
	if (system("rm -rf " REGION_FILE "??????"))
		diag("files are left behind");
}

/* Return: how it went in a child. */
static int try_trial(const struct trial *trial, bool (*doubt)(void))
{
	int status = -1;
	pid_t child;

	fflush(stdout);
	child = fork();
	if (!child && doubt)
		_exit(try_here(trial, doubt));
	if (!child) {
		static pthread_t first, second;

		first = pthread_self();
		threads_trial = trial;
		pthread_create(&second, NULL, try_without_first_thread, &first);
		pthread_exit(NULL);
	}
	waitpid(child, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* @doubt NULL: the first thread has ended. */
static void try_all(const char *name, bool (*doubt)(void))
{
	unsigned int notified = 0;

	for (size_t i = 0; i < NR_TRIALS; i++) {
		int how = try_trial(&trials[i], doubt);

		notified += how == NOTIFIED;
		if (how == NOT_HERE)
			skip(trials[i].name, "cannot be done here");
		else
			ok(how == NOTIFIED || how == FAILED, "%s: %s %s", name, trials[i].name,
			   how == FAILED ? "fails" : "is notified");
	}
	if (notified || geteuid() == 0)
		ok(notified > 0, "%s: %u calls succeeded", name, notified);
}

static void try_filters(void)
{
	static const struct {
		const char *name;
		int nr;
	} helpers[] = {
		{ "fstat", SYS_fstat },   { "fstatfs", SYS_fstatfs },
		{ "statfs", SYS_statfs }, { "newfstatat", SYS_newfstatat },
		{ "openat", SYS_openat }, { "ioctl", SYS_ioctl },
		{ "read", SYS_read },     { "readlink", SYS_readlink },
		{ "fcntl", SYS_fcntl },   { "process_vm_readv", SYS_process_vm_readv },
		{ "kcmp", SYS_kcmp },     { "getpid", SYS_getpid },
		{ "shmctl", SYS_shmctl }, { "close", SYS_close },
		{ "brk", SYS_brk },
	};
	static const int errors[] = { EPERM, ENOSYS, ENOENT, EBADF, EFAULT, EINVAL };

	for (size_t h = 0; h < sizeof(helpers) / sizeof(helpers[0]); h++) {
		unsigned int missed = 0, notified = 0;

		filtered_nr = helpers[h].nr;
		for (size_t e = 0; e < sizeof(errors) / sizeof(errors[0]); e++) {
			filtered_error = errors[e];
			for (size_t i = 0; i < NR_TRIALS; i++) {
				int how = try_trial(&trials[i], filter);

				notified += how == NOTIFIED;
				missed += how == MISSED || how < 0;
				if (how == MISSED || how < 0)
					diag("%s: %s with %s answering %s",
					     how < 0 ? "died" : "missed", trials[i].name,
					     helpers[h].name, strerror(errors[e]));
			}
		}
		ok(!missed && notified, "%s answered with an error: %u calls notified",
		   helpers[h].name, notified);
	}
}

/* Sizes that are the kernel's. */

static bool register_now(void)
{
	return mmu_notifier_register(&mn, mmun_self()) == 0;
}

static char *huge_pages(char *at, size_t size)
{
	char *got =
		mmap(at, size, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | MAP_FIXED, -1, 0);

	if (got != MAP_FAILED)
		memset(got, 7, size);
	return got;
}

static void segment_of_huge_pages(void)
{
	int id = shmget(IPC_PRIVATE, PAGE_BYTES, IPC_CREAT | 0600 | SHM_HUGETLB);
	char *at = region_room(HUGE_BYTES, HUGE_BYTES);

	if (id < 0) {
		check(true, "no huge page is free");
		return;
	}
	mmap(at, HUGE_BYTES, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	memset(at, 5, HUGE_BYTES);
	watch_page(at + HUGE_BYTES / 2);
	check(register_now(), "a segment of one page, made of huge ones");
	check(shmat(id, at, SHM_REMAP) == at, "is attached over memory");
	check(at[HUGE_BYTES / 2] == 0, "and replaces a whole huge page of it");
	shmctl(id, IPC_RMID, NULL);
	check(was_notified(), "which is notified");
}

static void odd_mremap_of_huge_pages(void)
{
	char *at = region_room(2 * HUGE_BYTES, HUGE_BYTES), byte;

	if (huge_pages(at, 2 * HUGE_BYTES) != at) {
		check(true, "no huge page is free");
		return;
	}
	watch_page(at + HUGE_BYTES + HUGE_BYTES / 2);
	check(register_now(), "two huge pages are watched at the end");
	check(mremap(at, HUGE_BYTES + PAGE_BYTES, PAGE_BYTES, 0) == at,
	      "a page more than one of them is shrunk to a page");
	check(!memory_peek(page.from, &byte, 1), "the second one is gone");
	check(was_notified(), "which is notified");
}

static void odd_mremap_onto_memory(void)
{
	char *from = region_room(HUGE_BYTES, HUGE_BYTES);
	char *to = region_room(HUGE_BYTES, HUGE_BYTES);

	if (huge_pages(from, HUGE_BYTES) != from) {
		check(true, "no huge page is free");
		return;
	}
	mmap(to, HUGE_BYTES, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	memset(to, 5, HUGE_BYTES);
	watch_page(to + HUGE_BYTES / 2);
	check(register_now(), "a huge page and small ones");
	check(mremap(from, PAGE_BYTES, PAGE_BYTES, MREMAP_MAYMOVE | MREMAP_FIXED, to) == to,
	      "a page of it is moved over them");
	check(to[HUGE_BYTES / 2] == 7, "that is, all of it");
	check(was_notified(), "which is notified");
}

static void file_of_huge_pages(void)
{
	char *at = region_room(HUGE_BYTES, HUGE_BYTES);
	int fd = memfd_create("doubts", MFD_HUGETLB);

	mmap(at, HUGE_BYTES, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	memset(at, 5, HUGE_BYTES);
	watch_page(at + HUGE_BYTES / 2);
	if (fd < 0 || ftruncate(fd, HUGE_BYTES) ||
	    mmap(NULL, HUGE_BYTES, RW, MAP_SHARED, fd, 0) == MAP_FAILED) {
		check(true, "no huge page is free");
		return;
	}
	check(register_now(), "a file of huge pages");
	check(mmap(at, PAGE_BYTES, RW, MAP_SHARED | MAP_FIXED, fd, 0) == at,
	      "a page of it is mapped over memory");
	check(at[HUGE_BYTES / 2] == 0, "and replaces a whole huge page of it");
	check(was_notified(), "which is notified");
}

/* Several files, and failures after something has changed. */

static char *two_files(char **other_of_first, char **other_of_second)
{
	char *at = region_room(8 * PAGE_BYTES, PAGE_BYTES);

	for (int i = 0; i < 2; i++) {
		char *place = at + i * 4 * PAGE_BYTES;

		t.fd = memfd_create("doubts", 0);
		if (ftruncate(t.fd, 4 * PAGE_BYTES) ||
		    mmap(place, 4 * PAGE_BYTES, RW, MAP_SHARED | MAP_FIXED, t.fd, 0) != place)
			return NULL;
		*(i ? other_of_second : other_of_first) = map_file();
	}
	return at;
}

static void removal_of_two_files(void)
{
	char *first, *second, *at = two_files(&first, &second);

	check(at && register_now(), "two files side by side, each mapped elsewhere too");
	watch_page(first + 2 * PAGE_BYTES);
	check(!madvise(at, 8 * PAGE_BYTES, MADV_REMOVE), "both are removed in one call");
	check(first[2 * PAGE_BYTES] == 0 && was_notified(), "the first is notified elsewhere");
	memset(at, 7, 8 * PAGE_BYTES);
	watch_page(second + 2 * PAGE_BYTES);
	check(!madvise(at, 8 * PAGE_BYTES, MADV_REMOVE), "and again");
	check(second[2 * PAGE_BYTES] == 0 && was_notified(), "the second is as well");
}

static void removal_that_fails_in_part(void)
{
	char *first, *second, *at = two_files(&first, &second);

	check(at &&
		      mmap(at + 4 * PAGE_BYTES, PAGE_BYTES, RW,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED &&
		      register_now(),
	      "a file, and behind it what is none");
	watch_page(first + 2 * PAGE_BYTES);
	check(madvise(at, 5 * PAGE_BYTES, MADV_REMOVE) == -1, "the removal of both fails");
	check(first[2 * PAGE_BYTES] == 0, "after it removed the first");
	check(was_notified(), "whose other mapping is notified, as a change");
}

static void collapse_that_fails_in_part(void)
{
	char *at = region_room(2 * HUGE_BYTES, HUGE_BYTES);
	unsigned long before;

	mmap(at, 2 * HUGE_BYTES, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	madvise(at, 2 * HUGE_BYTES, MADV_NOHUGEPAGE);
	memset(at, 1, HUGE_BYTES);
	madvise(at, 2 * HUGE_BYTES, MADV_HUGEPAGE);
	watch_page(at + 3 * PAGE_BYTES);
	pagemap_open();
	before = page_state(page.from, 0);
	check(register_now(), "half is there");
	if (madvise(at, 2 * HUGE_BYTES, ADVICE_COLLAPSE) == 0)
		check(true, "all of it collapses");
	check(page_state(page.from, 0) == before || was_notified(),
	      "a page that was collapsed is notified, as a change");
}

/* A name that means another file by the time of the call. */

static char second_path[64];

static void rename_over(void)
{
	rename(second_path, t.path);
}

static void renamed_under_way(void)
{
	check(file(), "a file");
	strcpy(second_path, t.path);
	check(file(), "and another one");
	watch_page(NULL);
	check(register_now(), "are mapped");
	/* The first one's mapping is the one that is lost. */
	t.other = mmap(NULL, 4 * PAGE_BYTES, PROT_READ, MAP_SHARED, open(second_path, O_RDONLY), 0);
	watch_page(t.other + 2 * PAGE_BYTES);
	page.edge = rename_over;
	check(open(t.path, O_RDWR | O_TRUNC) >= 0, "the name is opened and means the other one");
	check(was_notified(), "which is notified");
}

/* A real overlay, where numbers of files are made up. */

static bool make_overlay(void)
{
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("none", "/tmp", "tmpfs", 0, NULL) || chdir("/tmp"))
		return false;
	mkdir("low", 0700);
	mkdir("up", 0700);
	mkdir("work", 0700);
	mkdir("merged", 0700);
	close(open("low/file", O_CREAT | O_WRONLY, 0600));
	return !mount("overlay", "merged", "overlay", 0, "lowerdir=low,upperdir=up,workdir=work");
}

static void overlay(void)
{
	int writer;

	if (!make_overlay()) {
		check(true, "no overlay can be mounted here");
		return;
	}
	strcpy(t.path, "merged/file");
	t.fd = open(t.path, O_RDWR);
	check(t.fd >= 0 && !ftruncate(t.fd, 4 * PAGE_BYTES) && register_now(),
	      "a file from the lower layer");
	t.at = map_file();
	writer = open(t.path, O_WRONLY);
	watch_page(t.at + 2 * PAGE_BYTES);
	check(!ftruncate(writer, PAGE_BYTES) && was_notified(), "ftruncate is notified");
	check(!ftruncate(writer, 4 * PAGE_BYTES), "it grows again");
	watch_page(t.at + 2 * PAGE_BYTES);
	check(!truncate(t.path, PAGE_BYTES) && was_notified(), "truncate is notified");
	check(!ftruncate(writer, 4 * PAGE_BYTES), "it grows again");
	watch_page(t.at + 2 * PAGE_BYTES);
	check(open(t.path, O_RDWR | O_TRUNC) >= 0 && was_notified(), "O_TRUNC is notified");
}

/* The end of a process asks nothing: there would be nobody left to act on the answer. */

static int release_calls;

static void on_release(struct mmu_notifier *notifier, struct mm_struct *mm)
{
	release_calls++;
}

static const struct mmu_notifier_ops release_ops = {
	.invalidate_range_start = on_start,
	.release = on_release,
};

/* The kernel itself reports each call that follows a mark. */
static void end_under_trace(void)
{
	static struct mmu_notifier notifier = { .ops = &release_ops };

	if (mmu_notifier_register(&notifier, mmun_self()) || ptrace(PTRACE_TRACEME, 0, NULL, NULL))
		_exit(99);
	raise(SIGSTOP);
	syscall(SYS_getppid);
	_exit(release_calls);
}

static bool is_question(long nr)
{
	static const long questions[] = {
		SYS_open,       SYS_openat,
		SYS_read,       SYS_close,
		SYS_ioctl,      SYS_fstat,
		SYS_newfstatat, SYS_stat,
		SYS_fstatfs,    SYS_statfs,
		SYS_readlink,   SYS_fcntl,
		SYS_kcmp,       SYS_process_vm_readv,
		SYS_shmctl,     SYS_brk,
		SYS_faccessat2,
	};

	for (size_t i = 0; i < sizeof(questions) / sizeof(questions[0]); i++)
		if (questions[i] == nr)
			return true;
	return false;
}

static void process_end(void)
{
	struct user_regs_struct regs;
	int status, questions = 0, calls = 0;
	bool marked = false, ended = false;
	pid_t child = fork();

	if (!child)
		end_under_trace();
	waitpid(child, &status, 0);
	while (WIFSTOPPED(status) && !ptrace(PTRACE_SYSCALL, child, NULL, NULL)) {
		waitpid(child, &status, 0);
		if (!WIFSTOPPED(status) || ptrace(PTRACE_GETREGS, child, NULL, &regs))
			break;
		if (marked) {
			calls++;
			questions += is_question((long)regs.orig_rax);
			ended |= regs.orig_rax == SYS_exit_group;
		}
		marked |= regs.orig_rax == SYS_getppid;
	}
	check(ended && WIFEXITED(status), "the process ends under the eyes of its parent");
	check(questions == 0, "it asks nothing on its way (%d stops, %d questions)", calls,
	      questions);
}

/* Some hugetlb pages for the time of the test, where the machine reserves none. */
static void lend_huge_pages(const char *count, char *before, size_t size)
{
	int fd = open("/proc/sys/vm/nr_overcommit_hugepages", O_RDWR | O_CLOEXEC);
	ssize_t got = 0;

	if (fd < 0)
		return;
	if (before)
		got = read(fd, before, size - 1);
	if (before)
		before[got > 0 ? got : 0] = 0;
	if (pwrite(fd, count, strlen(count), 0) < 0)
		diag("no huge pages can be lent");
	close(fd);
}

static void try_huge_pages(void)
{
	char before[32] = "";

	lend_huge_pages("8", before, sizeof(before));
	scene("segment of huge pages", segment_of_huge_pages);
	scene("mremap of part of a huge page", odd_mremap_of_huge_pages);
	scene("mremap of part of a huge page onto memory", odd_mremap_onto_memory);
	scene("part of a file of huge pages", file_of_huge_pages);
	lend_huge_pages(before, NULL, 0);
}

int main(void)
{
	if (SANITIZED)
		skip_all("a sanitizer asks the kernel itself, and dies of no answer");
	try_all("no doubt", none);
	try_all("no descriptor left", no_descriptor);
	try_all("no /proc", no_proc);
	try_all("another /proc", false_proc);
	try_all("first thread gone", NULL);
	try_filters();
	scene("two files in one removal", removal_of_two_files);
	scene("removal that fails in part", removal_that_fails_in_part);
	scene("collapse that fails in part", collapse_that_fails_in_part);
	scene("renamed under way", renamed_under_way);
	scene("overlay", overlay);
	scene("end of a process", process_end);
	try_huge_pages();
	clean_up();
	return tap_done();
}
