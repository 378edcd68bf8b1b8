/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* One copy of libucm in the process, whatever its file is called. */
#ifndef MMUN_ADAPTERS_UCX_COPY_H
#define MMUN_ADAPTERS_UCX_COPY_H

#include <stdbool.h>
#include <stddef.h>

#include <ucm/api/ucm.h>

#include <mmunotify/mmu_notifier.h>
#include <mmunotify/stat.h>

/* Not in UCX's headers: what installs its hooks, since 1.11. */
typedef ucs_status_t (*ucx_install_fn)(int events, int exclusive);

enum ucm_copy_state {
	/* Nobody has asked for its events yet. */
	UCM_COPY_NEW,
	/* Our notifier feeds it. */
	UCM_COPY_CONNECTED,
	/* It uses its own hooks. */
	UCM_COPY_ASIDE,
};

struct ucm_copy {
	struct mmu_notifier notifier;
	/* Where the notifier is registered, or was in the process that this is a child of. */
	struct mm_struct *mm;
	bool registered;
	/* Where it is loaded; NULL: this entry is free. */
	const void *base;
	enum ucm_copy_state state;
	/* Hooks that its constructor would have installed: events, or 0. */
	int withheld;
	/* The event is declared external by us. */
	bool declared;
	/* Made when it is connected or stands aside. */
	struct mmun_stat *stat;

	ucx_install_fn install;
	__typeof__(&ucm_set_event_handler) set_handler;
	__typeof__(&ucm_unset_event_handler) unset_handler;
	__typeof__(&ucm_set_external_event) set_external;
	__typeof__(&ucm_unset_external_event) unset_external;
	__typeof__(&ucm_vm_munmap) vm_munmap;
	__typeof__(&ucm_orig_mmap) orig_mmap;
	__typeof__(&ucm_orig_munmap) orig_munmap;
};

/**
 * ucm_next_function() - what a call of @name by the code at @caller would reach without us.
 *
 * Context: may allocate, takes the dynamic linker's lock.  Return: NULL if there is none.
 */
void *ucm_next_function(const char *name, const void *caller);

/**
 * ucm_copy_find() - the copy of libucm in which that function is.
 *
 * Context: ucm_copy_lock() held; as ucm_next_function().
 * Return: NULL if there is none, or no room for one more.
 */
struct ucm_copy *ucm_copy_find(const char *name, const void *caller);

/**
 * ucm_copy_find_fed() - the same, if the chain feeds it already; without the lock.
 */
struct ucm_copy *ucm_copy_find_fed(const char *name, const void *caller);

/** How long a call waits for another that decides.  That one may be waiting for the dynamic
 *  linker's lock, which the caller holds if it is a constructor. */
#define UCM_COPY_WAIT_MS 1000
/**
 * ucm_copy_lock() - one thread at a time decides about copies; it may take the lock again.
 *
 * A forked child takes the lock from a thread that does not exist there.  Context: sleeps.
 * Return: whether it is held: not after @wait_ms, nor if there is no memory for the mm of the
 * process.
 */
bool ucm_copy_lock(unsigned int wait_ms);
void ucm_copy_unlock(void);

/**
 * ucm_copy_connect() - have the chain feed @copy; nothing is done if it does already.
 *
 * Registers the notifier, sees with UCX's own test of events switched off that a real
 * munmap() reaches a handler at both edges, and declares the event external.
 *
 * Context: ucm_copy_lock() held; sleeps.
 * Return: 0: connected, or @copy takes no handlers at all (UCX_MEM_EVENTS=n) and is left
 * alone; -errno with @why filled, and nothing changed: its own hooks are needed.
 */
int ucm_copy_connect(struct ucm_copy *copy, char *why, size_t size);

/** ucm_copy_stand_aside() - from now on @copy uses its own hooks, and @why is shown and said.
 *  Context: ucm_copy_lock() held; sleeps. */
void ucm_copy_stand_aside(struct ucm_copy *copy, const char *why);

/** ucm_copy_show_unseen() - the same for a copy that does not call us.  Context: sleeps. */
void ucm_copy_show_unseen(const char *why);

/** ucm_copy_explain() - why starting the event source gave @error.  Context: sleeps, allocates. */
void ucm_copy_explain(int error, char *why, size_t size);

#endif
