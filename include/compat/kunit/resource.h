/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a case has, to be given back when it has ended, the newest first. */
#ifndef MMUN_COMPAT_KUNIT_RESOURCE_H
#define MMUN_COMPAT_KUNIT_RESOURCE_H

#include <kunit/test.h>

struct kunit_resource;

typedef int (*kunit_resource_init_t)(struct kunit_resource *res, void *context);
typedef void (*kunit_resource_free_t)(struct kunit_resource *res);
typedef bool (*kunit_resource_match_t)(struct kunit *test, struct kunit_resource *res,
				       void *match_data);
typedef void(kunit_action_t)(void *context);

struct kunit_resource {
	void *data;
	const char *name;
	kunit_resource_free_t free;
	/* private: */
	struct kref refcount;
	struct list_head node;
};

/* With a reference for the caller, or NULL: @init failed, or there is no memory. */
struct kunit_resource *kunit_alloc_and_get_resource(struct kunit *test, kunit_resource_init_t init,
						    kunit_resource_free_t free, gfp_t gfp,
						    void *context);
/* The newest that matches, with a reference; NULL. */
struct kunit_resource *kunit_find_resource(struct kunit *test, kunit_resource_match_t match,
					   void *match_data);
/* 0; -ENOENT. */
int kunit_destroy_resource(struct kunit *test, kunit_resource_match_t match, void *match_data);
void kunit_put_resource(struct kunit_resource *res);

/* Its ->data. */
static inline void *kunit_alloc_resource(struct kunit *test, kunit_resource_init_t init,
					 kunit_resource_free_t free, gfp_t gfp, void *context)
{
	struct kunit_resource *res = kunit_alloc_and_get_resource(test, init, free, gfp, context);
	void *data = res ? res->data : NULL;

	if (res)
		kunit_put_resource(res);
	return data;
}

/* @action(@context) when the case has ended.  0; -ENOMEM, after which the second has done it. */
int kunit_add_action(struct kunit *test, kunit_action_t *action, void *context);
int kunit_add_action_or_reset(struct kunit *test, kunit_action_t *action, void *context);
/* The newest of those: not at all, or at once. */
void kunit_remove_action(struct kunit *test, kunit_action_t *action, void *context);
void kunit_release_action(struct kunit *test, kunit_action_t *action, void *context);

#define KUNIT_DEFINE_ACTION_WRAPPER(wrapper, orig, arg_type) \
	static void wrapper(void *mmun_context) \
	{ \
		orig((arg_type)mmun_context); \
	}

#endif
