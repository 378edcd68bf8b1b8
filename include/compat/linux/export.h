/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* One program, one name space: nothing to do. */
#ifndef MMUN_COMPAT_LINUX_EXPORT_H
#define MMUN_COMPAT_LINUX_EXPORT_H

#define EXPORT_SYMBOL(sym)
#define EXPORT_SYMBOL_GPL(sym)
#define EXPORT_SYMBOL_NS(sym, ns)
#define EXPORT_SYMBOL_NS_GPL(sym, ns)

struct module;
extern struct module mmun_compat_this_module;
#define THIS_MODULE (&mmun_compat_this_module)

#endif
