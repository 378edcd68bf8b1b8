/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef MMUNOTIFY_VERSION_H
#define MMUNOTIFY_VERSION_H

/** Version of the headers; the shared object's soname carries the major. */
#define MMUN_VERSION_MAJOR  0
#define MMUN_VERSION_MINOR  2
#define MMUN_VERSION_PATCH  0
#define MMUN_VERSION_STRING "0.2.0"

#ifdef __cplusplus
extern "C" {
#endif

#pragma GCC visibility push(default)

/**
 * mmun_version() - version of the library in this process, "MAJOR.MINOR.PATCH".
 *
 * Context: any, async-signal-safe.  Return: a static string, never NULL.
 */
const char *mmun_version(void);

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif

#endif
