/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Where the bytes of frames are: those of the machine's in one mapping of the host, in order of
 * frame number; those of a device's coherent frames in one for each device.  They are this
 * process's own memory, or the memfd that the caller gave.
 *
 * I1  In the memfd a frame's bytes lie at its physical address, those of devices' frames too.
 *     The memfd has its full size from the start, so what maps it never meets its end.
 * I2  The bytes start on a huge page boundary, so the host may use huge pages too.
 * I3  A frame's bytes are zero until it is first used.
 *
 * Not here: which frames exist (zone.c, device.c).  Tests: tests/unit/soft/memory_fd.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "frame/page.h"
#include "raw_syscall.h"

/* I1, I3 */
static long set_size(const struct mmun_soft *soft, long fd)
{
	struct range space;
	struct stat stat;
	long ret = mmun_syscall3(SYS_fstat, (unsigned long)fd, (unsigned long)&stat, 0);

	if (ret)
		return ret;
	if (stat.st_size)
		return -EINVAL;
	mmun_soft_device_space(soft, &space);
	return mmun_syscall3(SYS_ftruncate, (unsigned long)fd, space.end + 1, 0);
}

static int take_fd(struct mmun_soft *soft)
{
	long fd, ret;

	soft->bytes.fd = -1;
	if (soft->params.memory_fd <= 0)
		return 0;
	fd = mmun_syscall3(SYS_fcntl, (unsigned long)soft->params.memory_fd, F_DUPFD_CLOEXEC, 0);
	if (fd < 0)
		return (int)fd;
	ret = set_size(soft, fd);
	if (ret)
		mmun_syscall3(SYS_close, (unsigned long)fd, 0, 0);
	else
		soft->bytes.fd = (int)fd;
	return (int)ret;
}

static void give_fd(struct mmun_soft *soft)
{
	if (soft->bytes.fd >= 0)
		mmun_syscall3(SYS_close, (unsigned long)soft->bytes.fd, 0, 0);
}

/* The frames' bytes, and those of the zero page behind them.  I2 */
static int map(struct soft_bytes *bytes, size_t size)
{
	bytes->mapping_size = size + MMUN_SOFT_HUGE_SIZE;
	bytes->mapping = mmap(NULL, bytes->mapping_size, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (bytes->mapping == MAP_FAILED)
		return -ENOMEM;
	bytes->start = (char *)(((uintptr_t)bytes->mapping + MMUN_SOFT_HUGE_SIZE - 1) &
				~(MMUN_SOFT_HUGE_SIZE - 1));
	if (bytes->fd < 0 ||
	    mmap(bytes->start, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED | MAP_NORESERVE,
		 bytes->fd, 0) != MAP_FAILED)
		return 0;
	munmap(bytes->mapping, bytes->mapping_size);
	return -ENOMEM;
}

int mmun_soft_bytes_create(struct mmun_soft *soft)
{
	int ret = take_fd(soft);

	if (ret)
		return ret;
	ret = map(&soft->bytes, soft->params.memory + MMUN_SOFT_PAGE_SIZE);
	if (ret)
		give_fd(soft);
	return ret;
}

void *mmun_soft_bytes_add(struct mmun_soft *soft, const struct range *range)
{
	const int fd = soft->bytes.fd;
	void *bytes = mmap(NULL, range->end + 1 - range->start, PROT_READ | PROT_WRITE,
			   MAP_NORESERVE | (fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED), fd,
			   fd < 0 ? 0 : (off_t)range->start);

	return bytes == MAP_FAILED ? NULL : bytes;
}

void mmun_soft_bytes_unmap(void *bytes, const struct range *range)
{
	munmap(bytes, range->end + 1 - range->start);
}

void mmun_soft_bytes_remove(struct mmun_soft *soft, void *bytes, const struct range *range)
{
	const unsigned long length = range->end + 1 - range->start;

	munmap(bytes, length);
	/* I3, for the next device that has these frames. */
	if (soft->bytes.fd >= 0)
		mmun_syscall4(SYS_fallocate, (unsigned long)soft->bytes.fd,
			      FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, range->start, length);
}

void mmun_soft_bytes_destroy(struct mmun_soft *soft)
{
	munmap(soft->bytes.mapping, soft->bytes.mapping_size);
	give_fd(soft);
}
