/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Real processes that follow orders in shared memory.
 *
 * Each simulated process is one real process; fork forks it.  A helper owns
 * nothing in the arena but what the steps map there; everything of its own was
 * mapped before.  It reports its layout as the kernel reports it (PROCMAP_QUERY)
 * and its contents by reading, with the signals caught.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/types.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "diff.h"
#include "maps_query.h"

enum { IDLE, ASKED, ANSWERED };

struct channel {
	uint32_t state; /* futex */
	pid_t pid;
	bool alive, only_look;
	struct op op;
	struct view view;
};

struct kernel_side {
	/* The one that asks, and its only child: the others are children of helpers. */
	pid_t owner, first;
	int fd[FILES];
	ino_t inode[FILES];
	struct channel channel[PROCESSES];
};

/* In a helper. */
static struct kernel_side *shared;
static unsigned int me;
static int maps_fd = -1;
static sigjmp_buf landing;
static struct fault caught;

static void futex_wait(uint32_t *word, uint32_t value, const struct timespec *limit)
{
	syscall(SYS_futex, word, FUTEX_WAIT, value, limit);
}

static void change_state(struct channel *channel, uint32_t state)
{
	__atomic_store_n(&channel->state, state, __ATOMIC_RELEASE);
	syscall(SYS_futex, &channel->state, FUTEX_WAKE, 1);
}

static void on_fault(int signal, siginfo_t *info, void *context)
{
	(void)context;
	caught = (struct fault){ signal, info->si_code, (uintptr_t)info->si_addr };
	siglongjmp(landing, 1);
}

static void catch_faults(void)
{
	struct sigaction action = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_NODEFER };

	sigaction(SIGSEGV, &action, NULL);
	sigaction(SIGBUS, &action, NULL);
	sigaction(SIGILL, &action, NULL);
}

static uint64_t *slot_at(uint32_t page, unsigned int slot)
{
	return (uint64_t *)(ARENA + page * PAGE + slot_offset[slot]);
}

enum access { LOAD, STORE, CALL };

static void touch(uint64_t *word, enum access access, uint64_t *value, struct fault *fault)
{
	caught = (struct fault){ 0 };
	if (!sigsetjmp(landing, 0)) {
		if (access == LOAD)
			*value = *(volatile uint64_t *)word;
		else if (access == STORE)
			*(volatile uint64_t *)word = *value;
		else
			((void (*)(void))(void *)word)();
	}
	*fault = caught;
}

static void look(struct view *view)
{
	for (uint32_t i = 0; i < view->nr_looks; i++) {
		struct look *look = &view->looks[i];
		struct fault fault = { 0 };

		memset(look->value, 0, sizeof(look->value));
		for (unsigned int slot = 0; slot < SLOTS && !fault.signal; slot++)
			touch(slot_at(look->page, slot), LOAD, &look->value[slot], &fault);
		look->signal = fault.signal;
		look->code = fault.code;
		if (fault.signal)
			memset(look->value, 0, sizeof(look->value));
	}
}

static int file_of(const struct mmun_maps_query *query)
{
	for (int i = 0; i < FILES; i++)
		if (query->inode == shared->inode[i])
			return i;
	return -1;
}

static void survey(struct view *view)
{
	const uint64_t end = ARENA + ARENA_PAGES * PAGE;
	struct mmun_maps_query query;

	view->nr_areas = 0;
	for (uint64_t at = ARENA; at < end && view->nr_areas < MAX_AREAS; at = query.end) {
		struct area *area = &view->areas[view->nr_areas];

		memset(&query, 0, sizeof(query));
		query.size = sizeof(query);
		query.flags = MMUN_MAPS_COVERING_OR_NEXT;
		query.address = at;
		if (ioctl(maps_fd, MMUN_MAPS_QUERY, &query) || query.start >= end)
			return;
		*area = (struct area){
			.start = query.start,
			.end = query.end,
			.prot = (query.vma_flags & MMUN_MAPS_READ ? PROT_READ : 0) |
				(query.vma_flags & MMUN_MAPS_WRITE ? PROT_WRITE : 0) |
				(query.vma_flags & MMUN_MAPS_EXEC ? PROT_EXEC : 0) |
				(query.vma_flags & MMUN_MAPS_SHARED ? AREA_SHARED : 0),
			.file = file_of(&query),
		};
		area->offset = area->file >= 0 ? query.offset : 0;
		view->nr_areas++;
	}
}

static long outcome(long ret)
{
	return ret < 0 ? -errno : ret;
}

static long mapped_at(void *address, size_t length)
{
	uint64_t at = (uintptr_t)address;

	if (address == MAP_FAILED)
		return -errno;
	if (at >= ARENA && at < ARENA + ARENA_PAGES * PAGE)
		return (long)((at - ARENA) / PAGE);
	munmap(address, length);
	return ELSEWHERE;
}

static void *address_of(uint32_t page)
{
	return (void *)(ARENA + page * PAGE);
}

static void do_map(const struct op *op, struct view *view)
{
	size_t length = op->pages * PAGE;

	view->result = mapped_at(mmap(address_of(op->page), length, (int)op->prot, (int)op->flags,
				      op->file < 0 ? -1 : shared->fd[op->file],
				      op->file < 0 ? 0 : (off_t)(op->to * PAGE)),
				 length);
}

static void do_remap(const struct op *op, struct view *view)
{
	view->result = mapped_at(mremap(address_of(op->page), op->pages * PAGE, op->to_pages * PAGE,
					(int)op->flags, address_of(op->to)),
				 op->to_pages * PAGE);
}

/* What a process has for itself: also in a child of fork, which has the same contents. */
static void become(unsigned int process)
{
	me = process;
	if (maps_fd >= 0)
		close(maps_fd);
	maps_fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
	if (with_events && !events_begin())
		_exit(1);
}

static void do_fork(const struct op *op, struct view *view)
{
	struct channel *child = &shared->channel[op->to];
	pid_t pid;

	child->state = IDLE;
	pid = fork();
	if (!pid) {
		become(op->to);
		return;
	}
	child->alive = pid > 0;
	child->pid = pid;
	view->result = pid > 0 ? 0 : -errno;
}

static off_t byte_of(const struct op *op)
{
	return (off_t)(op->page * PAGE + op->to);
}

static void do_file(const struct op *op, struct view *view)
{
	int fd = shared->fd[op->file];

	switch ((enum kind)op->kind) {
	case OP_TRUNCATE:
		view->result = outcome(ftruncate(fd, byte_of(op)));
		break;
	case OP_PUNCH:
		view->result = outcome(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
						 byte_of(op), (off_t)(op->pages * PAGE)));
		break;
	case OP_PWRITE:
		view->result = outcome(pwrite(fd, &op->value, 8, byte_of(op)));
		break;
	case OP_PREAD:
		view->result = outcome(pread(fd, &view->value, 8, byte_of(op)));
		break;
	default:
		view->result = outcome(fsync(fd));
	}
}

static void clear_outcome(struct view *view)
{
	view->result = 0;
	view->value = 0;
	view->fault = (struct fault){ 0 };
}

static void perform(const struct op *op, struct view *view)
{
	void *address = address_of(op->page);
	size_t length = op->pages * PAGE;

	clear_outcome(view);
	switch ((enum kind)op->kind) {
	case OP_MMAP:
		do_map(op, view);
		break;
	case OP_MUNMAP:
		view->result = outcome(munmap(address, length));
		break;
	case OP_MPROTECT:
		view->result = outcome(mprotect(address, length, (int)op->prot));
		break;
	case OP_MREMAP:
		do_remap(op, view);
		break;
	case OP_MADVISE:
		view->result = outcome(madvise(address, length, (int)op->flags));
		break;
	case OP_WRITE:
		view->value = op->value;
		touch(slot_at(op->page, op->to), STORE, &view->value, &view->fault);
		view->value = 0;
		break;
	case OP_READ:
		touch(slot_at(op->page, op->to), LOAD, &view->value, &view->fault);
		break;
	case OP_FETCH:
		touch(slot_at(op->page, 0), CALL, &view->value, &view->fault);
		break;
	case OP_FORK:
		do_fork(op, view);
		break;
	case OP_TRUNCATE:
	case OP_PUNCH:
	case OP_PWRITE:
	case OP_PREAD:
	case OP_FSYNC:
		do_file(op, view);
		break;
	case OP_MSYNC:
		view->result = outcome(msync(address, length, (int)op->flags));
		break;
	case OP_MLOCK:
		view->result = outcome(mlock(address, length));
		break;
	case OP_MUNLOCK:
		view->result = outcome(munlock(address, length));
		break;
	default:
		break;
	}
}

/* Nobody left who could ask: end. */
static void wait_for_question(struct channel *channel)
{
	const struct timespec limit = { 5, 0 };
	uint32_t state;

	while ((state = __atomic_load_n(&channel->state, __ATOMIC_ACQUIRE)) != ASKED) {
		futex_wait(&channel->state, state, &limit);
		if (kill(shared->owner, 0))
			_exit(1);
	}
}

static void serve(void)
{
	for (;;) {
		struct channel *channel = &shared->channel[me];

		wait_for_question(channel);
		if (!channel->only_look && channel->op.kind == OP_EXIT) {
			channel->alive = false;
			clear_outcome(&channel->view);
			change_state(channel, ANSWERED);
			_exit(0);
		}
		if (!channel->only_look) {
			unsigned int before = me;

			events_take(&channel->view);
			perform(&channel->op, &channel->view);
			if (me != before)
				continue;
			events_take(&channel->view);
		}
		survey(&channel->view);
		look(&channel->view);
		change_state(channel, ANSWERED);
	}
}

static void helper_main(void)
{
	signal(SIGCHLD, SIG_IGN);
	/* When the kernel takes a huge page is its own affair, and shows in its ranges. */
	if (with_events)
		prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
	become(0);
	catch_faults();
	serve();
}

static int open_file(bool shmem)
{
	char path[] = "/var/tmp/mmunotify-diff-XXXXXX";
	int fd = shmem ? memfd_create("diff", MFD_CLOEXEC) : mkstemp(path);

	if (fd >= 0 && !shmem)
		unlink(path);
	return fd;
}

/* Mappings show the inode's number, which two file systems may both have given. */
static bool is_known(const struct kernel_side *side, int files, ino_t inode)
{
	for (int i = 0; i < files; i++)
		if (side->inode[i] == inode)
			return true;
	return false;
}

static bool open_files(struct kernel_side *side)
{
	for (int i = 0; i < FILES; i++) {
		int in_the_way = -1;
		struct stat status;

		do {
			/* The number stays taken while we ask for another. */
			side->fd[i] = open_file(i < SHMEM_FILES);
			close(in_the_way);
			in_the_way = -1;
			if (side->fd[i] < 0 || fstat(side->fd[i], &status) ||
			    ftruncate(side->fd[i], FILE_PAGES / 2 * PAGE))
				return false;
			if (is_known(side, i, status.st_ino))
				in_the_way = side->fd[i];
		} while (in_the_way >= 0);
		side->inode[i] = status.st_ino;
	}
	return true;
}

struct kernel_side *kernel_begin(void)
{
	struct kernel_side *side = mmap(NULL, sizeof(*side), PROT_READ | PROT_WRITE,
					MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t pid;

	if (side == MAP_FAILED || !open_files(side))
		return NULL;
	shared = side;
	side->owner = getpid();
	fflush(NULL);
	pid = fork();
	if (!pid)
		helper_main();
	side->first = pid;
	side->channel[0].pid = pid;
	side->channel[0].alive = pid > 0;
	return pid > 0 ? side : NULL;
}

void kernel_end(struct kernel_side *side)
{
	for (int i = 0; i < PROCESSES; i++)
		if (side->channel[i].alive)
			kill(side->channel[i].pid, SIGKILL);
	waitpid(side->first, NULL, 0);
	for (int i = 0; i < FILES; i++)
		close(side->fd[i]);
	munmap(side, sizeof(*side));
}

static bool ask(struct channel *channel, struct view *view)
{
	const struct timespec limit = { 10, 0 };

	channel->view.nr_looks = view->nr_looks;
	for (uint32_t i = 0; i < view->nr_looks; i++)
		channel->view.looks[i].page = view->looks[i].page;
	change_state(channel, ASKED);
	while (__atomic_load_n(&channel->state, __ATOMIC_ACQUIRE) != ANSWERED) {
		if (syscall(SYS_futex, &channel->state, FUTEX_WAIT, ASKED, &limit) &&
		    errno == ETIMEDOUT)
			return false;
	}
	memcpy(view, &channel->view, offsetof(struct view, areas));
	memcpy(view->areas, channel->view.areas, view->nr_areas * sizeof(view->areas[0]));
	memcpy(view->looks, channel->view.looks, view->nr_looks * sizeof(view->looks[0]));
	memcpy(view->ranges, channel->view.ranges, view->nr_ranges * sizeof(view->ranges[0]));
	return true;
}

/* Until its address space is gone: a process that shared pages with it owns them alone then. */
static bool ask_to_exit(struct channel *channel, struct view *view)
{
	int fd = (int)syscall(SYS_pidfd_open, channel->pid, 0);
	struct pollfd gone = { .fd = fd, .events = POLLIN };
	bool answered = ask(channel, view) && poll(&gone, 1, 10000) == 1;

	close(fd);
	return answered;
}

bool kernel_step(struct kernel_side *side, const struct op *op, struct view *view)
{
	struct channel *channel = &side->channel[op->process];

	channel->op = *op;
	channel->only_look = false;
	return op->kind == OP_EXIT ? ask_to_exit(channel, view) : ask(channel, view);
}

bool kernel_look(struct kernel_side *side, unsigned int process, struct view *view)
{
	side->channel[process].only_look = true;
	return ask(&side->channel[process], view);
}
