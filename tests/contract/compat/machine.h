/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A machine with one task, which the calling thread acts for. */
#ifndef MMUN_TESTS_COMPAT_MACHINE_H
#define MMUN_TESTS_COMPAT_MACHINE_H

#include "part.h"

#include <sys/mman.h>

#include <linux/mm.h>
#include <mmunotify/compat.h>

#define AT 0x10000000ul

static struct mmun_soft *soft;
static struct mmun_soft_task *task;

static void start_machine(void)
{
	if (mmun_soft_create(NULL, &soft) || mmun_soft_task_create(soft, &task))
		bail_out("no machine");
	mmun_compat_start(soft);
	mmun_compat_set_current(task);
}

/* @warnings: as many as the test provoked. */
static void stop_machine(unsigned long warnings)
{
	mmun_compat_set_current(NULL);
	mmun_soft_exit(task);
	mmun_compat_stop();
	is(mmun_compat_allocated(), 0, "nothing is left");
	is(mmun_compat_warnings(), warnings, "no other warning");
	is(mmun_soft_destroy(soft), 0, "the machine has nothing left");
}

static void map(unsigned long at, unsigned long pages, int prot)
{
	mmun_soft_address address = mmun_soft_mmap(current->mm, at, pages * PAGE_SIZE, prot,
						   MAP_ANONYMOUS | MAP_PRIVATE | MAP_FIXED, NULL,
						   0);

	if (mmun_soft_is_error(address))
		bail_out("no mapping");
}

#endif
