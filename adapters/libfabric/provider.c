/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * How a libfabric finds us: as the "provider" in a folder that FI_PROVIDER_PATH names.
 *
 * P1  libfabric loads every lib*-fi.so of that folder when it is initialised, after its own monitors,
 *     and calls fi_prov_ini(), which imports our monitor into the libfabric that called and
 *     answers that it has no provider.  So it does not matter how libfabric was loaded, how many there
 *     are, what they are called, nor which monitor FI_MR_CACHE_MONITOR names.
 * P2  The libfabric stays loaded, as we do: its monitor points here and our thread calls it.
 * P3  At exit the import is taken back, unless a cache is running: libfabric built with
 *     assertions ends with one otherwise.  No cache starts after that.
 * P4  What does not fit is said once, and libfabric works as without us.
 *
 * Tests: tests/contract/adapters/fi.c.
 */
#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rdma/fabric.h>
#include <rdma/fi_errno.h>
#include <rdma/fi_ext.h>

#include "atomic.h"
#include "monitor.h"
#include "notifier.h"
#include "say.h"
#include "shared.h"

#define LIBFABRICS 4

typedef int open_fn(uint32_t version, const char *name, void *attr, size_t attr_len, uint64_t flags,
		    struct fid **fid, void *context);

/* Those that have our monitor. */
static struct {
	open_fn *open;
	struct fid_mem_monitor *monitor;
} libfabrics[LIBFABRICS];
static int nr_libfabrics;

__attribute__((format(printf, 1, 2))) static void stand_aside(const char *format, ...)
{
	static int said;
	char text[512];
	va_list args;

	if (mmun_swap_full(&said, 1))
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	lf_state(false, "standing aside: %s", text);
	lf_say("%s: libfabric's own monitor is used; MMUNOTIFY_FI=off stops this message", text);
}

/* The handle of the object that has the code at @caller; it stays loaded.  NULL: none. */
static void *open_caller(void *caller)
{
	struct link_map *map;
	Dl_info info;

	if (!dladdr1(caller, &info, (void **)&map, RTLD_DL_LINKMAP))
		return NULL;
	return dlopen(*map->l_name ? map->l_name : NULL, RTLD_NOLOAD | RTLD_NODELETE | RTLD_LAZY);
}

/* A function of the object that has the code at @caller, and of no other. */
static void *function_of(void *handle, void *caller, const char *name)
{
	void *function = dlsym(handle, name);
	Dl_info mine, its;

	if (!function || !dladdr(caller, &mine) || !dladdr(function, &its) ||
	    mine.dli_fbase != its.dli_fbase)
		return NULL;
	return function;
}

static void take_back(void)
{
	int i;

	for (i = 0; i < mmun_load_acquire(&nr_libfabrics); i++) {
		if (lf_monitor_retire(libfabrics[i].monitor))
			fi_close(&libfabrics[i].monitor->fid);
	}
}

static int import_into(open_fn *open, bool silent)
{
	struct fid_mem_monitor *monitor;
	struct fid *cache;
	int ret;

	ret = open(FI_VERSION(1, 13), "mr_cache", NULL, 0, 0, &cache, NULL);
	if (ret)
		return ret;
	ret = -FI_ENOMEM;
	monitor = lf_monitor_create(silent);
	if (monitor) {
		ret = fi_import_fid(cache, &monitor->fid, 0);
		if (ret)
			lf_monitor_discard(monitor);
	}
	fi_close(cache);
	if (ret)
		return ret;
	if (!nr_libfabrics)
		atexit(take_back);
	libfabrics[nr_libfabrics].open = open;
	libfabrics[nr_libfabrics].monitor = monitor;
	mmun_store_release(&nr_libfabrics, nr_libfabrics + 1);
	return 0;
}

static const char *import_error(int error)
{
	switch (error) {
	case -FI_EBUSY:
		return "another monitor was imported before, or registrations are cached "
		       "already";
	case -FI_ENOMEM:
		return "no memory, or too many libfabrics in one process";
	default:
		return strerror(-error);
	}
}

/*
 * The cache that this provider has for receives hands out what it has without a question: up
 * to 2.1 always, in the sources of 2.7 while it is in use.
 */
static bool has_unasked_cache(void)
{
	return !access("/dev/hfi1_0", F_OK);
}

/* No caches, says the user; with a monitor that is imported there would be some. */
static bool caches_disabled(void)
{
	const char *monitor = getenv("FI_MR_CACHE_MONITOR");

	return monitor && !strcmp(monitor, "disabled");
}

static void connect_caller(void *caller, enum lf_setting setting)
{
	void *handle = open_caller(caller);
	char reason[256], remedy[256];
	uint32_t (*version_fn)(void);
	open_fn *open;
	uint32_t version;
	int i, ret;

	open = handle ? function_of(handle, caller, "fi_open") : NULL;
	version_fn = handle ? function_of(handle, caller, "fi_version") : NULL;
	if (!open || !version_fn) {
		stand_aside("fi_open is not found in what loaded the adapter (a static "
			    "libfabric?)");
		return;
	}
	for (i = 0; i < nr_libfabrics; i++) {
		if (libfabrics[i].open == open)
			return;
	}
	if (caches_disabled()) {
		lf_state(false, "FI_MR_CACHE_MONITOR=disabled: there are no caches");
		return;
	}
	version = version_fn();
	if (version < FI_VERSION(1, 14) || nr_libfabrics == LIBFABRICS) {
		stand_aside(nr_libfabrics == LIBFABRICS ? "too many libfabrics in one process"
							: "libfabric %u.%u is older than 1.14",
			    FI_MAJOR(version), FI_MINOR(version));
		return;
	}
	if (has_unasked_cache()) {
		stand_aside("libfabric %u.%u on Omni-Path uses what it has cached without asking",
			    FI_MAJOR(version), FI_MINOR(version));
		return;
	}
	if (!lf_notifier_probe(reason, remedy, sizeof(reason))) {
		stand_aside("%s (%s)", reason, remedy);
		return;
	}
	ret = import_into(open, setting == LF_SILENT);
	if (ret) {
		stand_aside("libfabric %u.%u does not take the monitor: %s", FI_MAJOR(version),
			    FI_MINOR(version), import_error(ret));
		return;
	}
	lf_state(true, "connected to libfabric %u.%u%s", FI_MAJOR(version), FI_MINOR(version),
		 setting == LF_SILENT ? ", silent" : "");
	if (setting == LF_SILENT)
		lf_say("MMUNOTIFY_FI=silent: no change of memory is handed to libfabric, whose "
		       "messages may be wrong");
}

__attribute__((visibility("default"))) struct fi_provider *fi_prov_ini(void);

/**
 * fi_prov_ini() - what libfabric calls when it has loaded this object.
 *
 * Context: under a lock of libfabric's initialisation.
 * Return: NULL, no provider.
 */
struct fi_provider *fi_prov_ini(void)
{
	const enum lf_setting setting = lf_setting();
	void *caller = __builtin_return_address(0);
	struct lf_shared *shared;

	if (setting == LF_OFF)
		return NULL;
	shared = lf_shared();
	if (!shared) {
		stand_aside("no memory");
		return NULL;
	}
	pthread_mutex_lock(&shared->starting);
	connect_caller(caller, setting);
	pthread_mutex_unlock(&shared->starting);
	return NULL;
}
