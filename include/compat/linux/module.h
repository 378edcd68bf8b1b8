/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The driver under test is one module: load it with mmun_compat_load(). */
#ifndef MMUN_COMPAT_LINUX_MODULE_H
#define MMUN_COMPAT_LINUX_MODULE_H

#include <linux/export.h>
#include <linux/init.h>
#include <linux/kernel.h>
#include <linux/moduleparam.h>

struct module {
	const char *name;
	int refs;
};

struct mmun_compat_call {
	int (*init)(void);
	void (*exit)(void);
	struct mmun_compat_call *next;
};

void mmun_compat_add_call(struct mmun_compat_call *call);

#define MMUN_COMPAT_CALL(member, fn, id) \
	static __attribute__((constructor)) void MMUN_COMPAT_PASTE(mmun_add_, id)(void) \
	{ \
		static struct mmun_compat_call call = { .member = fn }; \
		mmun_compat_add_call(&call); \
	} \
	struct mmun_compat_call
#define module_init(fn)     MMUN_COMPAT_CALL(init, fn, fn)
#define module_exit(fn)     MMUN_COMPAT_CALL(exit, fn, fn)
#define late_initcall(fn)   module_init(fn)
#define device_initcall(fn) module_init(fn)

#define MODULE_LICENSE(text)     struct module
#define MODULE_AUTHOR(text)      struct module
#define MODULE_DESCRIPTION(text) struct module
#define MODULE_VERSION(text)     struct module
#define MODULE_ALIAS(text)       struct module
#define MODULE_INFO(tag, text)   struct module
#define MODULE_IMPORT_NS(ns)     struct module

bool try_module_get(struct module *module);
void __module_get(struct module *module);
void module_put(struct module *module);

#endif
