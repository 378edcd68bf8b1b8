/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the module's build says of itself. */
#define KDREG2_BUILD_DATE "today"
#define KDREG2_BUILD_HASH "none"
