/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Static probe points of a cache, provider "mmunotify": a nop each until bpftrace, perf,
 * SystemTap or gdb puts a breakpoint there.  docs/RCACHE.md lists them.  A hit has none:
 * hits are counted.
 */
#ifndef MMUN_RCACHE_PROBES_H
#define MMUN_RCACHE_PROBES_H

#ifdef MMUN_PROBES
#include <sys/sdt.h>
#define mmun_rc_probe2(name, a, b)       DTRACE_PROBE2(mmunotify, rcache__##name, a, b)
#define mmun_rc_probe3(name, a, b, c)    DTRACE_PROBE3(mmunotify, rcache__##name, a, b, c)
#define mmun_rc_probe4(name, a, b, c, d) DTRACE_PROBE4(mmunotify, rcache__##name, a, b, c, d)
#else
#define mmun_rc_probe2(name, a, b)       ((void)(a), (void)(b))
#define mmun_rc_probe3(name, a, b, c)    ((void)(a), (void)(b), (void)(c))
#define mmun_rc_probe4(name, a, b, c, d) ((void)(a), (void)(b), (void)(c), (void)(d))
#endif

#endif
