#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Each installed header compiles alone and twice, as C and as C++, and is short.

    headers.py INCLUDE_DIR
"""
import glob
import os
import shutil
import subprocess
import sys

from tap import done, ok, skip

MAX_LINES = 500
INCLUDE = sys.argv[1]
WARNINGS = ['-Wall', '-Wextra', '-Werror', '-Wshadow', '-fsyntax-only', '-I' + INCLUDE]
COMPILERS = [
    ['gcc', '-x', 'c', '-std=c99'],
    ['gcc', '-x', 'c', '-std=gnu11', '-Wstrict-prototypes', '-Wmissing-prototypes'],
    ['clang', '-x', 'c', '-std=c99'],
    ['clang', '-x', 'c', '-std=gnu11', '-Wstrict-prototypes'],
    ['g++', '-x', 'c++', '-std=c++11'],
    ['clang++', '-x', 'c++', '-std=c++11'],
]


def compiles(compiler, text):
    result = subprocess.run(compiler + WARNINGS + ['-'], input=text, text=True,
                            capture_output=True, check=False)
    return result.returncode == 0, result.stderr


def main():
    headers = sorted(glob.glob(os.path.join(INCLUDE, 'mmunotify', '*.h')))
    ok(headers, 'there are headers in ' + INCLUDE)
    names = ['mmunotify/' + os.path.basename(h) for h in headers]
    for compiler in COMPILERS:
        label = ' '.join([compiler[0], compiler[3]])
        if not shutil.which(compiler[0]):
            skip(label, compiler[0] + ' is not installed')
            continue
        for name in names:
            include = '#include <%s>\n' % name
            # A use after the includes: an empty translation unit is not C.
            passed, error = compiles(compiler, include + include + 'extern int used;\n')
            ok(passed, '%s alone, %s' % (name, label), error)
        passed, error = compiles(compiler, ''.join('#include <%s>\n' % n for n in names[::-1]))
        ok(passed, 'all together, %s' % label, error)
    for header in headers:
        with open(header, encoding='utf-8') as file:
            lines = sum(1 for _ in file)
        ok(lines <= MAX_LINES, '%s has at most %d lines' % (os.path.basename(header), MAX_LINES),
           '%d lines' % lines)
    done()


main()
