/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What kind of domain it is, in the test. */
#ifndef MMUN_TESTS_KERNEL_XEN_XEN_H
#define MMUN_TESTS_KERNEL_XEN_XEN_H

#include <linux/types.h>

#define XENFEAT_auto_translated_physmap 2
bool xen_pv_domain(void);
#define xen_domain()       true
#define xen_feature(which) (!xen_pv_domain())

#endif
