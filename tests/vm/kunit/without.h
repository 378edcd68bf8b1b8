/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * lib/kunit as a module for a kernel that was built without it: included first, everywhere.
 *
 * With KUnit each task has a pointer to its test and each module a list of suites; here
 * the structures are those of the running kernel, which have neither.  The pointer is
 * ->capture_control, which is not looked at in kernel threads.
 */
#define capture_control kunit
#include <linux/sched.h>
#undef capture_control
#define kunit_test kunit

#include <linux/fs.h>
#include <linux/kthread.h>
#include <linux/module.h>

#define CONFIG_KUNIT_MODULE          1
#define CONFIG_KUNIT_DEFAULT_ENABLED 1
#undef CONFIG_MODULES
