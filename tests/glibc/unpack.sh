#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# unpack.sh SUITE DIR PACKAGE... - unpack Debian packages of another release into
# DIR/root, without installing anything.
#
# The package source is this machine's own, with SUITE in place of its suites; lists
# and archives stay in DIR.  What has been unpacked is kept: DIR/version says which C library it
# is.  Exit status 77, and one line why, where there is no package source.

suite=$1 dir=$2
shift 2

# What failed stays failed for a while: three tests need not wait for three timeouts.
skip()
{
	echo "$*" > "$dir/reason"
	echo "$*"
	exit 77
}

mkdir -p "$dir" || exit 1
exec 9> "$dir/lock"
flock 9
[ -f "$dir/version" ] && [ "$(cat "$dir/packages" 2>/dev/null)" = "$*" ] && exit 0
if [ -n "$(find "$dir/reason" -mmin -10 2>/dev/null)" ]; then
	cat "$dir/reason"
	exit 77
fi
rm -f "$dir/reason" "$dir/version"
for tool in apt-get dpkg-deb; do
	command -v "$tool" >/dev/null || skip "there is no $tool here"
done

# The archive that has this machine's own libc, not the one of its security updates.
archive=$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' 2>/dev/null |
	grep -v security | sort -u | head -n 1)
[ -n "$archive" ] || skip 'this machine has no package source'
keys=/usr/share/keyrings/debian-archive-keyring.gpg
[ -f "$keys" ] || skip "there is no $keys"

mkdir -p "$dir/lists/partial" "$dir/cache/archives/partial" "$dir/root"
echo "deb [signed-by=$keys] $archive $suite main" > "$dir/sources.list"
ask()
{
	command=$1
	shift
	timeout 240 "$command" -q -o Dir::Etc::SourceList="$dir/sources.list" \
		-o Dir::Etc::SourceParts=- -o Dir::Etc::Preferences=- -o Dir::Etc::PreferencesParts=- \
		-o Dir::State::Lists="$dir/lists" -o Dir::Cache="$dir/cache" \
		-o Acquire::Languages=none -o Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled=false \
		-o APT::Sandbox::User= -o Acquire::Retries=2 -o Acquire::http::Timeout=30 "$@"
}
ask apt-get update > "$dir/log" 2>&1 && ! grep -q '^[EW]:' "$dir/log" ||
	skip "the package source does not offer $suite: $(grep '^[EW]:' "$dir/log" | head -n 1)"
(cd "$dir/cache/archives" && rm -f ./*.deb && ask apt-get download "$@") >> "$dir/log" 2>&1 ||
	skip "$* of $suite cannot be downloaded: $(grep '^E:' "$dir/log" | head -n 1)"
for package in "$dir"/cache/archives/*.deb; do
	dpkg-deb -x "$package" "$dir/root" || exit 1
done
rm -rf "$dir/lists"
echo "$*" > "$dir/packages"
# Empty where it is not among them.
for package in "$dir"/cache/archives/libc6_*.deb; do
	[ ! -f "$package" ] || dpkg-deb -f "$package" Version
done > "$dir/version"
