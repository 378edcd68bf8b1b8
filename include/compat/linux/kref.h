/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A reference count with the function that frees. */
#ifndef MMUN_COMPAT_LINUX_KREF_H
#define MMUN_COMPAT_LINUX_KREF_H

#include <linux/refcount.h>

struct kref {
	refcount_t refcount;
};

#define KREF_INIT(n) \
	{ \
		.refcount = REFCOUNT_INIT(n) \
	}

static inline void kref_init(struct kref *kref)
{
	refcount_set(&kref->refcount, 1);
}

static inline unsigned int kref_read(const struct kref *kref)
{
	return refcount_read(&kref->refcount);
}

static inline void kref_get(struct kref *kref)
{
	refcount_inc(&kref->refcount);
}

static inline int __must_check kref_get_unless_zero(struct kref *kref)
{
	return refcount_inc_not_zero(&kref->refcount);
}

static inline int kref_put(struct kref *kref, void (*release)(struct kref *kref))
{
	if (!refcount_dec_and_test(&kref->refcount))
		return 0;
	release(kref);
	return 1;
}

#define kref_put_mutex(kref, release, lock) \
	({ \
		int mmun_last = 0; \
		mutex_lock(lock); \
		if (refcount_dec_and_test(&(kref)->refcount)) { \
			(release)(kref); \
			mmun_last = 1; \
		} else { \
			mutex_unlock(lock); \
		} \
		mmun_last; \
	})

#endif
