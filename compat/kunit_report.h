/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Between a case (kunit.c) and who runs it (kunit_run.c). */
#ifndef MMUN_COMPAT_KUNIT_REPORT_H
#define MMUN_COMPAT_KUNIT_REPORT_H

#include "runtime.h"

#include <kunit/test.h>

/* The lines of @text as diagnostics; @name before the first. */
void mmun_compat_kunit_say(const char *name, const char *text);
/* Gives all resources back. */
void mmun_compat_kunit_cleanup(struct kunit *test);

#endif
