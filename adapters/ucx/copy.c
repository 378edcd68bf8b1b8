/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Copies of libucm: finding them, and feeding one from the notifier chain.
 *
 * A process may have several: that of the program, those that plug-ins or Python wheels
 * bring along under names of their own.  Each has a notifier.  A copy is recognised by where
 * it is loaded, and every function of it is looked up in that object alone.
 *
 * Both edges of a section are handed on.  The start makes the cache forget the range, so
 * that nobody uses a translation of pages that go away.  But a thread that registers the
 * range between the start and the system call pins the old pages; the end makes the cache
 * forget that one as well.
 *
 * What ucm_vm_munmap() does: it takes ucm's rwlock for reading, and UCX's caches only try
 * their own, or append to a queue under a spinlock.  No code of UCX changes memory with
 * one of those held, but for the first use of ucm_orig_mmap() and ucm_orig_munmap(),
 * which looks functions up: so they are used once before a cache can (UCX's hook modes
 * reloc and none).  A thread of which a signal handler unmaps something inside the callback
 * waits for itself if it was interrupted with the spinlock held, as it does with UCX's own
 * hooks.
 *
 * A forked child has a copy of libucm that believes in its external events, and no
 * notifier: a handler that is set there connects it anew.
 * Tests: tests/contract/adapters/ucx.c.
 */
#include "copy.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <mmunotify/primary.h>
#include <mmunotify/self.h>

#include "atomic.h"
#include "say.h"

/* The same in every version since 1.3; a callback is handed the event by this number. */
_Static_assert(UCM_EVENT_VM_UNMAPPED == 1 << 17, "ucm's events have new numbers");

#define MAX_COPIES 8

static struct ucm_copy copies[MAX_COPIES];
/* The mm of the process that holds the lock, its thread, and how often. */
static struct mm_struct *lock_owner;
static pid_t lock_thread;
static unsigned int lock_depth;

bool ucm_copy_lock(unsigned int wait_ms)
{
	const struct timespec step = { .tv_nsec = 100000 };
	struct mm_struct *mm = mmun_self(), *owner;
	pid_t thread = gettid();

	if (!mm)
		return false;
	if (mmun_load_relaxed(&lock_owner) == mm && mmun_load_relaxed(&lock_thread) == thread) {
		lock_depth++;
		return true;
	}
	for (unsigned int i = 0; i <= 10 * wait_ms; i++) {
		owner = NULL;
		/* Or held when this child was forked, by a thread that it does not have. */
		if (mmun_cas_full(&lock_owner, &owner, mm) ||
		    (owner != mm && mmun_mm_is_stale(owner) &&
		     mmun_cas_full(&lock_owner, &owner, mm))) {
			mmun_store_relaxed(&lock_thread, thread);
			lock_depth = 1;
			return true;
		}
		nanosleep(&step, NULL);
	}
	return false;
}

void ucm_copy_unlock(void)
{
	if (--lock_depth)
		return;
	mmun_store_relaxed(&lock_thread, 0);
	mmun_store_release(&lock_owner, NULL);
}

static const void *base_of(const void *address)
{
	Dl_info info;

	return address && dladdr(address, &info) ? info.dli_fbase : NULL;
}

/* As the linker does: among what everybody sees, then among what the caller's object brought
 * along. */
void *ucm_next_function(const char *name, const void *caller)
{
	void *function = dlsym(RTLD_NEXT, name), *object;
	Dl_info info;

	if (function || !dladdr(caller, &info))
		return function;
	object = dlopen(info.dli_fname, RTLD_NOLOAD | RTLD_LAZY);
	if (!object)
		return NULL;
	function = dlsym(object, name);
	dlclose(object);
	/* By a program's own handle we find ourselves. */
	return base_of(function) == base_of(&lock_owner) ? NULL : function;
}

static void *own_function(void *object, const void *base, const char *name)
{
	void *function = dlsym(object, name);

	return base_of(function) == base ? function : NULL;
}

static struct ucm_copy *add_copy(const void *base, const void *function)
{
	struct ucm_copy *copy = copies;
	Dl_info info;
	void *object;

	while (copy < copies + MAX_COPIES && copy->base)
		copy++;
	if (copy == copies + MAX_COPIES || !dladdr(function, &info))
		return NULL;
	/* Without hooks UCX does not keep itself loaded; our notifier must find it. */
	object = dlopen(info.dli_fname, RTLD_NOLOAD | RTLD_LAZY | RTLD_NODELETE);
	if (!object)
		return NULL;
	copy->install = own_function(object, base, "ucm_mmap_install");
	copy->set_handler = own_function(object, base, "ucm_set_event_handler");
	copy->unset_handler = own_function(object, base, "ucm_unset_event_handler");
	copy->set_external = own_function(object, base, "ucm_set_external_event");
	copy->unset_external = own_function(object, base, "ucm_unset_external_event");
	copy->vm_munmap = own_function(object, base, "ucm_vm_munmap");
	copy->orig_mmap = own_function(object, base, "ucm_orig_mmap");
	copy->orig_munmap = own_function(object, base, "ucm_orig_munmap");
	dlclose(object);
	/* For those who look without the lock. */
	mmun_store_release(&copy->base, base);
	return copy;
}

static struct ucm_copy *known_copy(const void *base)
{
	const void *at;

	for (struct ucm_copy *copy = copies; copy < copies + MAX_COPIES; copy++) {
		at = mmun_load_acquire(&copy->base);
		if (!at || at == base)
			return at ? copy : NULL;
	}
	return NULL;
}

struct ucm_copy *ucm_copy_find(const char *name, const void *caller)
{
	const void *function = ucm_next_function(name, caller);
	const void *base = base_of(function);
	struct ucm_copy *copy = base ? known_copy(base) : NULL;

	return copy || !base ? copy : add_copy(base, function);
}

struct ucm_copy *ucm_copy_find_fed(const char *name, const void *caller)
{
	const void *base = base_of(ucm_next_function(name, caller));
	struct ucm_copy *copy = base ? known_copy(base) : NULL;

	/* In a forked child the mm is another. */
	return copy && mmun_load_acquire(&copy->state) == UCM_COPY_CONNECTED &&
			       mmun_load_relaxed(&copy->mm) == mmun_self()
		       ? copy
		       : NULL;
}

/* What is counted of each copy. */
enum ucm_counter {
	/* Starts of sections that pinned pages are affected by. */
	UCM_SECTIONS,
	/* Calls of ucm_vm_munmap(), at either edge. */
	UCM_INVALIDATIONS,
	/* UCX cannot be refused a registration: always 0. */
	UCM_REFUSED,
	UCM_NR_COUNTERS,
};

static const char *const counters[UCM_NR_COUNTERS] = {
	[UCM_SECTIONS] = "sections",
	[UCM_INVALIDATIONS] = "invalidations",
	[UCM_REFUSED] = "refused",
};

/* Beyond all memory of a process.  A range that ends with the address space, as where it is not
 * known what changes, is never searched to its end: UCX's address wraps around. */
#define BEYOND_MEMORY (1ul << 62)

static void hand_on(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	unsigned long end = range->end < BEYOND_MEMORY ? range->end : BEYOND_MEMORY;
	const struct ucm_copy *copy = (const struct ucm_copy *)mn;

	if (range->start < end && !ucx_is_silent())
		copy->vm_munmap((void *)range->start, end - range->start);
}

static int range_start(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	if (range->flags & MMUN_RANGE_PINNED_SAFE)
		return 0;
	mmun_stat_add(((const struct ucm_copy *)mn)->stat, UCM_SECTIONS, 1);
	hand_on(mn, range);
	return 0;
}

static void range_end(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	bool changed = !(range->flags & MMUN_RANGE_UNCHANGED);

	if (range->flags & MMUN_RANGE_PINNED_SAFE)
		return;
	if (changed)
		hand_on(mn, range);
	/* That of the start as well. */
	if (!ucx_is_silent())
		mmun_stat_add(((const struct ucm_copy *)mn)->stat, UCM_INVALIDATIONS, 1 + changed);
}

/* UCX may write to a pipe in its callback: that is a cancellation point. */
static const struct mmu_notifier_ops ops = {
	.invalidate_range_start = range_start,
	.invalidate_range_end = range_end,
};

/* A page, and how often UCX said that it went away. */
struct trial {
	void *page;
	size_t size;
	unsigned int seen;
};

static void trial_handler(ucm_event_type_t type, ucm_event_t *event, void *arg)
{
	struct trial *trial = arg;

	if (type == UCM_EVENT_VM_UNMAPPED && event->vm_unmapped.address == trial->page &&
	    event->vm_unmapped.size == trial->size)
		mmun_add_relaxed(&trial->seen, 1);
}

/* Does what is in UCX's header agree with this copy, and does an event get through? */
static bool passes_trial(struct ucm_copy *copy, struct trial *trial)
{
	trial->page = mmap(NULL, trial->size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (trial->page == MAP_FAILED)
		return false;
	munmap(trial->page, trial->size);
	return ucx_is_silent() || mmun_load_relaxed(&trial->seen) >= 2;
}

/* Before there are callbacks that count. */
static void make_stat(struct ucm_copy *copy)
{
	if (!copy->stat)
		mmun_stat_create("ucx", counters, UCM_NR_COUNTERS, &copy->stat);
}

static void say_aside(const char *why)
{
	ucx_say_once("%s: UCX's own hooks are used; MMUNOTIFY_UCX=off does without this sentence",
		     why);
}

static void show(struct ucm_copy *copy, bool connected, const char *text)
{
	make_stat(copy);
	mmun_stat_state(copy->stat, connected, text);
}

void ucm_copy_stand_aside(struct ucm_copy *copy, const char *why)
{
	char text[MMUN_STAT_STATE_SIZE];

	mmun_store_relaxed(&copy->state, UCM_COPY_ASIDE);
	/* Inherited by a forked child. */
	if (copy->declared)
		copy->unset_external(UCM_EVENT_VM_UNMAPPED);
	snprintf(text, sizeof(text), "standing aside: %s", why);
	show(copy, false, text);
	say_aside(why);
}

void ucm_copy_show_unseen(const char *why)
{
	struct mmun_stat *stat;

	mmun_stat_create("ucx", counters, UCM_NR_COUNTERS, &stat);
	mmun_stat_state(stat, false, why);
	say_aside(why);
}

/* Neither libucm nor libucs says its version; libucp, beside them if it is there, does. */
static void show_connected(struct ucm_copy *copy)
{
	char text[MMUN_STAT_STATE_SIZE], path[PATH_MAX] = "";
	const char *(*version)(void) = NULL;
	void *libucp = NULL;
	char *name;
	Dl_info info;

	if (dladdr((const void *)copy->vm_munmap, &info))
		snprintf(path, sizeof(path), "%s", info.dli_fname);
	snprintf(text, sizeof(text), "connected to UCX (%.170s)", path);
	name = strrchr(path, '/') ? strstr(strrchr(path, '/'), "libucm") : NULL;
	if (name) {
		name[strlen("libuc")] = 'p';
		libucp = dlopen(path, RTLD_NOLOAD | RTLD_LAZY);
	}
	if (libucp)
		version = (const char *(*)(void))dlsym(libucp, "ucp_get_version_string");
	if (version)
		snprintf(text, sizeof(text), "connected to UCX %s (%s)", version(), info.dli_fname);
	show(copy, true, text);
	if (libucp)
		dlclose(libucp);
}

static void use_original_functions(const struct ucm_copy *copy, size_t size)
{
	void *page = copy->orig_mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (page != MAP_FAILED)
		copy->orig_munmap(page, size);
}

static int register_notifier(struct ucm_copy *copy, struct mm_struct *mm)
{
	if (copy->registered)
		mmu_notifier_unregister(&copy->notifier, copy->mm);
	copy->registered = false;
	mmun_store_relaxed(&copy->state, UCM_COPY_NEW);
	mmun_store_relaxed(&copy->mm, mm);
	copy->notifier = (struct mmu_notifier){ .ops = &ops };
	return mmu_notifier_register(&copy->notifier, mm);
}

void ucm_copy_explain(int error, char *why, size_t size)
{
	struct mmun_probe probe = { .available = true };

	for (unsigned int i = 0; mmun_source_at(i); i++)
		if (!strcmp(mmun_source_at(i)->name, "self"))
			mmun_source_at(i)->probe(&probe);
	if (probe.available)
		snprintf(why, size, "the process cannot be watched (%s)", strerror(-error));
	else
		snprintf(why, size, "the process cannot be watched: %s (%s)", probe.reason,
			 probe.remedy);
}

int ucm_copy_connect(struct ucm_copy *copy, char *why, size_t size)
{
	const int event = UCM_EVENT_VM_UNMAPPED;
	struct trial trial = { .size = (size_t)sysconf(_SC_PAGESIZE) };
	struct mm_struct *mm = mmun_self();
	int ret;

	if (copy->state == UCM_COPY_CONNECTED && copy->mm == mm)
		return 0;
	if (!copy->set_handler || !copy->unset_handler || !copy->set_external ||
	    !copy->unset_external || !copy->vm_munmap || !copy->orig_mmap || !copy->orig_munmap) {
		snprintf(why, size, "this UCX lacks a function that is needed");
		return -ENOTSUP;
	}
	if (copy->set_handler(event | UCM_EVENT_FLAG_NO_INSTALL, 0, trial_handler, &trial))
		return 0;
	make_stat(copy);
	use_original_functions(copy, trial.size);
	ret = register_notifier(copy, mm);
	if (ret) {
		ucm_copy_explain(ret, why, size);
		copy->unset_handler(event, trial_handler, &trial);
		return ret;
	}
	/* So that it is unregistered, in a child that is forked meanwhile too. */
	copy->registered = true;
	if (!passes_trial(copy, &trial)) {
		copy->unset_handler(event, trial_handler, &trial);
		mmu_notifier_unregister(&copy->notifier, mm);
		copy->registered = false;
		snprintf(why, size, "this UCX does not report what it is handed");
		return -ENOTSUP;
	}
	copy->unset_handler(event, trial_handler, &trial);
	copy->set_external(event);
	copy->declared = true;
	mmun_store_release(&copy->state, UCM_COPY_CONNECTED);
	show_connected(copy);
	if (ucx_is_silent())
		ucx_say("MMUNOTIFY_UCX=silent: UCX hears of no change of memory, and sends wrong data");
	return 0;
}
