#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# later_ucx.sh SUITE DIR - the UCX of another Debian release, unpacked: three lines, its dynamic
# linker, the path of its libraries and its version; or one line why not, and exit status 77.

suite=$1 dir=$2
"$(dirname "$0")/../tests/glibc/unpack.sh" "$suite" "$dir" libc6 libucx0 libnuma1 || exit
linker=$(find "$dir/root" -name ld-linux-x86-64.so.2 -type f | head -n 1)
ucx=$(dirname "$(find "$dir/root" -name libucs.so.0 | head -n 1)")
echo "$linker"
echo "$(dirname "$linker"):$ucx"
dpkg-deb -f "$dir"/cache/archives/libucx0_*.deb Version
