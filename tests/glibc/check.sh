#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# check.sh SUITE DIR SITES BOUNDARIES - the C library and dynamic linker of a Debian
# release: every system call instruction has a verdict, and the decoder agrees with a
# disassembler about where each instruction ends.

suite=$1 dir=$2 sites=$3 boundaries=$4
here=$(dirname "$0")

reason=$("$here/unpack.sh" "$suite" "$dir" libc6)
case $? in
0) ;;
77) echo "1..0 # SKIP $reason"; exit 0 ;;
*) echo "Bail out! $suite cannot be unpacked"; exit 1 ;;
esac
echo "# glibc $(cat "$dir/version")"
n=0 failed=0
result()
{
	n=$((n + 1))
	[ "$1" = 0 ] && echo "ok $n - $2" || { echo "not ok $n - $2"; failed=1; }
}
for name in libc.so.6 ld-linux-x86-64.so.2; do
	file=$(find "$dir/root" -name "$name" -type f | head -n 1)
	"$sites" "$file" > "$dir/sites"
	status=$?
	grep -v ': not ours' "$dir/sites"
	result $status "$suite: $name: every system call instruction is accounted for"
	# A line: the address, the bytes, the instruction.
	objdump -d -w --insn-width=20 "$file" | awk -F '\t' 'NF >= 3 && $3 !~ /bad/ {
		gsub(/[ :]/, "", $1); gsub(/ /, "", $2); print $1, $2 }' |
		"$boundaries" > "$dir/boundaries"
	status=$?
	sed 's/^/# /' "$dir/boundaries"
	result $status "$suite: $name: the decoder agrees with objdump"
done
echo "1..$n"
exit $failed
