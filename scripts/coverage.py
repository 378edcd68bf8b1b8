#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The table of operations and sources in docs/EVENTS.md, out of `mmunotify probe`.

    coverage.py [--check] MMUNOTIFY EVENTS.md

Without --check it rewrites what stands between the markers; with it, it says
whether they differ (exit status 1).
"""
import difflib
import json
import re
import subprocess
import sys

MARKERS = re.compile(r'(<!-- coverage: .*? -->\n)(.*?)(<!-- coverage end -->)', re.S)


def declared(tool):
    """[(source, {operation: coverage})]"""
    output = subprocess.run([tool, 'probe', '-v', '--json'], capture_output=True, text=True,
                            check=False).stdout
    return [(source['name'], source['coverage']) for source in json.loads(output)['sources']]


def table(sources):
    rows = ['| operation | ' + ' | '.join(name for name, _ in sources) + ' |',
            '|---' * (len(sources) + 1) + '|']
    for operation in sources[0][1]:
        cells = [coverage[operation] for _, coverage in sources]
        rows.append('| `%s` | %s |' % (operation, ' | '.join(cells)))
    return '\n'.join(rows) + '\n'


def main():
    check = '--check' in sys.argv[1:]
    tool, path = [a for a in sys.argv[1:] if a != '--check']
    with open(path, encoding='utf-8') as file:
        text = file.read()
    match = MARKERS.search(text)
    if not match:
        sys.exit('%s: the markers of the coverage table are missing' % path)
    new = text[:match.end(1)] + table(declared(tool)) + text[match.start(3):]
    if check:
        difference = list(difflib.unified_diff(text.split('\n'), new.split('\n'), path,
                                               'mmunotify probe', lineterm=''))
        print('\n'.join(difference))
        return 1 if difference else 0
    with open(path, 'w', encoding='utf-8') as file:
        file.write(new)
    return 0


if __name__ == '__main__':
    sys.exit(main())
