#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# ucx.sh SUITE DIR LIBRARY PROGRAM [ARG...] - the contract of the adapter with the UCX of
# another Debian release, under its C library.

suite=$1 dir=$2 library=$3
shift 3
reason=$("$(dirname "$0")/../../glibc/unpack.sh" "$suite" "$dir" libc6 libucx0 libnuma1)
case $? in
0) ;;
77) echo "1..0 # SKIP $reason"; exit 0 ;;
*) echo "Bail out! $suite cannot be unpacked"; exit 1 ;;
esac
for package in "$dir"/cache/archives/libucx0_*.deb; do
	echo "# UCX $(dpkg-deb -f "$package" Version), glibc $(cat "$dir/version")"
done
TEST_LINKER=$(find "$dir/root" -name ld-linux-x86-64.so.2 -type f | head -n 1)
ucx=$(dirname "$(find "$dir/root" -name libucs.so.0 | head -n 1)")
TEST_LIBRARIES=$(dirname "$TEST_LINKER"):$ucx:$(dirname "$library")
export TEST_LINKER TEST_LIBRARIES
if ! "$TEST_LINKER" --library-path "$TEST_LIBRARIES" --list "$ucx/libucs.so.0" |
	grep -qF "$ucx/libucm.so.0"; then
	echo "Bail out! libucs of $suite does not find its libucm"
	exit 1
fi
exec "$@"
