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

/* A segment of huge pages takes whole ones; which kind it is, nobody says. */
bool mmun_describe_shmat(const unsigned long *args, struct mmun_change *change)
{
	unsigned long start = args[1], end = MMUN_WHOLE_END;
	struct shmid_ds segment;

	if (!(args[2] & SHM_REMAP) || !start)
		return false;
	if (args[2] & SHM_RND)
		start &= MMUN_PAGE_MASK;
	if (start & ~MMUN_PAGE_MASK)
		return false;
	if (!mmun_syscall3(SYS_shmctl, args[0], IPC_STAT, (long)&segment))
		end = mmun_huge_end(start, mmun_page_up(start + segment.shm_segsz));
	change->op = MMUN_OP_SHMAT;
	change->event = MMU_NOTIFY_UNMAP;
	mmun_change_add(change, start, end);
	return change->nr_ranges > 0;
}

/*
 * shmdt takes away what is left of one attachment: the mappings of one segment
 * that lie where attaching it at the address put them.  How long the segment is
 * cannot be asked for certain: its number may mean another one by now, in another
 * IPC namespace.
 */
bool mmun_describe_shmdt(const unsigned long *args, struct mmun_change *change)
{
	unsigned long at = args[0], inode = 0;
	struct mmun_vma_place vma;
	struct mmun_vma_walk walk;
	bool found = false;
	char name[32];

	if (at & ~MMUN_PAGE_MASK)
		return false;
	change->op = MMUN_OP_SHMDT;
	change->event = MMU_NOTIFY_UNMAP;
	if (mmun_vma_walk_start(&walk, at, true)) {
		mmun_change_add(change, at, MMUN_WHOLE_END);
		return true;
	}
	while (mmun_vma_walk_next_place(&walk, &vma, name, sizeof(name))) {
		if (vma.start < at || vma.start - at != vma.offset ||
		    __builtin_strncmp(name, "/SYSV", 5) || (found && vma.inode != inode))
			continue;
		found = true;
		inode = vma.inode;
		mmun_change_add(change, vma.start, vma.end);
	}
	if (mmun_vma_walk_end(&walk))
		mmun_change_add(change, at, MMUN_WHOLE_END);
	return change->nr_ranges > 0;
}
