/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The core's own header: what the memory code needs of it is in ib_verbs.h. */
#include <rdma/ib_verbs.h>
