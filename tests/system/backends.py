#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What a backend of the registration cache brings into a process: what its map and its
header say, and no other library than it names.

    backends.py SHARED MAP MAN3 HEADER [LIBRARY...]

LIBRARY: what it may need beside libmmunotify and the C library.
"""
import os
import re
import shutil
import subprocess
import sys

from tap import done, equal, ok, skip_all

SHARED, MAP, MAN3, HEADER = sys.argv[1:5]
NEEDED = {'libmmunotify.so.0', 'libc.so.6'} | set(sys.argv[5:])


def output(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def main():
    for tool in ('nm', 'readelf'):
        if not shutil.which(tool):
            skip_all(tool + ' is not installed')
    name = re.match(r'lib(mmunotify-\w+)\.so', os.path.basename(SHARED)).group(1)
    rows = (line.split() for line in output('nm', '-D', '-P', '--defined-only', SHARED).splitlines())
    exported = {row[0].split('@')[0] for row in rows if row[1] != 'A'}
    with open(MAP, encoding='utf-8') as file:
        mapped = set(re.findall(r'^\t(\w+);', file.read(), re.M))
    documented = set(output(sys.executable, MAN3, '--names', HEADER).split())
    equal(sorted(exported ^ mapped), [], name + ': exports are those of the map')
    equal(sorted(mapped - documented), [], name + ': every export has a man page')
    equal(sorted(n for n in mapped if not n.startswith(name.replace('mmunotify-', 'mmun_') + '_')),
          [], name + ': exported names begin with its own')
    dynamic = output('readelf', '-dW', SHARED)
    equal(sorted(set(re.findall(r'NEEDED.*\[(.*)\]', dynamic)) - NEEDED), [],
          name + ': needs nothing else')
    ok('[lib%s.so.0]' % name in dynamic, name + ': its soname', dynamic)
    ok('NODELETE' in dynamic, name + ': stays when it is closed', dynamic)
    done()


main()
