/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Fixed buffers of io_uring: registered, dropped, used.
 *
 * liburing makes its system calls by instructions of its own, so its functions are
 * replaced; programs without it come through syscall(2) (plain.c).  What neither shows, a
 * ring that was closed for instance, the kernel is asked for: the ring's file in
 * /proc/self/fdinfo lists the buffers that it has, and the requests that wait in it.
 * A program that makes these calls by its own instructions is not seen.
 * Tests: tests/system/audit.py.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>

#include <number.h>
#include <raw_syscall.h>

#include "uring.h"

/* linux/io_uring.h, of which the system's may be older. */
enum {
	OP_REGISTER_BUFFERS = 0,
	OP_UNREGISTER_BUFFERS = 1,
	OP_REGISTER_BUFFERS2 = 15,
	OP_BUFFERS_UPDATE = 16,
	OP_USE_REGISTERED_RING = 1u << 31,
};
struct rsrc_register {
	uint32_t nr, flags;
	uint64_t resv2, data, tags;
};
struct rsrc_update2 {
	uint32_t offset, resv;
	uint64_t data, tags;
	uint32_t nr, resv2;
};

/* As in the kernel. */
#define MAX_BUFFERS 16384u
/* A ring that is named by its number among the registered ones, not by a descriptor. */
#define NUMBERED (1ul << 32)

/*
 * Rings whose buffers were registered by calls that we see, and of those, what this process has
 * inherited by fork: the buffers that the kernel lists there are not its own.
 */
#define NR_RINGS 4096
static uint64_t seen[NR_RINGS / 64], inherited[NR_RINGS / 64];

static void note_ring(unsigned long ring)
{
	if (ring >= NR_RINGS)
		return;
	__atomic_fetch_or(&seen[ring / 64], 1ull << ring % 64, __ATOMIC_RELAXED);
	__atomic_fetch_and(&inherited[ring / 64], ~(1ull << ring % 64), __ATOMIC_RELAXED);
}

static bool is_inherited(unsigned long ring)
{
	return ring < NR_RINGS && mmun_load_relaxed(&inherited[ring / 64]) >> ring % 64 & 1;
}

void uring_forget(void)
{
	for (unsigned int i = 0; i < NR_RINGS / 64; i++) {
		inherited[i] |= seen[i];
		seen[i] = 0;
	}
}

static bool copy_in(void *to, const void *from, size_t size)
{
	struct iovec here = { to, size }, there = { (void *)from, size };
	long pid = mmun_syscall3(SYS_getpid, 0, 0, 0);

	return mmun_syscall6(SYS_process_vm_readv, (unsigned long)pid, (unsigned long)&here, 1,
			     (unsigned long)&there, 1, 0) == (long)size;
}

static size_t made_bytes(unsigned int nr)
{
	return nr * (sizeof(struct registration *) + sizeof(struct iovec));
}

/* The buffers that are about to be registered; the program's array is read, not trusted. */
static void begin(struct uring_call *call, const struct iovec *iov)
{
	struct iovec *copy;
	long memory;

	call->registers = true;
	note_ring(call->ring);
	if (!call->nr || call->nr > MAX_BUFFERS)
		return;
	memory = mmun_syscall6(SYS_mmap, 0, made_bytes(call->nr), PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1ul, 0);
	if (memory < 0 && memory > -4096)
		return;
	call->made = (struct registration **)memory;
	copy = (struct iovec *)(call->made + call->nr);
	/* Without an array: room for buffers to come. */
	if (!iov || !copy_in(copy, iov, call->nr * sizeof(*copy)))
		return;
	call->caller.stack = watch_stack(call->caller);
	for (unsigned int i = 0; i < call->nr; i++)
		call->made[i] = watch_begin(AUDIT_URING, (unsigned long)copy[i].iov_base,
					    copy[i].iov_len, call->caller);
}

void uring_before(struct uring_call *call, unsigned long ring, unsigned int opcode, const void *arg,
		  unsigned int nr, struct caller caller)
{
	struct rsrc_register all;
	struct rsrc_update2 some;

	*call = (struct uring_call){ .ring = ring, .nr = nr, .caller = caller };
	if (!watch_wants(AUDIT_URING))
		return;
	if (opcode & OP_USE_REGISTERED_RING)
		call->ring = NUMBERED | ring;
	switch (opcode & ~OP_USE_REGISTERED_RING) {
	case OP_REGISTER_BUFFERS:
		begin(call, arg);
		break;
	case OP_REGISTER_BUFFERS2:
		if (!copy_in(&all, arg, sizeof(all)))
			break;
		call->nr = all.nr;
		begin(call, (const struct iovec *)all.data);
		break;
	case OP_BUFFERS_UPDATE:
		if (!copy_in(&some, arg, sizeof(some)))
			break;
		call->nr = some.nr;
		call->index = some.offset;
		begin(call, (const struct iovec *)some.data);
		break;
	case OP_UNREGISTER_BUFFERS:
		call->drops = true;
		/* Before the kernel does it: what happens to the memory from here on is
		 * right.  If it fails there was nothing to drop. */
		watch_dropped_holder(AUDIT_URING, call->ring, caller);
		break;
	}
}

void uring_after(struct uring_call *call, long result)
{
	struct known_by name = { AUDIT_URING, call->ring, call->index, 0 };
	/* An update says how many it has done. */
	unsigned int done = result < 0 ? 0 : result == 0 ? call->nr : (unsigned int)result;

	if (!call->registers)
		return;
	/* A ring that takes buffers had none: the descriptor was another's before. */
	if (result == 0)
		watch_dropped_holder(AUDIT_URING, call->ring, call->caller);
	for (unsigned int i = 0; call->made && i < call->nr; i++, name.index++) {
		if (i >= done)
			watch_failed(call->made[i]);
		else if (call->made[i])
			watch_done(call->made[i], &name);
		else
			watch_dropped(&name, 1, call->caller);
	}
	if (call->made)
		mmun_syscall3(SYS_munmap, (unsigned long)call->made, made_bytes(call->nr), 0);
	call->made = NULL;
}

/* A file of /proc as a stream of lines; longer ones keep their beginning. */
struct lines {
	long fd;
	long at, length;
	char bytes[1024];
	char line[256];
};

static bool open_lines(struct lines *lines, unsigned long ring)
{
	char path[64] = "/proc/thread-self/fdinfo/";

	if (ring & NUMBERED)
		return false;
	mmun_put_number(path + sizeof("/proc/thread-self/fdinfo/") - 1, ring, 10);
	lines->fd = mmun_syscall4(SYS_openat, (unsigned long)AT_FDCWD, (unsigned long)path,
				  O_RDONLY | O_CLOEXEC, 0);
	lines->at = lines->length = 0;
	return lines->fd >= 0;
}

static bool next_line(struct lines *lines)
{
	size_t used = 0;

	for (;;) {
		if (lines->at >= lines->length) {
			lines->length = mmun_syscall3(SYS_read, (unsigned long)lines->fd,
						      (unsigned long)lines->bytes,
						      sizeof(lines->bytes));
			lines->at = 0;
			if (lines->length <= 0)
				break;
		}
		if (lines->bytes[lines->at] == '\n')
			break;
		if (used < sizeof(lines->line) - 1)
			lines->line[used++] = lines->bytes[lines->at];
		lines->at++;
	}
	lines->at++;
	lines->line[used] = '\0';
	return lines->length > 0;
}

static void close_lines(const struct lines *lines)
{
	mmun_syscall3(SYS_close, (unsigned long)lines->fd, 0, 0);
}

/* What follows @key in the line; NULL: it is not there. */
static const char *behind(const char *line, const char *key)
{
	for (; *line; line++) {
		size_t i = 0;

		while (key[i] && line[i] == key[i])
			i++;
		if (!key[i])
			return line + i;
	}
	return NULL;
}

static bool begins(const char *line, const char *key)
{
	while (*key)
		if (*line++ != *key++)
			return false;
	return true;
}

static unsigned long hexadecimal(const char *text)
{
	unsigned long value = 0;

	for (;; text++) {
		if (*text >= '0' && *text <= '9')
			value = value << 4 | (unsigned long)(*text - '0');
		else if (*text >= 'a' && *text <= 'f')
			value = value << 4 | (unsigned long)(*text - 'a' + 10);
		else
			return value;
	}
}

/* "    0: 0x7fc21fc5b000/8192" */
static bool is_buffer(const char *line, unsigned long index, unsigned long start)
{
	unsigned long number;

	while (*line == ' ')
		line++;
	line = mmun_get_decimal(line, &number);
	return number == index && begins(line, ": 0x") && hexadecimal(line + 4) == start;
}

enum uring_answer uring_asks(unsigned long ring, unsigned long index, unsigned long start,
			     bool *polled)
{
	bool is_ring = false, listed = false, found = false;
	struct lines lines;

	*polled = false;
	if (ring & NUMBERED)
		return URING_UNKNOWN;
	/* Without /proc nobody answers, and for a closed descriptor nobody does either. */
	if (!open_lines(&lines, ring))
		return mmun_syscall3(SYS_fcntl, ring, F_GETFD, 0) < 0 ? URING_GONE : URING_UNKNOWN;
	while (!found && next_line(&lines)) {
		is_ring |= begins(lines.line, "SqMask:");
		if (begins(lines.line, "SqThread:"))
			*polled = !begins(lines.line, "SqThread:\t-1");
		if (begins(lines.line, "UserBufs:"))
			listed = true;
		else if (listed)
			found = is_buffer(lines.line, index, start);
	}
	close_lines(&lines);
	/* The kernel lists nothing while the ring is busy. */
	return found               ? URING_THERE
	       : listed            ? URING_GONE
	       : is_ring           ? URING_UNKNOWN
	       : lines.length == 0 ? URING_GONE
				   : URING_UNKNOWN;
}

/* Buffers of one ring that are not known; 0 for what is no ring. */
static unsigned long unknown_of(unsigned long ring, bool (*is_known)(const struct known_by *))
{
	struct known_by name = { AUDIT_URING, ring, 0, 0 };
	bool is_ring = false, listed = false;
	unsigned long unknown = 0;
	struct lines lines;
	const char *at;

	if (!open_lines(&lines, ring))
		return 0;
	/* What every file has comes first, and what is no ring has no more of interest. */
	for (int i = 0; next_line(&lines) && (is_ring || i < 8); i++) {
		is_ring |= begins(lines.line, "SqMask:");
		for (at = lines.line; *at == ' '; at++)
			;
		if (begins(lines.line, "UserBufs:"))
			listed = true;
		else if (!listed || *at < '0' || *at > '9')
			continue;
		else if (*(at = mmun_get_decimal(at, &name.index)) == ':' && begins(at, ": 0x") &&
			 hexadecimal(at + 4) && !is_known(&name))
			unknown++;
	}
	close_lines(&lines);
	return unknown;
}

static bool is_ring_file(const char *number)
{
	char path[64] = "/proc/thread-self/fd/", target[32] = "";
	size_t at = sizeof("/proc/thread-self/fd/") - 1;

	while (*number && at < sizeof(path) - 1)
		path[at++] = *number++;
	mmun_syscall3(SYS_readlink, (unsigned long)path, (unsigned long)target, sizeof(target) - 1);
	return begins(target, "anon_inode:[io_uring]");
}

unsigned long uring_unknown_buffers(bool (*is_known)(const struct known_by *name))
{
	struct {
		unsigned long inode, offset;
		unsigned short length;
		unsigned char type;
		char name[];
	} * entry;
	_Alignas(8) char entries[2048];
	unsigned long unknown = 0, fd;
	long length, list;

	list = mmun_syscall4(SYS_openat, (unsigned long)AT_FDCWD,
			     (unsigned long)"/proc/thread-self/fd",
			     O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	if (list < 0)
		return 0;
	while ((length = mmun_syscall3(SYS_getdents64, (unsigned long)list, (unsigned long)entries,
				       sizeof(entries))) > 0)
		for (long at = 0; at < length; at += entry->length) {
			entry = (void *)(entries + at);
			if (*entry->name >= '0' && *entry->name <= '9' &&
			    !*mmun_get_decimal(entry->name, &fd) && is_ring_file(entry->name))
				unknown += is_inherited(fd) ? 0 : unknown_of(fd, is_known);
		}
	mmun_syscall3(SYS_close, (unsigned long)list, 0, 0);
	return unknown;
}

static void note_use(unsigned long ring, unsigned long index, unsigned long start,
		     unsigned long end, struct caller caller)
{
	struct known_by name = { AUDIT_URING, ring, index, 0 };

	watch_used(&name, start, end, caller);
}

/* "    0: opcode:WRITE_FIXED, fd:1, ..., addr:0x7fc21fc6b000, ..., buf_index:2 user_data:0" */
static void note_request(const char *line, unsigned long ring, struct caller caller)
{
	const char *opcode = behind(line, "opcode:"), *at;
	const char *address = behind(line, "addr:0x"), *index = behind(line, "buf_index:");
	unsigned long number;

	if (!opcode || !address || !index)
		return;
	for (at = opcode; *at && *at != ','; at++)
		if (begins(at, "_FIXED,")) {
			mmun_get_decimal(index, &number);
			note_use(ring, number, hexadecimal(address), 0, caller);
		}
}

void uring_submits(unsigned long ring, struct caller caller)
{
	struct lines lines;
	bool listed = false;

	if (!watch_has_stale(AUDIT_URING))
		return;
	if (!open_lines(&lines, ring)) {
		watch_use_unknown(AUDIT_URING, ring);
		return;
	}
	while (next_line(&lines) && !begins(lines.line, "CQEs:")) {
		if (listed)
			note_request(lines.line, ring, caller);
		listed |= begins(lines.line, "SQEs:");
	}
	close_lines(&lines);
	/* The ring was busy, or the kernel is older than that list. */
	if (!listed)
		watch_use_unknown(AUDIT_URING, ring);
}

#ifdef MMUN_HAVE_LIBURING
/* Their last arguments have other types in newer versions. */
#define io_uring_enter  liburing_enter
#define io_uring_enter2 liburing_enter2
#include <liburing.h>
#undef io_uring_enter
#undef io_uring_enter2

int io_uring_enter(unsigned int fd, unsigned int to_submit, unsigned int min_complete,
		   unsigned int flags, void *sig);
int io_uring_enter2(unsigned int fd, unsigned int to_submit, unsigned int min_complete,
		    unsigned int flags, void *arg, size_t size);

#define LIBRARY "liburing.so.2"

static void *real_io_uring_register_buffers, *real_io_uring_register_buffers_tags,
	*real_io_uring_register_buffers_sparse, *real_io_uring_register_buffers_update_tag,
	*real_io_uring_unregister_buffers, *real_io_uring_register, *real_io_uring_queue_exit,
	*real_io_uring_submit, *real_io_uring_submit_and_wait, *real_io_uring_submit_and_get_events,
	*real_io_uring_submit_and_wait_timeout, *real_io_uring_enter, *real_io_uring_enter2;

#define REAL(name) \
	__typeof__(name) *real = \
		(__typeof__(name) *)library_function(&real_##name, LIBRARY, #name); \
	if (!real) \
	return -ENOSYS

/* IORING_SETUP_REGISTERED_FD_ONLY: there is no descriptor. */
static unsigned long ring_of(const struct io_uring *ring)
{
	return (unsigned int)ring->ring_fd | (ring->flags & 1u << 15 ? NUMBERED : 0);
}

/* The registering functions differ in their arguments only. */
#define REGISTERS(name, parameters, arguments, opcode, arg, nr) \
	REPLACES int name parameters \
	{ \
		struct uring_call call; \
		int result; \
		REAL(name); \
\
		uring_before(&call, ring_of(ring), opcode, arg, nr, CALLER); \
		result = real arguments; \
		uring_after(&call, result); \
		return result; \
	}

REGISTERS(io_uring_register_buffers,
	  (struct io_uring * ring, const struct iovec *iovecs, unsigned int nr), (ring, iovecs, nr),
	  OP_REGISTER_BUFFERS, iovecs, nr)
REGISTERS(io_uring_unregister_buffers, (struct io_uring * ring), (ring), OP_UNREGISTER_BUFFERS,
	  NULL, 0)

static struct rsrc_register all_of(const struct iovec *iovecs, const void *tags, unsigned int nr)
{
	return (struct rsrc_register){ .nr = nr,
				       .data = (unsigned long)iovecs,
				       .tags = (unsigned long)tags };
}

REGISTERS(io_uring_register_buffers_tags,
	  (struct io_uring * ring, const struct iovec *iovecs, const __u64 *tags, unsigned int nr),
	  (ring, iovecs, tags, nr), OP_REGISTER_BUFFERS2,
	  (&(struct rsrc_register[]){ all_of(iovecs, tags, nr) }), sizeof(struct rsrc_register))
REGISTERS(io_uring_register_buffers_sparse, (struct io_uring * ring, unsigned int nr), (ring, nr),
	  OP_REGISTER_BUFFERS2, (&(struct rsrc_register[]){ all_of(NULL, NULL, nr) }),
	  sizeof(struct rsrc_register))
REGISTERS(io_uring_register_buffers_update_tag,
	  (struct io_uring * ring, unsigned int off, const struct iovec *iovecs, const __u64 *tags,
	   unsigned int nr),
	  (ring, off, iovecs, tags, nr), OP_BUFFERS_UPDATE,
	  (&(struct rsrc_update2){ .offset = off, .data = (unsigned long)iovecs, .nr = nr }),
	  sizeof(struct rsrc_update2))

REPLACES int io_uring_register(unsigned int fd, unsigned int opcode, const void *arg,
			       unsigned int nr)
{
	typedef int function(unsigned int, unsigned int, const void *, unsigned int);
	function *real =
		(function *)library_function(&real_io_uring_register, LIBRARY, "io_uring_register");
	struct uring_call call;
	int result;

	if (!real)
		return -ENOSYS;
	uring_before(&call, fd, opcode, arg, nr, CALLER);
	result = real(fd, opcode, arg, nr);
	uring_after(&call, result);
	return result;
}

REPLACES void io_uring_queue_exit(struct io_uring *ring)
{
	__typeof__(io_uring_queue_exit) *real = (__typeof__(io_uring_queue_exit) *)library_function(
		&real_io_uring_queue_exit, LIBRARY, "io_uring_queue_exit");

	if (watch_wants(AUDIT_URING))
		watch_dropped_holder(AUDIT_URING, ring_of(ring), CALLER);
	if (real)
		real(ring);
}

/* Which part of its buffer does the request use?  False: it uses none. */
static bool used_part(const struct io_uring_sqe *sqe, unsigned long *start, unsigned long *end)
{
	enum {
		READ_FIXED = 4,
		WRITE_FIXED = 5,
		URING_CMD = 46,
		SEND_ZC = 47,
		SENDMSG_ZC = 48,
		READV_FIXED = 60,
		WRITEV_FIXED = 61,
	};
	bool plain = sqe->opcode == READ_FIXED || sqe->opcode == WRITE_FIXED ||
		     (sqe->opcode == SEND_ZC && sqe->ioprio & 4 /* IORING_RECVSEND_FIXED_BUF */);

	*start = plain ? sqe->addr : 0;
	*end = plain ? sqe->addr + sqe->len : 0;
	return plain || sqe->opcode == READV_FIXED || sqe->opcode == WRITEV_FIXED ||
	       (sqe->opcode == SENDMSG_ZC && sqe->ioprio & 4) ||
	       (sqe->opcode == URING_CMD && sqe->rw_flags & 1 /* IORING_URING_CMD_FIXED */);
}

/* The requests that liburing is about to hand to the kernel; it leaves none in the ring. */
static void note_submission(const struct io_uring *ring, struct caller caller)
{
	unsigned int mask, size = ring->flags & 1u << 10 /* IORING_SETUP_SQE128 */ ? 2 : 1;
	unsigned long start, end;

	if (!watch_has_stale(AUDIT_URING))
		return;
	mask = *ring->sq.kring_mask;
	for (unsigned int at = ring->sq.sqe_head; at != ring->sq.sqe_tail; at++) {
		const struct io_uring_sqe *sqe = &ring->sq.sqes[(size_t)(at & mask) * size];

		if (used_part(sqe, &start, &end))
			note_use(ring_of(ring), sqe->buf_index, start, end, caller);
	}
}

#define SUBMITS(name, parameters, arguments) \
	REPLACES int name parameters \
	{ \
		REAL(name); \
\
		note_submission(ring, CALLER); \
		return real arguments; \
	}

SUBMITS(io_uring_submit, (struct io_uring * ring), (ring))
SUBMITS(io_uring_submit_and_wait, (struct io_uring * ring, unsigned int wait_nr), (ring, wait_nr))
SUBMITS(io_uring_submit_and_get_events, (struct io_uring * ring), (ring))
SUBMITS(io_uring_submit_and_wait_timeout,
	(struct io_uring * ring, struct io_uring_cqe **cqe_ptr, unsigned int wait_nr,
	 struct __kernel_timespec *ts, sigset_t *sigmask),
	(ring, cqe_ptr, wait_nr, ts, sigmask))

REPLACES int io_uring_enter(unsigned int fd, unsigned int to_submit, unsigned int min_complete,
			    unsigned int flags, void *sig)
{
	REAL(io_uring_enter);

	uring_submits(fd, CALLER);
	return real(fd, to_submit, min_complete, flags, sig);
}

REPLACES int io_uring_enter2(unsigned int fd, unsigned int to_submit, unsigned int min_complete,
			     unsigned int flags, void *arg, size_t size)
{
	REAL(io_uring_enter2);

	uring_submits(fd, CALLER);
	return real(fd, to_submit, min_complete, flags, arg, size);
}

#define OURS(function) \
	{ \
#function, (void *)(function), &real_##function \
	}
const struct replacement uring_replacements[] = {
	OURS(io_uring_register_buffers),
	OURS(io_uring_register_buffers_tags),
	OURS(io_uring_register_buffers_sparse),
	OURS(io_uring_register_buffers_update_tag),
	OURS(io_uring_unregister_buffers),
	OURS(io_uring_register),
	OURS(io_uring_queue_exit),
	OURS(io_uring_submit),
	OURS(io_uring_submit_and_wait),
	OURS(io_uring_submit_and_get_events),
	OURS(io_uring_submit_and_wait_timeout),
	OURS(io_uring_enter),
	OURS(io_uring_enter2),
	{ NULL, NULL, NULL },
};
#else
const struct replacement uring_replacements[] = { { NULL, NULL, NULL } };
#endif
