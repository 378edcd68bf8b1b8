/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* RCU.  A read section must not sleep (checked); synchronize_rcu() waits for every one. */
#ifndef MMUN_COMPAT_LINUX_RCUPDATE_H
#define MMUN_COMPAT_LINUX_RCUPDATE_H

#include <linux/kernel.h>
#include <linux/lockdep.h>
#include <linux/types.h>

void rcu_read_lock(void);
void rcu_read_unlock(void);
int rcu_read_lock_held(void);
void synchronize_rcu(void);
void rcu_barrier(void);
void call_rcu(struct rcu_head *head, rcu_callback_t func);
void mmun_compat_kfree_rcu(struct rcu_head *head, size_t offset);

#define synchronize_rcu_expedited()  synchronize_rcu()
#define rcu_assign_pointer(p, value) __atomic_store_n(&(p), (value), __ATOMIC_RELEASE)
#define RCU_INIT_POINTER(p, value)   WRITE_ONCE(p, value)
#define rcu_dereference(p)           __atomic_load_n(&(p), __ATOMIC_ACQUIRE)
#define rcu_dereference_raw(p)       rcu_dereference(p)
#define rcu_dereference_check(p, cond) \
	({ \
		WARN_ON_ONCE(!((cond) || rcu_read_lock_held())); \
		rcu_dereference(p); \
	})
#define rcu_dereference_protected(p, cond) \
	({ \
		WARN_ON_ONCE(!(cond)); \
		READ_ONCE(p); \
	})
#define rcu_access_pointer(p) READ_ONCE(p)
#define rcu_replace_pointer(p, value, cond) \
	({ \
		__typeof__(p) mmun_replaced = rcu_dereference_protected(p, cond); \
		rcu_assign_pointer(p, value); \
		mmun_replaced; \
	})
#define kfree_rcu(ptr, member) \
	mmun_compat_kfree_rcu(&(ptr)->member, offsetof(__typeof__(*(ptr)), member))
#define kvfree_rcu(ptr, member) kfree_rcu(ptr, member)

#endif
