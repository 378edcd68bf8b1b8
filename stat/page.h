/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Where the statistics page of a process comes from. */
#ifndef MMUN_STAT_PAGE_H
#define MMUN_STAT_PAGE_H

#include <mmunotify/stat.h>

/*
 * A page of zeroes that others find.  Its memory is there: writing to it cannot fail.
 * Context: sleeps; once per process, for its descriptor stays open.
 * Return: NULL if the process can have none.
 */
struct mmun_stat_page *mmun_stat_map_page(void);

#endif
