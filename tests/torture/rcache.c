/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Torture of the registration cache in this process.
 *
 *	rcache [--seconds N] [--seed S]
 *
 * Each page carries a generation that never comes back; a thread that changes the page says
 * afterwards that the generation has died.  The backend reads the generations of what it
 * registers, through the kernel.  A registration that a get returns must have none that
 * had died before that get began, and is not current once one has died.
 *
 * Users get and put, hold several, and hand some to other threads.  Owners unmap, remap,
 * overlay, advise, move and punch.  Threads come and go and leave registrations behind; signal
 * handlers get, put and unmap; children of fork use the cache for themselves; somebody
 * flushes, invalidates and looks.  The backend fails now and then, knows what is in use, and
 * counts.  In the last round the memory is changed behind the library's back: there the
 * oracle must see stale registrations.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <mmunotify/primary.h>
#include <mmunotify/rcache.h>
#include <mmunotify/self.h>

#include "oracle.h"
#include "options.h"
#include "park.h"

#define PAGE    4096ul
#define PAGES   96u
#define OWNERS  2u
#define USERS   3u
#define LONGEST 8u
#define HELD    4u
#define MAIL    8u
/* Pages of one registration at most. */
#define MOST 32u
/* Of registrations, in pages, where it is more than one. */
#define ALIGNMENT 2u
#define RW        (PROT_READ | PROT_WRITE)

#define ALIVE 0x5ca1ab1e5ca1ab1eull

struct device_region {
	struct mmun_registration reg;
	uint64_t magic;
	unsigned int users;
	uint64_t generation[MOST];
};

struct page {
	/* The newest generation that is in no page any more. */
	uint64_t dead;
	/* The one that its owner wrote last. */
	uint64_t live;
};

static struct options options;
static char *arena;
static struct page pages[PAGES];
static struct mmun_rcache *cache;
static struct mmun_registration *mail[MAIL];
static int stopping, behind;
/* Threads that signals may be sent to. */
static pthread_t targets[OWNERS + USERS];

static unsigned long stale, stale_current, used_dead, dirty, surprises, wrong_children,
	failed_calls;
static unsigned long registered, deregistered, gets, found, changes, signals, threads_made,
	children;
static unsigned int failures_wanted;

static void count(unsigned long *counter)
{
	__atomic_add_fetch(counter, 1, __ATOMIC_RELAXED);
}

static bool running(void)
{
	return !__atomic_load_n(&stopping, __ATOMIC_RELAXED);
}

/* The backend. */

static int device_register(void *arg, struct mmun_registration *reg)
{
	struct device_region *region = (struct device_region *)reg;
	const unsigned long first = (reg->start - (unsigned long)arena) / PAGE;
	const unsigned long nr = (reg->end - reg->start) / PAGE;
	struct iovec local[MOST], remote[MOST];
	static unsigned int calls;

	if (region->magic || region->users || region->generation[0])
		count(&dirty);
	if (first + nr > PAGES || nr > MOST)
		return -EFAULT;
	if (failures_wanted &&
	    __atomic_add_fetch(&calls, 1, __ATOMIC_RELAXED) % failures_wanted == 0)
		return -ENOMEM;
	for (unsigned long i = 0; i < nr; i++) {
		local[i] = (struct iovec){ &region->generation[i], sizeof(uint64_t) };
		remote[i] = (struct iovec){ arena + (first + i) * PAGE, sizeof(uint64_t) };
	}
	if (process_vm_readv(getpid(), local, nr, remote, nr, 0) !=
	    (ssize_t)(nr * sizeof(uint64_t)))
		return -EFAULT;
	/* A page that its owner has not written yet is none of any generation. */
	for (unsigned long i = 0; i < nr; i++)
		if (!region->generation[i])
			return -EFAULT;
	__atomic_store_n(&region->magic, ALIVE, __ATOMIC_RELEASE);
	count(&registered);
	return 0;
}

static void device_deregister(void *arg, struct mmun_registration *reg)
{
	struct device_region *region = (struct device_region *)reg;

	if (__atomic_exchange_n(&region->magic, ~ALIVE, __ATOMIC_SEQ_CST) != ALIVE ||
	    __atomic_load_n(&region->users, __ATOMIC_SEQ_CST))
		count(&used_dead);
	count(&deregistered);
}

static const struct mmun_rcache_ops device = { .register_memory = device_register,
					       .deregister_memory = device_deregister };

/* The memory. */

/* A system call by an instruction that nobody redirects: it is in no object file. */
static const unsigned char code[] = {
	0x48, 0x89, 0xf8,             /* mov %rdi, %rax */
	0x48, 0x89, 0xf7,             /* mov %rsi, %rdi */
	0x48, 0x89, 0xd6,             /* mov %rdx, %rsi */
	0x48, 0x89, 0xca,             /* mov %rcx, %rdx */
	0x4d, 0x89, 0xc2,             /* mov %r8, %r10 */
	0x4d, 0x89, 0xc8,             /* mov %r9, %r8 */
	0x4c, 0x8b, 0x4c, 0x24, 0x08, /* mov 8(%rsp), %r9 */
	0x0f, 0x05,                   /* syscall */
	0xc3,
};
static long (*call_behind)(long nr, long a, long b, long c, long d, long e, long f);

static bool make_code(void)
{
	void *page = mmap(NULL, PAGE, RW | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (page == MAP_FAILED)
		return false;
	memcpy(page, code, sizeof(code));
	memcpy(&call_behind, &page, sizeof(page));
	return true;
}

static long call(long nr, long a, long b, long c, long d, long e, long f)
{
	return __atomic_load_n(&behind, __ATOMIC_RELAXED) ? call_behind(nr, a, b, c, d, e, f)
							  : syscall(nr, a, b, c, d, e, f);
}

static char *at(unsigned int page)
{
	return arena + page * PAGE;
}

static void died(unsigned int first, unsigned int nr)
{
	for (unsigned int i = first; i < first + nr; i++)
		__atomic_store_n(&pages[i].dead, pages[i].live, __ATOMIC_SEQ_CST);
}

static void write_pages(unsigned int first, unsigned int nr)
{
	for (unsigned int i = first; i < first + nr; i++)
		__atomic_store_n((uint64_t *)at(i), ++pages[i].live, __ATOMIC_SEQ_CST);
}

static bool map_anonymous(char *address, unsigned int nr)
{
	return call(SYS_mmap, (long)address, nr * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
		    -1, 0) == (long)address;
}

struct owner {
	struct rng rng;
	unsigned int first, nr;
	char *spare;
	int fd;
};

/* A change of pages that returns when what they were is gone, and has not written them again. */
static bool do_unmap(struct owner *o, unsigned int first, unsigned int nr)
{
	bool done = !call(SYS_munmap, (long)at(first), nr * PAGE, 0, 0, 0, 0);

	died(first, nr);
	return map_anonymous(at(first), nr) && done;
}

static bool do_overlay(struct owner *o, unsigned int first, unsigned int nr)
{
	bool done = map_anonymous(at(first), nr);

	died(first, nr);
	return done;
}

static bool do_dontneed(struct owner *o, unsigned int first, unsigned int nr)
{
	bool done = !call(SYS_madvise, (long)at(first), nr * PAGE, MADV_DONTNEED, 0, 0, 0);

	died(first, nr);
	return done;
}

static bool move(char *from, char *to, unsigned int nr)
{
	return call(SYS_mremap, (long)from, nr * PAGE, nr * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
		    (long)to, 0) == (long)to;
}

/* Page by page: mremap() wants one mapping. */
static bool do_move_away_and_back(struct owner *o, unsigned int first, unsigned int nr)
{
	bool done = move(at(first), o->spare, 1);

	died(first, 1);
	if (!done)
		return false;
	*(uint64_t *)o->spare = pages[first].live + 1;
	return move(o->spare, at(first), 1);
}

static bool do_move_onto(struct owner *o, unsigned int first, unsigned int nr)
{
	bool done = map_anonymous(o->spare, nr);

	memset(o->spare, 0, nr * PAGE);
	done = move(o->spare, at(first), nr) && done;
	died(first, nr);
	return done;
}

static bool map_file(struct owner *o, unsigned int first, unsigned int nr)
{
	bool done = !ftruncate(o->fd, (off_t)(nr * PAGE)) &&
		    call(SYS_mmap, (long)at(first), nr * PAGE, RW, MAP_SHARED | MAP_FIXED, o->fd,
			 0) == (long)at(first);

	died(first, nr);
	write_pages(first, nr);
	return done;
}

static bool do_punch(struct owner *o, unsigned int first, unsigned int nr)
{
	bool done = map_file(o, first, nr);

	done = !call(SYS_fallocate, o->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, nr * PAGE,
		     0, 0) &&
	       done;
	died(first, nr);
	return map_anonymous(at(first), nr) && done;
}

/* Rights only: the generation lives on. */
static bool do_protect(struct owner *o, unsigned int first, unsigned int nr)
{
	bool done = !call(SYS_mprotect, (long)at(first), nr * PAGE, PROT_READ, 0, 0, 0);

	done = !call(SYS_mprotect, (long)at(first), nr * PAGE, RW, 0, 0, 0) && done;
	died(first, 0);
	return done;
}

static bool (*const menu[])(struct owner *, unsigned int, unsigned int) = {
	do_unmap,     do_overlay, do_dontneed, do_move_away_and_back,
	do_move_onto, do_punch,   do_protect,
};

static void *own(void *arg)
{
	struct owner *o = arg;

	while (running()) {
		const unsigned int op =
			(unsigned int)(next_random(&o->rng) % (sizeof(menu) / sizeof(menu[0])));
		const unsigned int first = (unsigned int)(next_random(&o->rng) % o->nr);
		unsigned int nr = 1 + (unsigned int)(next_random(&o->rng) % LONGEST);

		if (nr > o->nr - first)
			nr = o->nr - first;
		if (!menu[op](o, o->first + first, nr))
			count(&failed_calls);
		if (menu[op] != do_protect)
			write_pages(o->first + first, nr);
		count(&changes);
		/* Others want to find something. */
		if (one_in(&o->rng, 4))
			usleep((useconds_t)(next_random(&o->rng) % 300));
	}
	return park_thread();
}

/* Users. */

struct use {
	struct mmun_registration *reg;
	unsigned int first, nr;
};

static void check_current(const struct use *use)
{
	const struct device_region *region = (struct device_region *)use->reg;
	const unsigned long offset = ((unsigned long)at(use->first) - use->reg->start) / PAGE;
	uint64_t dead[LONGEST];
	bool gone = false;

	for (unsigned int i = 0; i < use->nr; i++)
		dead[i] = __atomic_load_n(&pages[use->first + i].dead, __ATOMIC_SEQ_CST);
	for (unsigned int i = 0; i < use->nr; i++)
		gone |= region->generation[offset + i] <= dead[i];
	if (gone && mmun_rcache_is_current(cache, use->reg))
		count(&stale_current);
}

static bool get(struct use *use, unsigned int access)
{
	struct device_region *region;
	uint64_t dead[LONGEST];
	unsigned long offset;

	for (unsigned int i = 0; i < use->nr; i++)
		dead[i] = __atomic_load_n(&pages[use->first + i].dead, __ATOMIC_SEQ_CST);
	use->reg = mmun_rcache_get(cache, (unsigned long)at(use->first) + 8, use->nr * PAGE - 16,
				   access);
	count(&gets);
	if (mmun_is_err(use->reg)) {
		const long error = mmun_ptr_err(use->reg);

		if (error != -EFAULT && error != -ENOMEM && error != -EAGAIN &&
		    !(error == -ENOENT && access & MMUN_RCACHE_CACHED)) {
			if (!surprises)
				diag("a get returned %ld", error);
			count(&surprises);
		}
		return false;
	}
	count(&found);
	region = (struct device_region *)use->reg;
	__atomic_add_fetch(&region->users, 1, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(&region->magic, __ATOMIC_SEQ_CST) != ALIVE)
		count(&used_dead);
	if (use->reg->start > (unsigned long)at(use->first) ||
	    use->reg->end < (unsigned long)at(use->first + use->nr) ||
	    (use->reg->access & access & MMUN_RCACHE_ACCESS) != (access & MMUN_RCACHE_ACCESS)) {
		count(&surprises);
		return true;
	}
	offset = ((unsigned long)at(use->first) - use->reg->start) / PAGE;
	for (unsigned int i = 0; i < use->nr; i++)
		if (region->generation[offset + i] <= dead[i]) {
			count(&stale);
			break;
		}
	return true;
}

static void put(struct mmun_registration *reg)
{
	struct device_region *region = (struct device_region *)reg;

	if (__atomic_load_n(&region->magic, __ATOMIC_SEQ_CST) != ALIVE ||
	    !__atomic_fetch_sub(&region->users, 1, __ATOMIC_SEQ_CST))
		count(&used_dead);
	mmun_rcache_put(cache, reg);
}

static void choose(struct rng *rng, struct use *use)
{
	use->nr = 1 + (unsigned int)(next_random(rng) % LONGEST);
	/* Half of all in a quarter of the memory. */
	use->first =
		(unsigned int)(next_random(rng) % (one_in(rng, 2) ? PAGES / 4 : PAGES - LONGEST));
}

static unsigned int choose_access(struct rng *rng)
{
	static const unsigned int kinds[] = { MMUN_RCACHE_READ, MMUN_RCACHE_WRITE,
					      MMUN_RCACHE_READ | MMUN_RCACHE_WRITE,
					      MMUN_RCACHE_READ | MMUN_RCACHE_CACHED };

	if (one_in(rng, 100))
		return MMUN_RCACHE_READ | MMUN_RCACHE_UNCACHED;
	return kinds[next_random(rng) % 4];
}

/* Another thread's is put instead of one's own. */
static void post(struct rng *rng, struct mmun_registration *reg)
{
	struct mmun_registration *other =
		__atomic_exchange_n(&mail[next_random(rng) % MAIL], reg, __ATOMIC_ACQ_REL);

	if (other)
		put(other);
}

static void use_once(struct rng *rng, struct use *held)
{
	struct use *use = &held[next_random(rng) % HELD];

	if (use->reg) {
		check_current(use);
		if (one_in(rng, 5))
			post(rng, use->reg);
		else
			put(use->reg);
		use->reg = NULL;
		return;
	}
	choose(rng, use);
	if (!get(use, choose_access(rng)))
		use->reg = NULL;
}

static void *use_all(void *arg)
{
	struct rng rng = rng_of(options.seed, 100 + (unsigned int)(unsigned long)arg);
	struct use held[HELD] = { 0 };

	while (running())
		use_once(&rng, held);
	for (unsigned int i = 0; i < HELD; i++)
		if (held[i].reg)
			put(held[i].reg);
	return park_thread();
}

/* A child that shares the memory, and the thread-local storage of the caller, and ends. */
static __attribute__((noinline)) void use_in_vfork(struct rng *rng)
{
	struct use use;
	pid_t pid;

	choose(rng, &use);
	pid = vfork();
	if (!pid) {
		use.reg = mmun_rcache_get(cache, (unsigned long)at(use.first), PAGE,
					  MMUN_RCACHE_READ);
		if (!mmun_is_err(use.reg))
			mmun_rcache_put(cache, use.reg);
		_exit(0);
	}
	if (pid > 0)
		waitpid(pid, NULL, 0);
}

/* Leaves what it holds to others. */
static void *come_and_go(void *arg)
{
	struct rng *rng = arg;
	struct use held[HELD] = { 0 };

	if (one_in(rng, 50))
		use_in_vfork(rng);
	for (unsigned int i = 0; i < 100; i++)
		use_once(rng, held);
	for (unsigned int i = 0; i < HELD; i++)
		if (held[i].reg)
			post(rng, held[i].reg);
	return NULL;
}

static void *make_threads(void *arg)
{
	struct rng rng = rng_of(options.seed, 200);
	pthread_t thread;

	/* park.h */
	while (running() && !THREAD_SANITIZED) {
		if (pthread_create(&thread, NULL, come_and_go, &rng))
			break;
		pthread_join(thread, NULL);
		count(&threads_made);
	}
	return park_thread();
}

static int visit(struct mmun_registration *reg, void *arg)
{
	struct device_region *region = (struct device_region *)reg;

	if (__atomic_load_n(&region->magic, __ATOMIC_SEQ_CST) != ALIVE)
		count(&used_dead);
	return 0;
}

static void *manage(void *arg)
{
	struct rng rng = rng_of(options.seed, 300);
	struct mmun_rcache_stats stats;
	struct use use;

	while (running()) {
		choose(&rng, &use);
		switch (next_random(&rng) % 8) {
		case 0:
			if (mmun_rcache_flush(cache) < 0)
				count(&surprises);
			break;
		case 1:
		case 2:
			if (mmun_rcache_progress(cache) < 0)
				count(&surprises);
			break;
		case 3:
			mmun_rcache_for_each(cache, visit, NULL);
			break;
		case 4:
			mmun_rcache_limit_process(one_in(&rng, 2) ? 20 : 0, 0);
			break;
		case 5:
			mmun_rcache_stats(cache, &stats);
			if (stats.deregistered > stats.registered ||
			    stats.late_in_use > stats.registered)
				count(&surprises);
			break;
		default:
			mmun_rcache_invalidate(cache, (unsigned long)at(use.first),
					       (unsigned long)at(use.first + use.nr));
		}
		usleep((useconds_t)(next_random(&rng) % 1000));
	}
	mmun_rcache_limit_process(0, 0);
	return park_thread();
}

/* Interrupts users and owners anywhere. */
static void on_signal(int sig)
{
	static unsigned int turn;
	const unsigned int mine = __atomic_add_fetch(&turn, 1, __ATOMIC_RELAXED);
	struct use use = { .first = mine * 7 % (PAGES - LONGEST), .nr = 1 + mine % LONGEST };
	const int saved = errno;

	if (get(&use, MMUN_RCACHE_READ | MMUN_RCACHE_CACHED)) {
		if (mine % 4) {
			char *page = mmap(NULL, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

			if (page != MAP_FAILED)
				munmap(page, PAGE);
		}
		put(use.reg);
	}
	count(&signals);
	errno = saved;
}

static void *send_signals(void *arg)
{
	struct rng rng = rng_of(options.seed, 400);

	/* ThreadSanitizer delivers signals late, also where they are blocked meanwhile. */
	while (running() && !THREAD_SANITIZED) {
		pthread_kill(targets[next_random(&rng) % (OWNERS + USERS)], SIGUSR1);
		usleep(100);
	}
	return park_thread();
}

/* Of its own pages: what it gets is new, and not what the parent has. */
static int child(struct mmun_registration *of_parent)
{
	struct use use = { .first = 0, .nr = ALIGNMENT };
	const unsigned long before = registered - deregistered;

	alarm(60);
	failures_wanted = 0;
	behind = 0;
	stale = stale_current = surprises = used_dead = 0;
	if (of_parent)
		mmun_rcache_put(cache, of_parent);
	for (unsigned int i = 0; i < 3; i++) {
		if (!map_anonymous(at(use.first), use.nr))
			return 1;
		died(use.first, use.nr);
		write_pages(use.first, use.nr);
		if (!get(&use, MMUN_RCACHE_READ))
			return 100 - (int)mmun_ptr_err(use.reg);
		if (of_parent == use.reg)
			return 3;
		if (of_parent && i == 1)
			mmun_rcache_put(cache, of_parent);
		if (!call(SYS_munmap, (long)at(use.first), use.nr * PAGE, 0, 0, 0, 0))
			died(use.first, use.nr);
		check_current(&use);
		if (mmun_rcache_progress(cache) < 0 ||
		    ((struct device_region *)use.reg)->magic != ALIVE)
			return 4;
		put(use.reg);
		mmun_rcache_progress(cache);
		if (get(&use, MMUN_RCACHE_READ))
			return 5;
	}
	if (mmun_rcache_destroy(cache))
		return 6;
	if (registered - deregistered != before)
		return 7;
	return stale || stale_current || surprises || used_dead ? 8 : 0;
}

static void *fork_children(void *arg)
{
	struct rng rng = rng_of(options.seed, 500);

	/* ThreadSanitizer holds locks across fork() that sections of others need, and
	 * AddressSanitizer's allocator does not know that others have held its own. */
	while (running() && !SANITIZED) {
		struct use use = { 0 };
		int status = 0;
		pid_t pid;

		usleep((useconds_t)(next_random(&rng) % 20000));
		choose(&rng, &use);
		if (!get(&use, MMUN_RCACHE_READ))
			use.reg = NULL;
		pid = fork();
		if (!pid)
			_exit(child(use.reg));
		if (pid < 0 || waitpid(pid, &status, 0) != pid || status) {
			count(&wrong_children);
			diag("a child ended with status %d, signal %d", WEXITSTATUS(status),
			     WTERMSIG(status));
		}
		if (use.reg)
			put(use.reg);
		count(&children);
	}
	return park_thread();
}

/* One round: a cache with its options, and everybody for a while. */

struct round {
	const char *name;
	struct mmun_rcache_options options;
	unsigned int failures_wanted;
	bool behind;
};

#define OTHERS 4u

static void run_threads(unsigned long ms)
{
	static void *(*const others_run[OTHERS])(void *) = { make_threads, manage, send_signals,
							     fork_children };
	static struct owner owners[OWNERS];
	static unsigned int everybody;
	pthread_t others[OTHERS];

	stopping = 0;
	everybody += OTHERS + OWNERS + USERS;
	for (unsigned int i = 0; i < OWNERS; i++) {
		struct owner *o = &owners[i];

		o->rng = rng_of(options.seed, i);
		o->first = i * (PAGES / OWNERS);
		o->nr = PAGES / OWNERS;
		if (!o->spare) {
			o->fd = memfd_create("torture", MFD_CLOEXEC);
			o->spare = oracle_room(LONGEST * PAGE);
		}
		map_anonymous(at(o->first), o->nr);
		died(o->first, o->nr);
		write_pages(o->first, o->nr);
		pthread_create(&targets[i], NULL, own, o);
	}
	for (unsigned long i = 0; i < USERS; i++)
		pthread_create(&targets[OWNERS + i], NULL, use_all, (void *)i);
	for (unsigned int i = 0; i < OTHERS; i++)
		pthread_create(&others[i], NULL, others_run[i], NULL);
	usleep((useconds_t)(ms * 1000));
	__atomic_store_n(&stopping, 1, __ATOMIC_RELAXED);
	for (unsigned int i = OTHERS; i-- > 0;)
		park_wait(others[i], everybody);
	for (unsigned int i = 0; i < OWNERS + USERS; i++)
		park_wait(targets[i], everybody);
	for (unsigned int i = 0; i < MAIL; i++) {
		if (mail[i])
			put(mail[i]);
		mail[i] = NULL;
	}
}

/* Everything is unmapped and nobody calls the cache. */
static void check_idle(const struct round *round)
{
	const bool reaper = !(round->options.flags & MMUN_RCACHE_NO_REAPER);
	const uint64_t begin = oracle_now();
	struct mmun_rcache_stats stats;

	if (munmap(arena, PAGES * PAGE))
		count(&failed_calls);
	do {
		if (reaper)
			usleep(1000);
		else
			mmun_rcache_progress(cache);
		mmun_rcache_stats(cache, &stats);
	} while ((stats.late_regions || stats.regions) && oracle_now() - begin < 3000000000ull);
	diag("%s: hits %lu misses %lu merged %lu retries %lu invalidations %lu evictions %lu uncached "
	     "%lu batches %lu, idle after %llu ms",
	     round->name, stats.hits, stats.misses, stats.merged, stats.retries,
	     stats.invalidations, stats.evictions, stats.uncached, stats.batches,
	     (unsigned long long)((oracle_now() - begin) / 1000000));
	ok(!stats.late_regions && !stats.regions && !stats.bytes && !stats.late_bytes,
	   "%s: nothing is late at the end", round->name);
	if (stats.late_regions || stats.regions)
		diag("%lu live, %lu late, %lu of them in use", stats.regions, stats.late_regions,
		     stats.late_in_use);
	ok(stats.hits && stats.misses && (round->behind || stats.invalidations),
	   "%s: the cache was of use", round->name);
	is(registered, deregistered, "%s: what was registered is deregistered", round->name);
	is(stats.registered - stats.deregistered, 0, "%s: the cache says so too", round->name);
}

static void run_round(struct round *round, unsigned long ms)
{
	round->options.registration_size = sizeof(struct device_region);
	round->options.limits.length = MOST * PAGE;
	registered = deregistered = stale = stale_current = used_dead = dirty = surprises = 0;
	failures_wanted = round->failures_wanted;
	if (mmun_rcache_create(mmun_self(), &device, NULL, &round->options, &cache))
		bail_out("no cache");
	behind = round->behind;
	run_threads(ms);
	behind = 0;
	check_idle(round);
	if (round->behind)
		ok(stale && stale_current, "%s: the oracle sees it (%lu, %lu)", round->name, stale,
		   stale_current);
	else
		ok(!stale && !stale_current,
		   "%s: no get returned what was older than itself (%lu, %lu)", round->name, stale,
		   stale_current);
	is(used_dead, 0, "%s: nothing was deregistered while in use", round->name);
	is(dirty, 0, "%s: what is to be registered is zero", round->name);
	is(surprises, 0, "%s: no surprise", round->name);
	is(mmun_rcache_destroy(cache), 0, "%s: destroyed", round->name);
}

int main(int argc, char **argv)
{
	struct round rounds[] = {
		{ .name = "reaper", .failures_wanted = 37 },
		{ .name = "merging, few regions",
		  .options = { .merge = MOST * PAGE,
			       .limits.regions = 24,
			       .alignment = ALIGNMENT * PAGE } },
		{ .name = "no reaper, few bytes",
		  .options = { .flags = MMUN_RCACHE_NO_REAPER,
			       .limits.bytes = 40 * PAGE,
			       .late_bytes = 4 * PAGE },
		  .failures_wanted = 101 },
		{ .name = "debug and poison",
		  .options.flags = MMUN_RCACHE_DEBUG | MMUN_RCACHE_POISON },
		{ .name = "behind its back", .behind = true },
	};
	const unsigned int nr = sizeof(rounds) / sizeof(rounds[0]);
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_RESTART };

	options = parse_options(argc, argv);
	sigaction(SIGUSR1, &action, NULL);
	arena = oracle_room((PAGES + ALIGNMENT) * PAGE);
	arena += -(uintptr_t)arena % (ALIGNMENT * PAGE);
	if (!arena || !make_code())
		bail_out("no memory");
	if (THREAD_SANITIZED)
		mmun_self();
	for (unsigned int i = 0; i < nr; i++)
		run_round(&rounds[i], (unsigned long)options.seconds * 1000 / nr);
	diag("%lu gets, %lu answered, %lu changes, %lu signals, %lu threads, %lu children", gets,
	     found, changes, signals, threads_made, children);
	is(failed_calls, 0, "every change did what it does");
	is(wrong_children, 0, "B15: each child had a cache of its own");
	return tap_done();
}
