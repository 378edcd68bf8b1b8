#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Each header of include/compat compiles alone and twice, by gcc and by clang; what is
# outside the subset does not compile and says why.
include=$1
flags="-x c -std=gnu11 -D_GNU_SOURCE -I$include/compat -I$include -Wall -Wextra -Wshadow
	-Wmissing-prototypes -Wstrict-prototypes -Wno-unused-parameter -Werror"
count=0
failures=0

report() { # status name
	count=$((count + 1))
	if [ "$1" -eq 0 ]; then
		echo "ok $count - $2"
	else
		failures=$((failures + 1))
		echo "not ok $count - $2"
	fi
}

for compiler in gcc clang; do
	if ! command -v $compiler >/dev/null; then
		count=$((count + 1))
		echo "ok $count - $compiler # SKIP not installed"
		continue
	fi
	for header in $(cd "$include/compat" && find . -name '*.h' | sed 's,^\./,,' | sort); do
		printf '#include <%s>\n#include <%s>\nextern int used;\n' "$header" "$header" |
			$compiler $flags -fsyntax-only -
		report $? "$header alone, $compiler"
	done
	for call in 'remap_pfn_range(0, 0, 0, 0, __pgprot(0))' 'alloc_pages(GFP_KERNEL, 1)' \
		'ioremap(0, 0)'; do
		printf '#include <linux/io.h>\n#include <linux/mm.h>\nvoid f(void);\nvoid f(void)\n{\n\t(void)%s;\n}\n' \
			"$call" | $compiler $flags -O1 -c -o /dev/null - 2>&1 |
			grep -q 'mmunotify compat:'
		report $? "${call%%(*} is refused with a reason, $compiler"
	done
done
echo "1..$count"
[ "$failures" -eq 0 ]
