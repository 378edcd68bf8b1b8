/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A program that uses UCX and knows nothing of us: what its registration cache hands out
 * after the memory has changed.  ucx.c runs it, with the adapter and without, and judges.
 *
 *     ucx_worker LIBUCS global|local|deep SUBJECT [ARG]
 *
 * Linked to UCX it finds LIBUCS loaded already.
 * One line for each thing that was tried: "NAME fresh", "NAME stale", or what went wrong.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <linux/falloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "ucx_cache.h"

#define SIZE 65536ul

static struct ucx ucx;
static struct cache cache;

static char *map_at(void *at, int flags)
{
	char *p =
		mmap(at, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);

	if (p == MAP_FAILED) {
		perror("mmap");
		exit(2);
	}
	return p;
}

/* A number that nobody can prove. */
static volatile long number_of_munmap = SYS_munmap;

static long inline_munmap(void *at, size_t size)
{
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(number_of_munmap), "D"(at), "S"(size)
			 : "rcx", "r11", "memory");
	return result;
}

static void way_munmap(char *p, int fd)
{
	munmap(p, SIZE);
	map_at(p, MAP_FIXED_NOREPLACE);
}

static void way_fixed(char *p, int fd)
{
	map_at(p, MAP_FIXED);
}

static void way_dontneed(char *p, int fd)
{
	madvise(p, SIZE, MADV_DONTNEED);
}

static void way_mremap(char *p, int fd)
{
	mremap(map_at(NULL, 0), SIZE, SIZE, MREMAP_MAYMOVE | MREMAP_FIXED, p);
}

static void way_syscall(char *p, int fd)
{
	syscall(SYS_munmap, p, SIZE);
	map_at(p, MAP_FIXED_NOREPLACE);
}

static void way_punch(char *p, int fd)
{
	fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, SIZE);
}

/* Where it is not known what is mapped of the file: no descriptor can be had to look. */
static void way_blind(char *p, int fd)
{
	struct rlimit limit, none;

	getrlimit(RLIMIT_NOFILE, &limit);
	none = limit;
	none.rlim_cur = 0;
	setrlimit(RLIMIT_NOFILE, &none);
	way_punch(p, fd);
	setrlimit(RLIMIT_NOFILE, &limit);
}

static void way_inline(char *p, int fd)
{
	inline_munmap(p, SIZE);
	map_at(p, MAP_FIXED_NOREPLACE);
}

/* Fails and changes nothing. */
static void way_failing(char *p, int fd)
{
	munmap(p + 1, SIZE);
}

/* Another mapping of the same size, elsewhere. */
static void way_other(char *p, int fd)
{
	munmap(map_at(NULL, 0), SIZE);
}

static const struct {
	const char *name;
	void (*change)(char *p, int fd);
} ways[] = {
	{ "munmap", way_munmap }, { "fixed", way_fixed },     { "dontneed", way_dontneed },
	{ "mremap", way_mremap }, { "syscall", way_syscall }, { "punch", way_punch },
	{ "blind", way_blind },   { "inline", way_inline },   { "failing", way_failing },
	{ "other", way_other },
};
#define NR_WAYS (sizeof(ways) / sizeof(ways[0]))

static void try_way(struct cache *c, const char *prefix, size_t i)
{
	int fd = memfd_create("punched", 0);
	struct cached *region;
	unsigned long before;
	char *p;

	if (fd < 0 || ftruncate(fd, SIZE)) {
		perror("memfd");
		exit(2);
	}
	/* The shared file for the punches, memory of its own for the others. */
	p = ways[i].change == way_punch || ways[i].change == way_blind
		    ? mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
		    : map_at(NULL, 0);
	memset(p, 1, SIZE);
	region = cache_get(c, p, SIZE);
	if (!region) {
		printf("%s%s refused\n", prefix, ways[i].name);
		return;
	}
	cache_put(c, region);
	before = c->registered;
	ways[i].change(p, fd);
	region = cache_get(c, p, SIZE);
	printf("%s%s %s\n", prefix, ways[i].name,
	       !region                   ? "refused"
	       : c->registered == before ? "stale"
					 : "fresh");
	if (region)
		cache_put(c, region);
	munmap(p, SIZE);
	close(fd);
}

static void try_ways(struct cache *c, const char *prefix)
{
	for (size_t i = 0; i < NR_WAYS; i++)
		try_way(c, prefix, i);
}

/*
 * Between the moment that the cache forgets a range and the system call another thread
 * registers it again, over pages that then go away.
 */
static struct {
	char *page;
	pthread_t remapper;
	int asked, answered;
} race;

static void *look(void *arg)
{
	struct cached *region;

	while (!__atomic_load_n(&race.asked, __ATOMIC_ACQUIRE))
		sched_yield();
	region = cache_get(&cache, race.page, SIZE);
	if (region)
		cache_put(&cache, region);
	__atomic_store_n(&race.answered, 1, __ATOMIC_RELEASE);
	return NULL;
}

/* After the cache's own handler, in the thread that remaps, once. */
static void between(int type, struct ucm_range *range, void *arg)
{
	if (!pthread_equal(pthread_self(), race.remapper) || range->address != race.page ||
	    __atomic_exchange_n(&race.asked, 1, __ATOMIC_ACQ_REL))
		return;
	/* The other may have to wait for a lock that is held here. */
	for (int i = 0; i < 2000 && !__atomic_load_n(&race.answered, __ATOMIC_ACQUIRE); i++)
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
}

static void try_race(void)
{
	struct cached *region;
	pthread_t thread;
	uint64_t word;

	race.page = map_at(NULL, 0);
	*(volatile uint64_t *)race.page = 1;
	race.remapper = pthread_self();
	if (ucx.set_handler(UCM_VM_UNMAPPED, 2000, between, NULL)) {
		puts("race refused");
		return;
	}
	pthread_create(&thread, NULL, look, NULL);
	madvise(race.page, SIZE, MADV_DONTNEED);
	*(volatile uint64_t *)race.page = 2;
	if (!__atomic_exchange_n(&race.asked, 1, __ATOMIC_ACQ_REL))
		puts("race unheard");
	pthread_join(thread, NULL);
	region = cache_get(&cache, race.page, SIZE);
	word = region ? region->word : 0;
	if (region)
		cache_put(&cache, region);
	ucx.unset_handler(UCM_VM_UNMAPPED, between, NULL);
	puts(word == 2 ? "race fresh" : word == 1 ? "race stale" : "race refused");
}

/* AddressSanitizer's allocator of these years does not survive fork() beside other threads. */
#ifdef __SANITIZE_ADDRESS__
#define MAY_FORK false
#else
#define MAY_FORK true
#endif

/* Lookups, allocations, handlers, caches and forks at once; says so if one of them hangs. */
enum task { LOOK, LOOK_TOO, ALLOCATE, HANDLERS, CACHES, FORKS, NR_TASKS };

static unsigned long ticks[NR_TASKS];
static bool stop;

static void ignore(int type, struct ucm_range *range, void *arg)
{
}

static void use(struct cache *c, void *p, size_t size)
{
	struct cached *region = cache_get(c, p, size);

	if (region)
		cache_put(c, region);
}

static void one_cache(char *p)
{
	struct cache c = { .allocates = 300000 };

	if (!cache_create(&c, &ucx, true))
		return;
	for (size_t i = 0; i < 8; i++)
		use(&c, p + i * 8192, 8192);
	cache_destroy(&c);
}

static void one_fork(void)
{
	void *volatile block;
	int status;
	pid_t pid = fork();

	if (!pid) {
		block = malloc(500000);
		free(block);
		munmap(map_at(NULL, 0), SIZE);
		_exit(0);
	}
	for (int i = 0; waitpid(pid, &status, WNOHANG) == 0; i++) {
		if (i == 20000) {
			puts("stress child-hangs");
			fflush(stdout);
			_exit(0);
		}
		usleep(1000);
	}
	usleep(5000);
}

static void *work(void *arg)
{
	const enum task me = (enum task)(long)arg;
	char *p = map_at(NULL, 0), *block;
	unsigned int random = me * 77u + 1;

	for (; !__atomic_load_n(&stop, __ATOMIC_RELAXED);
	     __atomic_add_fetch(&ticks[me], 1, __ATOMIC_RELAXED)) {
		random = random * 1103515245u + 12345;
		switch (me) {
		case LOOK:
		case LOOK_TOO:
			use(&cache, p + (random >> 16) % 8 * 8192, 8192);
			if (!(random & 7 << 20))
				map_at(p, MAP_FIXED);
			break;
		case ALLOCATE:
			block = malloc(400000);
			memset(block, 1, 400000);
			use(&cache, block, 400000);
			free(block);
			break;
		case HANDLERS:
			ucx.set_handler(UCM_VM_UNMAPPED, 5, ignore, NULL);
			ucx.unset_handler(UCM_VM_UNMAPPED, ignore, NULL);
			usleep(50);
			break;
		case CACHES:
			one_cache(p);
			usleep(200);
			break;
		default:
			one_fork();
		}
	}
	return NULL;
}

static void try_stress(int seconds)
{
	unsigned long before[NR_TASKS] = { 0 }, now;
	const int nr = MAY_FORK ? NR_TASKS : FORKS;
	int idle[NR_TASKS] = { 0 };
	pthread_t thread;

	cache.allocates = 300000;
	for (long i = 0; i < nr; i++)
		pthread_create(&thread, NULL, work, (void *)i);
	for (int s = 0; s < seconds; s++) {
		sleep(1);
		for (int i = 0; i < nr; i++) {
			now = __atomic_load_n(&ticks[i], __ATOMIC_RELAXED);
			/* What has ticked once in the time of the run is no hang. */
			idle[i] = now == before[i] ? idle[i] + 1 : 0;
			before[i] = now;
			if (s == seconds - 1 && idle[i] && seconds < 60)
				seconds++;
			if (idle[i] > 20) {
				printf("stress hangs-%d\n", i);
				fflush(stdout);
				_exit(0);
			}
		}
	}
	printf("stress works\n");
	fflush(stdout);
	_exit(0);
}

/* In a child a new cache works, and what the parent has works on. */
static void try_fork(bool raw)
{
	static struct cache own;
	int status = 0;
	pid_t pid;

	use(&cache, map_at(NULL, 0), SIZE);
	fflush(stdout);
	pid = raw ? (pid_t)syscall(SYS_fork) : fork();
	if (!pid) {
		munmap(map_at(NULL, 0), SIZE);
		if (cache_create(&own, &ucx, false))
			try_ways(&own, "child-");
		else
			puts("child refused");
		fflush(stdout);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	printf("child %s\n", WIFEXITED(status) ? "ends" : "dies");
	try_ways(&cache, "");
}

static int look_at_object(struct dl_phdr_info *info, size_t size, void *arg)
{
	return 0;
}

static void *look_at_objects(void *arg)
{
	for (;;)
		dl_iterate_phdr(look_at_object, arg);
	return NULL;
}

/* A child that was forked while a thread of its parent held a lock of the dynamic linker. */
static void try_exits(void)
{
	bool end = true;
	pthread_t thread;
	int status;
	pid_t pid;

	pthread_create(&thread, NULL, look_at_objects, NULL);
	fflush(stdout);
	for (int i = 0; end && i < 100; i++) {
		pid = fork();
		if (!pid) {
			dup2(open("/dev/null", O_WRONLY), STDERR_FILENO);
			alarm(60);
			exit(0);
		}
		end = waitpid(pid, &status, 0) == pid && !status;
	}
	printf("exits %s\n", end ? "end" : "hang");
}

/* All at once, each the first. */
static void *make_and_try(void *arg)
{
	/* UCX's own thread may come back to it when this one is gone. */
	struct cache *own = calloc(1, sizeof(*own));
	static pthread_mutex_t alone = PTHREAD_MUTEX_INITIALIZER;
	pthread_barrier_t *barrier = arg;
	bool created;

	pthread_barrier_wait(barrier);
	created = own && cache_create(own, &ucx, false);
	pthread_barrier_wait(barrier);
	/* Some ways leave a hole for a moment, which the others must not fill. */
	pthread_mutex_lock(&alone);
	if (created)
		try_ways(own, "");
	else
		puts("cache refused");
	pthread_mutex_unlock(&alone);
	return NULL;
}

static void try_crowd(void)
{
	pthread_barrier_t barrier;
	pthread_t threads[8];

	pthread_barrier_init(&barrier, NULL, 8);
	for (int i = 0; i < 8; i++)
		pthread_create(&threads[i], NULL, make_and_try, &barrier);
	for (int i = 0; i < 8; i++)
		pthread_join(threads[i], NULL);
}

/* Two files, with names as long as those of UCX's libraries. */
static char second_ucm[] = "/tmp/XXXXXX", second_ucs[] = "/tmp/XXXXXX";
_Static_assert(sizeof(second_ucm) == sizeof("libucm.so.0"), "one name replaces the other");

static void replace(char *data, size_t size, const char *from, const char *to)
{
	for (char *p = data; (p = memmem(p, size - (size_t)(p - data), from, strlen(from)));)
		memcpy(p, to, strlen(to));
}

/* Copies the library that @address is in to @fd, with the names of both changed. */
static bool copy_library(const void *address, int fd)
{
	struct stat status;
	Dl_info info;
	ssize_t size;
	char *data;
	int from;

	if (!dladdr(address, &info))
		return false;
	from = open(info.dli_fname, O_RDONLY | O_CLOEXEC);
	if (from < 0 || fstat(from, &status))
		return false;
	size = status.st_size;
	data = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_PRIVATE, from, 0);
	close(from);
	if (data == MAP_FAILED)
		return false;
	replace(data, (size_t)size, "libucm.so.0", second_ucm);
	replace(data, (size_t)size, "libucs.so.0", second_ucs);
	return write(fd, data, (size_t)size) == size && !munmap(data, (size_t)size);
}

/* A second UCX under another name, as Python wheels bring it along. */
static void try_copies(void)
{
	int ucm = mkstemp(second_ucm), ucs = mkstemp(second_ucs);
	const char *why = "cannot be copied";
	static struct cache second;
	static struct ucx other;

	if (ucm >= 0 && ucs >= 0 && copy_library((const void *)ucx.unset_handler, ucm) &&
	    copy_library(ucx.get, ucs))
		why = ucx_load(&other, second_ucs, RTLD_LOCAL);
	unlink(second_ucm);
	unlink(second_ucs);
	if (why || other.create == ucx.create || other.unset_handler == ucx.unset_handler) {
		printf("copies refused %s\n", why ? why : "not another");
		return;
	}
	if (!cache_create(&second, &other, false)) {
		puts("second refused");
		return;
	}
	try_ways(&cache, "");
	try_ways(&second, "second-");
}

/* A handler for what the chain does not report: UCX's hooks are to report it. */
static unsigned int calls;

static void count_call(int type, struct ucm_range *range, void *arg)
{
	__atomic_add_fetch(&calls, 1, __ATOMIC_RELAXED);
}

static void try_calls(int flags)
{
	if (ucx.set_handler(UCM_MUNMAP | flags, -1, count_call, NULL)) {
		puts("calls refused");
		return;
	}
	munmap(map_at(NULL, 0), SIZE);
	printf("calls %s\n", __atomic_load_n(&calls, __ATOMIC_RELAXED) ? "heard" : "unheard");
}

/* libucm by itself, which starts up in its first call. */
static void try_alone(void)
{
	void *ucm = dlopen("libucm.so.0", RTLD_LAZY | RTLD_GLOBAL);

	ucx.set_handler = (__typeof__(ucx.set_handler))dlsym(RTLD_DEFAULT, "ucm_set_event_handler");
	if (!ucm || !ucx.set_handler || ucx.set_handler(UCM_VM_UNMAPPED, 0, count_call, NULL)) {
		puts("alone refused");
		return;
	}
	__atomic_store_n(&calls, 0, __ATOMIC_RELAXED);
	syscall(SYS_munmap, map_at(NULL, 0), SIZE);
	printf("alone %s\n", __atomic_load_n(&calls, __ATOMIC_RELAXED) >= 2 ? "heard" : "unheard");
}

int main(int argc, char **argv)
{
	const char *why;

	if (argc < 4)
		return 2;
	if (!strcmp(argv[3], "alone")) {
		try_alone();
		fflush(stdout);
		_exit(0);
	}
	why = ucx_load(&ucx, argv[1],
		       !strcmp(argv[2], "global") ? RTLD_GLOBAL
		       : !strcmp(argv[2], "deep") ? RTLD_LOCAL | RTLD_DEEPBIND
						  : RTLD_LOCAL);
	if (why) {
		printf("missing %s\n", why);
		return 0;
	}
	if (!strcmp(argv[3], "calls"))
		try_calls(0);
	else if (!strcmp(argv[3], "calls-no-install"))
		try_calls(UCM_NO_INSTALL);
	else if (!strcmp(argv[3], "crowd"))
		try_crowd();
	else if (!cache_create(&cache, &ucx, false))
		puts("cache refused");
	else if (!strcmp(argv[3], "ways"))
		try_ways(&cache, "");
	else if (!strcmp(argv[3], "race"))
		try_race();
	else if (!strcmp(argv[3], "stress"))
		try_stress(argc > 4 ? atoi(argv[4]) : 5);
	else if (!strcmp(argv[3], "fork"))
		try_fork(false);
	else if (!strcmp(argv[3], "raw-fork"))
		try_fork(true);
	else if (!strcmp(argv[3], "exits"))
		try_exits();
	else if (!strcmp(argv[3], "copies"))
		try_copies();
	else if (!strcmp(argv[3], "cache-then-calls"))
		try_calls(0);
	fflush(stdout);
	/* Of a cache that is left UCX would say so. */
	if (cache.handle)
		cache_destroy(&cache);
	return 0;
}
