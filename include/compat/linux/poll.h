/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* ->poll is called by mmun_compat_poll() and does not wait. */
#ifndef MMUN_COMPAT_LINUX_POLL_H
#define MMUN_COMPAT_LINUX_POLL_H

#include <linux/fs.h>

#include <poll.h>

typedef struct poll_table_struct {
	char unused;
} poll_table;

#define EPOLLIN     ((__poll_t)POLLIN)
#define EPOLLOUT    ((__poll_t)POLLOUT)
#define EPOLLERR    ((__poll_t)POLLERR)
#define EPOLLHUP    ((__poll_t)POLLHUP)
#define EPOLLRDNORM ((__poll_t)0x40)
#define EPOLLWRNORM ((__poll_t)0x100)

#define poll_wait(file, wq, table) ((void)(file), (void)(wq), (void)(table))

#endif
