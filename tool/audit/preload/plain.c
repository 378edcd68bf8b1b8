/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Registrations by plain system calls: vmsplice(2) and mlock(2), and those of io_uring that a
 * program makes by syscall(2), as fio does and languages without a binding of their own.
 *
 * syscall(2) itself is replaced by a few instructions that look at the number and go on to
 * the C library's, with everything as it was (syscall.S).  Tests: tests/system/audit.py.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/uio.h>

#include <raw_syscall.h>

#include "uring.h"
#include "watch.h"

#define NR_IO_URING_ENTER    426
#define NR_IO_URING_REGISTER 427

/* In syscall.S: the C library's. */
typedef long (*syscall_function)(long, ...);
extern syscall_function audit_real_syscall __attribute__((visibility("hidden")));
long audit_syscall(const unsigned long *args, unsigned long pc, unsigned long sp);

/* Until then syscall.S makes the calls itself: the first one may come out of an allocator that
 * holds its lock, where nothing can be looked up. */
void plain_init(void)
{
	void *cache = NULL;

	mmun_store_release(&audit_real_syscall, (syscall_function)libc_function(&cache, "syscall"));
}

/*
 * What has been put into a pipe by one of its descriptors.  Bytes leave a pipe in their order: what
 * has more behind it than the pipe holds has been read.  Bytes that others wrote make it seem
 * there for longer.
 */
static struct pipe_end {
	unsigned long written, number;
	uint32_t thread;
	/* More than one thread: in which order is not known. */
	bool several;
} pipe_ends[4096];

#define NR_PIPE_ENDS (sizeof(pipe_ends) / sizeof(pipe_ends[0]))

bool pipe_holds(unsigned long pipe, unsigned long position)
{
	const struct pipe_end *end = pipe < NR_PIPE_ENDS ? &pipe_ends[pipe] : NULL;
	int bytes = 0;

	if (mmun_syscall3(SYS_ioctl, pipe, FIONREAD, (unsigned long)&bytes) || bytes <= 0)
		return false;
	return !end || !position || mmun_load_full(&end->several) ||
	       mmun_load_full(&end->written) - position < (unsigned long)bytes;
}

/* The name of what is put in next: a pipe has so many places, and what was where it goes is
 * gone. */
static unsigned long next_place(int fd, struct pipe_end *end)
{
	static unsigned long number;
	long size = mmun_syscall3(SYS_fcntl, (unsigned long)fd, F_GETPIPE_SZ, 0);

	if (!end || size < 4096)
		return ~mmun_add_relaxed(&number, 1);
	return mmun_add_relaxed(&end->number, 1) % ((unsigned long)size / 4096);
}

static void note_vmsplice(int fd, const struct iovec *iov, unsigned long nr, unsigned int flags,
			  long done, struct caller caller)
{
	struct pipe_end *end = (unsigned int)fd < NR_PIPE_ENDS ? &pipe_ends[fd] : NULL;
	unsigned long left = done > 0 ? (unsigned long)done : 0, position = 0;
	uint32_t thread = (uint32_t)mmun_syscall3(SYS_gettid, 0, 0, 0), none = 0;
	struct known_by name = { AUDIT_VMSPLICE, (unsigned long)fd, 0, 0 };
	struct registration *reg;

	/* A gift may be unmapped; and for a reader nothing is pinned. */
	if (!watch_wants(AUDIT_VMSPLICE) || flags & SPLICE_F_GIFT ||
	    !pipe_holds((unsigned long)fd, 0))
		return;
	if (end) {
		if (!mmun_cas_full(&end->thread, &none, thread) && none != thread)
			mmun_store_full(&end->several, true);
		position = mmun_add_full(&end->written, left) - left;
	}
	for (unsigned long i = 0; i < nr && left; i++) {
		unsigned long length = iov[i].iov_len < left ? iov[i].iov_len : left;

		if (!length)
			continue;
		position += length;
		name.index = next_place(fd, end);
		name.owner = end ? position : 0;
		reg = watch_begin(AUDIT_VMSPLICE, (unsigned long)iov[i].iov_base, length, caller);
		watch_done(reg, &name);
		left -= length;
	}
}

REPLACES ssize_t vmsplice(int fd, const struct iovec *iov, size_t nr, unsigned int flags)
{
	typedef ssize_t function(int, const struct iovec *, size_t, unsigned int);
	static void *cache;
	function *real = (function *)libc_function(&cache, "vmsplice");
	ssize_t done = real(fd, iov, nr, flags);

	if (done > 0)
		note_vmsplice(fd, iov, nr, flags, done, CALLER);
	return done;
}

static void note_lock(const void *start, size_t length, struct caller caller)
{
	struct known_by name = { AUDIT_MLOCK, (unsigned long)start, length, 0 };

	if (watch_wants(AUDIT_MLOCK))
		watch_done(watch_begin(AUDIT_MLOCK, (unsigned long)start, length, caller), &name);
}

static void note_unlock(const void *start, size_t length, struct caller caller)
{
	unsigned long from = (unsigned long)start & ~4095ul;
	unsigned long to = ((unsigned long)start + length + 4095) & ~4095ul;

	if (watch_wants(AUDIT_MLOCK))
		watch_dropped_range(AUDIT_MLOCK, from, to, caller);
}

REPLACES int mlock(const void *start, size_t length)
{
	typedef int function(const void *, size_t);
	static void *cache;
	function *real = (function *)libc_function(&cache, "mlock");
	int result = real(start, length);

	if (!result)
		note_lock(start, length, CALLER);
	return result;
}

REPLACES int mlock2(const void *start, size_t length, unsigned int flags)
{
	typedef int function(const void *, size_t, unsigned int);
	static void *cache;
	function *real = (function *)libc_function(&cache, "mlock2");
	int result = real(start, length, flags);

	if (!result)
		note_lock(start, length, CALLER);
	return result;
}

REPLACES int munlock(const void *start, size_t length)
{
	typedef int function(const void *, size_t);
	static void *cache;
	function *real = (function *)libc_function(&cache, "munlock");

	note_unlock(start, length, CALLER);
	return real(start, length);
}

REPLACES int munlockall(void)
{
	typedef int function(void);
	static void *cache;
	function *real = (function *)libc_function(&cache, "munlockall");

	if (watch_wants(AUDIT_MLOCK))
		watch_dropped_all(AUDIT_MLOCK, CALLER);
	return real();
}

/* By syscall(), with one of the numbers that syscall.S looks for. */
static void before(const unsigned long *args, struct uring_call *call, struct caller caller)
{
	switch (args[0]) {
	case NR_IO_URING_REGISTER:
		uring_before(call, args[1], (unsigned int)args[2], (const void *)args[3],
			     (unsigned int)args[4], caller);
		break;
	case NR_IO_URING_ENTER:
		uring_submits(args[1], caller);
		break;
	case SYS_munlock:
		note_unlock((const void *)args[1], args[2], caller);
		break;
	case SYS_munlockall:
		if (watch_wants(AUDIT_MLOCK))
			watch_dropped_all(AUDIT_MLOCK, caller);
		break;
	}
}

static void after(const unsigned long *args, struct uring_call *call, long result,
		  struct caller caller)
{
	switch (args[0]) {
	case NR_IO_URING_REGISTER:
		uring_after(call, result);
		break;
	case SYS_vmsplice:
		if (result > 0)
			note_vmsplice((int)args[1], (const void *)args[2], args[3],
				      (unsigned int)args[4], result, caller);
		break;
	case SYS_mlock:
	case SYS_mlock2:
		if (!result)
			note_lock((const void *)args[1], args[2], caller);
		break;
	}
}

long audit_syscall(const unsigned long *args, unsigned long pc, unsigned long sp)
{
	struct caller caller = { pc, sp, 0 };
	struct uring_call call = { .nr = 0 };
	long result;

	before(args, &call, caller);
	result = audit_real_syscall((long)args[0], args[1], args[2], args[3], args[4], args[5],
				    args[6]);
	after(args, &call, result, caller);
	return result;
}
