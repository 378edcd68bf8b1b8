/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Messages from the traced process into the ring.
 *
 * Names and stacks are sent once and then referred to by a hash of their
 * bytes.  Which ones the tool knows is remembered in a small table whose
 * entries overwrite each other: forgetting one only sends it again, and a name
 * that found no room in the ring is not remembered.  Tests: tests/unit/tool/ring.c.
 */
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/prctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>

#include <raw_syscall.h>

#include "tracer.h"

#define NR_KNOWN 1024

/* The dynamic linker's. */
extern void *__libc_stack_end;

static struct ring ring;
static uint64_t known[NR_KNOWN];
static int (*clock_function)(int, void *);
/* The process of the thread @tid.  That number is asked for each time: a vfork child runs
 * with its parent's thread-local memory. */
static __thread struct {
	uint32_t tid, pid;
} who;

/* Is @path the ring's memory, before anything is opened? */
static bool names_a_ring(const char *path)
{
	static const char expected[] = "/memfd:" RING_NAME;
	char target[64];
	long length;

	length = mmun_syscall3(SYS_readlink, (unsigned long)path, (unsigned long)target,
			       sizeof(target));
	if (length < (long)sizeof(expected) - 1)
		return false;
	for (size_t i = 0; i < sizeof(expected) - 1; i++)
		if (target[i] != expected[i])
			return false;
	return true;
}

static bool header_is_sound(const struct ring_header *header, size_t size)
{
	return mmun_load_acquire(&header->magic) == RING_MAGIC && header->version == RING_VERSION &&
	       header->slot_size == sizeof(struct ring_slot) &&
	       header->nr_slots >= RING_MIN_SLOTS && !(header->nr_slots & (header->nr_slots - 1)) &&
	       ring_size(header->nr_slots) <= size;
}

static void *map_ring(int fd, size_t *size)
{
	struct stat file;
	long memory;

	if (mmun_syscall3(SYS_fstat, (unsigned long)fd, (unsigned long)&file, 0) < 0 ||
	    (size_t)file.st_size < ring_size(RING_MIN_SLOTS))
		return NULL;
	*size = (size_t)file.st_size;
	memory = mmun_syscall6(SYS_mmap, 0, *size, PROT_READ | PROT_WRITE, MAP_SHARED,
			       (unsigned long)fd, 0);
	return memory < 0 && memory >= -4095 ? NULL : (void *)memory;
}

bool emit_attach(const char *path)
{
	size_t size = 0;
	void *memory;
	long fd;

	if (!names_a_ring(path))
		return false;
	fd = mmun_syscall4(SYS_openat, (unsigned long)AT_FDCWD, (unsigned long)path,
			   O_RDWR | O_CLOEXEC, 0);
	if (fd < 0)
		return false;
	memory = map_ring((int)fd, &size);
	mmun_syscall3(SYS_close, (unsigned long)fd, 0, 0);
	if (!memory)
		return false;
	if (!header_is_sound(memory, size)) {
		mmun_syscall3(SYS_munmap, (unsigned long)memory, size, 0);
		return false;
	}
	ring_bind(&ring, memory);
	return true;
}

bool emit_is_open(void)
{
	return ring.header && !mmun_load_relaxed(&ring.header->closed);
}

unsigned int emit_wants(void)
{
	return emit_is_open() ? ring.header->wants : 0;
}

void emit_set_clock(int (*clock)(int, void *))
{
	clock_function = clock;
}

uint64_t emit_now(void)
{
	struct timespec ts;

	if (clock_function)
		clock_function(CLOCK_MONOTONIC, &ts);
	else
		mmun_syscall3(SYS_clock_gettime, CLOCK_MONOTONIC, (unsigned long)&ts, 0);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void wake_reader(void)
{
	if (mmun_swap_full(&ring.header->sleeping, 0))
		mmun_syscall3(SYS_futex, (unsigned long)&ring.header->sleeping, FUTEX_WAKE, 1);
}

static uint32_t process_of(uint32_t tid)
{
	uint32_t pid = who.pid;

	if (who.tid == tid && pid)
		return pid;
	pid = (uint32_t)mmun_syscall3(SYS_getpid, 0, 0, 0);
	/* A signal handler's are the same, but a vfork child's are not. */
	who.pid = 0;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	who.tid = tid;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	who.pid = pid;
	return pid;
}

void emit_forget_thread(void)
{
	who.pid = 0;
}

/* Reserves a slot and fills what all messages have; NULL: dropped or nobody reads. */
static struct ring_message *begin(struct ring_ticket *ticket, enum ring_message_type type,
				  unsigned int flags, uint64_t time)
{
	uint32_t tid = (uint32_t)mmun_syscall3(SYS_gettid, 0, 0, 0);
	struct ring_message *message;

	if (!emit_is_open() || !ring_reserve(&ring, tid, ticket))
		return NULL;
	message = &ticket->slot->message;
	message->type = type;
	message->flags = flags;
	message->pid = process_of(tid);
	message->tid = tid;
	message->time = time;
	return message;
}

static void commit(const struct ring_ticket *ticket)
{
	if (ring_commit(&ring, ticket))
		wake_reader();
}

void emit_event(const struct ring_event *event, unsigned int flags, uint64_t time)
{
	struct ring_ticket ticket;
	struct ring_message *message = begin(&ticket, RING_EVENT, flags, time);

	if (!message)
		return;
	message->event = *event;
	commit(&ticket);
}

void emit_audit(const struct ring_audit *audit, uint64_t time)
{
	struct ring_ticket ticket;
	struct ring_message *message = begin(&ticket, RING_AUDIT, 0, time);

	if (!message)
		return;
	message->audit = *audit;
	commit(&ticket);
}

void emit_release(void)
{
	struct ring_ticket ticket;

	if (begin(&ticket, RING_RELEASE, 0, emit_now()))
		commit(&ticket);
}

void emit_process(unsigned int flags, int error)
{
	struct ring_ticket ticket;
	struct ring_message *message;
	char exe[RING_MAX_TEXT];
	uint64_t name = 0;
	long length;

	length = mmun_syscall3(SYS_readlink, (unsigned long)"/proc/self/exe", (unsigned long)exe,
			       sizeof(exe));
	if (length > 0)
		name = emit_blob(RING_BLOB_TEXT, exe, (size_t)length);
	message = begin(&ticket, RING_PROCESS, flags, emit_now());
	if (!message)
		return;
	message->process.ppid = (uint32_t)mmun_syscall3(SYS_getppid, 0, 0, 0);
	message->process.error = error;
	message->process.exe = name;
	message->process.stack = (uint64_t)__libc_stack_end;
	mmun_syscall3(SYS_prctl, PR_GET_NAME, (unsigned long)message->process.comm, 0);
	commit(&ticket);
}

void emit_exec(enum ring_message_type type, unsigned int flags, int error, uint64_t file)
{
	struct ring_ticket ticket;
	struct ring_message *message = begin(&ticket, type, flags, emit_now());

	if (!message)
		return;
	message->exec.error = error;
	message->exec.ppid = (uint32_t)mmun_syscall3(SYS_getppid, 0, 0, 0);
	message->exec.uid = (uint32_t)mmun_syscall3(SYS_geteuid, 0, 0, 0);
	message->exec.file = file;
	commit(&ticket);
}

void emit_too_deep(void)
{
	if (ring.header)
		mmun_add_relaxed(&ring.header->too_deep, 1);
}

void emit_unredirected(unsigned long count)
{
	if (ring.header)
		mmun_add_relaxed(&ring.header->unredirected, count);
}

static uint64_t hash_of(enum ring_blob_kind kind, const unsigned char *bytes, size_t length)
{
	uint64_t hash = 0xcbf29ce484222325ull ^ (uint64_t)kind << 32;

	for (size_t i = 0; i < length; i++)
		hash = (hash ^ bytes[i]) * 0x100000001b3ull;
	return hash ? hash : 1;
}

static bool send_piece(uint64_t hash, enum ring_blob_kind kind, const unsigned char *bytes,
		       size_t total, size_t offset)
{
	struct ring_ticket ticket;
	struct ring_message *message = begin(&ticket, RING_BLOB, 0, 0);
	size_t length = total - offset;

	if (!message)
		return false;
	if (length > sizeof(message->blob.bytes))
		length = sizeof(message->blob.bytes);
	message->blob.hash = hash;
	message->blob.kind = (uint16_t)kind;
	message->blob.total = (uint32_t)total;
	message->blob.offset = (uint32_t)offset;
	for (size_t i = 0; i < length; i++)
		message->blob.bytes[i] = bytes[offset + i];
	commit(&ticket);
	return true;
}

uint64_t emit_blob(enum ring_blob_kind kind, const void *bytes, size_t length)
{
	uint64_t hash = hash_of(kind, bytes, length);
	uint64_t *place = &known[(hash ^ hash >> 32) % NR_KNOWN];

	if (!length)
		return 0;
	if (mmun_load_relaxed(place) == hash)
		return hash;
	for (size_t offset = 0; offset < length; offset += sizeof(((struct ring_blob *)0)->bytes))
		if (!send_piece(hash, kind, bytes, length, offset))
			return hash;
	mmun_store_relaxed(place, hash);
	return hash;
}

uint64_t emit_text(const char *text)
{
	size_t length = 0;

	while (length < RING_MAX_TEXT && text[length])
		length++;
	return emit_blob(RING_BLOB_TEXT, text, length);
}
