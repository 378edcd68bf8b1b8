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
root=$(mktemp -d "${TMPDIR:-/var/tmp}/fresh.XXXXXX") || exit 2

unmount() {
	local point
	for point in dev/shm dev/pts dev sys proc .; do
		mountpoint -q "$root/$point" && umount -l "$root/$point"
	done
}

leave() {
	unmount
	if [ "$keep" = yes ]; then
		echo "fresh: kept in $root" >&2
	else
		rm -rf --one-file-system "$root"
	fi
}
trap leave EXIT
trap 'exit 1' INT TERM

# The new system asks the same archives, in the same way, as this one.
copy_apt_settings() {
	local certificates=/usr/local/share/ca-certificates

	rm -f "$root"/etc/apt/sources.list "$root"/etc/apt/sources.list.d/*
	cp -a /etc/apt/sources.list.d/. "$root/etc/apt/sources.list.d/"
	[ -f /etc/apt/sources.list ] && cp -a /etc/apt/sources.list "$root/etc/apt/"
	cp -a /etc/apt/auth.conf.d/. "$root/etc/apt/auth.conf.d/" 2>/dev/null
	cp -a /etc/apt/trusted.gpg.d/. "$root/etc/apt/trusted.gpg.d/" 2>/dev/null
	# How to reach them (proxies, checks of the date), nothing about hooks.
	apt-config dump Acquire | grep -v '^Acquire::IndexTargets' \
		>"$root/etc/apt/apt.conf.d/90fresh"
	cp -L /etc/resolv.conf /etc/hosts "$root/etc/"
	if [ -n "$(ls "$certificates" 2>/dev/null)" ] && [ -d "$root$certificates" ]; then
		cp -a "$certificates/." "$root$certificates/"
	fi
}

bootstrap() {
	local sources=()

	[ -s /etc/apt/sources.list ] && sources+=(/etc/apt/sources.list)
	for file in /etc/apt/sources.list.d/*.sources /etc/apt/sources.list.d/*.list; do
		[ -f "$file" ] && sources+=("$file")
	done
	mmdebstrap --quiet --variant=apt --include=git,make,ca-certificates \
		--aptopt='Acquire::Check-Valid-Until "false"' \
		--aptopt='Acquire::Check-Date "false"' \
		bookworm "$root" "${sources[@]}" || fail "mmdebstrap failed, see above"
	copy_apt_settings
}

mount_kernel() {
	# A mount of its own, as a root is: tests make theirs private before they mount.
	if ! { mount --bind "$root" "$root" && mount --make-private "$root" &&
		mount -t proc proc "$root/proc" && mount -t sysfs sysfs "$root/sys" &&
		mount --bind /dev "$root/dev" && mount -t devpts devpts "$root/dev/pts" &&
		mount -t tmpfs tmpfs "$root/dev/shm"; }; then
		fail "cannot mount what the new system needs"
	fi
}

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
	env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
		HOME=/root LANG=C.UTF-8 chroot "$root" sh -c "cd /src && $1" </dev/null
}

say() {
	printf '\n=== fresh: %s\n' "$*"
}

say "a minimal Debian 12 with git and make"
bootstrap
mount_kernel
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
