#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# The version has one source: include/mmunotify/version.h.
sed -n 's/^#define MMUN_VERSION_STRING "\(.*\)"/\1/p' "$(dirname "$0")/../include/mmunotify/version.h"
