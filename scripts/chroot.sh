# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# Other systems in a folder, for scripts/fresh.sh and packaging/: sourced, not run.  Package
# sources are this machine's.  All of it needs root and mmdebstrap.

# The new system asks the same archives, in the same way, as this one.
chroot_copy_apt_settings() {
	local root=$1 certificates=/usr/local/share/ca-certificates

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

# chroot_make ROOT VARIANT PACKAGES [OPTION...]: a minimal Debian 12 (mmdebstrap's VARIANT) with
# PACKAGES, which have commas between them.
chroot_make() {
	local root=$1 variant=$2 packages=$3 sources=() file
	shift 3

	[ -s /etc/apt/sources.list ] && sources+=(/etc/apt/sources.list)
	for file in /etc/apt/sources.list.d/*.sources /etc/apt/sources.list.d/*.list; do
		[ -f "$file" ] && sources+=("$file")
	done
	mmdebstrap --quiet --variant="$variant" --include="$packages" \
		--aptopt='Acquire::Check-Valid-Until "false"' \
		--aptopt='Acquire::Check-Date "false"' \
		"$@" bookworm "$root" "${sources[@]}" || return 1
	chroot_copy_apt_settings "$root"
}

chroot_mount() {
	local root=$1

	# A mount of its own, as a root is: tests make theirs private before they mount.
	mount --bind "$root" "$root" && mount --make-private "$root" &&
		mount -t proc proc "$root/proc" && mount -t sysfs sysfs "$root/sys" &&
		mount --bind /dev "$root/dev" && mount -t devpts devpts "$root/dev/pts" &&
		mount -t tmpfs tmpfs "$root/dev/shm"
}

chroot_unmount() {
	local root=$1 point

	for point in dev/shm dev/pts dev sys proc .; do
		mountpoint -q "$root/$point" && umount -l "$root/$point"
	done
	return 0
}

# chroot_remove ROOT: unmounted and gone, and nothing but what is on its own file system.
chroot_remove() {
	chroot_unmount "$1"
	rm -rf --one-file-system "$1"
}

# chroot_run ROOT COMMAND: by a shell in it, with nothing of this environment.
chroot_run() {
	env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
		HOME=/root LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
		chroot "$1" sh -c "$2" </dev/null
}
