/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The machine as the table of event sources has it; mmunotify/soft.h has its calls.
 *
 * Tests: tests/unit/soft/process.c.
 */
#ifndef MMUN_SOFT_MACHINE_H
#define MMUN_SOFT_MACHINE_H

#include "types.h"

extern const struct mmun_primary_ops mmun_primary_soft;

#endif
