#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Programs that use the library, under tools that watch memory: nothing is reported.

    tools.py SOURCE BUILD WORKLOAD

Valgrind's memcheck runs what is built; ThreadSanitizer's programs (gcc and clang) are
compiled here and use the shared library as it is.
"""
import os
import shutil
import subprocess
import sys
import tempfile

from tap import done, equal, ok, skip

SOURCE, BUILD, WORKLOAD = sys.argv[1:4]
LIBRARY_DIR = os.path.join(BUILD, 'include')
EXAMPLES = [os.path.join(BUILD, 'examples', name) for name in
            ('print_events', 'cached_translation', 'locked_register', 'singleton')]
ENV = dict(os.environ, LD_LIBRARY_PATH=LIBRARY_DIR)
ENV.pop('MALLOC_PERTURB_', None)


def run(command, where):
    return subprocess.run(command, env=ENV, cwd=where, stdout=subprocess.DEVNULL,
                          stderr=subprocess.PIPE, text=True, timeout=240)


def memcheck(program, where):
    name = 'memcheck says nothing of ' + os.path.basename(program)
    if not shutil.which('valgrind'):
        skip(name, 'valgrind is not installed')
        return
    result = run(['valgrind', '-q', '--leak-check=full', '--error-exitcode=99',
                  '--suppressions=' + os.path.join(SOURCE, 'packaging/valgrind.supp'), os.path.abspath(program)], where)
    # What it does not know of the kernel is not ours.
    said = [line for line in result.stderr.splitlines() if line.startswith('==')]
    ok(result.returncode == 0 and not said, name,
       'status %d\n%s' % (result.returncode, result.stderr))


def thread_sanitizer(compiler, where):
    name = "%s's ThreadSanitizer says nothing of the workload" % compiler
    program = os.path.join(where, 'workload-' + compiler)
    if not shutil.which(compiler):
        skip(name, compiler + ' is not installed')
        return
    built = run([compiler, '-g', '-O1', '-fsanitize=thread', '-D_GNU_SOURCE',
                 '-I', os.path.join(SOURCE, 'include'),
                 os.path.join(SOURCE, 'tests/system/tools_workload.c'), '-o', program,
                 '-L', LIBRARY_DIR, '-lmmunotify', '-pthread'], where)
    if not equal(built.returncode, 0, 'the workload compiles with ' + compiler):
        return
    # The runtime's fixed addresses and address randomisation do not agree.
    result = run(['setarch', '-R', program], where)
    ok(result.returncode == 0 and not result.stderr, name,
       'status %d\n%s' % (result.returncode, result.stderr))


def main():
    with tempfile.TemporaryDirectory(dir=BUILD) as where:
        for program in [WORKLOAD] + EXAMPLES:
            memcheck(program, where)
        for compiler in ('gcc', 'clang'):
            thread_sanitizer(compiler, where)
    done()


main()
