/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Contract: how much of the program's stack a redirected call takes.
 *
 * Measured on a painted stack, from the caller's stack pointer down to the last byte
 * that changed, with nobody listening, with one notifier and with an interval notifier.
 * Then the stacks that are meant: a signal handler's with little left, and what happens
 * when the library has no stack of its own for what needs more.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <sys/auxv.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <ucontext.h>

#include <mmunotify/self.h>

#include "operations.h"
#include "sanitizer.h"
#include "scene.h"

#define STACK_BYTES 65536
#define PAINT       0xa5

static char painted[STACK_BYTES] __attribute__((aligned(64)));
static ucontext_t main_context, context;
static unsigned long starts;

static char *page, *room, *shared;
static int fd = -1, id = -1;
static volatile int answer;
static char path[] = REGION_FILE "XXXXXX";

static int count_start(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	__atomic_add_fetch(&starts, 1, __ATOMIC_RELAXED);
	return 0;
}

static void count_end(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
}

static const struct mmu_notifier_ops ops = { .invalidate_range_start = count_start,
					     .invalidate_range_end = count_end };
static struct mmu_notifier notifier = { .ops = &ops };

static bool invalidate(struct mmu_interval_notifier *sub, const struct mmu_notifier_range *range,
		       unsigned long seq)
{
	mmu_interval_set_seq(sub, seq);
	__atomic_add_fetch(&starts, 1, __ATOMIC_RELAXED);
	return true;
}

static const struct mmu_interval_notifier_ops interval_ops = { .invalidate = invalidate };
static struct mmu_interval_notifier interval;

static void call_munmap(void)
{
	munmap(page, PAGE_BYTES);
}
static void call_dontneed(void)
{
	madvise(page, PAGE_BYTES, MADV_DONTNEED);
}
static void call_mprotect(void)
{
	mprotect(page, PAGE_BYTES, PROT_READ);
}
static void call_bad_mprotect(void)
{
	mprotect(page, PAGE_BYTES, PROT_READ | 0x1000000);
}
static void call_mmap(void)
{
	mmap(room, PAGE_BYTES, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
}
static void call_mremap(void)
{
	mremap(room, 2 * PAGE_BYTES, PAGE_BYTES, 0);
}
static void call_bad_mremap(void)
{
	mremap(room, PAGE_BYTES, 1UL << 50, MREMAP_MAYMOVE);
}
static void call_brk(void)
{
	syscall(SYS_brk, syscall(SYS_brk, 0) - PAGE_BYTES);
}
static void call_remove(void)
{
	madvise(shared, PAGE_BYTES, MADV_REMOVE);
}
static void call_ftruncate(void)
{
	answer = ftruncate(fd, 0);
}
static void call_truncate(void)
{
	answer = truncate(path, 0);
}
static void call_fallocate(void)
{
	fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, PAGE_BYTES);
}
static void call_open(void)
{
	close(open(path, O_RDWR | O_TRUNC));
}
static void call_shmat(void)
{
	shmat(id, room, SHM_REMAP);
}
static void call_shmdt(void)
{
	shmdt(room);
}
static void call_fork(void)
{
	pid_t child = _Fork();

	if (!child)
		_exit(0);
	waitpid(child, NULL, 0);
}
static void call_exec(void)
{
	char *argv[] = { "nothing", NULL };

	execve("/no/such/program", argv, argv + 1);
}
static void call_process_madvise(void)
{
	struct iovec piece = { page, PAGE_BYTES };

	syscall(SYS_process_madvise, id, &piece, 1, MADV_PAGEOUT, 0);
}

/* Everything that the calls need, as it was before any of them. */
static void set_up(void)
{
	if (fd < 0)
		fd = mkstemp(path);
	if (page)
		munmap(page, PAGE_BYTES);
	page = mmap(page, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	room = mmap(room, 16 * PAGE_BYTES, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | (room ? MAP_FIXED : 0), -1, 0);
	if (ftruncate(fd, 4 * PAGE_BYTES))
		abort();
	if (!shared)
		shared = mmap(NULL, 4 * PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	memset(shared, 1, 4 * PAGE_BYTES);
}

static void clean_up(void)
{
	unlink(path);
}

static void set_up_segment(void)
{
	id = shmget(IPC_PRIVATE, 2 * PAGE_BYTES, IPC_CREAT | 0600);
}

static void set_up_attached(void)
{
	set_up_segment();
	shmat(id, room, SHM_REMAP);
	shmctl(id, IPC_RMID, NULL);
}

static void set_up_pidfd(void)
{
	id = (int)syscall(SYS_pidfd_open, getpid(), 0);
}

static void set_up_break(void)
{
	syscall(SYS_brk, syscall(SYS_brk, 0) + PAGE_BYTES);
}

#define LITTLE 1024
#define MORE   2048
/* What the search for intervals takes above that. */
#define SEARCH 768

static const struct subject {
	const char *name;
	void (*call)(void);
	long most;
	void (*prepare)(void);
	/* Changes nothing, or is nobody's business before it fails. */
	bool silent;
} subjects[] = {
	{ .name = "munmap", .call = call_munmap, .most = LITTLE },
	{ .name = "MADV_DONTNEED", .call = call_dontneed, .most = LITTLE },
	{ .name = "mprotect", .call = call_mprotect, .most = LITTLE },
	{ .name = "mprotect that fails", .call = call_bad_mprotect, .most = LITTLE },
	{ .name = "mmap(MAP_FIXED)", .call = call_mmap, .most = MORE },
	{ .name = "mremap", .call = call_mremap, .most = MORE },
	{ .name = "mremap that fails", .call = call_bad_mremap, .most = MORE },
	{ .name = "brk", .call = call_brk, .most = MORE, .prepare = set_up_break },
	{ .name = "MADV_REMOVE", .call = call_remove, .most = MORE },
	{ .name = "ftruncate", .call = call_ftruncate, .most = MORE },
	{ .name = "truncate", .call = call_truncate, .most = MORE },
	{ .name = "fallocate", .call = call_fallocate, .most = MORE },
	{ .name = "open(O_TRUNC)", .call = call_open, .most = MORE },
	{ .name = "shmat(SHM_REMAP)", .call = call_shmat, .most = MORE, .prepare = set_up_segment },
	{ .name = "shmdt", .call = call_shmdt, .most = MORE, .prepare = set_up_attached },
	{ .name = "process_madvise",
	  .call = call_process_madvise,
	  .most = MORE,
	  .prepare = set_up_pidfd },
	{ .name = "fork", .call = call_fork, .most = MORE },
	{ .name = "execve that fails", .call = call_exec, .most = MORE, .silent = true },
};
#define NR_SUBJECTS (sizeof(subjects) / sizeof(subjects[0]))

static long depth(const struct subject *subject)
{
	long untouched = 0;

	set_up();
	if (subject->prepare)
		subject->prepare();
	memset(painted, PAINT, sizeof(painted));
	getcontext(&context);
	context.uc_stack.ss_sp = painted;
	context.uc_stack.ss_size = sizeof(painted);
	context.uc_link = &main_context;
	makecontext(&context, subject->call, 0);
	__atomic_store_n(&starts, 0, __ATOMIC_RELAXED);
	swapcontext(&main_context, &context);
	while (untouched < STACK_BYTES && (unsigned char)painted[untouched] == PAINT)
		untouched++;
	return STACK_BYTES - untouched;
}

static long plain[NR_SUBJECTS];

static void measure_plain(void)
{
	for (size_t i = 0; i < NR_SUBJECTS; i++) {
		depth(&subjects[i]);
		plain[i] = depth(&subjects[i]);
	}
}

static void measure(const char *who, bool listening, long search)
{
	for (size_t i = 0; i < NR_SUBJECTS; i++) {
		const struct subject *subject = &subjects[i];
		long more;

		depth(subject);
		more = depth(subject) - plain[i];
		check(more > 0 || subject->silent, "%s, %s: was redirected", subject->name, who);
		check(more <= subject->most + search, "%s, %s: %ld bytes of at most %ld",
		      subject->name, who, more, subject->most + search);
		if (listening && !subject->silent)
			check(starts > 0, "%s, %s: was notified", subject->name, who);
	}
}

static void unheard(void)
{
	measure_plain();
	check(mmun_self_start() == 0, "starts");
	measure("nobody listening", false, 0);
	clean_up();
}

static void one_notifier(void)
{
	measure_plain();
	check(mmu_notifier_register(&notifier, mmun_self()) == 0, "registers");
	measure("one notifier", true, 0);
	clean_up();
}

static void one_interval(void)
{
	measure_plain();
	check(mmu_interval_notifier_insert(&interval, mmun_self(), 0, 1UL << 47, &interval_ops) ==
		      0,
	      "inserts");
	measure("an interval notifier", true, SEARCH);
	clean_up();
}

/* A handler that has little more than the kernel's own frame left. */

static void (*in_handler)(void);

static void handle(int sig)
{
	in_handler();
}

static void on_signal_stack(size_t left)
{
	size_t frame = getauxval(AT_MINSIGSTKSZ), size = (frame + left + 63) & ~63UL;
	size_t whole = (size + PAGE_BYTES - 1) & -PAGE_BYTES;
	char *at = mmap(NULL, PAGE_BYTES + whole, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct sigaction action = { .sa_handler = handle, .sa_flags = SA_ONSTACK };
	stack_t stack = { .ss_sp = at + PAGE_BYTES, .ss_size = size };

	mprotect(at, PAGE_BYTES, PROT_NONE);
	check(sigaltstack(&stack, NULL) == 0, "a signal stack of %zu bytes", size);
	sigaction(SIGUSR1, &action, NULL);
	for (size_t i = 0; i < NR_SUBJECTS; i++) {
		if (subjects[i].most > (long)left - 512)
			continue;
		set_up();
		if (subjects[i].prepare)
			subjects[i].prepare();
		in_handler = subjects[i].call;
		starts = 0;
		raise(SIGUSR1);
		check(starts > 0 || subjects[i].silent, "%s there is notified", subjects[i].name);
	}
	check(sigaltstack(NULL, &stack) == 0 && stack.ss_sp == at + PAGE_BYTES,
	      "the signal stack is what it was");
}

static void small_signal_stack(void)
{
	check(mmu_notifier_register(&notifier, mmun_self()) == 0, "registers");
	on_signal_stack(LITTLE + 512);
	on_signal_stack(MORE + 512);
	clean_up();
}

/* All stacks taken, and no memory for another one: callbacks in the middle of mremap()
 * hold the areas for vector registers. */

#define MANY 12

static struct {
	pthread_t threads[MANY];
	char *pages;
	int inside, leave;
	unsigned long whole;
} held;

static int hold_start(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	if (range->origin->op == MMUN_OP_MREMAP) {
		__atomic_add_fetch(&held.inside, 1, __ATOMIC_SEQ_CST);
		while (!__atomic_load_n(&held.leave, __ATOMIC_SEQ_CST))
			usleep(100);
	}
	if (range->origin->op == MMUN_OP_TRUNCATE)
		held.whole += range->start == 0 && range->end >= 1UL << 47;
	return 0;
}

static const struct mmu_notifier_ops holding = { .invalidate_range_start = hold_start };

static void *shrink(void *at)
{
	return mremap(at, 2 * PAGE_BYTES, PAGE_BYTES, 0);
}

static void start_holders(int count)
{
	held.pages = mmap(NULL, 2 * MANY * PAGE_BYTES, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (int i = 0; i < count; i++)
		pthread_create(&held.threads[i], NULL, shrink, held.pages + 2 * i * PAGE_BYTES);
	while (__atomic_load_n(&held.inside, __ATOMIC_SEQ_CST) < count)
		usleep(100);
}

static void join_holders(int count)
{
	int failed = 0;

	__atomic_store_n(&held.leave, 1, __ATOMIC_SEQ_CST);
	for (int i = 0; i < count; i++) {
		void *result = MAP_FAILED;

		pthread_join(held.threads[i], &result);
		failed += result == MAP_FAILED;
	}
	check(!failed, "calls that held a stack each do their work");
}

static void more_than_there_are(void)
{
	notifier.ops = &holding;
	check(mmu_notifier_register(&notifier, mmun_self()) == 0, "registers");
	start_holders(MANY);
	set_up();
	call_ftruncate();
	check(!held.whole, "with memory for another stack the range is the file's");
	join_holders(MANY);
	clean_up();
}

static void no_memory_for_one(void)
{
	struct rlimit none = { 0, RLIM_INFINITY }, before;

	notifier.ops = &holding;
	check(mmu_notifier_register(&notifier, mmun_self()) == 0, "registers");
	start_holders(8);
	set_up();
	getrlimit(RLIMIT_AS, &before);
	setrlimit(RLIMIT_AS, &none);
	call_ftruncate();
	setrlimit(RLIMIT_AS, &before);
	check(held.whole > 0, "without it everything is notified");
	held.whole = 0;
	join_holders(8);
	set_up();
	call_ftruncate();
	check(!held.whole, "and afterwards the range is the file's again");
	clean_up();
}

/* Neither it nor its parent sees the other's threads: those that have a stack, and those that are gone. */
__attribute__((noinline)) static void truncate_in_vfork_child(void)
{
	pid_t child = vfork();

	if (!child) {
		call_ftruncate();
		_exit(0);
	}
	waitpid(child, NULL, 0);
}

static void none_for_vfork_child(void)
{
	struct rlimit none = { 0, RLIM_INFINITY }, before;

	notifier.ops = &holding;
	check(mmu_notifier_register(&notifier, mmun_self()) == 0, "registers");
	start_holders(8);
	set_up();
	getrlimit(RLIMIT_AS, &before);
	setrlimit(RLIMIT_AS, &none);
	truncate_in_vfork_child();
	setrlimit(RLIMIT_AS, &before);
	check(held.whole > 0, "a child of vfork() takes no stack of its parent's threads");
	join_holders(8);
	clean_up();
}

int main(void)
{
	if (SANITIZED)
		skip_all("a sanitizer's frames are larger");
	scene("nobody listening", unheard);
	scene("one notifier", one_notifier);
	scene("interval notifier", one_interval);
	scene("small signal stack", small_signal_stack);
	scene("more stacks than there are", more_than_there_are);
	scene("no memory for a stack", no_memory_for_one);
	scene("vfork child", none_for_vfork_child);
	return tap_done();
}
