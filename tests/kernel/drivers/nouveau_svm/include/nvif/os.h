/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the device interface is made of, and the headers that the driver expects from here. */
#ifndef MMUN_KERNEL_NVIF_OS_H
#define MMUN_KERNEL_NVIF_OS_H

#include <linux/dma-mapping.h>
#include <linux/jiffies.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/pagemap.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/types.h>
#include <linux/workqueue.h>

#endif
