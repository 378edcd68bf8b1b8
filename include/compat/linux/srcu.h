/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* SRCU: read sections that may sleep, each domain on its own. */
#ifndef MMUN_COMPAT_LINUX_SRCU_H
#define MMUN_COMPAT_LINUX_SRCU_H

#include <linux/rcupdate.h>

struct srcu_struct {
	unsigned long idx;
	long readers[2];
	/* One grace period at a time. */
	unsigned long libc[5];
};

#define DEFINE_SRCU(name)        struct srcu_struct name
#define DEFINE_STATIC_SRCU(name) static DEFINE_SRCU(name)

int mmun_compat_srcu_init(struct srcu_struct *ssp);
void mmun_compat_srcu_cleanup(struct srcu_struct *ssp);
int mmun_compat_srcu_enter(struct srcu_struct *ssp);
void mmun_compat_srcu_leave(struct srcu_struct *ssp, int idx);
void mmun_compat_srcu_sync(struct srcu_struct *ssp);

#define init_srcu_struct(ssp)                mmun_compat_srcu_init(ssp)
#define cleanup_srcu_struct(ssp)             mmun_compat_srcu_cleanup(ssp)
#define srcu_read_lock(ssp)                  mmun_compat_srcu_enter(ssp)
#define srcu_read_unlock(ssp, idx)           mmun_compat_srcu_leave(ssp, idx)
#define synchronize_srcu(ssp)                mmun_compat_srcu_sync(ssp)
#define synchronize_srcu_expedited(ssp)      mmun_compat_srcu_sync(ssp)
#define srcu_dereference(p, ssp)             ((void)(ssp), rcu_dereference(p))
#define srcu_dereference_check(p, ssp, cond) srcu_dereference(p, ssp)

#endif
