/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Parameters keep their initial values: a test sets the variable itself. */
#ifndef MMUN_COMPAT_LINUX_MODULEPARAM_H
#define MMUN_COMPAT_LINUX_MODULEPARAM_H

#define module_param(name, type, perm)              struct mmun_compat_param_##name
#define module_param_named(name, value, type, perm) struct mmun_compat_param_##name
#define MODULE_PARM_DESC(name, desc)                struct mmun_compat_param_desc_##name

#endif
