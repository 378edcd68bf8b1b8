/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* UCX that has patched the C library without asking through the symbols that we stand for. */
#ifndef MMUN_ADAPTERS_UCX_UNSEEN_H
#define MMUN_ADAPTERS_UCX_UNSEEN_H

#include <stdbool.h>
#include <stddef.h>

/**
 * ucx_find_unseen() - the object whose code munmap() was made to jump to, if that is UCX.
 * @path: set to its file
 *
 * Context: takes the dynamic linker's lock.  Return: whether there is one.
 */
bool ucx_find_unseen(char *path, size_t size);

#endif
