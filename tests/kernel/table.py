# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What runs in several build trees gave, as the rows of a table: one for each driver."""
import glob
import json
import os

COLUMNS = {'none': 'plain', 'address,undefined': 'ASan, UBSan', 'thread': 'TSan'}


def rows(builds, name):
    """{kernel: {sanitizer: row}}"""
    found = {}
    for path in [path for build in builds
                 for path in glob.glob(os.path.join(build, 'tests/kernel/run/%s@*.json' % name))]:
        with open(path, encoding='utf-8') as file:
            row = json.load(file)
        found.setdefault(row['linux'], {})[row['sanitizer']] = row
    return dict(sorted(found.items(), key=lambda item: [int(part) for part in item[0].split('.')]))


def cell(row):
    if not row:
        return 'not run'
    if not row['linked']:
        return 'not compiled'
    text = '%d passed' % row['passed']
    for word in ('failed', 'skipped'):
        if row[word]:
            text += ', %d %s' % (row[word], word)
    return text


def shortened(texts):
    """Joined, once where they are all the same."""
    return texts[0] if len(set(texts)) == 1 else '; '.join(texts)


def show(builds, names):
    print('| driver | files | Linux | date | %s | reports that are its own |' % ' | '.join(COLUMNS.values()))
    print('|---|---|---|---|%s---|' % ('---|' * len(COLUMNS)))
    for name in names:
        found = rows(builds, name)
        if not found:
            continue
        every = [row for kinds in found.values() for row in kinds.values()]
        excused = sorted({reason for row in every for reason in row['excused']})
        print('| %s | %s | %s | %s | %s | %s |' % (
            every[-1]['title'], shortened([', '.join('`%s`' % os.path.basename(path) for path in row['files'])
                                           for row in every]), ', '.join(found),
            max(row['date'] for row in every),
            ' | '.join(shortened([cell(kinds.get(kind)) for kinds in found.values()]) for kind in COLUMNS),
            '; '.join(excused) or 'none'))
