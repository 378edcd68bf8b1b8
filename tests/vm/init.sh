#!/bin/busybox sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# shellcheck shell=dash
#
# The first process of the virtual machine (machine.py): loads the modules, makes the
# host's root file system its own, where what is written stays in memory, runs the
# script named on the kernel's command line (vm.script=) there, and switches off.
# Its output, and the last line "vm: done", go to the second serial port.

/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/shm /dev/pts /lower /upper /root
mount -t tmpfs tmpfs /dev/shm
mount -t devpts devpts /dev/pts
stty -F /dev/ttyS1 -opost
exec >/dev/ttyS1 2>&1 </dev/null

while read -r module parameters; do
	# shellcheck disable=SC2086 # a list of words
	insmod "/modules/$module" $parameters || echo "vm: $module cannot be loaded"
done </modules/order

script=$(sed 's/.*vm\.script=\([^ ]*\).*/\1/' /proc/cmdline)
mount -t tmpfs tmpfs /upper
mkdir /upper/files /upper/work
# Read-only on this side: a server that only reads refuses to open for appending, even
# who only reads.
mount -t 9p -o ro,cache=loose,trans=virtio,version=9p2000.L,msize=512000 root /lower &&
	mount -t overlay -o lowerdir=/lower,upperdir=/upper/files,workdir=/upper/work \
		overlay /root || echo "vm: the host's files cannot be mounted"
mkdir -p /root/proc /root/sys /root/dev /dev/shm/home
for folder in proc sys dev; do
	mount --rbind /$folder /root/$folder
done
chroot /root /usr/bin/env -i HOME=/dev/shm/home TMPDIR=/dev/shm/home LANG=C.UTF-8 \
	PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin /bin/bash "$script"
echo "vm: done"
sync
exec >/dev/null 2>&1
sleep 0.1
echo o >/proc/sysrq-trigger
sleep 10
