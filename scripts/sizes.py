#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""How long functions and files of C are: docs/DESIGN.md, "Sizes".

    sizes.py            the table of this tree, a row for each part
    sizes.py --check    the longest ones against the limits; exit status 1 if one is over
    sizes.py FOLDER...  a row for each of these instead (sources of another project)

Lines from the name of a function to its last brace; *.c only.  Needs ctags (Debian:
universal-ctags); exit status 2 without.
"""
import json
import os
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PARTS = ['base', 'core', 'primary/self', 'primary/soft', 'stat', 'compat', 'secondary', 'tool']
FUNCTION_LIMIT = 90
FILE_LIMIT = 700


def sources(folder):
    if os.path.isfile(folder):
        return [folder]
    return sorted(os.path.join(top, name) for top, _, names in os.walk(folder)
                  for name in names if name.endswith('.c'))


def functions(files):
    """[(lines, path, name)]"""
    made = subprocess.run(['ctags', '--languages=C', '--kinds-C=f', '--fields=+ne', '-L-', '-f-',
                           '--output-format=json'], input='\n'.join(files), capture_output=True,
                          text=True, check=True)
    tags = [json.loads(line) for line in made.stdout.splitlines()]
    return sorted((tag['end'] - tag['line'] + 1, tag['path'], tag['name'])
                  for tag in tags if 'end' in tag)


def at(values, share):
    return values[min(int(len(values) * share), len(values) - 1)]


def row(name, files):
    lengths = [lines for lines, _, _ in functions(files)]
    sizes = sorted(sum(1 for _ in open(file, encoding='utf-8', errors='replace')) for file in files)
    over = 100 * sum(lines > 60 for lines in lengths) / len(lengths)
    print('| %s | %d | %d | %d | %d | %.1f %% | %d | %d | %d | %d |'
          % (name, len(lengths), at(lengths, .5), at(lengths, .9), lengths[-1], over,
             len(sizes), at(sizes, .5), at(sizes, .9), sizes[-1]))


def check():
    files = [file for part in PARTS for file in sources(os.path.join(ROOT, part))]
    found = ['%s: %s() has %d lines, more than %d' % (os.path.relpath(path, ROOT), name, lines,
                                                       FUNCTION_LIMIT)
             for lines, path, name in functions(files) if lines > FUNCTION_LIMIT]
    for file in files:
        lines = sum(1 for _ in open(file, encoding='utf-8'))
        if lines > FILE_LIMIT:
            found.append('%s: %d lines, more than %d' % (os.path.relpath(file, ROOT), lines, FILE_LIMIT))
    print('\n'.join(found), end='\n' if found else '')
    return 1 if found else 0


def main():
    try:
        if sys.argv[1:] == ['--check']:
            return check()
        print('| | functions | median | p90 | max | over 60 | files | median | p90 | max |')
        print('|---|---|---|---|---|---|---|---|---|---|')
        if sys.argv[1:]:
            for folder in sys.argv[1:]:
                row(folder, sources(folder))
            return 0
        for part in PARTS:
            row('`%s/`' % part, sources(os.path.join(ROOT, part)))
        row('all', [file for part in PARTS for file in sources(os.path.join(ROOT, part))])
        return 0
    except (FileNotFoundError, subprocess.CalledProcessError, json.JSONDecodeError) as error:
        print('sizes: %s (Debian: universal-ctags)' % error, file=sys.stderr)
        return 2


if __name__ == '__main__':
    sys.exit(main())
