/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Printed names of operations.  Tests: tests/unit/core/mm.c. */
#include <mmunotify/op.h>

static const char *const names[MMUN_NR_OPS] = {
#define OP_NAME(name, text) [MMUN_OP_##name] = text,
	MMUN_OPS(OP_NAME)
#undef OP_NAME
};

const char *mmun_op_name(unsigned int op)
{
	return op < MMUN_NR_OPS ? names[op] : "unknown";
}
