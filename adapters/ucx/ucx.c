/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * libmmunotify-ucx.so: preloaded into a program, it has the notifier chain feed UCX's
 * registration caches in place of UCX's own hooks.
 *
 * It stands in front of two functions of libucm that libucs and libucm itself call through
 * their procedure linkage tables (so in every version since 1.11, when the second argument
 * of ucm_mmap_install() came; up to 1.23 at least).  Nothing runs before the first of these
 * calls:
 *
 * - ucm_mmap_install() patches libc.  UCX's constructor calls it in the hook mode bistro,
 *   as the exclusive user of the break.  That call is withheld, once the event source has
 *   been started: if it cannot be, UCX patches there and then, before there are threads, as
 *   without us.
 * - ucm_set_event_handler() subscribes a cache.  If it asks for VM_UNMAPPED, the copy of
 *   libucm that it would reach is connected first (copy.c), so a cache is fed from its first
 *   entry on.  What we do not feed (mappings, single calls) is left to UCX's hooks; the
 *   withheld installation is made then.
 *
 * UCX that is linked statically, or loaded with RTLD_DEEPBIND or into another namespace,
 * calls its own functions and has its own hooks.  Nothing is to be seen of that here until the
 * process ends; then it is said (unseen.c), unless the process ends by _exit() or a signal.
 * Tests: tests/contract/adapters/ucx.c.
 */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>

#include <mmunotify/self.h>

#include "atomic.h"
#include "copy.h"
#include "say.h"
#include "unseen.h"

/* What the chain reports in place of UCX's hooks, and what has nothing to do with them. */
#define NOT_HOOKED \
	(UCM_EVENT_VM_UNMAPPED | UCM_EVENT_MEM_TYPE_ALLOC | UCM_EVENT_MEM_TYPE_FREE | \
	 UCM_EVENT_FLAG_NO_INSTALL | UCM_EVENT_FLAG_EXISTING_ALLOC)

#define INTERPOSED __attribute__((visibility("default")))

/* libucm's own, in no header. */
INTERPOSED ucs_status_t ucm_mmap_install(int events, int exclusive);

static bool called;

static bool is_off(void)
{
	mmun_store_relaxed(&called, true);
	return ucx_is_off();
}

static bool lock(void)
{
	bool locked = ucm_copy_lock(UCM_COPY_WAIT_MS);

	if (!locked)
		ucx_say_once(
			"a cache is made while a library is being loaded, or there is no memory: "
			"UCX's own hooks are used; make it later");
	return locked;
}

/* What its constructor would have done. */
static void install_withheld(struct ucm_copy *copy)
{
	if (copy->withheld && copy->install)
		copy->install(copy->withheld, 0);
	copy->withheld = 0;
}

static void connect_copy(struct ucm_copy *copy)
{
	char why[640];

	if (copy->state != UCM_COPY_ASIDE && ucm_copy_connect(copy, why, sizeof(why)))
		ucm_copy_stand_aside(copy, why);
}

/* Return: whether UCX need not install @events now. */
static bool withhold(struct ucm_copy *copy, int events, int exclusive)
{
	char why[640];
	int ret;

	/* By the constructor, for whoever may come. */
	if (exclusive && copy->state == UCM_COPY_NEW) {
		ret = mmun_self_start();
		if (!ret) {
			copy->withheld |= events;
			return true;
		}
		ucm_copy_explain(ret, why, sizeof(why));
		ucm_copy_stand_aside(copy, why);
		return false;
	}
	if (events & ~NOT_HOOKED)
		return false;
	/* By somebody who has found ucm_set_event_handler() behind us. */
	if (events & UCM_EVENT_VM_UNMAPPED)
		connect_copy(copy);
	return copy->state == UCM_COPY_CONNECTED;
}

ucs_status_t ucm_mmap_install(int events, int exclusive)
{
	const void *caller = __builtin_return_address(0);
	struct ucm_copy *copy;
	ucx_install_fn install;
	bool withheld = false;

	if (!is_off() && !(events & ~NOT_HOOKED) && ucm_copy_find_fed("ucm_mmap_install", caller))
		return UCS_OK;
	if (!is_off() && lock()) {
		copy = ucm_copy_find("ucm_mmap_install", caller);
		withheld = copy && withhold(copy, events, exclusive);
		ucm_copy_unlock();
	}
	if (withheld)
		return UCS_OK;
	install = (ucx_install_fn)ucm_next_function("ucm_mmap_install", caller);
	return install ? install(events, exclusive) : UCS_ERR_UNSUPPORTED;
}

static void prepare_handler(struct ucm_copy *copy, int events)
{
	if (events & UCM_EVENT_VM_UNMAPPED)
		connect_copy(copy);
	if (copy->state == UCM_COPY_ASIDE || (events & ~NOT_HOOKED))
		install_withheld(copy);
}

INTERPOSED ucs_status_t ucm_set_event_handler(int events, int priority, ucm_event_callback_t cb,
					      void *arg)
{
	const void *caller = __builtin_return_address(0);
	__typeof__(&ucm_set_event_handler) set_handler;
	struct ucm_copy *copy;

	copy = is_off() || (events & ~NOT_HOOKED)
		       ? NULL
		       : ucm_copy_find_fed("ucm_set_event_handler", caller);
	if (copy) {
		/* Another that watches memory may have taken that back. */
		if (events & UCM_EVENT_VM_UNMAPPED)
			copy->set_external(UCM_EVENT_VM_UNMAPPED);
		return copy->set_handler(events, priority, cb, arg);
	}
	if (!is_off() && lock()) {
		copy = ucm_copy_find("ucm_set_event_handler", caller);
		if (copy)
			prepare_handler(copy, events);
		else if (events & UCM_EVENT_VM_UNMAPPED)
			ucx_say_once(
				"a copy of UCX more than there is room for, or one that cannot be "
				"found: UCX's own hooks are used in it; have fewer");
		ucm_copy_unlock();
	}
	set_handler = (__typeof__(set_handler))ucm_next_function("ucm_set_event_handler", caller);
	return set_handler ? set_handler(events, priority, cb, arg) : UCS_ERR_UNSUPPORTED;
}

__attribute__((destructor)) static void look_for_unseen(void)
{
	char path[256], why[384];

	if (mmun_load_relaxed(&called) || !ucx_find_unseen(path, sizeof(path)) || ucx_is_off())
		return;
	snprintf(
		why, sizeof(why),
		"UCX in %s calls its own functions (linked statically, or loaded with RTLD_DEEPBIND)",
		path);
	ucm_copy_show_unseen(why);
}
