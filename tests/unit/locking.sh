#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# docs/LOCKING.md against the source: the ranks in their order, each lettered
# operation in the code and each mutant in its model.  TAP.
set -u
top=$(cd "$(dirname "$0")/../.." && pwd)
doc=$top/docs/LOCKING.md
number=0
failures=0

check()	# condition-status text
{
	number=$((number + 1))
	if [ "$1" -eq 0 ]; then
		echo "ok $number - $2"
	else
		echo "not ok $number - $2"
		failures=$((failures + 1))
	fi
}

in_source=$(sed -n 's/^	X(\([A-Z_]*\), ".*/\1/p' "$top/base/lock_rank.h" | tr '\n' ' ')
in_doc=$(sed -n '/^## Lock ranks/,/^## Context/s/^| \([A-Z_]*\) |.*/\1/p' "$doc" | tr '\n' ' ')
[ -n "$in_source" ] && [ "$in_source" = "$in_doc" ]
check $? "lock ranks: $in_source"

rows=$(sed -n '/^## Ordered/,$s/^| \([A-Z]\) |.*/\1/p' "$doc")
for letter in $rows; do
	grep -Eq "(/\* $letter: |/\* $letter \*/|/\* $letter,)" "$top"/core/*.[ch]
	check $? "operation $letter is marked in the code"
done
for letter in $(cat "$top"/core/*.[ch] | sed -n 's,.*/\* \([A-Z]\): .*,\1,p' | sort -u); do
	echo "$rows" | grep -qx "$letter"
	check $? "operation $letter of the code is in the table"
done

mutants=$(sed -n '/^## Ordered/,$s/^| [A-Z] |.*| \([a-z]*: [^|]*\) | [a-z]* |$/\1/p' "$doc" |
	tr ';' '\n' | sed 's/^ *//; s/ *$//')
echo "$mutants" | {
	bad=0
	while read -r model names; do
		for name in $(echo "$names" | tr ',' ' '); do
			grep -q "MUTANT_$name\b" "$top/tests/model/${model%:}.pml" ||
				{ echo "# no $name in ${model%:}.pml"; bad=1; }
		done
	done
	exit $bad
}
check $? "each mutant that the table names is in its model"
echo "1..$number"
[ "$failures" -eq 0 ]
