#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# missing.sh REASON - stands for a test that cannot be built here.

echo "1..0 # SKIP $1"
