/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Checks of memory management, as a kernel with CONFIG_DEBUG_VM has them. */
#ifndef MMUN_COMPAT_LINUX_MMDEBUG_H
#define MMUN_COMPAT_LINUX_MMDEBUG_H

#include <linux/bug.h>

#define VM_BUG_ON(cond) BUG_ON(cond)
#define VM_BUG_ON_PAGE(cond, page) \
	do { \
		(void)(page); \
		BUG_ON(cond); \
	} while (0)
#define VM_WARN_ON(cond)                   ((void)WARN_ON(cond))
#define VM_WARN_ON_ONCE(cond)              ((void)WARN_ON_ONCE(cond))
#define VM_WARN_ON_FOLIO(cond, folio)      ((void)(folio), (void)WARN_ON(cond))
#define VM_WARN_ON_ONCE_PAGE(cond, page)   ((void)(page), WARN_ON_ONCE(cond))
#define VM_WARN_ON_ONCE_FOLIO(cond, folio) ((void)(folio), WARN_ON_ONCE(cond))

#endif
