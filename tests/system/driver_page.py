#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The commands of docs/DRIVER_TESTS.md, in a copy of the example's folder, print what it shows.

    driver_page.py SOURCE BUILD

Of what is shown each line must be in the output, in that order; numbers are not compared.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile

from tap import done, ok, skip_all

SOURCE, BUILD = (os.path.abspath(a) for a in sys.argv[1:3])


def blocks(text):
    """[(commands, [shown line])]"""
    found = re.findall(r'^```sh\n(.*?)^```\n(?:```text\n(.*?)^```\n)?', text, re.M | re.S)
    return [(commands, shown.splitlines()) for commands, shown in found]


def missing(shown, output):
    """The first line of @shown that is not in @output behind the one before, or None."""
    rest = re.sub(r'\d+', '0', output)
    for line in shown:
        wanted = re.sub(r'\d+', '0', line)
        at = rest.find(wanted)
        if at < 0:
            return line
        rest = rest[at + len(wanted):]
    return None


def main():
    for program in ('clang', 'pkg-config'):
        if not shutil.which(program):
            skip_all('there is no ' + program)
    env = dict(os.environ, PKG_CONFIG_PATH=os.path.join(BUILD, 'meson-uninstalled'),
               LD_LIBRARY_PATH=os.path.join(BUILD, 'include'))
    with open(os.path.join(SOURCE, 'docs/DRIVER_TESTS.md'), encoding='utf-8') as file:
        found = blocks(file.read())
    with tempfile.TemporaryDirectory(prefix='mmunotify-driver-') as work:
        folder = os.path.join(work, 'kernel_driver')
        shutil.copytree(os.path.join(SOURCE, 'examples/kernel_driver'), folder)
        for commands, shown in found:
            result = subprocess.run(['sh', '-c', commands], cwd=folder, env=env, check=False, text=True,
                                    stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            name = commands.strip().splitlines()[-1]
            what = missing(shown, result.stdout)
            ok(what is None, '%s: prints what is shown' % name, '%s\nis not in\n%s' % (what, result.stdout))
            wrong = any(re.search(r'BUG|WARNING|not ok', line) for line in shown)
            ok((result.returncode != 0) == wrong, '%s: its status' % name, result.stdout)
    ok(len(found) == 9, 'the page has its commands', len(found))
    done()


main()
