#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""mmunotify trace -k: the callers of each operation, live and replayed.

    trace_stacks.py MMUNOTIFY WORKLOAD HAVE_LIBDW(0|1)
"""
import os
import sys

from tap import done, equal, ok, skip
from trace_tool import WORKLOAD, events, objects, path, tool, trace_json

HAVE_LIBDW = sys.argv[3] == '1'


def modules(event):
    return [os.path.basename(frame['module'] or '') for frame in event['stack']]


def functions(event):
    return [frame['function'] for frame in event['stack']]


def main():
    _, lines = trace_json(WORKLOAD, 'basic', options=['-k'])
    traced = events(lines)
    ok(len(traced) >= 20 and all(event['stack'] for event in traced), 'every event has a stack')
    ok(all(modules(event)[0].startswith('libc.so') for event in traced),
       'the innermost frame is in the C library')
    program = os.path.basename(WORKLOAD)
    ok(all(modules(event).count(program) >= 2 for event in traced),
       'the program\'s frames follow', [modules(event) for event in traced][:1])
    ok(not any('mmunotify' in module for event in traced for module in modules(event)),
       'mmunotify\'s own frames are left out')
    ok(all(len(set((f['module'], f['offset']) for f in event['stack'][:2])) == 2
           for event in traced), 'no frame is there twice')
    if HAVE_LIBDW:
        callers = [next((f for f in functions(e) if f and (f.startswith('change_') or f == 'fail')),
                        None) for e in traced]
        equal(callers, 7 * ['change_anonymous'] + 6 * ['change_files'] + 3 * ['change_others'] +
              4 * ['fail'], 'each has its caller')
        ok(all('main' in functions(event) for event in traced), 'up to main')
    else:
        skip('names of functions', 'built without libdw')
    recording = path('stacks')
    tool('trace', '-k', '-o', recording, '--', WORKLOAD, 'basic')
    replayed = events(objects(tool('replay', '-k', '--json', recording).stdout))
    equal([modules(event) for event in replayed], [modules(event) for event in traced],
          'a recording keeps the stacks')
    equal([functions(event) for event in replayed], [functions(event) for event in traced],
          'and names them the same')
    ok('stack' not in events(objects(tool('replay', '--json', recording).stdout))[0],
       'a replay without -k leaves them out')
    text = tool('replay', '-k', recording).stdout
    ok('\n    > ' in text and '%s+0x' % program in text, 'text has one line per frame')
    result, lines = trace_json(WORKLOAD, 'signals', options=['-k', '--buffer=64M'])
    ok(len(events(lines)) >= sum(map(int, result.stdout.split())) and not [line for line in lines if line['type'] == 'lost'],
       'stacks out of signal handlers')
    result, lines = trace_json(WORKLOAD, 'adrift', options=['-k'])
    equal((result.returncode, events(lines)[0]['op']), (3, 'munmap'),
          'a return address that leads nowhere does no harm')
    done()


main()
