#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# contract.sh SUITE DIR LIBRARY PROGRAM [ARG...] - a contract test under the C library
# of another Debian release.  The program is an argument of its dynamic linker, and so
# /proc/self/exe is the latter.

suite=$1 dir=$2 library=$3
shift 3
reason=$("$(dirname "$0")/unpack.sh" "$suite" "$dir" libc6)
case $? in
0) ;;
77) echo "1..0 # SKIP $reason"; exit 0 ;;
*) echo "Bail out! $suite cannot be unpacked"; exit 1 ;;
esac
echo "# glibc $(cat "$dir/version")"
linker=$(find "$dir/root" -name ld-linux-x86-64.so.2 -type f | head -n 1)
libraries=$(dirname "$linker"):$(dirname "$library")
if ! "$linker" --library-path "$libraries" --list "$1" | grep -qF "$(dirname "$linker")/libc.so.6"; then
	echo "Bail out! $1 does not find the C library of $suite"
	exit 1
fi
exec "$linker" --library-path "$libraries" "$@"
