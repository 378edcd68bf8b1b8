/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* See ocxl_internal.h. */
#include "ocxl_internal.h"
