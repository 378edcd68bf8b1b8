#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The library in another project, by its wrap file, below a path with spaces; and where
mmunotify cannot work, the configuration says so in a sentence.

    builds.py SOURCE MESON

What takes longer is run by hand: packaging/matrix (compilers and flags), packaging/deb.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile

from tap import diag, done, equal, ok, skip

SOURCE, MESON = sys.argv[1:3]

PROJECT = '''
project('consumer', 'c', default_options: ['warning_level=2', 'werror=true'])
mmunotify = dependency('mmunotify', version: '>=0.2')
executable('consumer', 'print events.c', dependencies: mmunotify)
'''
# What a cross build for each would say of itself.
CROSS = '''
[binaries]
c = [%s]
[host_machine]
system = 'linux'
cpu_family = '%s'
cpu = '%s'
endian = 'little'
[properties]
needs_exe_wrapper = true
'''
FALSE_COMPILER = '''#!/bin/sh
# Compiles for this machine, and is another one's by name only.
exec cc "$@"
'''


def run(*command, **kwargs):
    env = dict(os.environ)
    for name in ('CFLAGS', 'LDFLAGS', 'LD_PRELOAD', 'LD_LIBRARY_PATH'):
        env.pop(name, None)
    env.update(kwargs.pop('env', {}))
    return subprocess.run(command, capture_output=True, text=True, check=False, env=env,
                          errors='replace', timeout=600, **kwargs)


def passes(result, name):
    return ok(result.returncode == 0, name, result.stdout[-4000:] + result.stderr[-4000:])


def test_wrap(work):
    project = os.path.join(work, 'a project\'s "source" of $HOME')
    wraps = os.path.join(project, 'subprojects')
    os.makedirs(wraps)
    if not passes(run(os.path.join(SOURCE, 'packaging/dist'), os.path.join(wraps, 'packagefiles')),
                  'the tarball and its wrap file are written'):
        return
    os.rename(os.path.join(wraps, 'packagefiles/mmunotify.wrap'), os.path.join(wraps, 'mmunotify.wrap'))
    with open(os.path.join(project, 'meson.build'), 'w', encoding='utf-8') as file:
        file.write(PROJECT)
    shutil.copy(os.path.join(SOURCE, 'examples/print_events.c'),
                os.path.join(project, 'print events.c'))
    # An installed one is not what is tested.
    configured = run(MESON, 'setup', '--force-fallback-for=mmunotify', 'a build', cwd=project)
    if not passes(configured, 'a project with the wrap file is configured, below a path with spaces'):
        return
    for part in ('the mmunotify command', 'tests', 'man pages', 'libmmunotify-uring'):
        ok(re.search(r'%s[^:\n]*: off: a part of another project' % part, configured.stdout),
           'it builds the library alone: %s' % part, configured.stdout[-3000:])
    build = os.path.join(project, 'a build')
    if passes(run('ninja', '-C', build), 'it builds, without a warning of its own'):
        shown = run(os.path.join(build, 'consumer'))
        ok(shown.returncode == 0 and re.search(r'^munmap +unmap', shown.stdout, re.M),
           'it runs', shown.stdout + shown.stderr)


def refused(work, name, sentence, *args, **kwargs):
    result = run(MESON, 'setup', *args, os.path.join(work, 'refused-' + name), SOURCE, **kwargs)
    said = [line for line in result.stdout.splitlines() if 'ERROR' in line]
    ok(result.returncode and len(said) == 1 and sentence in said[0], '%s: refused' % name,
       result.stdout[-2000:] + result.stderr)


def machine(work, name, compiler, cpu):
    path = os.path.join(work, name + '.cross')
    with open(path, 'w', encoding='utf-8') as file:
        file.write(CROSS % (compiler, cpu, cpu))
    return path


def links(option):
    return not run('cc', option, '-x', 'c', '-', '-o', '/dev/null',
                   input='int main(void) { return 0; }').returncode


def test_refusals(work):
    architecture = 'mmunotify works on x86-64 Linux alone, and this compiler makes programs for '
    if shutil.which('musl-gcc'):
        refused(work, 'musl', 'mmunotify works with glibc 2.34 or later alone',
                env={'CC': 'musl-gcc'})
    else:
        skip('musl: refused', 'musl-gcc is not installed')
    if links('-m32'):
        refused(work, 'i386', architecture + 'linux x86 ', env={'CC': 'cc -m32'})
    else:
        skip('i386: refused', 'no compiler for it is installed (gcc-multilib)')
    if links('-mx32'):
        # A kernel that runs such programs is rare.
        refused(work, 'x32', architecture + 'linux x86_64 with pointers of 4 bytes', '--cross-file',
                machine(work, 'x32', "'cc', '-mx32'", 'x86_64'))
    else:
        skip('x32: refused', 'no compiler for it is installed (gcc-multilib)')
    compiler = shutil.which('aarch64-linux-gnu-gcc')
    if not compiler:
        # The question is asked of the machine file before anything is compiled for it.
        compiler = os.path.join(work, 'aarch64-cc')
        with open(compiler, 'w', encoding='utf-8') as file:
            file.write(FALSE_COMPILER)
        os.chmod(compiler, 0o755)
        diag('aarch64-linux-gnu-gcc is not installed; its name in a cross file is')
    refused(work, 'aarch64', architecture + 'linux aarch64', '--cross-file',
            machine(work, 'aarch64', "'%s'" % compiler, 'aarch64'))


def test_without(work):
    """Parts that cannot be had, and that are needed, are named."""
    refused(work, 'tests without the command', 'the tests need the command',
            '-Dtests=enabled', '-Dtool=disabled')
    result = run(MESON, 'setup', '-Dtool=disabled', '-Dbench=disabled', os.path.join(work, 'without'), SOURCE)
    ok(result.returncode == 0 and re.search(r'tests +: off: they need the command', result.stdout),
       'without the command there are no tests', result.stdout[-3000:] + result.stderr)
    result = run(MESON, 'setup', '-Dauto_features=disabled', os.path.join(work, 'alone'), SOURCE)
    states = re.findall(r'^    \S.*: (on|off: disabled by)', result.stdout, re.M)
    ok(result.returncode == 0 and len(states) > 10, '-Dauto_features=disabled is configured',
       result.stdout[-3000:] + result.stderr)
    equal(set(states), {'off: disabled by'}, 'it is the library alone')


def main():
    with tempfile.TemporaryDirectory(prefix='mmunotify-builds-') as work:
        test_refusals(work)
        test_without(work)
        test_wrap(work)
    done()


main()
