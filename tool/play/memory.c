/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Commands of `mmunotify soft` that change a layout, and what the machine does to
 * memory behind the tasks' backs.
 *
 * Tests: tests/system/soft_tool.py.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>

#include "world.h"

#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif
#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

/* The task that argument 0 names, and up to three sums after it. */
static struct soft_task *enter(struct soft_call *call, unsigned long *value, unsigned int nr)
{
	for (unsigned int i = 0; i < nr; i++)
		if (!soft_value(call, &call->arg[i + 1], &value[i]))
			return NULL;
	return soft_task_enter(call, &call->arg[0]);
}

static int leave_task(struct soft_call *call, struct soft_task *task, long ret)
{
	soft_task_leave(call, task);
	return soft_outcome(ret);
}

/* An address that the library chose, or its error. */
static int leave_with_address(struct soft_call *call, struct soft_task *task,
			      mmun_soft_address address, const struct soft_arg *as)
{
	soft_task_leave(call, task);
	if (mmun_soft_is_error(address))
		return soft_outcome((long)address);
	if (as->given)
		soft_value_set(call->world, as->symbol, address);
	soft_say(call->world, SOFT_SAY_EVENT, "address",
		 SOFT_FIELDS(SOFT_ADDRESS("address", address)), "= 0x%lx", address);
	return 0;
}

static int map_flags(const struct soft_call *call)
{
	static const struct {
		int keyword, flag;
	} flags[] = {
		{ SOFT_MAP_FIXED, MAP_FIXED },         { SOFT_MAP_NOREPLACE, MAP_FIXED_NOREPLACE },
		{ SOFT_MAP_GROWSDOWN, MAP_GROWSDOWN }, { SOFT_MAP_POPULATE, MAP_POPULATE },
		{ SOFT_MAP_LOCKED, MAP_LOCKED },       { SOFT_MAP_NORESERVE, MAP_NORESERVE },
	};
	int ret = call->keyword[SOFT_MAP_SHARED].given ? MAP_SHARED : MAP_PRIVATE;

	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
		if (call->keyword[flags[i].keyword].given)
			ret |= flags[i].flag;
	if (!call->keyword[SOFT_MAP_FILE].given)
		ret |= MAP_ANONYMOUS;
	return ret;
}

static int map(struct soft_call *call, struct file *file)
{
	unsigned long value[2], offset;
	mmun_soft_address address;
	struct soft_task *task;

	if (call->keyword[SOFT_MAP_SHARED].given && call->keyword[SOFT_MAP_PRIVATE].given)
		return soft_fail(call, "a mapping is shared or private");
	if (!soft_value(call, &call->keyword[SOFT_MAP_OFFSET], &offset))
		return SOFT_OUTCOME_FAILED;
	task = enter(call, value, 2);
	if (!task)
		return SOFT_OUTCOME_FAILED;
	address = mmun_soft_mmap(task->mm, value[0], value[1], (int)call->arg[3].number,
				 map_flags(call), file, offset);
	return leave_with_address(call, task, address, &call->keyword[SOFT_MAP_AS]);
}

int soft_run_map(struct soft_call *call)
{
	const struct soft_arg *of = &call->keyword[SOFT_MAP_FILE];
	struct file *file;
	int ret;

	if (!of->given)
		return map(call, NULL);
	file = soft_file_enter(call, of);
	if (!file)
		return SOFT_OUTCOME_FAILED;
	ret = map(call, file);
	mmun_soft_file_put(file);
	return ret;
}

int soft_run_remap(struct soft_call *call)
{
	const struct soft_arg *to = &call->keyword[SOFT_REMAP_TO];
	unsigned long value[3], target;
	mmun_soft_address address;
	struct soft_task *task;
	int flags = 0;

	if (!soft_value(call, to, &target))
		return SOFT_OUTCOME_FAILED;
	task = enter(call, value, 3);
	if (!task)
		return SOFT_OUTCOME_FAILED;
	if (to->given)
		flags |= MREMAP_FIXED | MREMAP_MAYMOVE;
	if (call->keyword[SOFT_REMAP_MAYMOVE].given)
		flags |= MREMAP_MAYMOVE;
	if (call->keyword[SOFT_REMAP_DONTUNMAP].given)
		flags |= MREMAP_DONTUNMAP | MREMAP_MAYMOVE;
	address = mmun_soft_mremap(task->mm, value[0], value[1], value[2], flags, target);
	return leave_with_address(call, task, address, &call->keyword[SOFT_REMAP_AS]);
}

static int on_range(struct soft_call *call,
		    int (*operation)(struct mm_struct *mm, unsigned long address, size_t length))
{
	unsigned long value[2];
	struct soft_task *task = enter(call, value, 2);

	if (!task)
		return SOFT_OUTCOME_FAILED;
	return leave_task(call, task, operation(task->mm, value[0], value[1]));
}

int soft_run_unmap(struct soft_call *call)
{
	return on_range(call, mmun_soft_munmap);
}

int soft_run_lock(struct soft_call *call)
{
	return on_range(call, mmun_soft_mlock);
}

int soft_run_unlock(struct soft_call *call)
{
	return on_range(call, mmun_soft_munlock);
}

static int sync_range(struct mm_struct *mm, unsigned long address, size_t length)
{
	return mmun_soft_msync(mm, address, length, MS_SYNC);
}

int soft_run_sync(struct soft_call *call)
{
	return on_range(call, sync_range);
}

int soft_run_protect(struct soft_call *call)
{
	unsigned long value[2];
	struct soft_task *task = enter(call, value, 2);

	if (!task)
		return SOFT_OUTCOME_FAILED;
	return leave_task(call, task,
			  mmun_soft_mprotect(task->mm, value[0], value[1],
					     (int)call->arg[3].number));
}

int soft_run_advise(struct soft_call *call)
{
	unsigned long value[2];
	struct soft_task *task = enter(call, value, 2);

	if (!task)
		return SOFT_OUTCOME_FAILED;
	return leave_task(call, task,
			  mmun_soft_madvise(task->mm, value[0], value[1],
					    (int)call->arg[3].number));
}

int soft_run_remap_file_pages(struct soft_call *call)
{
	unsigned long value[3];
	struct soft_task *task = enter(call, value, 3);

	if (!task)
		return SOFT_OUTCOME_FAILED;
	return leave_task(call, task,
			  mmun_soft_remap_file_pages(task->mm, value[0], value[1], 0, value[2], 0));
}

int soft_run_heap(struct soft_call *call)
{
	unsigned long base;
	struct soft_task *task = enter(call, &base, 1);

	if (!task)
		return SOFT_OUTCOME_FAILED;
	return leave_task(call, task, mmun_soft_set_brk_base(task->mm, base));
}

/* As the wrapper in libc: what the kernel did not do is -ENOMEM. */
int soft_run_brk(struct soft_call *call)
{
	unsigned long wanted;
	struct soft_task *task = enter(call, &wanted, 1);

	if (!task)
		return SOFT_OUTCOME_FAILED;
	return leave_task(call, task, mmun_soft_brk(task->mm, wanted) == wanted ? 0 : -ENOMEM);
}

static int on_address(struct soft_call *call,
		      int (*operation)(struct mm_struct *mm, unsigned long address))
{
	unsigned long address;
	struct soft_task *task = enter(call, &address, 1);

	if (!task)
		return SOFT_OUTCOME_FAILED;
	return leave_task(call, task, operation(task->mm, address));
}

int soft_run_migrate(struct soft_call *call)
{
	return on_address(call, mmun_soft_migrate);
}

int soft_run_collapse(struct soft_call *call)
{
	return on_address(call, mmun_soft_collapse);
}

int soft_run_soft_dirty(struct soft_call *call)
{
	struct soft_task *task = enter(call, NULL, 0);

	if (!task)
		return SOFT_OUTCOME_FAILED;
	return leave_task(call, task, mmun_soft_clear_soft_dirty(task->mm));
}

int soft_run_oom(struct soft_call *call)
{
	struct soft_task *task = enter(call, NULL, 0);

	if (!task)
		return SOFT_OUTCOME_FAILED;
	return leave_task(call, task, mmun_soft_oom_reap(task->mm));
}

static int say_pages(struct soft_call *call, size_t pages)
{
	soft_say(call->world, SOFT_SAY_EVENT, "pages", SOFT_FIELDS(SOFT_NUMBER("pages", pages)),
		 "= %zu page%s", pages, pages == 1 ? "" : "s");
	return 0;
}

int soft_run_reclaim(struct soft_call *call)
{
	unsigned long nr;

	if (!soft_value(call, &call->arg[0], &nr))
		return SOFT_OUTCOME_FAILED;
	return say_pages(call, mmun_soft_reclaim(call->world->soft, nr));
}

int soft_run_ksm(struct soft_call *call)
{
	return say_pages(call, mmun_soft_ksm_scan(call->world->soft));
}

int soft_run_compact(struct soft_call *call)
{
	return say_pages(call, mmun_soft_compact(call->world->soft));
}
