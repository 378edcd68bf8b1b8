/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The device is a pipe: vmsplice() puts references to the pages into it, which keep them
 * whatever becomes of the mapping, and what a reader of the pipe finds is what is in
 * them then.  tee() reads without taking them out.  Every kernel has it, and no limit of locked
 * memory is asked for it.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include <mmunotify/self.h>

#include "../../tap.h"
#include "world.h"

#define RW        (PROT_READ | PROT_WRITE)
#define MAX_BYTES (64 * PAGE)

const char *const world_name = "this process";
const bool world_is_self = true;

static int file = -1;
static long word;

void world_begin(void)
{
	if (!mmun_self())
		bail_out("no address space");
}

void world_end(const char *what)
{
	if (file >= 0)
		close(file);
	file = -1;
}

struct mm_struct *world_mm(void)
{
	return mmun_self();
}

static int new_file(unsigned long pages)
{
	if (file >= 0)
		close(file);
	file = memfd_create("world", MFD_CLOEXEC);
	if (file < 0 || ftruncate(file, (off_t)(pages * PAGE)))
		bail_out("no file");
	return file;
}

static unsigned long map(void *address, enum world_memory kind, unsigned long pages, int flags)
{
	int fd = kind == WORLD_FILE ? new_file(pages) : -1;
	void *at;

	flags |= kind == WORLD_PRIVATE ? MAP_PRIVATE : MAP_SHARED;
	at = mmap(address, pages * PAGE, RW, flags | (fd < 0 ? MAP_ANONYMOUS : 0), fd, 0);
	if (at == MAP_FAILED)
		bail_out("no mapping");
	/* One page per frame, so that what is dropped is dropped. */
	madvise(at, pages * PAGE, MADV_NOHUGEPAGE);
	world_fill((unsigned long)at, pages);
	return (unsigned long)at;
}

unsigned long world_map(enum world_memory kind, unsigned long pages)
{
	return map(NULL, kind, pages, 0);
}

void world_map_at(unsigned long address, enum world_memory kind, unsigned long pages)
{
	map((void *)address, kind, pages, MAP_FIXED);
}

void world_unmap(unsigned long address, unsigned long pages)
{
	if (munmap((void *)address, pages * PAGE))
		bail_out("no munmap");
}

void world_move(unsigned long address, unsigned long pages, unsigned long new_pages,
		unsigned long to)
{
	void *at = mremap((void *)address, pages * PAGE, new_pages * PAGE,
			  to ? MREMAP_MAYMOVE | MREMAP_FIXED : 0, to);

	if (at == MAP_FAILED)
		bail_out("no mremap");
}

int world_advise(unsigned long address, unsigned long pages, int advice)
{
	return madvise((void *)address, pages * PAGE, advice) ? -errno : 0;
}

int world_protect(unsigned long address, unsigned long pages, int prot)
{
	return mprotect((void *)address, pages * PAGE, prot) ? -errno : 0;
}

int world_truncate(unsigned long pages)
{
	return ftruncate(file, (off_t)(pages * PAGE)) ? -errno : 0;
}

int world_punch(unsigned long page, unsigned long pages)
{
	return fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)(page * PAGE),
			 (off_t)(pages * PAGE))
		       ? -errno
		       : 0;
}

unsigned long world_brk(long pages)
{
	void *was = sbrk(pages * (long)PAGE);

	if (was == (void *)-1)
		bail_out("no brk");
	return (unsigned long)was;
}

/* By the kernel's copy, which says EFAULT where an instruction would be a signal. */
long world_load(unsigned long address)
{
	struct iovec mine, its;
	long value = -1;

	mine = (struct iovec){ &value, sizeof(value) };
	its = (struct iovec){ (void *)address, sizeof(value) };
	return process_vm_readv(getpid(), &mine, 1, &its, 1, 0) == sizeof(value) ? value : -1;
}

void world_store(unsigned long address, long value)
{
	*(volatile long *)address = value;
}

void world_fill(unsigned long address, unsigned long pages)
{
	for (unsigned long i = 0; i < pages; i++)
		world_store(address + i * PAGE, __atomic_add_fetch(&word, 1, __ATOMIC_SEQ_CST));
}

int world_register(struct world_region *region)
{
	const struct mmun_registration *reg = &region->pipe.reg;
	struct iovec range = { (void *)reg->start, reg->end - reg->start };
	ssize_t got;
	int ends[2], error = 0;

	if (range.iov_len > MAX_BYTES)
		return -EMSGSIZE;
	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK))
		return -errno;
	/* A power of two of buffers. */
	if (range.iov_len > 16 * PAGE && fcntl(ends[1], F_SETPIPE_SZ, MAX_BYTES) < 0)
		error = errno;
	while (!error && range.iov_len) {
		got = vmsplice(ends[1], &range, 1, 0);
		if (got < 0) {
			error = errno;
			break;
		}
		range.iov_base = (char *)range.iov_base + got;
		range.iov_len -= (size_t)got;
	}
	if (error) {
		close(ends[0]);
		close(ends[1]);
		return -error;
	}
	region->pipe.out = ends[0];
	region->pipe.in = ends[1];
	return 0;
}

void world_deregister(struct world_region *region)
{
	close(region->pipe.out);
	close(region->pipe.in);
}

/* Of one read, in which all of the pipe can be: several threads may read. */
static long find(int fd, size_t size, size_t offset)
{
	static __thread char bytes[MAX_BYTES];
	size_t used = 0;
	ssize_t got;
	long value;

	while (used < size && (got = read(fd, bytes + used, size - used)) > 0)
		used += (size_t)got;
	if (used != size)
		bail_out("the device cannot read its pages");
	memcpy(&value, bytes + offset, sizeof(value));
	return value;
}

long world_device_load(struct world_region *region, unsigned long address)
{
	const struct mmun_registration *reg = &region->pipe.reg;
	size_t size = reg->end - reg->start;
	int ends[2];
	long value;

	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) ||
	    (size > 16 * PAGE && fcntl(ends[1], F_SETPIPE_SZ, MAX_BYTES) < 0) ||
	    tee(region->pipe.out, ends[1], size, 0) != (ssize_t)size)
		bail_out("the device does not work");
	value = find(ends[0], size, address - reg->start);
	close(ends[0]);
	close(ends[1]);
	return value;
}

long world_refusals(void)
{
	return 0;
}
