/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What tests of the backend see of it beside its header. */
#ifndef MMUN_SECONDARY_URING_CACHE_H
#define MMUN_SECONDARY_URING_CACHE_H

#include <mmunotify/uring.h>

/*
 * mmun_uring_create_set() for changes of @mm.  The kernel pins memory of the running
 * process whatever @mm is: with another one than mmun_self() the cache is not fed.
 */
int mmun_uring_create_of(struct mm_struct *mm, struct io_uring *const *rings, unsigned int nr,
			 const struct mmun_uring_options *options, struct mmun_uring **cache);

#endif
