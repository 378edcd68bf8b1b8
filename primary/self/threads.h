/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The threads of this process, as the kernel lists them. */
#ifndef MMUN_SELF_THREADS_H
#define MMUN_SELF_THREADS_H

#include <stddef.h>

/* Return: the list, to be closed with mmun_self_close(), or -errno. */
int mmun_threads_open(void);
/*
 * Calls @fn for each until that returns other than 0; from the first on, each time.  While
 * threads come and go one pass may miss some.
 * Return: that, 0 or -errno.
 */
int mmun_threads_each(int list, int (*fn)(long id, void *arg), void *arg);
/* Reads the file of one thread, whose name begins with a slash.  Return: its length, with a
 * byte of 0 behind it, or -errno. */
long mmun_threads_read(int list, long id, const char *file, char *text, size_t size);

#endif
