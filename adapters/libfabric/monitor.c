/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The rules, and who tests them, are in monitor.h. */
#include "monitor.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <rdma/fi_errno.h>
#include <rdma/fi_ext.h>

#include "atomic.h"
#include "entries.h"
#include "notifier.h"
#include "reaper.h"
#include "say.h"
#include "shared.h"

#define MONITORS 4

enum {
	IDLE,
	RUNNING,
	RETIRED,
};

struct monitor {
	struct fid_mem_monitor fid;
	struct lf_entries *entries;
	/* IDLE and so on. */
	int state;
	bool silent;
};

static struct monitor monitors[MONITORS];
static int nr_monitors;

/* What a thread knows of the registration that it may be making (M2: its pages are younger
 * than the last question). */
static __thread __attribute__((tls_model("initial-exec"))) struct {
	uint64_t generation;
	/* The pages are younger than this number. */
	uint64_t number;
	/* When a subscription was refused since; 0: none was. */
	uint64_t refused;
	/* The pages of [start, end) are younger than this one, if nothing was asked since. */
	uint64_t taken, taken_number, taken_refused;
	unsigned long start, end;
} thread;

static void thread_asked(uint64_t number)
{
	thread.generation = lf_generation();
	thread.number = number;
	thread.refused = 0;
}

static void thread_refused(uint64_t number)
{
	if (thread.refused)
		thread.number = thread.refused;
	thread.refused = number;
}

static uint64_t thread_since(uint64_t started, unsigned long start, unsigned long end)
{
	uint64_t since = started;

	if (thread.generation != lf_generation()) {
		thread_asked(started);
		return started;
	}
	if (thread.number > since)
		since = thread.number;
	if (thread.taken > since && thread.taken_number == thread.number &&
	    thread.taken_refused == thread.refused && thread.start <= start && thread.end >= end)
		since = thread.taken;
	return since;
}

void lf_pages_taken(const void *start, size_t length)
{
	const unsigned long from = (unsigned long)start, to = from + length;
	struct lf_shared *shared = lf_shared();

	if (!shared || !mmun_load_acquire(&shared->ready))
		return;
	if (thread.generation != lf_generation())
		thread_asked(0);
	/* Two registrations of it in a row may both be meant: the older number counts. */
	if (thread.taken && thread.taken_number == thread.number &&
	    thread.taken_refused == thread.refused && thread.start < to && thread.end > from) {
		thread.start = from < thread.start ? from : thread.start;
		thread.end = to > thread.end ? to : thread.end;
		return;
	}
	thread.start = from;
	thread.end = to;
	thread.taken_number = thread.number;
	thread.taken_refused = thread.refused;
	thread.taken = lf_history_now(&shared->history);
}

static struct monitor *monitor_of(struct fid_mem_monitor *fid)
{
	return (struct monitor *)((char *)fid - offsetof(struct monitor, fid));
}

static void notify(void *arg, unsigned long start, unsigned long end)
{
	struct monitor *monitor = arg;

	monitor->fid.import_ops->notify(&monitor->fid, (void *)start, end - start);
}

static void sweep(void)
{
	int i;

	for (i = 0; i < mmun_load_acquire(&nr_monitors); i++) {
		if (mmun_load_acquire(&monitors[i].entries->alive))
			lf_count(LF_RELEASED,
				 lf_entries_sweep(monitors[i].entries, &lf_shared()->history,
						  notify, &monitors[i]));
	}
}

static int start_watching(struct monitor *monitor)
{
	int ret = lf_notifier_start();

	if (ret) {
		char reason[256], remedy[256];

		if (lf_notifier_probe(reason, remedy, sizeof(reason)))
			snprintf(reason, sizeof(reason), "watching memory fails: %s",
				 strerror(-ret));
		lf_state(false, "%s", reason);
		lf_say("%s: libfabric keeps no registrations; MMUNOTIFY_FI=off gives it back its "
		       "own monitor",
		       reason);
		return ret;
	}
	if (!monitor->entries->alive)
		lf_entries_start(monitor->entries, lf_history_now(&lf_shared()->history));
	return 0;
}

static int monitor_start(struct fid_mem_monitor *fid)
{
	struct monitor *monitor = monitor_of(fid);
	int state = IDLE, ret = 0;

	if (!monitor->silent)
		ret = start_watching(monitor);
	if (ret)
		return ret;
	/* In another thread the process may be at its end. */
	return mmun_cas_full(&monitor->state, &state, RUNNING) || state == RUNNING ? 0 : -FI_ENOSYS;
}

/*
 * The notifier stays: unregistering waits for sections of other threads, and here the
 * caller holds locks.  No cache holds anything now, so nothing is found either.
 */
static void monitor_stop(struct fid_mem_monitor *fid)
{
	mmun_store_release(&monitor_of(fid)->state, IDLE);
}

static int monitor_subscribe(struct fid_mem_monitor *fid, const void *addr, size_t len)
{
	struct monitor *monitor = monitor_of(fid);
	const unsigned long start = (unsigned long)addr, end = start + len;
	struct lf_history *history;
	uint64_t now;
	int ret;

	if (monitor->silent)
		return 0;
	history = &lf_shared()->history;
	if (mmun_unlikely(lf_reaper_wanted()))
		lf_reaper_start(sweep);
	lf_reaper_watch(start, end);
	now = lf_history_now(history);
	ret = lf_entries_add(monitor->entries, history, start, end,
			     thread_since(monitor->entries->started, start, end));
	/* It has taken a number. */
	lf_reaper_news(now, 0, 0);
	if (ret) {
		thread_refused(now);
		lf_count(LF_REFUSED, 1);
		return ret == -ENOSPC ? -FI_ENOSPC : -FI_EAGAIN;
	}
	thread_asked(now);
	lf_count(LF_KEPT, 1);
	return 0;
}

static void monitor_unsubscribe(struct fid_mem_monitor *fid, const void *addr, size_t len)
{
	struct monitor *monitor = monitor_of(fid);

	if (!monitor->silent)
		lf_entries_remove(monitor->entries, (unsigned long)addr, (unsigned long)addr + len);
}

static bool monitor_valid(struct fid_mem_monitor *fid, const void *addr, size_t len)
{
	struct monitor *monitor = monitor_of(fid);
	const struct lf_history *history;
	uint64_t now;

	if (mmun_unlikely(monitor->silent))
		return true;
	history = &lf_shared()->history;
	if (mmun_unlikely(lf_reaper_wanted()))
		lf_reaper_start(sweep);
	now = lf_history_now(history);
	thread_asked(now);
	if (mmun_likely(lf_entries_valid(monitor->entries, history, (unsigned long)addr,
					 (unsigned long)addr + len)))
		return true;
	lf_count(LF_INVALIDATIONS, 1);
	return false;
}

static struct fi_ops_mem_monitor monitor_ops = {
	.size = sizeof(monitor_ops),
	.start = monitor_start,
	.stop = monitor_stop,
	.subscribe = monitor_subscribe,
	.unsubscribe = monitor_unsubscribe,
	.valid = monitor_valid,
};

struct fid_mem_monitor *lf_monitor_create(bool silent)
{
	struct monitor *monitor = &monitors[nr_monitors];

	if (nr_monitors == MONITORS || !lf_shared())
		return NULL;
	if (!monitor->entries)
		monitor->entries = lf_map_wiped(sizeof(*monitor->entries));
	if (!monitor->entries)
		return NULL;
	monitor->silent = silent;
	monitor->fid.fid.fclass = FI_CLASS_MEM_MONITOR;
	monitor->fid.export_ops = &monitor_ops;
	mmun_store_release(&nr_monitors, nr_monitors + 1);
	return &monitor->fid;
}

void lf_monitor_discard(struct fid_mem_monitor *fid)
{
	mmun_store_release(&nr_monitors, nr_monitors - 1);
}

bool lf_monitor_retire(struct fid_mem_monitor *fid)
{
	int state = IDLE;

	return mmun_cas_full(&monitor_of(fid)->state, &state, RETIRED);
}
