#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# Makes the machine ready for one target: setup.sh demo|check|bench|check-vm|deb
#
# Installs with apt what scripts/packages lists and the machine lacks, when it
# may (root, or sudo without a password); otherwise prints the command.  Nothing
# is remembered between runs: each run asks the machine itself, so removing a
# package is noticed, and when nothing is missing apt is not touched.
#
# Exit status: 0 ready; 2 not ready, with the reason and the remedy on stderr.
# MMUNOTIFY_SETUP=skip trusts the machine and checks nothing.

set -u

here=$(cd "$(dirname "$0")" && pwd)

# A sentence, then lines to copy or to read on.
give_up() {
	printf 'setup: %s\n' "$1" >&2
	shift
	[ $# = 0 ] || printf '%s\n' "$@" >&2
	exit 2
}

# The sets whose packages the target needs.
case "${1:-}" in
demo) sets=' demo ' ;;
check) sets=' demo check ' ;;
bench) sets=' demo bench ' ;;
check-vm) sets=' demo vm ' ;;
deb) sets=' deb ' ;;
*) give_up 'usage: scripts/setup.sh demo|check|bench|check-vm|deb' ;;
esac

[ "${MMUNOTIFY_SETUP:-}" = skip ] && exit 0

exists() {
	[ -e "$1" ]
}

missing=''	# packages to install
libraries=''	# packages that only the package manager knows about
# "there when": cmd:NAME on the PATH and glob:PATTERN on disk count wherever
# they came from, so that nothing is installed twice.
while read -r set package there _; do
	case "$sets" in *" $set "*) ;; *) continue ;; esac
	# shellcheck disable=SC2086 # the pattern must expand
	case "$there" in
	cmd:*) command -v "${there#cmd:}" >/dev/null || missing="$missing $package" ;;
	glob:*) exists ${there#glob:} || missing="$missing $package" ;;
	pkg) libraries="$libraries $package" ;;
	esac
done <"$here/packages"

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
	[ -z "$missing" ] || give_up \
		"this is not a Debian system, so nothing can be installed from here." \
		"Missing programs (named as Debian names their packages):$missing." \
		"Also needed, not checked:$libraries." \
		"Install them, or set MMUNOTIFY_SETUP=skip to try without."
	exit 0
fi

if [ -n "$libraries" ]; then
	# shellcheck disable=SC2086 # a list of words
	installed=$(dpkg-query -W -f '${db:Status-Status}:${Package}\n' $libraries 2>/dev/null)
	for package in $libraries; do
		case "
$installed
" in *"
installed:$package
"*) ;; *) missing="$missing $package" ;; esac
	done
fi

missing=${missing# }
[ -n "$missing" ] || exit 0

if [ "$(id -u)" = 0 ]; then
	as_root='env'
elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
	as_root='sudo -n env'
else
	give_up "these packages are missing and this user may not install them; run" \
		"    sudo apt-get install --no-install-recommends $missing" \
		"and then make again."
fi

# RUNLEVEL and SYSTEMD_OFFLINE: the servers are installed for their programs;
# no service of theirs is to start on this machine.
apt() {
	$as_root DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 SYSTEMD_OFFLINE=1 \
		apt-get -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 "$@" </dev/null
}

echo "setup: installing $missing"
# Package lists older than the archive make downloads fail, so they are
# refreshed first; only here, where something must be installed.
apt -qq update ||
	give_up "apt-get update failed (no network, or a broken package source; see above)."
# shellcheck disable=SC2086 # a list of words
apt -qq -o Dpkg::Use-Pty=0 -y install --no-install-recommends $missing ||
	give_up "apt-get could not install: $missing" "The lines above say why."

# Optional parts may be possible now: build trees look again.
for tree in "$here"/../build*/meson-private; do
	if [ -d "$tree" ] && command -v meson >/dev/null; then
		meson setup --reconfigure "${tree%/meson-private}" "$here/.." >/dev/null || exit 1
	fi
done
