#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# Proves that a machine with nothing but git and make is enough:
#
#     scripts/fresh.sh [--worktree] [--keep] [TARGET...]
#
# Makes a minimal Debian 12 in a temporary folder, clones the committed tree into
# it (--worktree: and lays the uncommitted changes over it), and runs each make
# TARGET there (demo and check if none is named).  Then the first step of each is
# run once more: it must not touch apt and must be done within two seconds.
# Package sources are this machine's.
#
# Needs root, mmdebstrap and a Debian 12 package source.  Exit status: 0 when
# every target passed; 1 when one failed; 2 when the proof cannot be made here.

set -u

fail() {
	echo "fresh: $*" >&2
	exit 2
}

worktree=no
keep=no
targets=()
for argument; do
	case "$argument" in
	--worktree) worktree=yes ;;
	--keep) keep=yes ;;
	-*) fail "unknown option $argument" ;;
	*) targets+=("$argument") ;;
	esac
done
[ ${#targets[@]} -gt 0 ] || targets=(demo check)

[ "$(id -u)" = 0 ] || fail "needs root, for chroot"
command -v mmdebstrap >/dev/null || fail "needs the package mmdebstrap"
here=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=scripts/chroot.sh
. "$here/scripts/chroot.sh"
root=$(mktemp -d "${TMPDIR:-/var/tmp}/fresh.XXXXXX") || exit 2

leave() {
	if [ "$keep" = yes ]; then
		chroot_unmount "$root"
		echo "fresh: kept in $root" >&2
	else
		chroot_remove "$root"
	fi
}
trap leave EXIT
trap 'exit 1' INT TERM

copy_tree() {
	git clone --quiet --no-hardlinks "$here" "$root/src" || fail "cannot clone $here"
	[ "$worktree" = yes ] || return 0
	(cd "$here" && git ls-files -z --deleted) | (cd "$root/src" && xargs -0r rm -f)
	(cd "$here" && git ls-files -z --cached --others --exclude-standard |
		while IFS= read -r -d '' file; do
			[ -e "$file" ] && printf '%s\0' "$file"
		done | tar -c --null -T -) | tar -x -C "$root/src"
}

inside() {
	chroot_run "$root" "cd /src && $1"
}

say() {
	printf '\n=== fresh: %s\n' "$*"
}

say "a minimal Debian 12 with git and make"
chroot_make "$root" apt git,make,ca-certificates || fail "mmdebstrap failed, see above"
chroot_mount "$root" || fail "cannot mount what the new system needs"
copy_tree
failures=0
for target in "${targets[@]}"; do
	say "make $target"
	start=$SECONDS
	if inside "make $target"; then
		say "make $target passed after $((SECONDS - start)) s"
	else
		say "make $target FAILED after $((SECONDS - start)) s"
		failures=$((failures + 1))
	fi
done

say "a second run leaves apt alone and begins at once"
apt_state() {
	stat -c '%n %Y' "$root/var/lib/dpkg/status" "$root/var/lib/apt/lists"
}
for target in "${targets[@]}"; do
	case "$target" in demo | bench | check-vm) set=$target ;; *) set=check ;; esac
	before=$(apt_state)
	start=$(date +%s%N)
	inside "scripts/setup.sh $set" || failures=$((failures + 1))
	took=$((($(date +%s%N) - start) / 1000000))
	echo "setup for make $target: $took ms"
	if [ "$before" != "$(apt_state)" ] || [ "$took" -gt 2000 ]; then
		say "the second run FAILED"
		failures=$((failures + 1))
	fi
done
[ "$failures" = 0 ] && say "all passed"
[ "$failures" = 0 ]
