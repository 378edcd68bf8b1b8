/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The calls of programs: what each does with the machine and the module.
 *
 * I1  What a program has never mapped here is the host's: the client does it then itself.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/uio.h>

#include <mmunotify/compat.h>

#include "program.h"
#include "wire.h"

static __thread struct program *acting;
static __thread long forked; /* the last one */

void call_for(struct program *program)
{
	acting = program;
	if (!program)
		program_abandon(forked);
}

size_t call_outside(unsigned long address, void *buffer, size_t length, bool write)
{
	const struct iovec here = { buffer, length };
	/* Only an address. */
	const struct iovec there = { (void *)address,
				     length }; /* NOLINT(performance-no-int-to-ptr) */
	/* A parent may name its fork meanwhile. */
	const pid_t pid = acting ? __atomic_load_n(&acting->pid, __ATOMIC_RELAXED) : 0;
	ssize_t n;

	if (!pid)
		return 0;
	n = write ? process_vm_writev(pid, &here, 1, &there, 1, 0)
		  : process_vm_readv(pid, &here, 1, &there, 1, 0);
	return n < 0 ? 0 : (size_t)n;
}

static long open_device(struct program *program, const struct wire_request *request)
{
	struct file *file;
	int ret = mmun_compat_open(request->text, (unsigned int)request->arg[0], &file);

	return ret ? ret : program_add_file(program, file);
}

static long create(struct program *program)
{
	struct file *file;
	int ret = mmun_soft_file_create(mmun_soft_of(program->mm), "", MMUN_SOFT_FILE_SHMEM, 0,
					&file);

	return ret ? ret : program_add_file(program, file);
}

/* Between a file and memory of the program that is the host's. */
static long transfer(struct file *file, const unsigned long *arg, bool write)
{
	const size_t length = arg[2];
	char *buffer = malloc(length + 1);
	long ret;

	if (!buffer)
		return -ENOMEM;
	if (!write) {
		ret = mmun_soft_pread(file, buffer, length, arg[3]);
		if (ret > 0 && call_outside(arg[1], buffer, (size_t)ret, true) != (size_t)ret)
			ret = -EFAULT;
	} else if (call_outside(arg[1], buffer, length, false) == length) {
		ret = mmun_soft_pwrite(file, buffer, length, arg[3]);
	} else {
		ret = -EFAULT;
	}
	free(buffer);
	return ret;
}

static long with_file(struct program *program, const struct wire_request *request)
{
	const unsigned long *arg = request->arg;
	struct file *file = program_file(program, (long)arg[0]);
	long ret = -EBADF;

	if (!file)
		return ret;
	if (request->call == WIRE_IOCTL)
		ret = mmun_compat_ioctl(file, (unsigned int)arg[1], arg[2]);
	else if (request->call == WIRE_TRUNCATE)
		ret = mmun_soft_ftruncate(file, arg[1]);
	else
		ret = transfer(file, arg, request->call == WIRE_PWRITE);
	mmun_soft_file_put(file);
	return ret;
}

static long map(struct program *program, const unsigned long *arg)
{
	struct file *file = NULL;
	long ret;

	if ((long)arg[4] >= 0) {
		file = program_file(program, (long)arg[4]);
		if (!file)
			return -EBADF;
	}
	ret = (long)mmun_soft_mmap(program->mm, arg[0], arg[1], (int)arg[2], (int)arg[3], file,
				   arg[5]);
	if (file)
		mmun_soft_file_put(file);
	return ret;
}

struct look {
	unsigned long start, end;
};

static int overlaps(const struct mmun_soft_map *map, void *arg)
{
	const struct look *look = arg;

	return map->start < look->end && look->start < map->end;
}

/* I1 */
static bool ours(struct program *program, const unsigned long *arg)
{
	struct look look = { arg[0], arg[0] + arg[1] };

	return mmun_soft_maps(program->mm, overlaps, &look);
}

static long with_range(struct program *program, const struct wire_request *request)
{
	const unsigned long *arg = request->arg;

	if (!ours(program, arg))
		return -ESRCH;
	if (request->call == WIRE_MUNMAP)
		return mmun_soft_munmap(program->mm, arg[0], arg[1]);
	if (request->call == WIRE_MPROTECT)
		return mmun_soft_mprotect(program->mm, arg[0], arg[1], (int)arg[2]);
	return mmun_soft_madvise(program->mm, arg[0], arg[1], (int)arg[2]);
}

/* As /proc/PID/pagemap to whom may not know frames: present, swapped, of a file, soft-dirty. */
static long pagemap(struct program *program, unsigned long address)
{
	struct mmun_soft_entry entry;
	unsigned long bits = 0;

	mmun_soft_pagemap(program->mm, address, &entry);
	bits |= (unsigned long)entry.present << 63;
	bits |= (unsigned long)(entry.swapped || entry.device) << 62;
	bits |= (unsigned long)entry.file << 61;
	bits |= (unsigned long)entry.soft_dirty << 55;
	return (long)bits;
}

static long fork_program(struct program *program)
{
	struct program *child = program_fork(program);

	if (!child)
		return -ENOMEM;
	forked = child->id;
	return forked;
}

long call(struct program *program, const struct wire_request *request)
{
	const unsigned long *arg = request->arg;

	switch (request->call) {
	case WIRE_READY:
		pages_wait_ready(program);
		return 0;
	case WIRE_OPEN:
		return open_device(program, request);
	case WIRE_CREATE:
		return create(program);
	case WIRE_CLOSE:
		return program_close_file(program, (long)arg[0]);
	case WIRE_IOCTL:
	case WIRE_TRUNCATE:
	case WIRE_PREAD:
	case WIRE_PWRITE:
		return with_file(program, request);
	case WIRE_MMAP:
		return map(program, arg);
	case WIRE_MREMAP:
		return (long)mmun_soft_mremap(program->mm, arg[0], arg[1], arg[2], (int)arg[3],
					      arg[4]);
	case WIRE_MUNMAP:
	case WIRE_MPROTECT:
	case WIRE_MADVISE:
		return with_range(program, request);
	case WIRE_PAGEMAP:
		return pagemap(program, arg[0]);
	case WIRE_FORK:
		return fork_program(program);
	case WIRE_NAME:
		program_set_pid((long)arg[0], (pid_t)arg[1]);
		return 0;
	default:
		return -ENOSYS;
	}
}
