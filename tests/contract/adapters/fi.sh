#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# fi.sh SUITE DIR VERBS ADAPTERS - the contract of the adapter with the libfabric of another
# Debian release, under its C library: fi.c is linked with that release's static archive.
# VERBS: what stands in for libibverbs; ADAPTERS: the folder of the adapter.

suite=$1 dir=$2 verbs=$3 adapters=$4
here=$(cd "$(dirname "$0")" && pwd)
reason=$("$here/../../glibc/unpack.sh" "$suite" "$dir" libc6 libfabric1 libfabric-dev libpsm2-2 \
	libibverbs1 ibverbs-providers librdmacm1t64 libnl-3-200 libnl-route-3-200 libnuma1 \
	libatomic1 libgcc-s1)
case $? in
0) ;;
77) echo "1..0 # SKIP $reason"; exit 0 ;;
*) echo "Bail out! $suite cannot be unpacked"; exit 1 ;;
esac
for package in "$dir"/cache/archives/libfabric1_*.deb; do
	echo "# libfabric $(dpkg-deb -f "$package" Version), glibc $(cat "$dir/version")"
done
archive=$(find "$dir/root" -name libfabric.a | head -n 1)
libs=$(dirname "$archive")
linker=$(find "$dir/root" -name ld-linux-x86-64.so.2 -type f | head -n 1)
nonshared=$(${CC:-cc} -print-file-name=libc_nonshared.a)
program=$dir/contract-fi
# The program's own headers: libfabric's are those of its interface of 1.17.
if ! ${CC:-cc} -O1 -g -D_GNU_SOURCE -w "-DTEST_ADAPTER_DIR=\"$adapters\"" -o "$program" \
	"$here/fi.c" "$here/fi_cache.c" -nodefaultlibs -rdynamic "$archive" "$verbs" \
	"$libs/libpsm2.so.2" "$libs/librdmacm.so.1" "$libs/libibverbs.so.1" "$libs/libefa.so.1" \
	"$libs/libatomic.so.1" "$libs/libc.so.6" "$libs/libm.so.6" "$linker" "$nonshared" \
	"$libs/libgcc_s.so.1" -Wl,--allow-shlib-undefined "-Wl,--dynamic-linker,$linker" \
	-Wl,--disable-new-dtags "-Wl,-rpath,$libs:$(dirname "$verbs")" > "$dir/link.log" 2>&1; then
	echo "Bail out! it does not link: $(tail -n 1 "$dir/link.log")"
	exit 1
fi
exec "$program"
