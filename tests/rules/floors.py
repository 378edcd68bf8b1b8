#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A file uses what lies below it: no include and no call goes up.

    floors.py SOURCE BUILD

FLOORS has the floors of each folder from the ground up.  Words of one floor stand side by
side and do not use each other: a word is a folder, or the name of files without their
suffix.  Includes are read; calls are the undefined symbols of the object files, against
the file that defines them.  The check itself is tried on made-up files first.
"""
import glob
import os
import re
import subprocess
import sys

SOURCE, BUILD = (os.path.abspath(a) for a in sys.argv[1:3])
sys.path.insert(0, os.path.join(SOURCE, 'tests/system'))
from tap import done, equal, ok  # noqa: E402

# {folder: (folders of its objects in the build, floors)}
FLOORS = {
    'adapters/libfabric': (['adapters/libfabric/libmmunotify-fi.so.p'], [
        'history say', 'entries shared', 'reaper', 'notifier', 'monitor', 'verbs provider']),
    'core': (['core/libcore.a.p'], [
        'version op task itree', 'srcu_cells', 'srcu', 'call_srcu', 'internal', 'interval_table',
        'chain', 'mm mm_lock mmap_lock', 'interval_seq', 'section', 'dispatch', 'notifier', 'notifier_get',
        'interval', 'exit']),
    'primary/soft': (['primary/soft/libsoft.a.p'], [
        'types', 'section', 'frame', 'table', 'mm', 'rmap', 'vma', 'fault', 'reclaim', 'call',
        'machine']),
    'rcache': (['rcache/librcache.a.p'], [
        'memory probes', 'cells sections', 'table', 'cache', 'stats walk', 'region', 'kill', 'reclaim', 'reaper',
        'process', 'state miss', 'rcache']),
    'stat': (['stat/libstat.a.p'], ['page', 'stat']),
    'adapters/ucx': (['adapters/ucx/libmmunotify-ucx.so.p'], ['say unseen', 'copy', 'ucx']),
    'tool': (['tool/mmunotify.p', 'tool/mmunotify-trace.so.p', 'tool/mmunotify-audit.so.p'], [
        'command json report counters', 'launch', 'trace demo play sites run stat', 'audit probe', 'main']),
}


class Floors:
    """Who may use whom."""

    def __init__(self, floors):
        self.level = {word: number for number, floor in enumerate(floors)
                      for word in floor.split()}
        self.used = set()

    def word(self, path):
        """@path is relative to the folder."""
        word = os.path.splitext(path.split('/')[0])[0]
        self.used.add(word)
        return word

    def wrong(self, user, used):
        """None, or what is wrong with @user's using @used."""
        above, below = self.word(user), self.word(used)
        if above not in self.level or below not in self.level or above == below:
            return None
        if self.level[below] < self.level[above]:
            return None
        return '%s (%s, floor %d) uses %s (%s, floor %d)' % (
            user, above, self.level[above], used, below, self.level[below])

    def strangers(self, paths):
        """Files that stand on no floor, and floors where nothing stands."""
        words = {self.word(path) for path in paths}
        return sorted(words ^ set(self.level))


def upward_includes(floors, texts):
    """@texts: {path: text}.  An include is looked for beside its file, then further up."""
    found = []
    for path, text in sorted(texts.items()):
        for name in re.findall(r'^\s*#\s*include "([^"]+)"', text, re.M):
            folder = os.path.dirname(path)
            while True:
                used = os.path.normpath(os.path.join(folder, name))
                if used in texts or not folder:
                    break
                folder = os.path.dirname(folder)
            wrong = used in texts and floors.wrong(path, used)
            if wrong:
                found.append('%s: include "%s"' % (wrong, name))
    return found


def upward_calls(floors, symbols):
    """@symbols: {path: (defined, undefined)}"""
    home = {name: path for path, (defined, _) in symbols.items() for name in defined}
    found = []
    for path, (_, undefined) in sorted(symbols.items()):
        for name in sorted(undefined):
            wrong = name in home and floors.wrong(path, home[name])
            if wrong:
                found.append('%s: %s' % (wrong, name))
    return found


def read_texts(folder):
    texts = {}
    for suffix in 'ch':
        for path in glob.glob(os.path.join(SOURCE, folder, '**/*.' + suffix), recursive=True):
            with open(path, encoding='utf-8') as file:
                texts[os.path.relpath(path, os.path.join(SOURCE, folder))] = file.read()
    return texts


def read_symbols(objects, sources):
    """The build names the object of a/b.c a_b.c.o."""
    symbols = {}
    for path in sources:
        compiled = os.path.join(BUILD, objects, path.replace('/', '_') + '.o')
        if not os.path.exists(compiled):
            continue
        listed = subprocess.run(['nm', '-g', '-P', compiled], capture_output=True, text=True,
                                check=True).stdout
        kinds = [line.split()[:2] for line in listed.splitlines()]
        symbols[path] = ({name for name, kind in kinds if kind not in 'Uwv'},
                         {name for name, kind in kinds if kind in 'Uw'})
    return symbols


def test_itself():
    floors = Floors(['ground', 'left right', 'top'])
    texts = {
        'ground.h': '', 'top.h': '', 'right/r.h': '',
        'ground.c': '#include "ground.h"\n#include <top.h>\n',
        'left/a.c': '#include "ground.h"\n#include "b.h"\n', 'left/b.h': '',
        'top.c': '#include "left/b.h"\n#include "top.h"\n',
    }
    equal(upward_includes(floors, texts), [], 'itself: includes of what lies below')
    texts['ground.c'] += '#include "top.h"\n'
    equal(upward_includes(floors, texts),
          ['ground.c (ground, floor 0) uses top.h (top, floor 2): include "top.h"'],
          'itself: an upward include is found')
    texts['ground.c'] = ''
    texts['left/a.c'] += '  # include "../right/r.h"\n'
    equal(upward_includes(floors, texts),
          ['left/a.c (left, floor 1) uses right/r.h (right, floor 1): include "../right/r.h"'],
          'itself: and one of what stands beside')
    symbols = {
        'ground.c': ({'zero'}, {'malloc'}),
        'left/a.c': ({'one'}, {'zero', 'two'}), 'left/b.c': ({'two'}, set()),
        'top.c': ({'three'}, {'zero', 'one'}),
    }
    equal(upward_calls(floors, symbols), [], 'itself: calls of what lies below')
    symbols['ground.c'][1].add('two')
    equal(upward_calls(floors, symbols),
          ['ground.c (ground, floor 0) uses left/b.c (left, floor 1): two'],
          'itself: an upward call is found')
    equal(floors.strangers(['ground.c', 'left/a.c', 'attic/z.c', 'top.c']), ['attic', 'right'],
          'itself: a file without a floor, and a floor without a file')


def test_folder(folder, objects, floors):
    floors = Floors(floors)
    texts = read_texts(folder)
    equal(floors.strangers(texts), [], '%s: each file stands on a floor' % folder)
    wrong = upward_includes(floors, texts)
    ok(not wrong, '%s: no include goes up' % folder, '\n'.join(wrong))
    # Each program or library by itself: two of them may define one name.
    parts = [read_symbols(part, [path for path in texts if path.endswith('.c')])
             for part in objects]
    symbols = {path: used for part in parts for path, used in part.items()}
    # Without its object nothing is seen of a file's calls.
    missing = {path for path in texts if path.endswith('.c')} - set(symbols)
    equal(sorted(missing), [], '%s: its objects are in the build' % folder)
    wrong = [call for part in parts for call in upward_calls(floors, part)]
    calls = sum(len(undefined) for _, undefined in symbols.values())
    ok(not wrong, '%s: no call of %d files goes up' % (folder, len(symbols)), '\n'.join(wrong))
    ok(calls > len(symbols), '%s: they have calls' % folder)


def main():
    test_itself()
    for folder, (objects, floors) in FLOORS.items():
        test_folder(folder, objects, floors)
    done()


main()
