/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What AddressSanitizer's allocator lacks: a fork() that leaves no lock of it held.
 *
 * glibc promises that the forked child of a process with threads may allocate, and takes its
 * allocator's locks around fork() for that.  The runtime of gcc 12 replaces that allocator and has
 * no such handler: a child that was forked while another thread was inside hangs at its next
 * malloc().  So each entry to the allocator is counted here, and a fork() waits until the other
 * threads are outside and keeps them there.  Linked to tests that fork while threads run; only a
 * fork that goes past libc is still at risk.
 *
 * The count is not a lock: a thread inside the allocator comes in again freely (its own mmap() may
 * be notified, and the callback allocate; a signal handler may), also while it forks there.
 */
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>

/* The loader keeps what it has, where nobody finds it; as its caller's caller the runtime does
 * not know it. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
	return "leak:ld-linux-x86-64.so\n";
}

const char *__lsan_default_options(void);
const char *__lsan_default_options(void)
{
	return "print_suppressions=0";
}

static struct {
	void *(*malloc)(size_t size);
	void *(*calloc)(size_t number, size_t size);
	void *(*realloc)(void *block, size_t size);
	void *(*aligned_alloc)(size_t align, size_t size);
	int (*posix_memalign)(void **block, size_t align, size_t size);
	void (*free)(void *block);
} next;

static int inside, forking;
/* Of this thread: calls of the allocator, of fork(). */
static __thread int depth __attribute__((tls_model("initial-exec")));
static __thread int forks __attribute__((tls_model("initial-exec")));

static void find_next(void)
{
	next.calloc = dlsym(RTLD_NEXT, "calloc");
	next.realloc = dlsym(RTLD_NEXT, "realloc");
	next.aligned_alloc = dlsym(RTLD_NEXT, "aligned_alloc");
	next.posix_memalign = dlsym(RTLD_NEXT, "posix_memalign");
	next.free = dlsym(RTLD_NEXT, "free");
	__atomic_store_n(&next.malloc, dlsym(RTLD_NEXT, "malloc"), __ATOMIC_RELEASE);
}

static void enter(void)
{
	if (!__atomic_load_n(&next.malloc, __ATOMIC_ACQUIRE))
		find_next();
	if (depth++)
		return;
	for (;;) {
		__atomic_add_fetch(&inside, 1, __ATOMIC_SEQ_CST);
		if (!__atomic_load_n(&forking, __ATOMIC_SEQ_CST))
			return;
		__atomic_sub_fetch(&inside, 1, __ATOMIC_SEQ_CST);
		sched_yield();
	}
}

static void leave(void)
{
	if (!--depth)
		__atomic_sub_fetch(&inside, 1, __ATOMIC_SEQ_CST);
}

void *malloc(size_t size)
{
	void *block;

	enter();
	block = next.malloc(size);
	leave();
	return block;
}

void *calloc(size_t number, size_t size)
{
	void *block;

	enter();
	block = next.calloc(number, size);
	leave();
	return block;
}

void *realloc(void *block, size_t size)
{
	enter();
	block = next.realloc(block, size);
	leave();
	return block;
}

void *aligned_alloc(size_t align, size_t size)
{
	void *block;

	enter();
	block = next.aligned_alloc(align, size);
	leave();
	return block;
}

int posix_memalign(void **block, size_t align, size_t size)
{
	int ret;

	enter();
	ret = next.posix_memalign(block, align, size);
	leave();
	return ret;
}

void free(void *block)
{
	enter();
	next.free(block);
	leave();
}

/* A signal handler may fork in the middle of its thread's fork(), which has done this already.
 * Of two threads that fork at once the second waits, as outside as anybody. */
static void before_fork(void)
{
	int none = 0, own = depth ? 1 : 0;

	if (forks++)
		return;
	while (!__atomic_compare_exchange_n(&forking, &none, 1, false, __ATOMIC_SEQ_CST,
					    __ATOMIC_SEQ_CST)) {
		none = 0;
		sched_yield();
	}
	while (__atomic_load_n(&inside, __ATOMIC_SEQ_CST) > own)
		sched_yield();
}

static void after_fork(void)
{
	if (!--forks)
		__atomic_store_n(&forking, 0, __ATOMIC_SEQ_CST);
}

__attribute__((constructor)) static void register_handlers(void)
{
	pthread_atfork(before_fork, after_fork, after_fork);
}
