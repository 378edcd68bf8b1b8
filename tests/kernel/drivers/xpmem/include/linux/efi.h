/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What of it is used is in xpmem_kernel.h. */
