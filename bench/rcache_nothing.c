/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Plain libc, and no cache: what the workers say of two things that are the same. */
#include "rcache_subject.h"

struct subject_counts subject_counts;

int subject_prepare(void)
{
	return 0;
}

int subject_start(unsigned long limit)
{
	return 0;
}

void subject_settle(void)
{
}
