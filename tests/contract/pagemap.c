/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The kernel's word on our own pages; see pagemap.h.
 *
 * Reading pagemap disturbs no page.  Rights are asked by rewriting a byte with
 * itself through the kernel, which populates pages: only where asked for.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "pagemap.h"

#define PM_PRESENT   (1ULL << 63)
#define PM_SWAP      (1ULL << 62)
#define PM_EXCLUSIVE (1ULL << 56)
#define PM_FRAME     ((1ULL << 55) - 1)
#define STATE_READ   (1ULL << 60)
#define STATE_WRITE  (1ULL << 59)

static int pagemap = -1;

int pagemap_open(void)
{
	if (pagemap >= 0)
		close(pagemap);
	pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	return pagemap < 0 ? -errno : 0;
}

bool memory_peek(unsigned long address, void *to, size_t size)
{
	struct iovec local = { to, size }, remote = { (void *)address, size };

	return process_vm_readv((pid_t)syscall(SYS_getpid), &local, 1, &remote, 1, 0) ==
	       (ssize_t)size;
}

bool memory_poke(unsigned long address, const void *from, size_t size)
{
	struct iovec local = { (void *)(uintptr_t)from, size };
	struct iovec remote = { (void *)address, size };

	return process_vm_writev((pid_t)syscall(SYS_getpid), &local, 1, &remote, 1, 0) ==
	       (ssize_t)size;
}

static uint64_t rights_of(unsigned long address)
{
	char byte;

	if (!memory_peek(address, &byte, 1))
		return 0;
	return STATE_READ | (memory_poke(address, &byte, 1) ? STATE_WRITE : 0);
}

uint64_t page_state(unsigned long address, unsigned int flags)
{
	uint64_t keep = PM_PRESENT | PM_SWAP | PM_FRAME, word = 0;

	if (flags & PAGE_SHARING)
		keep |= PM_EXCLUSIVE;
	if (pread(pagemap, &word, sizeof(word), (off_t)(address / PAGE_BYTES * 8)) != sizeof(word))
		word = 0;
	word &= keep;
	if (flags & PAGE_RIGHTS)
		word |= rights_of(address);
	return word;
}

bool pagemap_shows_frames(void)
{
	unsigned long here = (unsigned long)&here & ~(PAGE_BYTES - 1);

	return page_state(here, 0) & PM_FRAME;
}
