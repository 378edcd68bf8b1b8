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

#include "page.h"
#include "sanitizer.h"
#include "scene.h"

/* Younger than the headers of some systems this builds on. */
#define NR_OPENAT2      437
#define ADVICE_COLLAPSE 25

#define HUGE_BYTES (2UL << 20)

/* Trials: what is done, to the file or memory that was prepared. */

struct trial {
	const char *name;
	/* False: cannot be tried here.  Watches a page. */
	bool (*prepare)(void);
	/* Below 0: it failed, with nothing changed. */
	long (*act)(void);
};

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

	/* Not "/", which is no mount where it was changed by chroot(). */
	if (unshare(CLONE_NEWNS) || mount(NULL, "/proc", NULL, MS_PRIVATE, NULL) ||
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
	alarm(60);
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
	scene("end of a process", process_end);
	clean_up();
	return tap_done();
}
