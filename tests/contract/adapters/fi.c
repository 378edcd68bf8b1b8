/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Contract: libfabric's registration caches, fed by the adapter.
 *
 * A buffer is registered through a cache of the real libfabric, its memory is replaced in a
 * way, and it is registered again: is what the cache hands out of the old memory?  A
 * registration is a copy of the stamp that the memory had when it was made.  Each mode is a process
 * of its own, since libfabric reads its environment once; libfabric's own monitor and one
 * that says nothing must be caught with old memory, else the test shows nothing.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <rdma/fabric.h>
#include <rdma/fi_ext.h>

#include "../../tap.h"
#include "fi_cache.h"

#define SIZE (64u << 10)

static unsigned long adds, drops;
/* Registrations go through libibverbs, or what stands in for it (fi_verbs.c). */
static bool verbs;

struct ibv_mr;
struct ibv_pd;
struct ibv_mr *ibv_reg_mr(struct ibv_pd *pd, void *addr, size_t length, int access);

static int add(struct fi_cached *cached)
{
	__atomic_add_fetch(&adds, 1, __ATOMIC_RELAXED);
	if (verbs && !ibv_reg_mr(NULL, cached->start, cached->length, 7))
		return -EIO;
	cached->stamp[0] = *(volatile unsigned long *)cached->start;
	return 0;
}

static void drop(struct fi_cached *cached)
{
	__atomic_add_fetch(&drops, 1, __ATOMIC_RELAXED);
}

static const struct fi_cache_ops ops = { add, drop };

static void *map(void *at, int flags, int fd)
{
	return mmap(at, SIZE, PROT_READ | PROT_WRITE, flags, fd, 0);
}

static void replace_munmap(char *at, int fd)
{
	munmap(at, SIZE);
	map(at, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1);
}

static void replace_fixed(char *at, int fd)
{
	map(at, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1);
}

static void replace_dontneed(char *at, int fd)
{
	madvise(at, SIZE, MADV_DONTNEED);
}

static void replace_mremap(char *at, int fd)
{
	void *other = map(NULL, MAP_PRIVATE | MAP_ANONYMOUS, -1);

	mremap(other, SIZE, SIZE, MREMAP_MAYMOVE | MREMAP_FIXED, at);
}

static void replace_syscall(char *at, int fd)
{
	syscall(SYS_madvise, at, SIZE, MADV_DONTNEED);
}

/* The number comes in a register, from who knows where. */
static __attribute__((noinline)) long inline_call(long nr, void *a, unsigned long b, long c)
{
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(nr), "D"(a), "S"(b), "d"(c)
			 : "rcx", "r11", "memory");
	return result;
}

static void replace_inline(char *at, int fd)
{
	inline_call(SYS_madvise, at, SIZE, MADV_DONTNEED);
}

static void replace_punch(char *at, int fd)
{
	fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, SIZE);
}

static const struct way {
	const char *name;
	void (*replace)(char *at, int fd);
	bool file;
} ways[] = {
	{ "munmap", replace_munmap, false },     { "MAP_FIXED", replace_fixed, false },
	{ "DONTNEED", replace_dontneed, false }, { "mremap-onto", replace_mremap, false },
	{ "syscall()", replace_syscall, false }, { "inline", replace_inline, false },
	{ "punch", replace_punch, true },
};
#define NR_WAYS (sizeof(ways) / sizeof(ways[0]))

/* In the child: one character for each way, "o": old memory was handed out. */
static int run_ways(void)
{
	char verdict[NR_WAYS + 1] = "";
	const char *why = "";
	struct fi_cache *cache = fi_cache_create(&ops, &why);
	unsigned long stamp = 1;
	size_t i;

	if (!cache) {
		printf("no cache: %s\n", why);
		return 1;
	}
	for (i = 0; i < NR_WAYS; i++) {
		const int fd = ways[i].file ? memfd_create("fi", 0) : -1;
		struct fi_cached *cached;
		unsigned int use;
		char *at;

		if (ways[i].file && ftruncate(fd, SIZE))
			return 1;
		at = map(NULL, ways[i].file ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS, fd);
		verdict[i] = '.';
		*(volatile unsigned long *)at = stamp++;
		for (use = 0; use < 3; use++)
			fi_cache_put(fi_cache_get(cache, at, SIZE));
		ways[i].replace(at, fd);
		*(volatile unsigned long *)at = stamp++;
		for (use = 0; use < 3; use++) {
			cached = fi_cache_get(cache, at, SIZE);
			if (cached->stamp[0] != stamp - 1)
				verdict[i] = 'o';
			fi_cache_put(cached);
		}
	}
	printf("%s %lu\n", verdict, adds);
	fi_cache_destroy(cache);
	return 0;
}

static int must_have(struct fi_cache **cache)
{
	const char *why = "";

	*cache = fi_cache_create(&ops, &why);
	if (!*cache)
		printf("no cache: %s\n", why);
	return *cache ? 0 : 1;
}

static unsigned long stamp_of(struct fi_cache *cache, char *at)
{
	struct fi_cached *cached = fi_cache_get(cache, at, SIZE);
	const unsigned long stamp = cached ? cached->stamp[0] : 0;

	if (cached)
		fi_cache_put(cached);
	return stamp;
}

static void set_stamp(char *at, unsigned long stamp)
{
	*(volatile unsigned long *)at = stamp;
}

/* Buffers are replaced by some threads while others register them: a registration that is
 * begun after a replacement returned is of the new memory. */
#define NR_BUFFERS 4

static struct {
	char *at;
	/* How often it has been replaced, to the end. */
	unsigned long stamp;
} buffers[NR_BUFFERS];
static struct fi_cache *race_cache;
static int race_over;
static unsigned long race_old, race_checks;

static void *race_replace(void *arg)
{
	const unsigned int i = (unsigned int)(long)arg;
	unsigned long stamp;

	for (stamp = 2; !__atomic_load_n(&race_over, __ATOMIC_ACQUIRE); stamp++) {
		char *other = map(NULL, MAP_PRIVATE | MAP_ANONYMOUS, -1);

		set_stamp(other, stamp);
		mremap(other, SIZE, SIZE, MREMAP_MAYMOVE | MREMAP_FIXED, buffers[i].at);
		__atomic_store_n(&buffers[i].stamp, stamp, __ATOMIC_SEQ_CST);
		if (stamp % 16 == 0)
			usleep(stamp % 7 * 100);
	}
	return NULL;
}

static void *race_register(void *arg)
{
	unsigned long n, checks = 0, old = 0;

	for (n = (unsigned long)arg; !__atomic_load_n(&race_over, __ATOMIC_ACQUIRE); n++) {
		const unsigned int i = n % NR_BUFFERS;
		const unsigned long least = __atomic_load_n(&buffers[i].stamp, __ATOMIC_SEQ_CST);

		old += stamp_of(race_cache, buffers[i].at) < least;
		checks++;
	}
	__atomic_add_fetch(&race_old, old, __ATOMIC_SEQ_CST);
	__atomic_add_fetch(&race_checks, checks, __ATOMIC_SEQ_CST);
	return NULL;
}

static int run_race(void)
{
	pthread_t threads[NR_BUFFERS + 2];
	long i;

	if (must_have(&race_cache))
		return 1;
	for (i = 0; i < NR_BUFFERS; i++) {
		buffers[i].at = map(NULL, MAP_PRIVATE | MAP_ANONYMOUS, -1);
		buffers[i].stamp = 1;
		set_stamp(buffers[i].at, 1);
	}
	for (i = 0; i < NR_BUFFERS; i++)
		pthread_create(&threads[i], NULL, race_replace, (void *)i);
	for (; i < NR_BUFFERS + 2; i++)
		pthread_create(&threads[i], NULL, race_register, (void *)i);
	sleep(3);
	__atomic_store_n(&race_over, 1, __ATOMIC_RELEASE);
	for (i = 0; i < NR_BUFFERS + 2; i++)
		pthread_join(threads[i], NULL);
	printf("%lu old of %lu, %lu adds\n", race_old, race_checks, adds);
	fi_cache_destroy(race_cache);
	return 0;
}

/* Two caches hold registrations of one buffer; one of them registers it again first. */
static int run_two(void)
{
	struct fi_cache *first, *second;
	unsigned int old = 0, i;
	unsigned long stamp = 1;
	char *at = map(NULL, MAP_PRIVATE | MAP_ANONYMOUS, -1);

	if (must_have(&first) || must_have(&second))
		return 1;
	for (i = 0; i < 100; i++) {
		set_stamp(at, ++stamp);
		old += stamp_of(first, at) != stamp;
		old += stamp_of(second, at) != stamp;
		replace_mremap(at, -1);
		set_stamp(at, ++stamp);
		old += stamp_of(first, at) != stamp;
		old += stamp_of(first, at) != stamp;
		old += stamp_of(second, at) != stamp;
		if (i % 10 == 9)
			usleep(5000);
		replace_mremap(at, -1);
	}
	printf("%u old\n", old);
	fi_cache_destroy(first);
	fi_cache_destroy(second);
	return 0;
}

/* In a child nothing of its parent's is handed out; its own cache works if it has made it. */
static int run_fork(bool raw)
{
	struct fi_cache *cache;
	char *at = map(NULL, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	int status = 0;
	pid_t pid;

	if (must_have(&cache))
		return 1;
	set_stamp(at, 1);
	stamp_of(cache, at);
	replace_dontneed(at, -1);
	set_stamp(at, 2);
	stamp_of(cache, at);
	pid = raw ? (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, 0) : fork();
	if (!pid) {
		const unsigned long before = adds;

		/* Registered anew each time: what is cached cannot be watched here. */
		set_stamp(at, 3);
		if (stamp_of(cache, at) != 3)
			_exit(1);
		replace_mremap(at, -1);
		set_stamp(at, 4);
		stamp_of(cache, at);
		if (stamp_of(cache, at) != 4)
			_exit(2);
		_exit(adds == before + 3 ? 0 : 3);
	}
	waitpid(pid, &status, 0);
	printf("%x %lu\n", status, stamp_of(cache, at));
	fi_cache_destroy(cache);
	return 0;
}

/* The child makes the cache; libfabric was initialised before. */
static int run_fork_first(void)
{
	struct fi_cache *cache;
	char *at = map(NULL, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	int status = 0;
	pid_t pid;

	if (must_have(&cache))
		return 1;
	fi_cache_destroy(cache);
	pid = fork();
	if (!pid) {
		unsigned long before;

		if (must_have(&cache))
			_exit(1);
		set_stamp(at, 1);
		stamp_of(cache, at);
		before = adds;
		stamp_of(cache, at);
		if (adds != before)
			_exit(2);
		replace_mremap(at, -1);
		set_stamp(at, 2);
		_exit(stamp_of(cache, at) == 2 ? 0 : 3);
	}
	waitpid(pid, &status, 0);
	printf("%x\n", status);
	return 0;
}

/* Memory that is unmapped is let go at the next use of the cache, whatever that is of; @between:
 * what happens after the thread that does it was started. */
static int run_release(void (*between)(void))
{
	struct fi_cache *cache;
	char *at = map(NULL, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	char *others =
		mmap(NULL, 50 * SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned int i;

	if (must_have(&cache))
		return 1;
	for (i = 0; i < 50; i++)
		stamp_of(cache, others + i * SIZE);
	stamp_of(cache, at);
	munmap(others, 25 * SIZE);
	/* The first use starts the reaper. */
	stamp_of(cache, at);
	if (between)
		between();
	munmap(others + 25 * SIZE, 25 * SIZE);
	for (i = 0; i < 200 && drops < 50; i++) {
		usleep(10000);
		stamp_of(cache, at);
	}
	printf("%lu of 50\n", drops);
	fi_cache_destroy(cache);
	return 0;
}

static void slow(void)
{
	usleep(200000);
}

static void *fork_once(void *arg)
{
	const pid_t pid = fork();

	if (!pid)
		_exit(0);
	waitpid(pid, NULL, 0);
	return NULL;
}

/* Two at once, one of which waits for the other. */
static void fork_twice(void)
{
	pthread_t threads[2];
	int i;

	for (i = 0; i < 2; i++)
		pthread_create(&threads[i], NULL, fork_once, NULL);
	for (i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
}

static int run_slow_forks(void)
{
	/* Before the adapter's handlers, so that it runs after them. */
	pthread_atfork(slow, NULL, NULL);
	return run_release(fork_twice);
}

/* How many threads are there while nothing that was registered changes? */
static int run_threads(void)
{
	struct fi_cache *cache;
	char *at = map(NULL, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	char line[256];
	int threads = 0;
	FILE *file;
	unsigned int i;

	if (must_have(&cache))
		return 1;
	for (i = 0; i < 1000; i++) {
		stamp_of(cache, at);
		munmap(map(NULL, MAP_PRIVATE | MAP_ANONYMOUS, -1), SIZE);
	}
	file = fopen("/proc/self/status", "r");
	while (fgets(line, sizeof(line), file))
		sscanf(line, "Threads: %d", &threads);
	fclose(file);
	printf("%d, %lu adds\n", threads, adds);
	fi_cache_destroy(cache);
	return 0;
}

/* How many registrations are not kept, of buffers that are new and used five times? */
static int run_refused(void)
{
	struct fi_cache *cache;
	unsigned int i, use, old = 0;
	char *area;

	if (must_have(&cache))
		return 1;
	verbs = true;
	area = mmap(NULL, 50 * SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (i = 0; i < 50; i++) {
		/* One that no cache has ever held, so that no question was asked about it. */
		char *at = map(area + i * SIZE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1);

		set_stamp(at, i + 1);
		for (use = 0; use < 5; use++)
			old += stamp_of(cache, at) != i + 1;
	}
	printf("%u old, %lu adds of 50\n", old, adds);
	fi_cache_destroy(cache);
	return 0;
}

/* Another monitor is imported first. */
static int other_start(struct fid_mem_monitor *monitor)
{
	return 0;
}

static int run_busy(void)
{
	static struct fi_ops_mem_monitor other_ops = { .size = sizeof(other_ops),
						       .start = other_start };
	static struct fid_mem_monitor other = { .fid.fclass = FI_CLASS_MEM_MONITOR,
						.export_ops = &other_ops };
	struct fi_info *info = NULL;

	if (fi_import(FI_VERSION(1, 13), "mr_cache", NULL, 0, 0, &other.fid, NULL))
		return 1;
	if (!fi_getinfo(FI_VERSION(1, 17), NULL, NULL, 0, NULL, &info))
		fi_freeinfo(info);
	printf("goes on\n");
	return 0;
}

static int run_part(const char *what)
{
	if (!strcmp(what, "ways"))
		return run_ways();
	if (!strcmp(what, "race"))
		return run_race();
	if (!strcmp(what, "two"))
		return run_two();
	if (!strcmp(what, "fork"))
		return run_fork(false);
	if (!strcmp(what, "clone"))
		return run_fork(true);
	if (!strcmp(what, "fork-first"))
		return run_fork_first();
	if (!strcmp(what, "release"))
		return run_release(NULL);
	if (!strcmp(what, "slow-forks"))
		return run_slow_forks();
	if (!strcmp(what, "threads"))
		return run_threads();
	if (!strcmp(what, "refused"))
		return run_refused();
	if (!strcmp(what, "busy"))
		return run_busy();
	return 1;
}

struct result {
	char out[512], err[1024];
	int status;
};

static void read_all(int fd, char *text, size_t size)
{
	size_t length = 0;
	ssize_t got;

	while ((got = read(fd, text + length, size - 1 - length)) > 0)
		length += (size_t)got;
	text[length] = 0;
	close(fd);
}

/* Runs this program's part @what with more environment, NULL at its end. */
static struct result run(const char *what, const char *const env[])
{
	struct result result;
	int out[2], err[2];
	pid_t pid;

	if (pipe(out) || pipe(err))
		bail_out("pipe");
	pid = fork();
	if (!pid) {
		dup2(out[1], 1);
		dup2(err[1], 2);
		close(out[0]);
		close(err[0]);
		for (; *env; env++)
			putenv((char *)*env);
		execl("/proc/self/exe", "fi", what, NULL);
		_exit(127);
	}
	close(out[1]);
	close(err[1]);
	read_all(out[0], result.out, sizeof(result.out));
	read_all(err[0], result.err, sizeof(result.err));
	waitpid(pid, &result.status, 0);
	return result;
}

#define OURS "FI_PROVIDER_PATH=" TEST_ADAPTER_DIR

/* @old: 'o' must hand out old memory, '.' must not, '?' may. */
static void check_mode(const char *mode, const char *old, const char *said, const char *const env[])
{
	const struct result result = run("ways", env);
	size_t i;

	if (!ok(result.status == 0 && strlen(result.out) > NR_WAYS, "%s: runs", mode)) {
		diag("status %x: %s%s", result.status, result.out, result.err);
		return;
	}
	for (i = 0; i < NR_WAYS; i++)
		ok(old[i] == '?' || old[i] == result.out[i], "%s: %s: %s", mode, ways[i].name,
		   old[i] == 'o' ? "old memory is handed out" : "memory is never old");
	if (!ok(*said ? strstr(result.err, said) != NULL : !*result.err, "%s: says %s", mode,
		*said ? said : "nothing"))
		diag("%s", result.err);
	diag("%s: %s", mode, strtok((char *)result.out, "\n"));
}

/* A part that says @expected and nothing on stderr. */
static void check_part(const char *name, const char *what, const char *expected,
		       const char *const env[])
{
	const struct result result = run(what, env);

	if (!ok(result.status == 0 && !strncmp(result.out, expected, strlen(expected)) &&
			!*result.err,
		"%s", name))
		diag("status %x: %s%s", result.status, result.out, result.err);
	else
		diag("%s: %s", what, strtok((char *)result.out, "\n"));
}

static void check_refused(void)
{
	const char *const late[] = { OURS, NULL };
	const char *const exact[] = { OURS, "LD_PRELOAD=" TEST_ADAPTER_DIR "/libmmunotify-fi.so",
				      NULL };

	check_part("preloaded, it knows when pages were taken: each buffer is registered once",
		   "refused", "0 old, 50 adds", exact);
	check_part(
		"else one that has changed since the thread's last questions is kept at the third",
		"refused", "0 old, 150 adds", late);
}

static void check_aside(void)
{
	const struct result result = run("busy", (const char *[]){ OURS, NULL });
	const char *line = strchr(result.err, '\n');

	ok(result.status == 0 && !strcmp(result.out, "goes on\n"),
	   "where another monitor is imported before, the program goes on");
	if (!ok(!strncmp(result.err, "mmunotify: libfabric: libfabric ", 32) && line && !line[1] &&
			strstr(result.err, "libfabric's own monitor is used"),
		"and that is said in one sentence"))
		diag("%s", result.err);
}

static void check_disabled(void)
{
	const struct result result =
		run("ways", (const char *[]){ OURS, "FI_MR_CACHE_MONITOR=disabled", NULL });

	if (!ok(!strncmp(result.out, "no cache", 8) && !*result.err,
		"where caches are disabled there are none"))
		diag("status %x: %s%s", result.status, result.out, result.err);
}

int main(int argc, char **argv)
{
	const char *const ours[] = { OURS, NULL };
	const char *const silent[] = { OURS, "MMUNOTIFY_FI=silent", NULL };
	struct result result;

	if (argc > 1)
		return run_part(argv[1]);
	unsetenv("FI_PROVIDER_PATH");
	unsetenv("FI_MR_CACHE_MONITOR");
	/*                                mFDosip */
	check_mode("own hooks", "...oooo", "",
		   (const char *[]){ "FI_MR_CACHE_MONITOR=memhooks", NULL });
	check_mode("silent", "ooooooo", "MMUNOTIFY_FI=silent",
		   (const char *[]){ OURS, "MMUNOTIFY_FI=silent", NULL });
	check_mode("off", "...oooo", "", (const char *[]){ OURS, "MMUNOTIFY_FI=off", NULL });
	check_mode("adapter", ".....?.", "", (const char *[]){ OURS, NULL });
	check_mode("adapter, strict", ".......", "",
		   (const char *[]){ OURS, "MMUNOTIFY_STRICT=1", NULL });
	check_mode("adapter, another monitor named", ".....?.", "",
		   (const char *[]){ OURS, "FI_MR_CACHE_MONITOR=memhooks", NULL });
	check_part("a race of replacement and registration: nothing old", "race", "0 old of", ours);
	result = run("race", silent);
	ok(result.status == 0 && strncmp(result.out, "0 old", 5) != 0,
	   "without events the race hands out old memory");
	check_part("two caches of one buffer: nothing old", "two", "0 old", ours);
	result = run("two", silent);
	ok(result.status == 0 && strncmp(result.out, "0 old", 5) != 0,
	   "without events two caches hand out old memory");
	check_part("a forked child is handed nothing of its parent's", "fork", "0 2", ours);
	check_part("nor is one of a clone that libc does not know of", "clone", "0 2", ours);
	check_part("the first cache of a forked child keeps registrations and is fed", "fork-first",
		   "0", ours);
	check_part("memory that is unmapped is let go", "release", "50 of 50", ours);
	check_part("also after two slow forks at once", "slow-forks", "50 of 50", ours);
	check_part("a program that keeps its buffers has no thread more", "threads", "1, 1 adds",
		   ours);
	check_refused();
	check_aside();
	check_disabled();
	return tap_done();
}
