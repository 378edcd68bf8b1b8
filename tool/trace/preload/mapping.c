/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a range of this process is, asked from the kernel right before the
 * operation changes it.
 *
 * Linux 6.11 and later answer one PROCMAP_QUERY per mapping; before that the
 * text of the maps file is read through a small buffer.  The file is opened
 * for each question that recent.c cannot answer: the program's descriptors are its own,
 * and one kept open would be closed by programs that close what they do not know.
 * Thread stacks carry no mark in the kernel; they are recognised by the thread
 * descriptor at their top, which holds its own address twice.  To read it must not bring
 * a page in: that would cost more than all else here, change what the program has in
 * memory, and wait for whoever serves it (userfaultfd).
 * Tests: tests/unit/tool/mapping.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/single_threaded.h>
#include <sys/uio.h>

#include <descriptor.h>
#include <raw_syscall.h>

#include "maps_query.h"
#include "tracer.h"

#define WHOLE_ADDRESS_SPACE (1ul << 46)
#define PAGE_SIZE           4096ul

static unsigned int thread_size;
/* Until the first thread is made there is no stack of one. */
static bool has_had_threads;
/* This kernel has no PROCMAP_QUERY. */
static bool has_no_query;

void mapping_set_thread_size(unsigned int size)
{
	thread_size = size;
}

static bool starts_with(const char *text, const char *prefix)
{
	while (*prefix)
		if (*text++ != *prefix++)
			return false;
	return true;
}

static bool equal(const char *a, const char *b)
{
	while (*a && *a == *b) {
		a++;
		b++;
	}
	return *a == *b;
}

static void copy_text(char *to, const char *from)
{
	while ((*to++ = *from++))
		;
}

/* From the kernel's name of a mapping; clears a name that adds nothing. */
static void classify(struct mapping *mapping)
{
	const char *name = mapping->name;

	if (!*name)
		mapping->kind = MAPPING_ANONYMOUS;
	else if (equal(name, "[heap]"))
		mapping->kind = MAPPING_HEAP;
	else if (equal(name, "[stack]"))
		mapping->kind = MAPPING_STACK;
	else if (equal(name, "/dev/zero (deleted)"))
		mapping->kind = MAPPING_SHARED_ANONYMOUS;
	else if (starts_with(name, "[anon:"))
		mapping->kind = MAPPING_ANONYMOUS;
	else if (starts_with(name, "[anon_shmem:"))
		mapping->kind = MAPPING_SHARED_ANONYMOUS;
	else if (*name == '[')
		mapping->kind = MAPPING_SPECIAL;
	else if (starts_with(name, "/memfd:"))
		mapping->kind = MAPPING_MEMFD;
	else if (starts_with(name, "/SYSV"))
		mapping->kind = MAPPING_SYSV;
	else
		mapping->kind = MAPPING_FILE;
	if (mapping->kind == MAPPING_HEAP || mapping->kind == MAPPING_STACK ||
	    equal(name, "/dev/zero (deleted)"))
		mapping->name[0] = '\0';
}

static long query(int maps, unsigned long address, struct mmun_maps_query *query, char *name,
		  size_t size)
{
	*query = (struct mmun_maps_query){
		.size = sizeof(*query),
		.flags = MMUN_MAPS_COVERING_OR_NEXT,
		.address = address,
		.name_address = (unsigned long)name,
		.name_size = (uint32_t)size,
	};
	return mmun_syscall3(SYS_ioctl, (unsigned long)maps, MMUN_MAPS_QUERY, (unsigned long)query);
}

/* Return: false when this kernel cannot be asked this way. */
bool mapping_query(int maps, unsigned long start, unsigned long end, struct mapping *out,
		   struct span *last)
{
	struct mmun_maps_query found, next;
	long error;

	error = query(maps, start, &found, out->name, sizeof(out->name));
	if (error == -ENAMETOOLONG) {
		error = query(maps, start, &found, NULL, 0);
		copy_text(out->name, "(a name of more than 1023 bytes)");
	}
	if (error < 0 && error != -ENOENT)
		return false;
	out->kind = MAPPING_NONE;
	if (error < 0 || found.start >= end || !found.name_size)
		out->name[0] = '\0';
	if (error < 0 || found.start >= end)
		return true;
	classify(out);
	out->first = (struct span){ found.start, found.end };
	out->offset = found.offset + (start > found.start ? start - found.start : 0);
	out->more = found.end < end && !query(maps, found.end, &next, NULL, 0) && next.start < end;
	*last = (struct span){ found.start, found.end };
	if (out->more && !query(maps, end - 1, &next, NULL, 0) && next.start < end)
		*last = (struct span){ next.start, next.end };
	return true;
}

/* The maps file as a stream of characters. */
struct stream {
	int fd;
	long at, length;
	char bytes[256];
};

/* -1 at the end. */
static int next_char(struct stream *stream)
{
	if (stream->at >= stream->length) {
		stream->length = mmun_syscall3(SYS_read, (unsigned long)stream->fd,
					       (unsigned long)stream->bytes, sizeof(stream->bytes));
		stream->at = 0;
		if (stream->length <= 0)
			return -1;
	}
	return (unsigned char)stream->bytes[stream->at++];
}

/* Reads a number up to the first character that is no digit and drops that. */
static unsigned long next_number(struct stream *stream)
{
	unsigned long value = 0;
	int c;

	for (;;) {
		c = next_char(stream);
		if (c >= '0' && c <= '9')
			value = value << 4 | (unsigned long)(c - '0');
		else if (c >= 'a' && c <= 'f')
			value = value << 4 | (unsigned long)(c - 'a' + 10);
		else
			return value;
	}
}

/* Up to the end of the line; longer names keep their beginning. */
static void next_name(struct stream *stream, char *name)
{
	size_t length = 0;
	int c;

	do
		c = next_char(stream);
	while (c == ' ');
	for (; c >= 0 && c != '\n'; c = next_char(stream))
		if (length < RING_MAX_TEXT - 1)
			name[length++] = (char)c;
	name[length] = '\0';
}

static void skip_past(struct stream *stream, char end)
{
	int c;

	do
		c = next_char(stream);
	while (c >= 0 && c != end);
}

/* "start-end perms offset device inode name" per line, ascending. */
bool mapping_parse(int maps, unsigned long start, unsigned long end, struct mapping *out,
		   struct span *last)
{
	struct stream stream = { .fd = maps };

	out->kind = MAPPING_NONE;
	for (;;) {
		unsigned long from = next_number(&stream), to = next_number(&stream);

		if (!to)
			return stream.length >= 0;
		if (from >= end)
			return true;
		if (to <= start || out->kind != MAPPING_NONE) {
			out->more |= to > start;
			if (to >= end)
				*last = (struct span){ from, to };
			skip_past(&stream, '\n');
			continue;
		}
		*last = out->first = (struct span){ from, to };
		skip_past(&stream, ' ');
		out->offset = next_number(&stream) + (start > from ? start - from : 0);
		skip_past(&stream, ' ');
		skip_past(&stream, ' ');
		next_name(&stream, out->name);
		classify(out);
	}
}

bool mapping_is_stack_top(unsigned long top)
{
	unsigned long at = (top - thread_size) & ~63ul, words[3];
	struct iovec to = { words, sizeof(words) }, from = { (void *)at, sizeof(words) };
	unsigned char resident;
	long pid;

	if (!thread_size || !mmun_load_relaxed(&has_had_threads))
		return false;
	if (mmun_syscall3(SYS_mincore, at & -PAGE_SIZE, PAGE_SIZE, (unsigned long)&resident) ||
	    !(resident & 1))
		return false;
	pid = mmun_syscall3(SYS_getpid, 0, 0, 0);
	/* A read that fails instead of a fault: others may unmap the page. */
	if (mmun_syscall6(SYS_process_vm_readv, (unsigned long)pid, (unsigned long)&to, 1,
			  (unsigned long)&from, 1, 0) != (long)sizeof(words))
		return false;
	return words[0] == at && words[2] == at;
}

bool mapping_is_own_stack(unsigned long sp, const struct span *span)
{
	return mmun_load_relaxed(&has_had_threads) && sp >= span->start && sp < span->end;
}

/* @last: the mapping in which the range ends; a stack's first is its guard page. */
static bool is_thread_stack(unsigned long end, unsigned long sp, const struct span *last)
{
	return mapping_is_own_stack(sp, last) || mapping_is_stack_top(end) ||
	       (last->end != end && mapping_is_stack_top(last->end));
}

/* "self" takes a quarter less time than "thread-self", but says nothing once the main thread
 * has ended. */
static bool ask_self(unsigned long start, unsigned long end, struct mapping *out, struct span *last)
{
	long maps = mmun_descriptor_open_at(AT_FDCWD, "/proc/self/maps");
	bool known;

	if (maps < 0)
		return false;
	known = mapping_query((int)maps, start, end, out, last);
	mmun_descriptor_close(maps);
	return known;
}

static bool ask_thread(unsigned long start, unsigned long end, struct mapping *out,
		       struct span *last)
{
	long maps = mmun_descriptor_open_at(AT_FDCWD, "/proc/thread-self/maps");
	bool known;

	if (maps < 0)
		return false;
	known = mapping_query((int)maps, start, end, out, last);
	if (!known) {
		mmun_store_relaxed(&has_no_query, true);
		known = mapping_parse((int)maps, start, end, out, last);
	}
	mmun_descriptor_close(maps);
	return known;
}

void mapping_note_threads(void)
{
	if (!__libc_single_threaded && !mmun_load_relaxed(&has_had_threads))
		mmun_store_relaxed(&has_had_threads, true);
}

void mapping_find(unsigned long start, unsigned long end, unsigned long sp, struct mapping *out)
{
	struct span last = { 0, 0 };

	mapping_note_threads();
	out->kind = MAPPING_UNKNOWN;
	out->more = false;
	out->offset = 0;
	out->first = last;
	out->name[0] = '\0';
	if (end - start >= WHOLE_ADDRESS_SPACE) {
		out->kind = MAPPING_ALL;
		return;
	}
	if ((mmun_load_relaxed(&has_no_query) || !ask_self(start, end, out, &last)) &&
	    !ask_thread(start, end, out, &last))
		out->kind = MAPPING_UNKNOWN;
	else if (out->kind == MAPPING_ANONYMOUS && is_thread_stack(end, sp, &last))
		out->kind = MAPPING_THREAD_STACK;
}
