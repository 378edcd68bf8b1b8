/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * System V shared memory: the ranges that shmat(SHM_REMAP) replaces and shmdt
 * removes.  Tests: tests/contract.
 */
#include "call.h"

#include <sys/ipc.h>
#include <sys/shm.h>
#include <sys/syscall.h>

#include "state.h"
#include "vma.h"

bool mmun_describe_shmat(const unsigned long *args, struct mmun_change *change)
{
	unsigned long start = args[1];
	struct shmid_ds segment;

	if (!(args[2] & SHM_REMAP) || !start)
		return false;
	if (args[2] & SHM_RND)
		start &= MMUN_PAGE_MASK;
	if (start & ~MMUN_PAGE_MASK)
		return false;
	if (mmun_syscall6(SYS_shmctl, args[0], IPC_STAT, (long)&segment, 0, 0, 0) < 0)
		return false;
	change->op = MMUN_OP_SHMAT;
	change->event = MMU_NOTIFY_UNMAP;
	mmun_change_add(change, start, mmun_page_up(start + segment.shm_segsz));
	return true;
}

static bool is_shared_memory(const struct mmun_vma *vma)
{
	return !__builtin_strncmp(vma->name, "/SYSV", 5);
}

/* One past the last byte that segment @id can occupy when attached at @at. */
static unsigned long attachment_end(unsigned long id, unsigned long at)
{
	struct shmid_ds segment;

	if (mmun_syscall6(SYS_shmctl, id, IPC_STAT, (long)&segment, 0, 0, 0) < 0)
		return -MMUN_PAGE_SIZE;
	return mmun_page_up(at + segment.shm_segsz);
}

/*
 * shmdt takes away what is left of one attachment: the mappings of one segment
 * that lie where attaching it at the address put them.
 */
bool mmun_describe_shmdt(const unsigned long *args, struct mmun_change *change)
{
	unsigned long at = args[0], inode = 0, limit = -MMUN_PAGE_SIZE;
	struct mmun_vma_walk walk;
	struct mmun_vma vma;

	if (at & ~MMUN_PAGE_MASK)
		return false;
	change->op = MMUN_OP_SHMDT;
	change->event = MMU_NOTIFY_UNMAP;
	if (mmun_vma_walk_start(&walk, at, true)) {
		mmun_change_add(change, at, limit);
		return true;
	}
	while (mmun_vma_walk_next(&walk, &vma) && vma.start < limit) {
		if (!is_shared_memory(&vma) || vma.start < at ||
		    vma.start - at != vma.offset || (inode && vma.inode != inode))
			continue;
		if (!inode)
			limit = attachment_end(vma.inode, at);
		inode = vma.inode;
		mmun_change_add(change, vma.start, vma.end);
	}
	mmun_vma_walk_end(&walk);
	return change->nr_ranges > 0;
}
