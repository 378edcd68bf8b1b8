/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Parameters have their initial values, or those that a test gives by mmun_compat_set_param().
 * Types: byte, short, ushort, int, uint, long, ulong, bool and charp. */
#ifndef MMUN_COMPAT_LINUX_MODULEPARAM_H
#define MMUN_COMPAT_LINUX_MODULEPARAM_H

#include <linux/compiler.h>
#include <linux/types.h>

struct mmun_compat_param {
	const char *name, *type;
	void *value;
	size_t size;
	struct mmun_compat_param *next;
};

void mmun_compat_add_param(struct mmun_compat_param *param);

#define MMUN_COMPAT_PARAM(name_, variable, type_) \
	static __attribute__((constructor)) void mmun_add_param_##name_(void) \
	{ \
		static struct mmun_compat_param param = { .name = #name_, \
							  .type = type_, \
							  .value = &(variable), \
							  .size = sizeof(variable) }; \
		mmun_compat_add_param(&param); \
	} \
	struct mmun_compat_param
#define module_param(name, type, perm)              MMUN_COMPAT_PARAM(name, name, #type)
#define module_param_named(name, value, type, perm) MMUN_COMPAT_PARAM(name, value, #type)
#define MODULE_PARM_DESC(name, desc)                struct mmun_compat_param_desc_##name

#endif
