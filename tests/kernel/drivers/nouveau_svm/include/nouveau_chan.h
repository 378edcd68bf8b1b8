/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* nouveau_drv.h has what is used. */
#include "nouveau_drv.h"
