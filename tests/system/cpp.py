#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""mmunotify.hpp: compiles without a warning, refuses what would hurt, and works, under sanitizers too.

    cpp.py SOURCE LIBRARY
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile

from tap import diag, done, equal, ok, skip

SOURCE, LIBRARY = (os.path.abspath(a) for a in sys.argv[1:3])
PROGRAM = os.path.join(SOURCE, 'tests/system/cpp_program.cpp')
EXAMPLE = os.path.join(SOURCE, 'examples/registration_cache.cpp')
WARNINGS = ['-Wall', '-Wextra', '-Wpedantic', '-Wconversion', '-Wsign-conversion', '-Wshadow', '-Werror',
            '-D_GNU_SOURCE', '-I' + os.path.join(SOURCE, 'include')]
ENV = {key: value for key, value in os.environ.items() if key not in ('CXXFLAGS', 'LDFLAGS', 'LD_PRELOAD')}
ENV['LD_LIBRARY_PATH'] = os.path.dirname(LIBRARY)
# A use that outlives its cache keeps it, on purpose.
ENV['ASAN_OPTIONS'] = 'detect_leaks=0:use_sigaltstack=0'

# A kind of build, and how its program is started.
BUILDS = [
    ('g++', ['-O2', '-DCOUNT_ALLOCATIONS'], []),
    ('g++', ['-std=c++20', '-O1', '-g', '-fsanitize=address,undefined', '-fno-sanitize-recover=all'], []),
    # The tool does not see how a library without it orders what users of registrations do.
    ('clang++', ['-O1', '-g', '-fsanitize=thread', '-DWITHOUT_CACHE'], ['setarch', '-R']),
    ('clang++', ['-O2', '-fno-exceptions', '-fno-rtti', '-DCOUNT_ALLOCATIONS'], []),
]

# What must not compile, and the sentence.
REFUSED = {
    'a callback that may throw': (
        'struct h { void invalidate_range_end(const mmunotify::range &) {} };\n'
        'mmunotify::notifier<h> n(mmunotify::self());', 'must be noexcept: it runs inside munmap'),
    'a notifier without a callback': (
        'struct h { void end() noexcept {} };\nmmunotify::notifier<h> n(mmunotify::self());',
        'a notifier has invalidate_range_start'),
    'an invalidate that may throw': (
        'struct h { void invalidate(const mmunotify::range &, mmunotify::interval_sequence) {} };\n'
        'mmunotify::interval<h> n(mmunotify::self(), nullptr, 1);', 'must be noexcept: it runs inside munmap'),
    'data with a destructor': (
        'struct d { ~d() {} };\nstruct b { using data_type = d; int register_memory(mmun_registration &, d &) '
        'noexcept { return 0; } void deregister_memory(const mmun_registration &, d &) noexcept {} };\n'
        'mmunotify::registration_cache<b> c(mmunotify::self(), {});', 'data_type is trivial'),
    'a copy': ('struct h { void release() noexcept {} };\nusing n = mmunotify::notifier<h>;\n'
               'n copy(const n &from) { return from; }', 'n copy'),
}


def run(command, **kwargs):
    return subprocess.run(command, capture_output=True, text=True, env=ENV, check=False, timeout=240, **kwargs)


def compiles(compiler, flags, text):
    return run([compiler, '-x', 'c++', *WARNINGS, *flags, '-fsyntax-only', '-'], input=text)


def test_header(compiler):
    for flags in (['-std=c++17'], ['-std=c++20', '-fno-exceptions']):
        made = compiles(compiler, flags, '#include <mmunotify.hpp>\n#include <mmunotify.hpp>\n')
        equal((made.returncode, made.stderr), (0, ''), 'alone and twice, %s %s' % (compiler, ' '.join(flags)))
    made = compiles(compiler, ['-std=c++14'], '#include <mmunotify.hpp>\n')
    ok(made.returncode and 'needs C++17' in made.stderr, 'C++14 is refused, ' + compiler, made.stderr)


def test_refused(compiler):
    for name, (text, sentence) in REFUSED.items():
        made = compiles(compiler, ['-std=c++17'], '#include <mmunotify.hpp>\n' + text)
        ok(made.returncode and sentence in made.stderr, '%s is refused, %s' % (name, compiler), made.stderr)


def build(compiler, flags, source, program):
    flags = flags if any(flag.startswith('-std') for flag in flags) else ['-std=c++17', *flags]
    return run([compiler, *WARNINGS, *flags, source, '-o', program, LIBRARY, '-pthread'])


def test_program(compiler, flags, start, folder):
    name = ' '.join([compiler, *flags])
    program = os.path.join(folder, 'program')
    made = build(compiler, flags, PROGRAM, program)
    if not equal((made.returncode, made.stderr), (0, ''), 'the program compiles: ' + name):
        return
    result = run([*start, program])
    failed = re.findall(r'^not ok .*', result.stdout, re.M)
    ok(result.returncode == 0 and not failed and re.search(r'^1\.\.\d+$', result.stdout, re.M),
       'and is right: ' + name, 'status %d\n%s' % (result.returncode, result.stdout + result.stderr))
    diag('%d results' % len(re.findall('^ok', result.stdout, re.M)))


def test_example(folder):
    program = os.path.join(folder, 'example')
    made = build('g++', ['-g', '-fsanitize=address,undefined'], EXAMPLE, program)
    if equal((made.returncode, made.stderr), (0, ''), 'the example compiles'):
        result = run([program])
        ok(result.returncode == 0 and 'reads "third"' in result.stdout and not result.stderr,
           'and reads what the program wrote', result.stdout + result.stderr)


def main():
    for compiler in ('g++', 'clang++'):
        if not shutil.which(compiler):
            skip(compiler, 'it is not installed')
            continue
        test_header(compiler)
        test_refused(compiler)
    with tempfile.TemporaryDirectory() as folder:
        for compiler, flags, start in BUILDS:
            if shutil.which(compiler):
                test_program(compiler, flags, start, folder)
        if shutil.which('g++'):
            test_example(folder)
    done()


main()
