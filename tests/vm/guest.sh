# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# Sourced in the virtual machine by the scripts that machine.py writes: one soft-RoCE
# device on one dummy interface, and
#
#	job NAME SECONDS COMMAND
#
# which prints "vm: begin NAME", what the command prints, and
# "vm: end NAME STATUS SECONDS"; 124 is the status of what took too long.

cd "$HOME" || exit 1
ulimit -l unlimited
hostname vm
echo '127.0.0.1 localhost vm' >/etc/hosts
ip link set lo up
# Packets of 4096 bytes, the largest there are: each costs the emulated processor a checksum.
ip link set dummy0 mtu 9000 up
ip addr add 10.0.0.1/24 dev dummy0
rdma link add rxe0 type rxe netdev dummy0 || echo "vm: there is no soft-RoCE device"
rdma link show

# Packets are moved by these threads of the kernel, which would wait for ranks that poll to
# use up their time: 4 ms for each.
for comm in /proc/[0-9]*/comm; do
	case $(cat "$comm" 2>/dev/null) in
	ksoftirqd/*) chrt -f -p 1 "$(basename "${comm%/comm}")" ;;
	esac
done

# The file in this machine's memory from now on, and no longer at the host.
keep()
{
	: >>"$1"
}

now()
{
	cut -d . -f 1 /proc/uptime
}

job()
{
	began=$(now)
	echo "vm: begin $1"
	timeout -k 5 "$2" sh -c "$3"
	echo "vm: end $1 $? $(($(now) - began))"
}
