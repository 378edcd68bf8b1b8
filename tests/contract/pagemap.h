/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the kernel has at an address of ours: the frame, whether it is present,
 * what may be done with it, what is in it.  All of it async-signal-safe.
 */
#ifndef MMUN_TESTS_PAGEMAP_H
#define MMUN_TESTS_PAGEMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PAGE_BYTES 4096UL

/* What else than the frame belongs to the state of a page. */
#define PAGE_RIGHTS  (1u << 0)
#define PAGE_SHARING (1u << 1)

/* Opens pagemap; once per process before anything else.  0 or -errno. */
int pagemap_open(void);
/* Frame numbers read 0 without CAP_SYS_ADMIN. */
bool pagemap_shows_frames(void);
/* Frame, present and swap bits, and what @flags ask for; 0 where nothing is. */
uint64_t page_state(unsigned long address, unsigned int flags);

/* Reads or writes our own memory without a signal; false where that fails. */
bool memory_peek(unsigned long address, void *to, size_t size);
bool memory_poke(unsigned long address, const void *from, size_t size);

#endif
