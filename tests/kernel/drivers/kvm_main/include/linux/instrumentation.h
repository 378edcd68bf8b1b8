/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#define instrumentation_begin() ((void)0)
#define instrumentation_end()   ((void)0)
