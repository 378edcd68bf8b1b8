/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Arrays of pointers with any index, as search trees of entries.
 *
 * I1  Writers hold xa_lock; tree_lock, inside it, makes lookups without xa_lock safe.
 * I2  As in the kernel a store that may sleep lets go of xa_lock to allocate: whoever
 *     relies on the lock over such a store is wrong there too.
 *
 * Not here: marks, entries over several indices, xas_ functions.
 * Tests: tests/contract/compat/data.c.
 */
#include "runtime.h"

#include <linux/rbtree.h>
#include <linux/slab.h>
#include <linux/xarray.h>

struct entry {
	struct rb_node rb;
	unsigned long index;
	void *value;
};

static pthread_mutex_t *tree_lock(struct xarray *xa)
{
	return (pthread_mutex_t *)xa->tree_lock.libc;
}

static struct rb_root *tree(struct xarray *xa)
{
	return (struct rb_root *)&xa->root;
}

_Static_assert(sizeof(struct rb_root) == sizeof(void *), "a root fits");

void xa_init_flags(struct xarray *xa, gfp_t flags)
{
	*xa = (struct xarray)XARRAY_INIT(, flags);
	spin_lock_init(&xa->xa_lock);
	pthread_mutex_init(tree_lock(xa), NULL);
}

/* The first entry at or above @index. */
static struct entry *at_or_above(struct xarray *xa, unsigned long index)
{
	struct rb_node *node = tree(xa)->rb_node;
	struct entry *best = NULL;

	while (node) {
		struct entry *entry = rb_entry(node, struct entry, rb);

		if (entry->index == index)
			return entry;
		if (entry->index > index)
			best = entry;
		node = entry->index > index ? node->rb_left : node->rb_right;
	}
	return best;
}

static struct entry *lookup(struct xarray *xa, unsigned long index)
{
	struct entry *entry = at_or_above(xa, index);

	return entry && entry->index == index ? entry : NULL;
}

static bool entry_less(struct rb_node *a, const struct rb_node *b)
{
	return rb_entry(a, struct entry, rb)->index < rb_entry(b, struct entry, rb)->index;
}

void *xa_load(struct xarray *xa, unsigned long index)
{
	struct entry *entry;
	void *value;

	pthread_mutex_lock(tree_lock(xa));
	entry = lookup(xa, index);
	value = entry ? entry->value : NULL;
	pthread_mutex_unlock(tree_lock(xa));
	return value;
}

void *xa_find(struct xarray *xa, unsigned long *index, unsigned long max, unsigned int filter)
{
	struct entry *entry;
	void *value = NULL;

	pthread_mutex_lock(tree_lock(xa));
	entry = at_or_above(xa, *index);
	if (entry && entry->index <= max) {
		*index = entry->index;
		value = entry->value;
	}
	pthread_mutex_unlock(tree_lock(xa));
	return value;
}

void *xa_find_after(struct xarray *xa, unsigned long *index, unsigned long max, unsigned int filter)
{
	unsigned long next = *index + 1;
	void *value;

	if (!next || next > max)
		return NULL;
	value = xa_find(xa, &next, max, filter);
	if (value)
		*index = next;
	return value;
}

bool xa_empty(const struct xarray *xa)
{
	return !READ_ONCE(xa->root);
}

void *__xa_erase(struct xarray *xa, unsigned long index)
{
	struct entry *entry;
	void *value = NULL;

	lockdep_assert_held(&xa->xa_lock);
	pthread_mutex_lock(tree_lock(xa));
	entry = lookup(xa, index);
	if (entry) {
		value = entry->value;
		rb_erase(&entry->rb, tree(xa));
	}
	pthread_mutex_unlock(tree_lock(xa));
	kfree(entry);
	return value;
}

/* Replaces what is there, or puts @fresh there.  Returns the old value. */
static void *put(struct xarray *xa, unsigned long index, void *value, struct entry **fresh)
{
	struct entry *entry;
	void *old = NULL;

	pthread_mutex_lock(tree_lock(xa));
	entry = lookup(xa, index);
	if (entry) {
		old = entry->value;
		entry->value = value;
	} else if (*fresh) {
		(*fresh)->index = index;
		(*fresh)->value = value;
		rb_add(&(*fresh)->rb, tree(xa), entry_less);
		*fresh = NULL;
	}
	pthread_mutex_unlock(tree_lock(xa));
	return old;
}

/* I2 */
static struct entry *allocate(struct xarray *xa, gfp_t gfp)
{
	struct entry *entry;

	if (!gfpflags_allow_blocking(gfp))
		return (struct entry *)kzalloc(sizeof(*entry), gfp);
	xa_unlock(xa);
	entry = (struct entry *)kzalloc(sizeof(*entry), gfp);
	xa_lock(xa);
	return entry;
}

/* Stores where the present value is @old or, with @any, whatever is there. */
static void *store(struct xarray *xa, unsigned long index, void *old, bool any, void *value,
		   gfp_t gfp)
{
	struct entry *fresh = NULL;
	void *present;

	lockdep_assert_held(&xa->xa_lock);
	present = xa_load(xa, index);
	if (value && !present && (any || !old)) {
		fresh = allocate(xa, gfp);
		if (!fresh)
			return ERR_PTR(-ENOMEM);
		present = xa_load(xa, index);
	}
	if (any || present == old)
		present = value ? put(xa, index, value, &fresh) : __xa_erase(xa, index);
	kfree(fresh);
	return present;
}

void *__xa_store(struct xarray *xa, unsigned long index, void *value, gfp_t gfp)
{
	return store(xa, index, NULL, true, value, gfp);
}

void *__xa_cmpxchg(struct xarray *xa, unsigned long index, void *old, void *value, gfp_t gfp)
{
	return store(xa, index, old, false, value, gfp);
}

int __xa_insert(struct xarray *xa, unsigned long index, void *value, gfp_t gfp)
{
	void *present = __xa_cmpxchg(xa, index, NULL, value, gfp);

	BUG_ON(!value);
	return xa_is_err(present) ? xa_err(present) : present ? -EBUSY : 0;
}

static unsigned long first_free(struct xarray *xa, unsigned long from)
{
	while (xa_load(xa, from))
		from++;
	return from;
}

int __xa_alloc(struct xarray *xa, u32 *id, void *value, struct xa_limit limit, gfp_t gfp)
{
	unsigned long from = max_t(unsigned long, limit.min, !!(xa->xa_flags & XA_FLAGS_ALLOC1));
	unsigned long index;
	int ret;

	do {
		index = first_free(xa, from);
		if (index > limit.max)
			return -EBUSY;
		ret = __xa_insert(xa, index, value, gfp);
	} while (ret == -EBUSY);
	if (!ret)
		*id = (u32)index;
	return ret;
}

#define LOCKED(type, call) \
	type result; \
	xa_lock(xa); \
	result = call; \
	xa_unlock(xa); \
	return result

void *xa_store(struct xarray *xa, unsigned long index, void *entry, gfp_t gfp)
{
	LOCKED(void *, __xa_store(xa, index, entry, gfp));
}

void *xa_erase(struct xarray *xa, unsigned long index)
{
	LOCKED(void *, __xa_erase(xa, index));
}

void *xa_cmpxchg(struct xarray *xa, unsigned long index, void *old, void *entry, gfp_t gfp)
{
	LOCKED(void *, __xa_cmpxchg(xa, index, old, entry, gfp));
}

int xa_insert(struct xarray *xa, unsigned long index, void *entry, gfp_t gfp)
{
	LOCKED(int, __xa_insert(xa, index, entry, gfp));
}

int xa_alloc(struct xarray *xa, u32 *id, void *entry, struct xa_limit limit, gfp_t gfp)
{
	LOCKED(int, __xa_alloc(xa, id, entry, limit, gfp));
}

int xa_alloc_cyclic(struct xarray *xa, u32 *id, void *entry, struct xa_limit limit, u32 *next,
		    gfp_t gfp)
{
	struct xa_limit rest = XA_LIMIT(max(limit.min, *next), limit.max);
	int ret, wrapped = 0;

	xa_lock(xa);
	ret = __xa_alloc(xa, id, entry, rest, gfp);
	if (ret == -EBUSY && rest.min > limit.min) {
		ret = __xa_alloc(xa, id, entry, limit, gfp);
		wrapped = 1;
	}
	if (!ret)
		*next = *id + 1;
	xa_unlock(xa);
	return ret ? ret : wrapped;
}

void xa_destroy(struct xarray *xa)
{
	unsigned long index;
	void *value;

	xa_for_each(xa, index, value)
		xa_erase(xa, index);
}
