#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Checks each model exhaustively, and that each of its mutants fails: a model
# that cannot fail proves nothing.  TAP on stdout.  Usage: run.sh [MODEL...]
set -u
here=$(cd "$(dirname "$0")" && pwd)
if ! command -v spin >/dev/null; then
	echo "1..0 # SKIP spin is not installed"
	exit 0
fi
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM
number=0
failures=0

result()	# ok|not-ok text
{
	number=$((number + 1))
	case $1 in
	ok) echo "ok $number - $2" ;;
	*) echo "not ok $number - $2"; failures=$((failures + 1)) ;;
	esac
}

# Leaves the verdict in $verdict: holds, fails, or what went wrong.
check()		# model [mutant]
{
	dir=$work/$1${2:+-$2}
	mkdir -p "$dir" && cd "$dir" || exit 1
	${CC:-cc} -E -P -x c -I"$here" ${2:+-DMUTANT_$2} "$here/$1.pml" >model.pml &&
		spin -a model.pml >spin.log 2>&1
	if [ ! -f pan.c ]; then
		verdict="not readable: $(head -n 1 spin.log)"
		return
	fi
	# What is searched to its end is worth optimising, and so is a mutant that takes long to be found.
	case $1-${2:-} in
	*- | history-* | entries-*) level=-O1 ;;
	*) level=-O0 ;;
	esac
	if ! ${CC:-cc} $level -w -DSAFETY -DVECTORSZ=2048 -DCOLLAPSE -o pan pan.c >cc.log 2>&1; then
		verdict="not compiled: $(head -n 1 cc.log)"
		return
	fi
	./pan -m1000000 -w24 >pan.log 2>&1
	if grep -q 'errors: 0' pan.log && ! grep -q 'max search depth too small' pan.log; then
		verdict=holds
	elif grep -q 'errors: [1-9]' pan.log; then
		verdict=fails
	else
		verdict="not checked: $(head -n 1 pan.log)"
	fi
}

[ $# -gt 0 ] || set -- srcu join exit release mm_lock percpu_rwsem interval history entries \
	rcache_use rcache_miss rcache_dead rcache_table rcache_destroy
for model; do
	check "$model"
	if [ "$verdict" = holds ]; then
		result ok "$model: holds in all $(sed -n 's/^ *\([0-9.e+]*\) states, stored.*/\1/p' pan.log) states"
	else
		result not-ok "$model: $verdict"
		grep -i 'assertion\|end state' pan.log 2>/dev/null | sed 's/^/# /'
	fi
	for mutant in $(grep -o 'MUTANT_[A-Z_]*' "$here/$model.pml" | cut -d_ -f2- | sort -u); do
		check "$model" "$mutant"
		if [ "$verdict" = fails ]; then
			result ok "$model without $mutant: fails ($(sed -n 's/^pan:[0-9]*: \(.*\) (at.*/\1/p' pan.log | head -n 1))"
		else
			result not-ok "$model without $mutant: $verdict, must fail"
		fi
	done
done
echo "1..$number"
[ "$failures" -eq 0 ]
