#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The probe points of the registration cache: they are in the library's notes, and each is
passed as often as what it stands for happens, as the kernel counts it.

    probes.py LIBRARY WORKLOAD DOCUMENT
"""
import re
import subprocess
import sys

from tap import done, equal, ok, skip

LIBRARY, WORKLOAD, DOCUMENT = sys.argv[1:4]

# What the workload's cache does.
EXPECTED = {'miss': 7, 'register': 6, 'fail': 1, 'uncached': 1, 'evict': 2, 'invalidate': 1,
            'retry': 0, 'deregister': 6}


def output(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def points():
    """{name: addresses} of the library's notes."""
    found = {}
    for provider, name, address in re.findall(
            r'Provider: (\S+)\s+Name: (\S+)\s+Location: (0x[0-9a-f]+)',
            output('readelf', '-nW', LIBRARY)):
        if provider == 'mmunotify':
            found.setdefault(name.replace('rcache__', ''), []).append(int(address, 16))
    return found


def file_offset(address):
    for line in output('readelf', '-lW', LIBRARY).splitlines():
        part = re.match(r'\s*LOAD\s+(0x\S+)\s+(0x\S+)\s+0x\S+\s+(0x\S+)', line)
        if part:
            offset, start, size = (int(number, 16) for number in part.groups())
            if start <= address < start + size:
                return address - start + offset
    return None


def passed(found):
    """{name: times}, or None."""
    args = ['%s:%d' % (name, file_offset(address)) for name in sorted(found)
            for address in found[name]]
    result = subprocess.run([WORKLOAD, LIBRARY, *args], capture_output=True, text=True, check=False)
    if result.returncode == 77:
        return None, result.stdout.strip()
    ok(result.returncode == 0, 'the workload runs', result.stdout + result.stderr)
    times = dict.fromkeys(EXPECTED, 0)
    for line in result.stdout.splitlines():
        name, count = line.split()
        times[name] = times.get(name, 0) + int(count)
    return times, ''


POINTS = points()
equal(sorted(POINTS), sorted(EXPECTED), 'the probe points of the library')
with open(DOCUMENT, encoding='utf-8') as text:
    DOCUMENTED = re.findall(r'`rcache__(\w+)`', text.read())
equal(sorted(set(DOCUMENTED)), sorted(EXPECTED), 'those of the document')
TIMES, WHY = passed(POINTS)
if TIMES is None:
    skip('times that they are passed', WHY)
else:
    for point, expected in EXPECTED.items():
        equal(TIMES[point], expected, 'rcache__%s: times that it is passed' % point)
done()
