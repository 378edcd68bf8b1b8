#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The example driver and its KUnit cases as modules of a kernel, beside the same in user space.

    kunit.py FOLDER EXAMPLE PROGRAM

EXAMPLE is examples/kernel_driver, PROGRAM its cases as a program.  The kernel is that of Debian's
bookworm-backports, with its headers.  Debian's kernels are built without KUnit: lib/kunit
of a Linux tree (MMUNOTIFY_LINUX, or that of tests/kernel/run) becomes a module, too, as
kunit/without.h says.
"""
import glob
import os
import re
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, '../system'))
from machine import Job, Machine, Unavailable  # noqa: E402
from tap import diag, done, ok, skip_all  # noqa: E402

SUITE = 'bookworm-backports'
SECONDS = 240
FILES = ('mirror.c', 'mirror_kunit.c', 'mirror_uapi.h')
MODULES = ('kunit', 'mirror', 'mirror_kunit')


def headers(folder, version):
    """The folder of the kernel's headers, unpacked; they name each other by absolute paths."""
    release = version.removesuffix('-amd64')
    place = os.path.join(folder, 'headers')
    packages = ['linux-headers-' + version, 'linux-headers-%s-common' % release,
                'linux-kbuild-' + release]
    run = subprocess.run([os.path.join(HERE, '../glibc/unpack.sh'), SUITE, place, *packages],
                         stdout=subprocess.PIPE, text=True, check=False)
    if run.returncode:
        raise Unavailable(run.stdout.strip() or 'the headers cannot be unpacked')
    root = os.path.join(place, 'root/usr/src')
    build = os.path.join(root, 'linux-headers-' + version)
    with open(os.path.join(build, 'Makefile'), 'w', encoding='ascii') as file:
        file.write('include %s/linux-headers-%s-common/Makefile\n' % (root, release))
    return build


def linux():
    """lib/kunit of a Linux tree."""
    tree = os.environ.get('MMUNOTIFY_LINUX')
    if not tree:
        root = os.path.join(HERE, '../..')
        result = subprocess.run([os.path.join(root, 'tests/kernel/run'), '--unpack', os.path.join(root, 'build-linux')],
                                capture_output=True, text=True, check=False)
        if result.returncode:
            raise Unavailable(result.stderr.strip())
        tree = result.stdout.strip()
    place = os.path.join(tree, 'lib/kunit')
    if not os.path.exists(os.path.join(place, 'user_alloc.c')):
        raise Unavailable('%s has no kunit_vm_mmap()' % place)
    return place


def modules(folder, build, kunit, example):
    """The modules, built in one folder; the kernel's compiler says what is wrong."""
    work = os.path.join(folder, 'modules-of-kunit')
    shutil.rmtree(work, ignore_errors=True)
    os.makedirs(work)
    for path in [*glob.glob(kunit + '/*.[ch]'), *glob.glob(os.path.join(HERE, 'kunit/*')),
                 *[os.path.join(example, name) for name in FILES]]:
        shutil.copy(path, work)
    result = subprocess.run(['make', '-C', build, 'M=' + work, 'CONFIG_DEBUG_INFO_BTF_MODULES=', 'modules'],
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    ok(result.returncode == 0 and 'warning:' not in result.stdout,
       'the driver and its cases compile as modules, without a warning', result.stdout)
    return work if result.returncode == 0 else None


def cases(text):
    """{case: whether it passed}"""
    return {name: not failed for failed, name in
            re.findall(r'^(?:\[[ \d.]+\] )? {4}(not )?ok \d+ (mirror_test_\w+)', text, re.M)}


def main():
    folder, example, program = [os.path.abspath(path) for path in sys.argv[1:4]]
    try:
        if not shutil.which('make'):
            raise Unavailable('these packages are missing: make')
        kunit = linux()
        machine = Machine(folder, SUITE, needed={})
        with open(os.path.join(folder, 'version'), encoding='ascii') as file:
            build = headers(folder, file.read())
    except Unavailable as error:
        skip_all(error)
    diag(machine.versions([]))
    work = modules(folder, build, kunit, example)
    if not work:
        done()
    paths = [os.path.join(work, name + '.ko') for name in MODULES]
    command = ' && '.join(['dmesg -C', *['insmod ' + path for path in paths],
                           *['rmmod ' + name for name in reversed(MODULES)]])
    found = machine.run('kunit', [Job('kunit', SECONDS, command + '; status=$?; dmesg; exit $status')], {}, [])
    result = found.get('kunit')
    text = result.output if result else 'no result'
    ok(result and result.status == 0, 'the modules are loaded and unloaded', text)
    ok('ok 1 mirror' in text and not re.search(r'WARNING|BUG|Oops', text),
       'the suite passes in the kernel, which says nothing else', text)
    here = subprocess.run([program], stdout=subprocess.PIPE, text=True, check=False).stdout
    ok(cases(text) == cases(here) and len(cases(here)) == 7,
       'the same cases pass in the kernel and here', '%s %s' % (cases(text), cases(here)))
    for name in cases(text):
        diag('in the kernel: ' + name)
    done()


main()
