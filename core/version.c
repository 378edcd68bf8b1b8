/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <mmunotify/version.h>

const char *mmun_version(void)
{
	return MMUN_VERSION_STRING;
}
