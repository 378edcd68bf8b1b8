/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* One node. */
#ifndef MMUN_COMPAT_LINUX_NUMA_H
#define MMUN_COMPAT_LINUX_NUMA_H

#define MAX_NUMNODES   1
#define NUMA_NO_NODE   (-1)
#define numa_node_id() 0

#endif
