#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Each header of include/compat compiles alone and twice, by gcc and by clang; what is
# outside the subset does not compile and says why; no system header stands in for the kernel's.
include=$(cd "$1" && pwd)
# Headers of /usr/include that mean the same to the kernel.
interface=$(mktemp)
trap 'rm -f "$interface"' EXIT
grep -v '^#' "$2" | tr -s ' ' '\n' >"$interface"
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
		grep -q '^#error "mmunotify compat: ' "$include/compat/$header" && continue
		printf '#include <%s>\n#include <%s>\nextern int used;\n' "$header" "$header" |
			$compiler $flags -fsyntax-only -
		report $? "$header alone, $compiler"
	done
	# All in one file: an #error does not end it.
	refused=$(cd "$include/compat" && grep -rl '^#error "mmunotify compat: ' . | sed 's,^\./,,' | sort)
	case $compiler in
	clang) all=-ferror-limit=0 ;;
	*) all=-fmax-errors=0 ;;
	esac
	said=$(echo "$refused" | sed 's/.*/#include <&>/' | $compiler $flags $all -fsyntax-only - 2>&1 |
		sed -n 's/.*error: .*"mmunotify compat: there is no \([^;]*\);.*/\1/p' | sort -u)
	silent=$(printf '%s\n%s\n%s\n' "$refused" "$said" "$said" | sort | uniq -u)
	[ -z "$silent" ]
	report $? "what is not there stops with a sentence, $compiler"
	[ -z "$silent" ] || echo "$silent" | sed 's/^/# /'
	for call in 'io_remap_pfn_range(0, 0, 0, 0, __pgprot(0))' 'alloc_pages(GFP_KERNEL, 1)' \
		'ioremap(0, 0)'; do
		printf '#include <linux/io.h>\n#include <linux/mm.h>\nvoid f(void);\nvoid f(void)\n{\n\t(void)%s;\n}\n' \
			"$call" | $compiler $flags -O1 -c -o /dev/null - 2>&1 |
			grep -q 'mmunotify compat:'
		report $? "${call%%(*} is refused with a reason, $compiler"
	done
done

# A name that the kernel has a header of its own for must not be found among the system's, which
# are for programs: those that are found there are listed, with the reason.
strays=$(
	for folder in asm linux misc mtd perf rdma scsi sound video xen; do
		for root in /usr/include "/usr/include/$(${CC:-cc} -print-multiarch 2>/dev/null)"; do
			[ -d "$root/$folder" ] && find -L "$root/$folder" -name '*.h' -printf "$folder/%P\n"
		done
	done | sort -u | while read -r header; do
		[ -e "$include/compat/$header" ] || grep -qxF "$header" "$interface" || echo "$header"
	done
)
[ -z "$strays" ]
report $? "every system header is ours, refused, or the kernel's own interface"
[ -z "$strays" ] || echo "$strays" | sed 's/^/# /'
both=$(grep -xF "$(cd "$include/compat" && find . -name '*.h' | sed 's,^\./,,')" "$interface")
[ -z "$both" ]
report $? "and none is listed that is ours"
[ -z "$both" ] || echo "$both" | sed 's/^/# /'
printf '#include <linux/pci.h>\n' | gcc -x c -I"$include" -fsyntax-only - 2>/dev/null
report $? "without our folder the system's linux/pci.h compiles: what is refused would be taken"
echo "1..$count"
[ "$failures" -eq 0 ]
