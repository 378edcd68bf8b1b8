#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# linker.sh renamed|long-path LIBRARY PROGRAM [ARG...] - a contract test by a dynamic
# linker with another name, or with linker and C library behind a path that is longer
# than the source keeps.

kind=$1 library=$2 program=$(realpath "$3")
shift 3
linker=/lib64/ld-linux-x86-64.so.2
libraries=$(ldd "$program" | sed -n 's,.*=> \(/.*\)/libc\.so\.6 .*,\1,p')
if [ ! -e "$linker" ] || [ -z "$libraries" ]; then
	echo "1..0 # SKIP the dynamic linker is elsewhere"
	exit 0
fi
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
at=$dir
if [ "$kind" = long-path ]; then
	part=$(printf '%0100d' 0)
	at=$dir/$part/$part/$part
	mkdir -p "$at"
	cp "$libraries/libc.so.6" "$at/"
fi
cp "$linker" "$at/own-linker"
"$at/own-linker" --library-path "$at:$(dirname "$library"):$libraries" "$program" "$@"
