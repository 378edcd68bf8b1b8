#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""docs/RULES.md is complete: each number has tests and, each bug at least, mutants, and
what it names is there and says so.  What docs/SEED.md names is there as well.

    complete.py SOURCE
"""
import fnmatch
import glob
import os
import re
import sys

SOURCE = os.path.abspath(sys.argv[1])
sys.path.insert(0, os.path.join(SOURCE, 'tests/system'))
from tap import done, equal, ok  # noqa: E402

KINDS = {'R': 11, 'L': 4, 'S': 12, 'U': 11, 'H': 4, 'E': 4, 'C': 9, 'D': 9, 'B': 23}
NUMBERS = [kind + str(i) for kind, last in KINDS.items() for i in range(1, last + 1)]
NUMBER = r'\b([RLSUHECDB]\d{1,2})\b'


def read(path):
    with open(os.path.join(SOURCE, path), encoding='utf-8') as file:
        return file.read()


def rows():
    """{number: (program paths, mutants)}"""
    found = {}
    for line in read('docs/RULES.md').splitlines():
        row = re.match(r'\| ([RLSUHECDB]\d+) \| .* \| ([^|]*) \| ([^|]*) \|$', line)
        if row:
            found[row.group(1)] = (re.findall('`([^`]*)`', row.group(2)),
                                   row.group(3).split(', '))
    return found


def texts(path):
    """The names of results: every string literal will do, comments will not."""
    code = re.sub(r'/\*.*?\*/|^\s*//[^\n]*', '', read(path), flags=re.S | re.M)
    return re.findall(r'"((?:[^"\\\n]|\\.)*)"', code)


def numbers_in(path):
    return {number for text in texts(path) for number in re.findall(NUMBER, text)}


def patches(folder):
    """{name: numbers}; none for a promise that has no number."""
    found = {}
    for path in glob.glob(os.path.join(SOURCE, folder, '*.patch')):
        breaks = re.search('^Breaks: (.*)$', read(path), re.M)
        found[os.path.basename(path)[:-len('.patch')]] = \
            set(breaks.group(1).split()) - {'none'}
    return found


def mutants_of(names, all_patches):
    return {name for name in all_patches if any(fnmatch.fnmatch(name, n) for n in names)}


def check_row(number, programs, names, all_patches, secondary):
    silent = [path for path in programs if number not in numbers_in(path)]
    ok(programs and not silent, number + ' has tests', 'without it: %r' % silent)
    named = mutants_of(names, all_patches)
    unknown = [n for n in names if n not in ('-', 'secondary') and not mutants_of([n], all_patches)]
    harmless = {name for name in named if number not in all_patches[name]}
    missing = {name for name, breaks in all_patches.items() if number in breaks} - named
    if ('secondary' in names) != (number in secondary):
        unknown.append('secondary')
    ok(not (unknown or harmless or missing) and (number[0] != 'B' or names != ['-']),
       number + ' has mutants', 'unknown %r, of other numbers %r, not named %r'
       % (unknown, harmless, missing))


def pattern_of(quoted):
    """How a result begins; "..." stands for what the program fills in."""
    return '.*?'.join(re.escape(part.strip()) for part in quoted.split('...'))


def missing_in(cell):
    """What a cell of docs/SEED.md names and is not there: paths, and results of tests."""
    path, missing = None, []
    for name, quoted in re.findall(r'`([^`]*)`|"([^"]*)"', cell):
        if name:
            path = name
            known = '/' not in name or '()' in name or os.path.exists(os.path.join(SOURCE, name))
            missing += [] if known else [name]
        elif path and path.endswith('.c') and \
                not any(re.match(pattern_of(quoted), text) for text in texts(path)):
            missing.append('%s "%s"' % (path, quoted))
    return missing


def check_seed():
    lines = [line for line in read('docs/SEED.md').splitlines()
             if re.match(r'\| (?!the patch says)[^-]', line)]
    cells = [line.strip('| ').split(' | ') for line in lines]
    equal([c[0] for c in cells if len(c) != 3], [], 'SEED: each statement has its place and test')
    wrong = [name for row in cells for cell in row[1:] for name in missing_in(cell)]
    ok(len(cells) > 30 and not wrong, 'SEED: what the %d rows name is there' % len(cells), wrong)


def main():
    table, all_patches = rows(), patches('tests/mutants')
    secondary = set().union(*patches('tests/mutants/secondary').values())
    equal(list(table), NUMBERS, 'every number has its row, in order')
    for number in NUMBERS:
        if number in table:
            check_row(number, *table[number], all_patches, secondary)
    programs = glob.glob(os.path.join(SOURCE, 'tests/**/*.c'), recursive=True)
    used = set().union(secondary, *(numbers_in(path) for path in programs),
                       *all_patches.values())
    equal(sorted(used - set(NUMBERS)), [], 'no test and no patch has a number that is none')
    check_seed()
    done()


if __name__ == '__main__':
    main()
