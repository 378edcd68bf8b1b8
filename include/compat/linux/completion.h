/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* One side waits until the other is done. */
#ifndef MMUN_COMPAT_LINUX_COMPLETION_H
#define MMUN_COMPAT_LINUX_COMPLETION_H

#include <linux/wait.h>

struct completion {
	unsigned int done;
	wait_queue_head_t wait;
};

#define COMPLETION_INITIALIZER(name) \
	{ \
		.done = 0, .wait = __WAIT_QUEUE_HEAD_INITIALIZER(name.wait) \
	}
#define DECLARE_COMPLETION(name)         struct completion name = COMPLETION_INITIALIZER(name)
#define DECLARE_COMPLETION_ONSTACK(name) DECLARE_COMPLETION(name)

void init_completion(struct completion *x);
void reinit_completion(struct completion *x);
void complete(struct completion *x);
void complete_all(struct completion *x);
void wait_for_completion(struct completion *x);
int wait_for_completion_interruptible(struct completion *x);
int wait_for_completion_killable(struct completion *x);
unsigned long wait_for_completion_timeout(struct completion *x, unsigned long timeout);
long wait_for_completion_interruptible_timeout(struct completion *x, unsigned long timeout);
bool try_wait_for_completion(struct completion *x);
bool completion_done(struct completion *x);

#endif
