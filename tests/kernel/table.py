# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What runs in several build trees gave, as the rows of a table: one for each driver."""
import glob
import json
import os

KINDS = ('none', 'address,undefined', 'thread')


def rows(builds, name):
    """{kernel: {sanitizer: row}}"""
    found = {}
    for path in [path for build in builds
                 for path in glob.glob(os.path.join(build, 'tests/kernel/run/%s@*.json' % name))]:
        with open(path, encoding='utf-8') as file:
            row = json.load(file)
        found.setdefault(row['linux'], {})[row['sanitizer']] = row
    return dict(sorted(found.items(), key=lambda item: [int(part) for part in item[0].split('.')]))


def cell(kinds):
    """How many passed in each kind of build, and what did not."""
    texts = []
    for kind in KINDS:
        row = kinds.get(kind)
        text = 'not run' if not row else str(row['passed']) if row['linked'] else 'not compiled'
        for word in ('failed', 'skipped'):
            if row and row[word]:
                text += ' (%d %s)' % (row[word], word)
        texts.append(text)
    return ', '.join(texts)


def shortened(texts):
    """Joined, once where they are all the same."""
    return texts[0] if len(set(texts)) == 1 else '; '.join(texts)


def races(driver, excused):
    """Those that the description names; which of them this run did not meet."""
    known = ['%s: %s' % tuple(rest.split(None, 1)) for word, _, rest in driver.lines if word == 'expect-tsan']
    return '; '.join('`%s`%s%s' % (*text.partition(':')[:1], text[text.index(':'):],
                                   '' if text in excused else ' (not met in this run)') for text in known) or 'none'


def show(builds, drivers):
    print('| files | what is driven | Linux | date | passed: plain, ASan and UBSan, TSan | races of its own |')
    print('|---|---|---|---|---|---|')
    for driver in drivers:
        found = rows(builds, driver.name)
        if not found:
            continue
        every = [row for kinds in found.values() for row in kinds.values()]
        files = list(dict.fromkeys(os.path.basename(path) for row in every for path in row['files']))
        excused = {reason for row in every for reason in row['excused']}
        print('| %s | %s | %s | %s | %s | %s |' % (
            ', '.join('`%s`' % name for name in files), every[-1]['title'], ', '.join(found),
            max(row['date'] for row in every), shortened([cell(kinds) for kinds in found.values()]),
            races(driver, excused)))
