#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The Debian packages: what is installed is in one of them, in one alone; the symbols files have
what the libraries export.

    package.py MESON BUILD SOURCE

`make deb` builds them in a clean system, which takes minutes.
"""
import fnmatch
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile

from tap import done, equal, ok, skip, skip_all

MESON, BUILD, SOURCE = sys.argv[1:4]
BUILD, SOURCE = os.path.abspath(BUILD), os.path.abspath(SOURCE)
DEBIAN = os.path.join(SOURCE, 'packaging/debian')
# What debian/rules moves or leaves out.
MOVED = {'usr/share/zsh/site-functions/_mmunotify': 'usr/share/zsh/vendor-completions/_mmunotify'}
LEFT_OUT = 'usr/share/doc/mmunotify/LICENSES/'


def run(*command, **kwargs):
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, **kwargs)


def read(name):
    with open(os.path.join(DEBIAN, name), encoding='utf-8') as file:
        return file.read()


def packages():
    return re.findall(r'^Package: (\S+)', read('control'), re.M)


def installed(root):
    """Paths as they are below /usr, whatever this build's prefix is."""
    prefix = run(MESON, 'introspect', '--buildoptions', BUILD).stdout
    prefix = re.search(r'"name": "prefix", "value": "([^"]*)"', prefix).group(1).strip('/')
    found = set()
    for folder, _, files in os.walk(root):
        for file in files:
            path = os.path.relpath(os.path.join(folder, file), root)
            path = path.replace(prefix + '/', 'usr/', 1)
            path = re.sub(r'^usr/lib/python[^/]*/(site|dist)-packages/', 'usr/lib/python3/dist-packages/', path)
            if path.endswith('.pyc') or path.startswith(LEFT_OUT):
                continue
            found.add(MOVED.get(path, path))
    return found


def matches(path, pattern):
    parts, wanted = path.split('/'), pattern.rstrip('/').split('/')
    return len(parts) >= len(wanted) and \
        all(fnmatch.fnmatchcase(p, w) for p, w in zip(parts, wanted))


def test_files(files):
    left_out = re.search(r'dh_install -plibmmunotify-dev (.*)', read('rules')).group(1)
    left_out = re.findall(r'-X(\S+)', left_out)
    patterns = {}
    for name in packages():
        path = os.path.join(DEBIAN, name + '.install')
        if ok(os.path.exists(path), '%s: says what is in it' % name):
            patterns[name] = [line for line in read(name + '.install').split('\n') if line]
    owners = {file: [name for name, lines in patterns.items()
                     if any(matches(file, line) for line in lines) and
                     not (name == 'libmmunotify-dev' and any(x in file for x in left_out))]
              for file in files}
    equal(sorted(f for f, names in owners.items() if not names), [], 'each file is in a package')
    equal(sorted((f, names) for f, names in owners.items() if len(names) > 1), [],
          'none is in two packages')
    for name, lines in patterns.items():
        unused = [line for line in lines if not any(matches(f, line) for f in files)]
        equal(unused, [], '%s: each line names something' % name)


def test_symbols():
    if not shutil.which('dpkg-gensymbols'):
        skip('symbols', 'dpkg-gensymbols is not installed')
        return
    for name in packages():
        soname = re.match(r'(libmmunotify(-\w+)?)0$', name)
        if not soname:
            continue
        found = glob.glob(os.path.join(BUILD, '**', soname.group(1) + '.so.0.*[0-9]'), recursive=True)
        if not ok(found, '%s: its library is built' % name):
            continue
        with tempfile.TemporaryDirectory() as work:
            shutil.copytree(DEBIAN, os.path.join(work, 'debian'))
            result = run('dpkg-gensymbols', '-c4', '-p' + name, '-e' + found[0], '-O' + os.devnull,
                         '-v' + read('changelog').split('(')[1].split('-')[0],
                         '-I' + os.path.join(DEBIAN, name + '.symbols'), cwd=work)
        ok(result.returncode == 0, '%s: its symbols file is what it exports' % name,
           result.stdout + result.stderr)


def test_words():
    version = run(os.path.join(SOURCE, 'scripts/version.sh')).stdout.strip()
    ok(read('changelog').startswith('mmunotify (%s-' % version), 'the changelog has the version')
    if shutil.which('dpkg-parsechangelog'):
        parsed = run('dpkg-parsechangelog', '-l', os.path.join(DEBIAN, 'changelog'))
        ok(parsed.returncode == 0 and not parsed.stderr, 'the changelog is one', parsed.stderr)
    # What setup.sh installs and what the packages are built with is the same.
    with open(os.path.join(SOURCE, 'scripts/packages'), encoding='utf-8') as file:
        needed = {line.split()[1] for line in file if line.startswith('demo ')}
    needed -= {'gcc', 'libc6-dev', 'ninja-build', 'python3'}
    named = set(re.findall(r'^ ([a-z0-9+.-]+)', read('control').split('\n\n')[0], re.M))
    equal(sorted(needed - named), [], 'what the demo is built with is among Build-Depends')


def main():
    options = run(MESON, 'introspect', '--buildoptions', BUILD).stdout
    for option in ('ucx', 'libfabric', 'verbs', 'uring', 'man'):
        if '"name": "%s", "value": "disabled"' % option in options:
            skip_all('built without ' + option)
    with tempfile.TemporaryDirectory(prefix='mmunotify-package-') as root:
        result = run(MESON, 'install', '-C', BUILD, '--no-rebuild', '--quiet', '--destdir', root)
        if ok(result.returncode == 0, 'meson install', result.stdout + result.stderr):
            test_files(installed(root))
    test_symbols()
    test_words()
    done()


main()
