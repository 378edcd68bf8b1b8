/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Torture of fixed buffers: reads and writes through them while their memory changes.
 *
 *	uring [--operations N] [--seed S]
 *
 * Four threads read and write, by rings of several kinds, files, files past the page cache, and
 * pipes, into and out of areas of memory.  Two others unmap, map over, move, discard,
 * punch and truncate parts of the areas, and fork, and take no lock that the first four know.
 * Every byte of an operation is compared with what it must be, by the kernel's copying
 * (process_vm_readv()), unless a change of the area began or was on its way between
 * the get and the comparison: then it may be anything, and is not counted.
 *
 * The same is done with a cache that hears of other memory (an address space in
 * software, where nothing happens).  There bytes must come out wrong, or the test sees nothing.
 */
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <linux/falloc.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <mmunotify/self.h>
#include <mmunotify/soft.h>

#include "cache.h"
#include "options.h"
#include "oracle.h"
#include "park.h"

#define PAGE      4096ul
#define RW        (PROT_READ | PROT_WRITE)
#define AREAS     24
#define AREA      (16 * PAGE)
#define WORKERS   4
#define CHANGERS  2
#define DEPTH     4
#define SLOTS     48
#define TRUTH     (4ul << 20)
#define PIPE_MOST (4 * PAGE)

/* What an operation must find or leave; the file that is read has the same bytes. */
static unsigned char truth[TRUTH];
static int truth_fd, truth_direct_fd = -1;

static struct area {
	char *base;
	/* A memory file as long as the area, mapped at times. */
	int fd;
	/* Of a change: before its first call, and after its last. */
	unsigned long begun, done;
	/* One worker, one changer. */
	pthread_mutex_t used, changed;
} areas[AREAS];

enum target { TO_FILE, TO_DIRECT, TO_PIPE };

struct operation {
	struct area *area;
	struct mmun_uring_buffer *buffer;
	enum target target;
	bool write;
	char *address;
	size_t length, offset;
	unsigned long begun;
	bool quiet;
	int result;
};

static struct worker {
	pthread_t thread;
	struct rng rng;
	struct io_uring ring;
	struct mmun_uring *cache;
	bool owner;
	int scratch_fd, direct_fd, pipes[DEPTH][2];
	struct operation operations[DEPTH];
	unsigned char bytes[AREA] __attribute__((aligned(4096)));
	unsigned long fixed, plain, raced, by_target[3][2];
} workers[WORKERS];

static struct changer {
	pthread_t thread;
	uint64_t seed;
	/* Room to move to. */
	char *spare;
} changers[CHANGERS];

static struct mm_struct *heard_of;
static unsigned long wanted, checked, wrong, changes;
static bool stopping;
static unsigned long operations = 100000;

static unsigned long load(const unsigned long *value)
{
	return __atomic_load_n(value, __ATOMIC_SEQ_CST);
}

static unsigned long add(unsigned long *value)
{
	return __atomic_add_fetch(value, 1, __ATOMIC_SEQ_CST);
}

static unsigned long below(struct rng *rng, unsigned long limit)
{
	return next_random(rng) % limit;
}

/* Changes. */

static void map_new(char *at, size_t size)
{
	if (mmap(at, size, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != at)
		bail_out("mmap");
}

static void move_away(char *at, size_t size, char *spare)
{
	/* Parts that are several mappings do not move. */
	mremap(at, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, spare);
	map_new(at, size);
}

static void move_here(char *at, size_t size, char *spare)
{
	map_new(spare, size);
	memset(spare, 0x55, size);
	if (mremap(spare, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, at) != at)
		bail_out("mremap");
}

static void change(struct area *area, struct rng *rng, char *spare)
{
	size_t first = below(rng, AREA / PAGE) * PAGE;
	size_t size = (1 + below(rng, (AREA - first) / PAGE)) * PAGE;
	char *at = area->base + first;

	switch (below(rng, 11)) {
	case 0:
		munmap(at, size);
		map_new(at, size);
		break;
	case 1:
		map_new(at, size);
		break;
	case 2:
	case 3:
		if (mmap(at, size, RW, MAP_SHARED | MAP_FIXED, area->fd, (off_t)first) != at)
			bail_out("mmap of a file");
		break;
	case 4:
		move_away(at, size, spare);
		break;
	case 5:
		move_here(at, size, spare);
		break;
	case 6:
		madvise(at, size, MADV_DONTNEED);
		break;
	case 7:
		madvise(at, size, MADV_REMOVE);
		break;
	case 8:
		fallocate(area->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)first,
			  (off_t)size);
		break;
	case 9:
		if (ftruncate(area->fd, (off_t)first) || ftruncate(area->fd, AREA))
			bail_out("ftruncate");
		break;
	case 10:
		mprotect(at, size, PROT_READ);
		mprotect(at, size, RW);
		break;
	}
}

static void *changer(void *arg)
{
	struct changer *me = arg;
	struct rng rng = rng_of(me->seed, 100);
	char *spare = me->spare;

	while (!__atomic_load_n(&stopping, __ATOMIC_RELAXED)) {
		struct area *area = &areas[below(&rng, AREAS)];

		/* No change of what the memory holds.  (ThreadSanitizer holds locks across
		 * fork() that the sections of others need.) */
		if (one_in(&rng, 500) && !THREAD_SANITIZED) {
			pid_t child = fork();

			if (!child)
				_exit(0);
			waitpid(child, NULL, 0);
		}
		if (pthread_mutex_trylock(&area->changed))
			continue;
		add(&area->begun);
		change(area, &rng, spare);
		add(&area->done);
		pthread_mutex_unlock(&area->changed);
		add(&changes);
		if (one_in(&rng, 3))
			usleep((useconds_t)below(&rng, 60));
	}
	return park_thread();
}

/* Operations. */

static struct area *free_area(struct rng *rng)
{
	for (int tries = 0; tries < 100; tries++) {
		struct area *area = &areas[below(rng, AREAS)];

		if (!pthread_mutex_trylock(&area->used))
			return area;
	}
	bail_out("no area is free");
}

static bool copy(bool out, void *here, char *there, size_t length)
{
	struct iovec local = { here, length }, remote = { there, length };
	ssize_t done = out ? process_vm_writev(getpid(), &local, 1, &remote, 1, 0)
			   : process_vm_readv(getpid(), &local, 1, &remote, 1, 0);

	return done == (ssize_t)length;
}

static void choose(struct worker *w, struct operation *op)
{
	size_t unit;

	op->area = free_area(&w->rng);
	op->write = one_in(&w->rng, 2);
	op->target = TO_FILE;
	if (one_in(&w->rng, 4))
		op->target = TO_PIPE;
	else if (one_in(&w->rng, 16) && truth_direct_fd >= 0)
		op->target = TO_DIRECT;
	unit = op->target == TO_DIRECT ? PAGE : 1;
	op->length = 1 + below(&w->rng, op->target == TO_PIPE ? PIPE_MOST : AREA);
	op->length = (op->length + unit - 1) / unit * unit;
	op->address = op->area->base + below(&w->rng, AREA - op->length + 1) / unit * unit;
	op->offset = below(&w->rng, TRUTH - op->length + 1) / unit * unit;
	op->begun = load(&op->area->begun);
	op->quiet = op->begun == load(&op->area->done);
}

static struct mmun_uring_buffer *get(struct worker *w, struct operation *op)
{
	unsigned int flags = one_in(&w->rng, 64) ? MMUN_RCACHE_UNCACHED : 0;
	struct mmun_uring_buffer *buffer;

	/* Often of the whole area: it serves all of its parts. */
	if (one_in(&w->rng, 2))
		buffer = mmun_uring_get(w->cache, op->area->base, AREA, flags);
	else
		buffer = mmun_uring_get(w->cache, op->address, op->length, flags);
	*(mmun_is_err(buffer) ? &w->plain : &w->fixed) += 1;
	return buffer;
}

static void start(struct worker *w, unsigned int i)
{
	struct operation *op = &w->operations[i];
	int fd = op->target == TO_PIPE ? w->pipes[i][op->write]
		 : op->write           ? (op->target == TO_DIRECT ? w->direct_fd : w->scratch_fd)
				       : (op->target == TO_DIRECT ? truth_direct_fd : truth_fd);
	size_t offset = op->target == TO_PIPE ? 0 : op->write ? i * AREA : op->offset;
	struct io_uring_sqe *sqe = io_uring_get_sqe(&w->ring);

	if (op->write && !copy(true, truth + op->offset, op->address, op->length) && op->quiet &&
	    op->begun == load(&op->area->begun)) {
		diag("memory cannot be written: %s", strerror(errno));
		add(&wrong);
	}
	op->buffer = get(w, op);
	if (op->write)
		mmun_uring_prep_write(sqe, fd, op->address, (unsigned int)op->length, offset,
				      op->buffer);
	else
		mmun_uring_prep_read(sqe, fd, op->address, (unsigned int)op->length, offset,
				     op->buffer);
	sqe->user_data = i;
}

/* A read from a pipe waits in the kernel until now. */
static void feed(struct worker *w, unsigned int i)
{
	struct operation *op = &w->operations[i];

	if (op->target == TO_PIPE && !op->write &&
	    write(w->pipes[i][1], truth + op->offset, op->length) != (ssize_t)op->length)
		bail_out("pipe");
}

/* The bytes that the operation moved, or would have; also empties the pipe. */
static bool fetch(struct worker *w, unsigned int i)
{
	struct operation *op = &w->operations[i];
	size_t length = op->result > 0 ? (size_t)op->result : 0;
	int fd = op->target == TO_DIRECT ? w->direct_fd : w->scratch_fd;

	if (op->target == TO_PIPE && !op->write)
		for (size_t left = op->length - length; left;) {
			ssize_t got = read(w->pipes[i][0], w->bytes, left);

			if (got <= 0)
				bail_out("pipe");
			left -= (size_t)got;
		}
	if (!op->write)
		return copy(false, w->bytes, op->address, op->length);
	if (op->target == TO_PIPE)
		return !length || read(w->pipes[i][0], w->bytes, length) == (ssize_t)length;
	return pread(fd, w->bytes, op->length, (off_t)(i * AREA)) == (ssize_t)op->length;
}

static void finish(struct worker *w, unsigned int i)
{
	struct operation *op = &w->operations[i];
	bool right = fetch(w, i) && op->result == (int)op->length &&
		     !memcmp(w->bytes, truth + op->offset, op->length);

	mmun_uring_put(w->cache, op->buffer);
	if (!op->quiet || op->begun != load(&op->area->begun)) {
		w->raced++;
	} else {
		w->by_target[op->target][op->write]++;
		add(&checked);
		if (!right && add(&wrong) <= 5)
			diag("wrong: %s %s of %zu bytes, result %d",
			     op->buffer && !mmun_is_err(op->buffer) ? "fixed" : "plain",
			     op->write ? "write" : "read", op->length, op->result);
	}
	pthread_mutex_unlock(&op->area->used);
}

static void work(struct worker *w)
{
	struct io_uring_cqe *cqe;

	while (load(&checked) < wanted) {
		unsigned int depth = 1 + (unsigned int)below(&w->rng, DEPTH);

		for (unsigned int i = 0; i < depth; i++) {
			choose(w, &w->operations[i]);
			start(w, i);
		}
		if (io_uring_submit(&w->ring) != (int)depth)
			bail_out("io_uring_submit");
		for (unsigned int i = 0; i < depth; i++)
			feed(w, i);
		for (unsigned int i = 0; i < depth; i++) {
			if (io_uring_wait_cqe(&w->ring, &cqe))
				bail_out("io_uring_wait_cqe");
			w->operations[cqe->user_data].result = cqe->res;
			io_uring_cqe_seen(&w->ring, cqe);
		}
		for (unsigned int i = 0; i < depth; i++)
			finish(w, i);
		if (w->owner)
			mmun_rcache_progress(mmun_uring_rcache(w->cache));
	}
}

static void *worker(void *arg)
{
	work(arg);
	return park_thread();
}

/* Rings and caches: two workers share a set, one has its own, one a ring of one thread. */

static void ring(struct worker *w, unsigned int flags)
{
	int error = io_uring_queue_init(2 * DEPTH, &w->ring, flags);

	if (error == -EINVAL && flags)
		error = io_uring_queue_init(2 * DEPTH, &w->ring, 0);
	if (error)
		skip_all("io_uring is not permitted here");
}

static struct mmun_uring *cache(struct io_uring *const *rings, unsigned int nr)
{
	struct mmun_uring_options options = { .slots = SLOTS };
	struct mmun_uring *made = NULL;
	int error = mmun_uring_create_of(heard_of, rings, nr, &options, &made);

	if (error) {
		diag("%s", strerror(-error));
		bail_out("no cache");
	}
	return made;
}

static void *own_ring(void *arg)
{
	struct worker *w = arg;
	struct io_uring *only = &w->ring;

	ring(w, IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN);
	w->cache = cache(&only, 1);
	w->owner = true;
	work(w);
	is(mmun_uring_destroy(w->cache), 0, "the end of a ring of one thread");
	io_uring_queue_exit(&w->ring);
	return park_thread();
}

static unsigned long total(size_t offset)
{
	unsigned long sum = 0;

	for (int i = 0; i < WORKERS; i++)
		sum += *(unsigned long *)((char *)&workers[i] + offset);
	return sum;
}

static void report(const char *phase)
{
	unsigned long fixed = total(offsetof(struct worker, fixed));
	unsigned long plain = total(offsetof(struct worker, plain));
	unsigned long of[3][2] = { 0 };

	for (int i = 0; i < WORKERS; i++)
		for (int k = 0; k < 6; k++)
			of[k / 2][k % 2] += workers[i].by_target[k / 2][k % 2];
	diag("%s: %lu operations compared, %lu wrong; %lu more met a change; %lu changes", phase,
	     checked, wrong, total(offsetof(struct worker, raced)), changes);
	diag("files %lu reads, %lu writes; direct %lu, %lu; pipes %lu, %lu; %lu fixed, %lu plain",
	     of[TO_FILE][0], of[TO_FILE][1], of[TO_DIRECT][0], of[TO_DIRECT][1], of[TO_PIPE][0],
	     of[TO_PIPE][1], fixed, plain);
	ok(fixed > 4 * plain, "%s: most are fixed", phase);
}

/* Once nothing of it is mapped, nothing of it is pinned. */
static bool nothing_stays(struct mmun_uring *of)
{
	struct mmun_rcache_stats stats;

	for (int i = 0; i < AREAS; i++)
		munmap(areas[i].base, AREA);
	for (int tries = 0; tries < 500; tries++) {
		mmun_rcache_stats(mmun_uring_rcache(of), &stats);
		if (!stats.regions && !stats.late_regions)
			return true;
		usleep(10000);
	}
	diag("%lu regions, %lu late", stats.regions, stats.late_regions);
	return false;
}

static void phase(const char *name, struct mm_struct *mm, unsigned long count, uint64_t seed)
{
	struct io_uring *set[2] = { &workers[0].ring, &workers[1].ring }, *third;
	static unsigned int threads;
	struct mmun_rcache_stats stats;

	heard_of = mm;
	checked = wrong = changes = 0;
	wanted = count;
	stopping = false;
	for (int i = 0; i < AREAS; i++)
		map_new(areas[i].base, AREA);
	for (unsigned int i = 0; i < WORKERS; i++) {
		workers[i].rng = rng_of(seed, i);
		workers[i].fixed = workers[i].plain = workers[i].raced = 0;
		memset(workers[i].by_target, 0, sizeof(workers[i].by_target));
		if (i < 3)
			ring(&workers[i], 0);
	}
	third = &workers[2].ring;
	workers[0].cache = workers[1].cache = cache(set, 2);
	workers[2].cache = cache(&third, 1);
	for (unsigned long i = 0; i < CHANGERS; i++) {
		changers[i].seed = seed + i;
		pthread_create(&changers[i].thread, NULL, changer, &changers[i]);
	}
	for (unsigned int i = 0; i < WORKERS; i++)
		pthread_create(&workers[i].thread, NULL, i < 3 ? worker : own_ring, &workers[i]);
	for (unsigned int i = 0; i < WORKERS; i++)
		park_wait(workers[i].thread, threads + WORKERS);
	__atomic_store_n(&stopping, true, __ATOMIC_RELAXED);
	for (int i = 0; i < CHANGERS; i++)
		park_wait(changers[i].thread, threads + WORKERS + CHANGERS);
	threads += WORKERS + CHANGERS;

	report(name);
	mmun_rcache_stats(mmun_uring_rcache(workers[0].cache), &stats);
	diag("two rings: %lu hits, %lu misses, %lu invalidations, %lu evictions, %lu retries",
	     stats.hits, stats.misses, stats.invalidations, stats.evictions, stats.retries);
	if (mm == mmun_self())
		ok(nothing_stays(workers[0].cache) && nothing_stays(workers[2].cache),
		   "%s: what is unmapped is not pinned", name);
	is(mmun_uring_destroy(workers[0].cache), 0, "%s: the end of the set", name);
	is(mmun_uring_destroy(workers[2].cache), 0, "%s: the end of one ring", name);
	for (int i = 0; i < 3; i++)
		io_uring_queue_exit(&workers[i].ring);
}

/* A file past the page cache, where the file system has that; unlinked. */
static int direct_file(const void *bytes, size_t size)
{
	static const char *const folders[] = { ".", "/var/tmp", "/tmp" };

	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
		int fd = open(folders[i], O_TMPFILE | O_RDWR | O_DIRECT | O_CLOEXEC, 0600);

		if (fd < 0)
			continue;
		if (pwrite(fd, bytes, size, 0) == (ssize_t)size)
			return fd;
		close(fd);
	}
	return -1;
}

static void prepare(uint64_t seed)
{
	struct rng rng = rng_of(seed, 200);
	void *aligned = mmap(NULL, TRUTH, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	for (size_t i = 0; i < TRUTH; i += 8) {
		uint64_t word = next_random(&rng);

		memcpy(truth + i, &word, 8);
	}
	truth_fd = memfd_create("truth", MFD_CLOEXEC);
	if (truth_fd < 0 || aligned == MAP_FAILED || write(truth_fd, truth, TRUTH) != TRUTH)
		bail_out("memory file");
	memcpy(aligned, truth, TRUTH);
	truth_direct_fd = direct_file(aligned, TRUTH);
	if (truth_direct_fd < 0)
		diag("no O_DIRECT here");
	for (int i = 0; i < WORKERS; i++) {
		workers[i].scratch_fd = memfd_create("scratch", MFD_CLOEXEC);
		workers[i].direct_fd = direct_file(aligned, AREA);
		if (workers[i].direct_fd < 0)
			truth_direct_fd = -1;
		for (int k = 0; k < DEPTH; k++)
			if (pipe2(workers[i].pipes[k], O_CLOEXEC))
				bail_out("pipe");
	}
	munmap(aligned, TRUTH);
	for (int i = 0; i < CHANGERS; i++)
		changers[i].spare = oracle_room(AREA);
	for (int i = 0; i < AREAS; i++) {
		areas[i].base = oracle_room(AREA);
		areas[i].fd = memfd_create("area", MFD_CLOEXEC);
		pthread_mutex_init(&areas[i].used, NULL);
		pthread_mutex_init(&areas[i].changed, NULL);
		if (!areas[i].base || areas[i].fd < 0 || ftruncate(areas[i].fd, AREA))
			bail_out("an area");
	}
}

int main(int argc, char **argv)
{
	uint64_t seed = parse_options(argc, argv).seed;
	struct mmun_soft *machine;
	struct mm_struct *other;

	for (int i = 1; i + 1 < argc; i += 2)
		if (!strcmp(argv[i], "--operations"))
			operations = strtoul(argv[i + 1], NULL, 0);
	/* There each takes ten times as long. */
	if (THREAD_SANITIZED)
		operations /= 5;
	prepare(seed);
	phase("connected", mmun_self(), operations, seed);
	is(wrong, 0, "%lu operations: every byte is right", checked);

	if (mmun_soft_create(NULL, &machine) || mmun_soft_mm_create(machine, &other))
		bail_out("an address space in software");
	phase("disconnected", other, operations / 10, seed);
	ok(wrong > 0, "a cache that hears of nothing: bytes are wrong");
	mmput(other);
	is(mmun_soft_destroy(machine), 0, "nobody holds the other address space");
	return tap_done();
}
