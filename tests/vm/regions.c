/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * regions [raw | on-demand] - RDMA writes from and into memory that is replaced in between, with memory
 * regions that are kept, and with the cache.  TAP.
 *
 * A region is kept by not putting it: "it stays usable until its put, whatever happens to the
 * memory meanwhile; then it refers to the old pages".  That is what a cache does that
 * nobody notifies, and must be wrong in every way to replace memory.  raw: only the way that
 * strict mode alone sees.  on-demand: only regions that the device pages on demand, which
 * are right though they are kept.  Run by verbs.py in the virtual machine.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <mmunotify/verbs.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../tap.h"
#include "loop.h"
#include "ways.h"

#define MESSAGES 3
#define PAGE     4096ul
#define KIB64    65536ul

static struct loop loop;
static struct mmun_verbs *verbs;
static const size_t sizes[] = { PAGE, 4 * KIB64 };

_Noreturn void fail(const char *what)
{
	printf("Bail out! %s: %s\n", what, strerror(errno));
	fflush(stdout);
	_exit(1);
}

static uintptr_t new_address(size_t bytes)
{
	static uintptr_t next = 0x100000000000ul; /* nobody else maps here */

	next += 2 * bytes;
	return next - 2 * bytes;
}

static void *map(size_t bytes)
{
	void *memory =
		mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		fail("mmap");
	return memory;
}

static struct mmun_verbs_registration *get(const void *address, size_t bytes, unsigned int access)
{
	struct mmun_verbs_registration *reg = mmun_verbs_get(verbs, address, bytes, access);

	if (mmun_is_err(reg)) {
		errno = (int)-mmun_ptr_err(reg);
		fail("mmun_verbs_get");
	}
	return reg;
}

/* Both ends of a transfer; NULL: to be had from the cache for each. */
struct ends {
	struct mmun_verbs_registration *from, *to;
};

/* Does a message that counts up arrive as something else? */
static bool send_wrong(const struct ends *kept, void *from, void *to, size_t bytes)
{
	static uint64_t first = 0x5100000000000000ul;
	uint64_t *words = from, *arrived = to;
	struct ends ends = *kept;
	bool wrong = false;

	first += 1ul << 32;
	for (size_t i = 0; i < bytes / sizeof(*words); i++)
		words[i] = first + i;
	memset(to, 0xee, bytes);
	if (!ends.from)
		ends.from = get(from, bytes, MMUN_RCACHE_READ);
	if (!ends.to)
		ends.to = get(to, bytes, MMUN_VERBS_REMOTE_WRITE);
	if (loop_do(&loop, IBV_WR_RDMA_WRITE, from, bytes, ends.from->lkey, to, ends.to->rkey))
		fail("the write did not succeed");
	if (!kept->from)
		mmun_verbs_put(verbs, ends.from);
	if (!kept->to)
		mmun_verbs_put(verbs, ends.to);
	for (size_t i = 0; i < bytes / sizeof(*words); i++)
		wrong |= arrived[i] != first + i;
	return wrong;
}

/* How many of MESSAGES are wrong, when one end's memory is replaced before each but the first. */
static int run_series(const struct way *way, bool replace_target, bool keep, size_t bytes)
{
	char *other = map(bytes);
	struct buffer buffer;
	struct ends kept = { NULL, NULL };
	char *from, *to;
	int wrong = 0;

	buffer_map(&buffer, way, new_address(bytes), bytes);
	from = replace_target ? other : (char *)buffer.words;
	to = replace_target ? (char *)buffer.words : other;
	if (keep) {
		kept.from = get(from, bytes, MMUN_RCACHE_READ);
		kept.to = get(to, bytes, MMUN_VERBS_REMOTE_WRITE);
	}
	for (int i = 0; i < MESSAGES; i++) {
		if (i)
			way->replace(&buffer);
		wrong += send_wrong(&kept, from, to, bytes);
	}
	mmun_verbs_put(verbs, kept.from);
	mmun_verbs_put(verbs, kept.to);
	buffer_unmap(&buffer);
	munmap(other, bytes);
	return wrong;
}

static void test_way(const struct way *way, bool on_demand)
{
	for (int target = 0; target < 2; target++) {
		const char *what = target ? "target" : "source";
		int stale = 0, wrong = 0, expected = 0;

		for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
			stale += run_series(way, target, true, sizes[i]);
			wrong += run_series(way, target, false, sizes[i]);
			expected += MESSAGES - 1;
		}
		if (on_demand)
			is(stale, 0, "%s of the %s, on demand, region kept: right", way->name,
			   what);
		else
			is(stale, expected, "%s of the %s, region kept: stale", way->name, what);
		is(wrong, 0, "%s of the %s, through the cache: right", way->name, what);
	}
}

/* The old pages are still to be seen: elsewhere. */
static void test_moved(void)
{
	char *source = map(PAGE), *target = map(PAGE), *old = map(PAGE);
	struct mmun_verbs_registration *from = get(source, PAGE, MMUN_RCACHE_READ);
	struct mmun_verbs_registration *to = get(target, PAGE, MMUN_VERBS_REMOTE_WRITE);

	memset(source, 'x', PAGE);
	if (mremap(target, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, old) != old ||
	    mmap(target, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
		 0) != target)
		fail("moving");
	ok(!mmun_rcache_is_current(mmun_verbs_rcache(verbs), &to->registration),
	   "moved: the region in use is not current any more");
	is(loop_do(&loop, IBV_WR_RDMA_WRITE, source, PAGE, from->lkey, target, to->rkey), 0,
	   "moved: a region in use stays usable");
	ok(target[0] == 0 && old[0] == 'x', "moved: what it writes goes to the old pages");
	mmun_verbs_put(verbs, to);
	mmun_verbs_put(verbs, from);
	memset(old, 0, PAGE);
	ok(!send_wrong(&(struct ends){ NULL, NULL }, source, target, PAGE) && old[0] == 0,
	   "moved: through the cache it goes to the new ones");
	ok(!send_wrong(&(struct ends){ NULL, NULL }, source, old, PAGE),
	   "moved: and at the other address to the old ones");
	munmap(source, PAGE);
	munmap(target, PAGE);
	munmap(old, PAGE);
}

static void test_operations(void)
{
	uint64_t *remote = map(PAGE), *local = map(PAGE);
	struct mmun_verbs_registration *near, *far;

	*remote = 41;
	near = get(local, PAGE, MMUN_RCACHE_WRITE);
	far = get(remote, PAGE, MMUN_VERBS_REMOTE_READ);
	is(loop_do(&loop, IBV_WR_RDMA_WRITE, local, 8, near->lkey, remote, far->rkey),
	   IBV_WC_REM_ACCESS_ERR, "access: a region for reading refuses writes");
	loop_close_queues(&loop);
	mmun_verbs_put(verbs, far);
	mmun_verbs_put(verbs, near);
	is(mmun_verbs_destroy(verbs), 0, "the cache is destroyed");
	is(ibv_dealloc_pd(loop.pd), 0, "then its protection domain");
	ibv_close_device(loop.context);
	loop_open(&loop);
	is(mmun_verbs_create(loop.pd,
			     &(struct mmun_verbs_options){ .flags = MMUN_VERBS_RELAXED_ORDERING },
			     &verbs),
	   0, "relaxed ordering: a cache");
	near = get(local, PAGE, MMUN_RCACHE_WRITE);
	far = get(remote, PAGE, MMUN_VERBS_REMOTE_READ | MMUN_RCACHE_ATOMIC);
	is(loop_do(&loop, IBV_WR_RDMA_READ, local, 8, near->lkey, remote, far->rkey), 0,
	   "access: a read");
	is(*local, 41, "access: of what is there");
	is(loop_do(&loop, IBV_WR_ATOMIC_FETCH_AND_ADD, local, 8, near->lkey, remote, far->rkey), 0,
	   "access: an atomic operation");
	is(*remote, 42, "access: was made");
	mmun_verbs_put(verbs, far);
	far = get(remote, PAGE, MMUN_VERBS_ORDERED | MMUN_VERBS_REMOTE_READ);
	ok(!(far->registration.access & MMUN_RCACHE_ATOMIC), "ordered: a region of its own");
	mmun_verbs_put(verbs, far);
	mmun_verbs_put(verbs, near);
	munmap(remote, PAGE);
	munmap(local, PAGE);
}

static void test_rights(void)
{
	char *memory = map(PAGE);
	struct mmun_verbs_registration *reg;

	memory[0] = 1;
	if (mprotect(memory, PAGE, PROT_READ))
		fail("mprotect");
	reg = mmun_verbs_get(verbs, memory, PAGE, MMUN_RCACHE_READ);
	ok(!mmun_is_err(reg), "rights: memory that can only be read is registered for reading");
	mmun_verbs_put(verbs, reg);
	reg = mmun_verbs_get(verbs, memory, PAGE, MMUN_RCACHE_WRITE);
	is(mmun_ptr_err(reg), -EFAULT, "rights: not for writing");
	munmap(memory, PAGE);
	reg = mmun_verbs_get(verbs, memory, PAGE, MMUN_RCACHE_READ);
	is(mmun_ptr_err(reg), -EFAULT, "rights: what is not mapped is not registered");
}

static long pinned_kib(void)
{
	FILE *file = fopen("/proc/self/status", "re");
	long kib = -1;
	char line[256];

	while (file && fgets(line, sizeof(line), file))
		sscanf(line, "VmPin: %ld", &kib);
	if (file)
		fclose(file);
	return kib;
}

static long now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void test_pinned(void)
{
	char *memory = map(100 * KIB64);
	long before, began;

	mmun_rcache_flush(mmun_verbs_rcache(verbs));
	before = pinned_kib();
	for (int i = 0; i < 100; i++)
		mmun_verbs_put(verbs, get(memory + i * KIB64, KIB64, MMUN_RCACHE_WRITE));
	is(pinned_kib() - before, 100 * KIB64 / 1024, "idle: regions are kept, and pinned");
	munmap(memory, 100 * KIB64);
	began = now_ms();
	/* The process does nothing else; an emulated processor takes its time. */
	while (pinned_kib() > before && now_ms() < began + 10 * MMUN_RCACHE_LATE_MS)
		usleep(10000);
	is(pinned_kib() - before, 0, "idle: nothing is pinned after they were unmapped");
	diag("after %ld ms", now_ms() - began);
}

static void test_child(void)
{
	char *source = map(PAGE), *target = map(PAGE);
	struct ends ends = { get(source, PAGE, MMUN_RCACHE_READ),
			     get(target, PAGE, MMUN_VERBS_REMOTE_WRITE) };
	int status;
	pid_t child = fork();

	if (!child) {
		struct mmun_verbs_registration *reg =
			mmun_verbs_get(verbs, target, PAGE, MMUN_RCACHE_READ);

		mmun_verbs_put(verbs, ends.to);
		if (mmun_ptr_err(reg) != -EPERM)
			_exit(1);
		_exit(mmun_verbs_destroy(verbs) ? 2 : 0);
	}
	if (waitpid(child, &status, 0) != child)
		fail("waitpid");
	is(status, 0, "fork: the child gets no region, and destroys its cache");
	ok(!send_wrong(&ends, source, target, PAGE), "fork: the parent's regions in use are right");
	mmun_verbs_put(verbs, ends.to);
	mmun_verbs_put(verbs, ends.from);
	ok(!send_wrong(&(struct ends){ NULL, NULL }, source, target, PAGE),
	   "fork: and those out of the cache");
	munmap(source, PAGE);
	munmap(target, PAGE);
}

/* Buffers that one thread writes to and another replaces, each under the buffer's lock. */
#define BUFFERS 12

static struct slot {
	pthread_mutex_t lock;
	struct buffer buffer;
	const struct way *way;
	struct mmun_verbs_registration *kept;
} slots[BUFFERS];
static int stop;

static unsigned int draw(unsigned int *state, unsigned int below)
{
	*state = *state * 1103515245u + 12345u;
	return (*state >> 16) % below;
}

static void *replace_thread(void *unused)
{
	unsigned int state = 1;

	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		struct slot *slot = &slots[draw(&state, BUFFERS)];

		pthread_mutex_lock(&slot->lock);
		slot->way->replace(&slot->buffer);
		pthread_mutex_unlock(&slot->lock);
		/* Elsewhere, too. */
		free(memset(malloc(KIB64 << draw(&state, 4)), 1, KIB64));
		munmap(map(KIB64), KIB64);
	}
	return unused;
}

static void test_threads(int seconds, bool keep)
{
	struct ends kept = { NULL, NULL };
	unsigned int state = 2;
	long end = now_ms() + seconds * 1000L, messages = 0, wrong = 0;
	char *source = map(KIB64);
	pthread_t thread;
	int ways_seen = 0;

	for (int i = 0; i < BUFFERS; i++) {
		struct slot *slot = &slots[i];

		do
			slot->way = &ways[ways_seen++ % NR_WAYS];
		while (slot->way->is_raw);
		pthread_mutex_init(&slot->lock, NULL);
		buffer_map(&slot->buffer, slot->way, new_address(KIB64), KIB64);
		slot->kept = keep ? get(slot->buffer.words, KIB64, MMUN_VERBS_REMOTE_WRITE) : NULL;
	}
	stop = 0;
	if (pthread_create(&thread, NULL, replace_thread, NULL))
		fail("pthread_create");
	while (now_ms() < end) {
		struct slot *slot = &slots[draw(&state, BUFFERS)];
		size_t bytes = 512ul << draw(&state, 8);
		char *to = (char *)slot->buffer.words + draw(&state, KIB64 / 512) * 512;

		if (to + bytes > (char *)slot->buffer.words + KIB64)
			continue;
		kept.to = slot->kept;
		pthread_mutex_lock(&slot->lock);
		wrong += send_wrong(&kept, source, to, bytes);
		pthread_mutex_unlock(&slot->lock);
		messages++;
	}
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	diag("%s: %ld messages, %ld wrong", keep ? "kept" : "cached", messages, wrong);
	if (keep)
		ok(messages > 20 && wrong > 0, "threads: with kept regions messages are wrong");
	else
		ok(messages > 20 && wrong == 0,
		   "threads: through the cache every message is right");
	for (int i = 0; i < BUFFERS; i++) {
		mmun_verbs_put(verbs, slots[i].kept);
		buffer_unmap(&slots[i].buffer);
	}
	munmap(source, KIB64);
}

static void test_destroy(void)
{
	char *memory = map(PAGE);
	struct mmun_verbs_registration *reg = get(memory, PAGE, MMUN_RCACHE_READ);
	struct mmun_verbs *other;

	is(mmun_verbs_create(loop.pd, NULL, &other), 0, "destroy: a second cache of the domain");
	mmun_verbs_put(other, mmun_verbs_get(other, memory, PAGE, MMUN_RCACHE_READ));
	is(mmun_verbs_destroy(verbs), -EBUSY, "destroy: not while a region is in use");
	mmun_verbs_put(verbs, reg);
	is(mmun_verbs_destroy(verbs), 0, "destroy: after its put");
	loop_close_queues(&loop);
	is(ibv_dealloc_pd(loop.pd), EBUSY, "destroy: the domain stays while it has regions");
	is(mmun_verbs_destroy(other), 0, "destroy: the second one");
	is(pinned_kib(), 0, "destroy: nothing is pinned");
	is(ibv_dealloc_pd(loop.pd), 0, "destroy: then the domain goes");
	ibv_close_device(loop.context);
	munmap(memory, PAGE);
}

static void become_ordinary(unsigned long memlock)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[2] = { 0 };
	struct rlimit limit = { memlock, memlock };

	if (setrlimit(RLIMIT_MEMLOCK, &limit) || syscall(SYS_capset, &head, none))
		fail("capset");
}

static void test_memlock(void)
{
	char *memory = map(64 * KIB64), text[1024] = "";
	struct mmun_rcache_stats stats;
	int said[2], mine = dup(STDERR_FILENO), wrong = 0;
	struct mmun_verbs_registration *reg;

	become_ordinary(16 * KIB64);
	loop_open(&loop);
	is(mmun_verbs_create(loop.pd, NULL, &verbs), 0, "limit: a cache");
	for (int i = 0; i < 64; i++)
		wrong += send_wrong(&(struct ends){ NULL, NULL }, memory + i * KIB64,
				    memory + (i + 5) % 64 * KIB64, KIB64);
	is(wrong, 0, "limit: four times RLIMIT_MEMLOCK is sent, in turns");
	mmun_rcache_stats(mmun_verbs_rcache(verbs), &stats);
	ok(stats.evictions > 0 && stats.refused == 0, "limit: idle regions were dropped for it");
	diag("%lu evictions, %lu failed, %ld KiB pinned", stats.evictions, stats.failed,
	     pinned_kib());

	if (pipe2(said, O_CLOEXEC | O_NONBLOCK) || dup2(said[1], STDERR_FILENO) < 0)
		fail("pipe");
	for (int i = 0; i < 2; i++) {
		reg = mmun_verbs_get(verbs, memory, 32 * KIB64, MMUN_RCACHE_READ);
		is(mmun_ptr_err(reg), -ENOMEM, "limit: no region of twice as much");
	}
	dup2(mine, STDERR_FILENO);
	if (read(said[0], text, sizeof(text) - 1) < 0)
		fail("nothing was said");
	ok(strstr(text, "RLIMIT_MEMLOCK permits (1024 KiB") &&
		   strchr(text, '\n') == text + strlen(text) - 1,
	   "limit: which is said once: %.*s", (int)strcspn(text, "\n"), text);
	ok(!send_wrong(&(struct ends){ NULL, NULL }, memory, memory + KIB64, KIB64),
	   "limit: smaller ones go on");
	is(mmun_verbs_destroy(verbs), 0, "limit: destroyed");
}

static void create(const struct mmun_verbs_options *options)
{
	errno = -mmun_verbs_create(loop.pd, options, &verbs);
	if (errno)
		fail("mmun_verbs_create");
}

static int test_on_demand(void)
{
	struct mmun_verbs_info info;

	create(&(struct mmun_verbs_options){ .on_demand = IBV_ODP_SUPPORT_READ |
							  IBV_ODP_SUPPORT_WRITE });
	mmun_verbs_info(verbs, &info);
	if (!info.on_demand)
		skip_all("the device does not page on demand");
	diag("of %s", info.implicit ? "the whole address space" : "ranges");
	for (int i = 0; i < NR_WAYS; i++)
		test_way(&ways[i], true);
	is(pinned_kib(), 0, "on demand: nothing is pinned");
	is(mmun_verbs_destroy(verbs), 0, "on demand: the cache is destroyed");
	return tap_done();
}

int main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "";
	bool raw = !strcmp(mode, "raw");

	loop_open(&loop);
	if (!strcmp(mode, "on-demand"))
		return test_on_demand();
	create(NULL);
	for (int i = 0; i < NR_WAYS; i++)
		if (ways[i].is_raw == raw)
			test_way(&ways[i], false);
	if (!raw) {
		test_moved();
		test_operations();
		test_rights();
		test_pinned();
		test_child();
		test_threads(1, true);
		test_threads(3, false);
		test_destroy();
		test_memlock();
	}
	return tap_done();
}
