/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a case of KUnit does: fail, be skipped, say something, have resources.
 *
 * I1  A failure is reported where it happens, by whichever thread, and stays.
 * I2  Resources are given back in reverse order, by kunit_cleanup() of the runner, each when
 *     its last reference goes.
 *
 * Tests: tests/contract/compat/kunit.c, examples/kernel_driver/mirror_kunit.c.
 */
#include "kunit_report.h"

#include <stdarg.h>
#include <stdio.h>

#include <kunit/static_stub.h>
#include <linux/mm.h>

#define MESSAGE 1024

/* Messages and failures. */

void mmun_compat_kunit_log(const struct kunit *test, const char *format, ...)
{
	char text[MESSAGE];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	mmun_compat_kunit_say(test->name, text);
}

void mmun_compat_kunit_skip(struct kunit *test, const char *format, ...)
{
	va_list args;

	WRITE_ONCE(test->status, KUNIT_SKIPPED);
	va_start(args, format);
	vsnprintf(test->status_comment, sizeof(test->status_comment), format, args);
	va_end(args);
}

/* I1 */
static __printf(5, 0) void failed(struct kunit *test, struct mmun_compat_place place,
				  const char *expected, const char *found, const char *format,
				  va_list args)
{
	char text[MESSAGE];
	int used;

	WRITE_ONCE(test->status, KUNIT_FAILURE);
	used = scnprintf(text, sizeof(text), "%s FAILED at %s:%d",
			 place.fatal ? "ASSERTION" : "EXPECTATION", place.file, place.line);
	if (expected)
		used += scnprintf(text + used, sizeof(text) - (size_t)used, "\nExpected %s%s%s",
				  expected, found ? ", but\n    " : "", found ? found : "");
	if (format && used < MESSAGE - 1) {
		text[used++] = '\n';
		vsnprintf(text + used, sizeof(text) - (size_t)used, format, args);
	}
	mmun_compat_kunit_say(test->name, text);
}

void mmun_compat_kunit_failed(struct kunit *test, struct mmun_compat_place place,
			      const char *expected, const char *found, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	failed(test, place, expected, found, format, args);
	va_end(args);
	if (place.fatal)
		mmun_compat_kunit_abort(test);
}

void mmun_compat_kunit_fail_current(const char *file, int line, const char *format, ...)
{
	struct mmun_compat_place place = { file, line, false };
	struct kunit *test = kunit_get_current_test();
	va_list args;

	if (!test)
		return;
	va_start(args, format);
	failed(test, place, NULL, NULL, format, args);
	va_end(args);
}

static __thread char values[MESSAGE];

const char *mmun_compat_kunit_integers(const char *left, long long a, const char *right,
				       long long b)
{
	int used = scnprintf(values, sizeof(values), "%s == %lld (0x%llx)", left, a,
			     (unsigned long long)a);

	if (right)
		scnprintf(values + used, sizeof(values) - (size_t)used, "\n    %s == %lld (0x%llx)",
			  right, b, (unsigned long long)b);
	return values;
}

const char *mmun_compat_kunit_pointers(const char *left, const void *a, const char *right,
				       const void *b)
{
	scnprintf(values, sizeof(values), "%s == %p\n    %s == %p", left, a, right, b);
	return values;
}

const char *mmun_compat_kunit_strings(const char *left, const char *a, const char *right,
				      const char *b)
{
	scnprintf(values, sizeof(values), "%s == \"%s\"\n    %s == \"%s\"", left, a ? a : "(null)",
		  right, b ? b : "(null)");
	return values;
}

/* Resources. */

static void release(struct kref *refcount)
{
	struct kunit_resource *res = container_of(refcount, struct kunit_resource, refcount);

	if (res->free)
		res->free(res);
	kfree(res);
}

void kunit_put_resource(struct kunit_resource *res)
{
	kref_put(&res->refcount, release);
}

struct kunit_resource *kunit_alloc_and_get_resource(struct kunit *test, kunit_resource_init_t init,
						    kunit_resource_free_t free, gfp_t gfp,
						    void *context)
{
	struct kunit_resource *res = (struct kunit_resource *)kzalloc(sizeof(*res), gfp);

	if (!res)
		return NULL;
	kref_init(&res->refcount);
	res->free = free;
	if (init && init(res, context)) {
		kfree(res);
		return NULL;
	}
	if (!init)
		res->data = context;
	kref_get(&res->refcount);
	spin_lock(&test->lock);
	list_add_tail(&res->node, &test->resources);
	spin_unlock(&test->lock);
	return res;
}

/* With a reference, and off the list if @take. */
static struct kunit_resource *find(struct kunit *test, kunit_resource_match_t match,
				   void *match_data, bool take)
{
	struct kunit_resource *res, *found = NULL;

	spin_lock(&test->lock);
	list_for_each_entry_reverse(res, &test->resources, node) {
		if (match(test, res, match_data)) {
			found = res;
			if (take)
				list_del(&res->node);
			else
				kref_get(&res->refcount);
			break;
		}
	}
	spin_unlock(&test->lock);
	return found;
}

struct kunit_resource *kunit_find_resource(struct kunit *test, kunit_resource_match_t match,
					   void *match_data)
{
	return find(test, match, match_data, false);
}

int kunit_destroy_resource(struct kunit *test, kunit_resource_match_t match, void *match_data)
{
	struct kunit_resource *res = find(test, match, match_data, true);

	if (!res)
		return -ENOENT;
	kunit_put_resource(res);
	return 0;
}

/* I2 */
void mmun_compat_kunit_cleanup(struct kunit *test)
{
	struct kunit_resource *res;

	for (;;) {
		spin_lock(&test->lock);
		if (list_empty(&test->resources))
			break;
		res = list_last_entry(&test->resources, struct kunit_resource, node);
		list_del(&res->node);
		spin_unlock(&test->lock);
		kunit_put_resource(res);
	}
	spin_unlock(&test->lock);
}

/* Actions, blocks and stubs are resources. */

struct action {
	struct kunit_resource *res;
	kunit_action_t *fn;
	void *context;
};

static void run_action(struct kunit_resource *res)
{
	struct action *action = (struct action *)res->data;

	if (action->fn)
		action->fn(action->context);
	kfree(action);
}

static int make_action(struct kunit_resource *res, void *context)
{
	struct action *action = (struct action *)kmalloc(sizeof(*action), GFP_KERNEL);

	if (!action)
		return -ENOMEM;
	*action = *(struct action *)context;
	res->data = action;
	return 0;
}

static bool is_action(struct kunit *test, struct kunit_resource *res, void *match_data)
{
	const struct action *wanted = (struct action *)match_data, *action;

	if (res->free != run_action)
		return false;
	action = (struct action *)res->data;
	return action->fn == wanted->fn && action->context == wanted->context;
}

int kunit_add_action(struct kunit *test, kunit_action_t *action, void *context)
{
	struct action wanted = { .fn = action, .context = context };
	struct kunit_resource *res =
		kunit_alloc_and_get_resource(test, make_action, run_action, GFP_KERNEL, &wanted);

	if (!res)
		return -ENOMEM;
	kunit_put_resource(res);
	return 0;
}

int kunit_add_action_or_reset(struct kunit *test, kunit_action_t *action, void *context)
{
	int ret = kunit_add_action(test, action, context);

	if (ret)
		action(context);
	return ret;
}

void kunit_remove_action(struct kunit *test, kunit_action_t *action, void *context)
{
	struct action wanted = { .fn = action, .context = context };
	struct kunit_resource *res = find(test, is_action, &wanted, true);

	if (!res)
		return;
	((struct action *)res->data)->fn = NULL;
	kunit_put_resource(res);
}

void kunit_release_action(struct kunit *test, kunit_action_t *action, void *context)
{
	struct action wanted = { .fn = action, .context = context };

	kunit_destroy_resource(test, is_action, &wanted);
}

static void free_block(void *block)
{
	kfree(block);
}

void *kunit_kmalloc_array(struct kunit *test, size_t n, size_t size, gfp_t gfp)
{
	void *block = kmalloc_array(n, size, gfp);

	if (block && kunit_add_action_or_reset(test, free_block, block))
		return NULL;
	return block;
}

void kunit_kfree(struct kunit *test, const void *ptr)
{
	if (ptr)
		kunit_release_action(test, free_block, (void *)(uintptr_t)ptr);
}

struct stub {
	void (*real)(void);
	void (*replacement)(void);
};

static void free_stub(struct kunit_resource *res)
{
	kfree(res->data);
}

static bool is_stub(struct kunit *test, struct kunit_resource *res, void *match_data)
{
	const struct stub *wanted = (struct stub *)match_data;

	return res->free == free_stub && ((struct stub *)res->data)->real == wanted->real;
}

static int make_stub(struct kunit_resource *res, void *context)
{
	struct stub *stub = (struct stub *)kmalloc(sizeof(*stub), GFP_KERNEL);

	if (!stub)
		return -ENOMEM;
	*stub = *(struct stub *)context;
	res->data = stub;
	return 0;
}

void (*mmun_compat_kunit_stub(void (*real)(void)))(void)
{
	struct stub wanted = { .real = real };
	struct kunit *test = kunit_get_current_test();
	struct kunit_resource *res = test ? kunit_find_resource(test, is_stub, &wanted) : NULL;
	void (*replacement)(void) = NULL;

	if (res) {
		replacement = ((struct stub *)res->data)->replacement;
		kunit_put_resource(res);
	}
	return replacement;
}

void mmun_compat_kunit_set_stub(struct kunit *test, void (*real)(void), void (*replacement)(void))
{
	struct stub stub = { real, replacement };
	struct kunit_resource *res;

	kunit_destroy_resource(test, is_stub, &stub);
	if (!replacement)
		return;
	res = kunit_alloc_and_get_resource(test, make_stub, free_stub, GFP_KERNEL, &stub);
	if (res)
		kunit_put_resource(res);
	else
		KUNIT_FAIL_AND_ABORT(test, "no memory for a stub");
}

unsigned long kunit_vm_mmap(struct kunit *test, struct file *file, unsigned long addr,
			    unsigned long len, unsigned long prot, unsigned long flag,
			    unsigned long offset)
{
	return kunit_attach_mm() ? 0 : vm_mmap(file, addr, len, prot, flag, offset);
}
