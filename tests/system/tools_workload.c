/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a user's program does, under a tool that watches memory: several threads whose
 * notifier counts, every kind of redirected call, fork, intervals, start and stop.
 * Counters are atomic, as the manual says.  Ends with 0 if everything was notified.
 */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <mmunotify/mmu_notifier.h>
#include <mmunotify/self.h>
#include <mmunotify/seq.h>

#define PAGE    4096UL
#define THREADS 3
#define ROUNDS  100

/* The end of a thread changes memory too, after ThreadSanitizer has taken leave of it. */
#if defined(__clang__)
#define UNSANITIZED __attribute__((disable_sanitizer_instrumentation))
#else
#define UNSANITIZED __attribute__((no_sanitize("thread")))
#endif

static unsigned long starts, ends, hits, unblockable;
static struct mmun_seq sections;
static int missed;

UNSANITIZED static int count_start(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	__atomic_add_fetch(&starts, 1, __ATOMIC_RELAXED);
	mmun_seq_start(&sections);
	if (!mmu_notifier_range_blockable(range))
		__atomic_add_fetch(&unblockable, 1, __ATOMIC_RELAXED);
	return 0;
}

UNSANITIZED static void count_end(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	__atomic_add_fetch(&ends, 1, __ATOMIC_RELAXED);
	mmun_seq_end(&sections);
}

static const struct mmu_notifier_ops ops = { .invalidate_range_start = count_start,
					     .invalidate_range_end = count_end };

UNSANITIZED static bool invalidate(struct mmu_interval_notifier *sub,
				   const struct mmu_notifier_range *range, unsigned long seq)
{
	mmu_interval_set_seq(sub, seq);
	__atomic_add_fetch(&hits, 1, __ATOMIC_RELAXED);
	return true;
}

static const struct mmu_interval_notifier_ops interval_ops = { .invalidate = invalidate };

static void *change_once(void *arg)
{
	char *at = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	memset(at, 1, 4 * PAGE);
	madvise(at, PAGE, MADV_DONTNEED);
	mremap(at, 4 * PAGE, 2 * PAGE, 0);
	munmap(at, 2 * PAGE);
	free(malloc(1 << 20));
	return NULL;
}

static void *change_memory(void *arg)
{
	for (int i = 0; i < ROUNDS; i++)
		change_once(arg);
	return NULL;
}

/* Each ends while others change memory, and gives up parts of its stack last of all. */
static void end_threads(void)
{
	for (int i = 0; i < ROUNDS; i++) {
		pthread_t threads[THREADS];

		for (int t = 0; t < THREADS; t++)
			pthread_create(&threads[t], NULL, change_once, NULL);
		for (int t = 0; t < THREADS; t++)
			pthread_join(threads[t], NULL);
	}
}

static void expect(const char *what, unsigned long before)
{
	if (__atomic_load_n(&starts, __ATOMIC_RELAXED) > before)
		return;
	fprintf(stderr, "%s was not notified\n", what);
	missed++;
}

#define EXPECT(call) \
	do { \
		unsigned long before = __atomic_load_n(&starts, __ATOMIC_RELAXED); \
\
		if ((long)(call) == -1) \
			perror(#call); \
		expect(#call, before); \
	} while (0)

static void each_kind(void)
{
	char path[] = "tools-workload-XXXXXX";
	int fd = mkstemp(path), id = shmget(IPC_PRIVATE, 2 * PAGE, IPC_CREAT | 0600);
	char *shared, *own, *segment;

	if (fd < 0 || ftruncate(fd, 4 * PAGE))
		abort();
	shared = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	own = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	memset(shared, 1, 4 * PAGE);
	memset(own, 1, 4 * PAGE);
	segment = shmat(id, NULL, 0);
	EXPECT(ftruncate(fd, 3 * PAGE));
	EXPECT(truncate(path, 2 * PAGE));
	EXPECT(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, PAGE));
	EXPECT(close(open(path, O_RDWR | O_TRUNC)));
	EXPECT(mprotect(own, PAGE, PROT_READ));
	EXPECT(mmap(own, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	EXPECT(shmdt(segment));
	EXPECT(munmap(own, 4 * PAGE));
	shmctl(id, IPC_RMID, NULL);
	munmap(shared, 4 * PAGE);
	close(fd);
	unlink(path);
}

static void fork_once(void)
{
	unsigned long before = __atomic_load_n(&starts, __ATOMIC_RELAXED);
	pid_t child = fork();
	int status = -1;

	if (!child)
		_exit(0);
	waitpid(child, &status, 0);
	if (status)
		missed++;
	expect("fork", before);
}

int main(void)
{
	static struct mmu_notifier mn = { .ops = &ops };
	static struct mmu_interval_notifier interval;
	unsigned long starts_seen, ends_seen;
	pthread_t threads[THREADS];
	int error = mmu_notifier_register(&mn, mmun_self());

	if (error) {
		fprintf(stderr, "cannot register: %s\n", strerror(-error));
		return 77;
	}
	each_kind();
	fork_once();
	for (int i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, change_memory, NULL);
	if (mmu_interval_notifier_insert(&interval, mmun_self(), 0, 1UL << 47, &interval_ops))
		missed++;
	for (int i = 0; i < 20; i++) {
		/* Not counted: it may leave in the middle of a section. */
		static const struct mmu_notifier_ops none;
		static struct mmu_notifier other = { .ops = &none };

		if (mmu_notifier_register(&other, mmun_self()))
			missed++;
		mmu_notifier_unregister(&other, mmun_self());
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	end_threads();
	mmu_interval_notifier_remove(&interval);
	mmu_notifier_unregister(&mn, mmun_self());
	if (mmun_self_stop() || mmun_self_start() || mmun_self_stop()) {
		fprintf(stderr, "stop and start do not follow each other\n");
		missed++;
	}
	starts_seen = __atomic_load_n(&starts, __ATOMIC_RELAXED);
	ends_seen = __atomic_load_n(&ends, __ATOMIC_RELAXED);
	if (starts_seen != ends_seen) {
		fprintf(stderr, "%lu starts, %lu ends\n", starts_seen, ends_seen);
		missed++;
	}
	return missed;
}
