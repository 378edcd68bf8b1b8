/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* No such lock is used; the driver's own header begins with it. */
#include "xpmem_kernel.h"
