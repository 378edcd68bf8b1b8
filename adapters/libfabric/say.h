/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The adapter's variable, its sentences and its counters. */
#ifndef MMUN_ADAPTERS_LIBFABRIC_SAY_H
#define MMUN_ADAPTERS_LIBFABRIC_SAY_H

#include <stdbool.h>

enum lf_setting {
	LF_ON,
	LF_OFF,
	/** Connected, and no event is handed on (tests). */
	LF_SILENT,
};

/** lf_setting() - MMUNOTIFY_FI.  Context: as getenv(). */
enum lf_setting lf_setting(void);

/** lf_say() - one sentence on stderr, after "mmunotify: libfabric: ". */
__attribute__((format(printf, 1, 2))) void lf_say(const char *format, ...);

enum lf_counter {
	/** Sections that pinned users need. */
	LF_SECTIONS,
	/** Registrations that were found to be changed when a cache asked for them. */
	LF_INVALIDATIONS,
	/** Registrations that were used once and not kept. */
	LF_REFUSED,
	/** Registrations that are kept. */
	LF_KEPT,
	/** Changed ranges that libfabric was notified of, to release their registrations. */
	LF_RELEASED,
};

void lf_count(enum lf_counter counter, unsigned long n);

/** lf_state() - what `mmunotify stat` shows.  Context: sleeps. */
__attribute__((format(printf, 2, 3))) void lf_state(bool connected, const char *format, ...);

#endif
