#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""--summary: who does what, how much, how often, from where; in tables that add up; and
recordings with more events than memory.

    trace_summary.py MMUNOTIFY WORKLOAD
"""
import collections
import os
import re
import subprocess

from recording import MMAP_FIXED, MUNMAP, Recording
from tap import done, equal, ok
from trace_tool import TOOL, WORKLOAD, events, objects, path, tool

KEYS = ['operation', 'class', 'mapping', 'process', 'thread', 'stack']
MEMBERS = {'operation': ['operation'], 'class': ['class'], 'mapping': ['mapping'],
           'process': ['pid', 'comm'], 'thread': ['pid', 'tid', 'comm'], 'stack': ['stack']}


def summary_of(recording, *options):
    return objects(tool('replay', '--json', *options, recording).stdout)[0]


def value(key, event):
    """What the events of a recording, as JSON lines, say of a key."""
    return {'operation': lambda: event['op'], 'class': lambda: event['class'],
            'process': lambda: event['pid'], 'thread': lambda: (event['pid'], event['tid']),
            'stack': lambda: tuple((f['module'], f['offset']) for f in event['stack'])}[key]()


def row_value(key, row):
    return {'operation': lambda: row['operation'], 'class': lambda: row['class'],
            'process': lambda: row['pid'], 'thread': lambda: (row['pid'], row['tid']),
            'stack': lambda: tuple((f['module'], f['offset']) for f in row['stack'])}[key]()


def test_against_events(recording, name):
    """Each table against what the events of the same recording add up to."""
    lines = events(objects(tool('replay', '-k', '--json', recording).stdout))
    ok(len(lines) > 10, '%s: there are events' % name)
    for keys in (['operation'], ['class'], ['process'], ['thread'], ['stack'],
                 ['process', 'operation'], ['thread', 'class', 'stack']):
        table = summary_of(recording, '--summary=' + '+'.join(keys))['tables'][0]
        expected = collections.defaultdict(lambda: [0, 0, 0, 0, 0, 0])
        for event in lines:
            sums = expected[tuple(value(key, event) for key in keys)]
            took = event['duration_ns']
            size = 0 if event['range'] == 'all' else event['size']
            for index, number in enumerate((1, event['outcome'] not in ('ok', 'unchanged'),
                                            event['unchanged'], size, took)):
                sums[index] += number
            sums[5] = max(sums[5], took)
        got = {tuple(row_value(key, row) for key in keys):
               [row[member] for member in ('events', 'errors', 'unchanged', 'bytes', 'time_ns',
                                           'max_ns')] for row in table['rows']}
        equal(got, dict(expected), '%s: by %s' % (name, '+'.join(keys)))
        equal(table['total']['events'], len(lines), '... and the total')


def test_order(recording):
    for order, member in (('time', 'time_ns'), ('mean', 'mean_ns'), ('max', 'max_ns'),
                          ('events', 'events'), ('calls', 'events'), ('errors', 'errors'),
                          ('unchanged', 'unchanged'), ('bytes', 'bytes')):
        rows = summary_of(recording, '--summary=mapping', '--sort', order)['tables'][0]['rows']
        numbers = [row[member] for row in rows]
        equal(numbers, sorted(numbers, reverse=True), '--sort=%s' % order)
    names = [row['mapping'] for row in
             summary_of(recording, '-c', '-S', 'name')['tables'][1]['rows']]
    equal(names, sorted(names), '-c -S name')


def test_top(recording):
    whole = summary_of(recording, '--summary=mapping')['tables'][0]
    some = summary_of(recording, '--summary=mapping', '--top=2')['tables'][0]
    equal((some['rows'], some['nr_rows'], some['total']),
          (whole['rows'][:2], len(whole['rows']), whole['total']), '--top=2 has two rows')
    for member in ('events', 'errors', 'unchanged', 'bytes', 'time_ns'):
        equal(some['others'][member], sum(row[member] for row in whole['rows'][2:]),
              'the others have the rest: %s' % member)
    text = tool('replay', '--summary=mapping', '--top=2', recording).stdout
    rows = [line for line in text.splitlines() if re.match(r' *\d', line)]
    ok(len(rows) == 4 and rows[2].endswith(' %d others' % (len(whole['rows']) - 2)) and
       rows[3].endswith(' total'), '--top=2 as text', text)
    wide = Recording()
    for pid in range(100, 150):
        wide.event(pid)
    wide.end(100)
    wide = wide.write(path('wide'))
    text = tool('replay', '--summary=process', wide).stdout
    ok(' 30 others\n' in text and text.count(' ?\n') == 20, 'by default there are 20 rows', text)
    ok('others' not in tool('replay', '--summary=process', '--top=all', wide).stdout, '--top=all')
    ok(len(summary_of(wide, '--summary=process')['tables'][0]['rows']) == 50, 'JSON has all')


def test_stacks(recording):
    text = tool('replay', '-k', '--summary', recording).stdout
    ok(' stack\n' in text and '\n    > ' in text, '-k --summary keeps the stacks', text[-300:])
    program = os.path.basename(WORKLOAD)
    named = re.findall(r'^[ 0-9.]+[KMGB] (.*)\n    > ', text, re.M)
    ok(named and all('change_' in name or 'fail' in name or program in name for name in named),
       'a stack is named after its caller outside the C library', named)
    equal(objects(tool('replay', '--json', '-c', '-k', recording).stdout)[0]['tables'][2]['keys'],
          ['stack'], 'in JSON too')
    live = tool('trace', '--json', '--summary=stack', WORKLOAD, 'basic')
    rows = objects(live.stderr)[0]['tables'][0]['rows']
    ok(len(rows) > 5 and all(row['stack'] for row in rows), 'trace --summary=stack collects them')
    ok('\n    > ' in tool('trace', '-k', '--summary', WORKLOAD, 'basic').stderr,
       'trace -k --summary shows them')


def test_names():
    """A process is what it was called at that time."""
    recording = Recording()
    recording.process(5, b'sh', b'/bin/sh')
    recording.event(5)
    recording.event(6)
    recording.process(5, b'make', b'/usr/bin/make')
    recording.event(5)
    recording.event(5, op=MMAP_FIXED, result=-12)
    recording.end(5)
    table = summary_of(recording.write(path('names')), '--summary=process', '-S', 'name')['tables'][0]
    equal([(row['pid'], row['comm'], row['events'], row['errors']) for row in table['rows']],
          [(5, 'make', 2, 1), (5, 'sh', 1, 0), (6, '?', 1, 0)], 'exec makes another row')


def big_recording(name, nr):
    """@nr events of few kinds, threads and stacks, and names."""
    recording = Recording()
    recording.process(7, b'server', b'/usr/bin/server')
    kinds = []
    for index in range(200):
        kinds.append(recording.event_bytes(7, tid=7 + index % 16, op=(MUNMAP, MMAP_FIXED)[index % 2],
                                           name=b'/data/%d' % (index % 50), step=4096,
                                           stack=[(b'/no/such/lib%d' % (index % 3), 64 * depth + index % 40)
                                                  for depth in range(8)]))
    recording.parts += [b''.join(kinds)] * (nr // 200)
    recording.end(7)
    return recording.write(path(name))


def used(*args):
    """(peak of memory in bytes, processor seconds, size of the output)."""
    with open(path('out'), 'wb') as out:
        process = subprocess.Popen([TOOL, *args], stdout=out)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = status
    ok(status == 0, '%s: exit 0' % ' '.join(args[:-1]))
    return usage.ru_maxrss * 1024, usage.ru_utime + usage.ru_stime, os.path.getsize(path('out'))


def test_big():
    small, big = big_recording('small', 20000), big_recording('big', 200000)
    for options in (['--summary=operation,mapping,process,stack,thread'], ['--folded'],
                    ['--perfetto'], ['--json'], ['-k']):
        some, many = used('replay', *options, small), used('replay', *options, big)
        ok(many[0] < some[0] + (4 << 20), '%s: ten times the events take no more memory' %
           options[0], '%d, %d bytes' % (some[0], many[0]))
        ok(many[1] < 40 * max(some[1], 0.02), '%s: and not much more than ten times the time' %
           options[0], '%.2f s, %.2f s' % (some[1], many[1]))
    total = summary_of(big, '--summary=process')['tables'][0]['total']
    equal((total['events'], total['bytes'], total['time_ns']),
          (200000, 200000 * 4096, 200000 * 1500), 'nothing is lost on the way')


def main():
    recording = path('recording')
    tool('trace', '-k', '-o', recording, '--', WORKLOAD, 'basic')
    test_against_events(recording, 'basic')
    threads = path('threads')
    tool('trace', '-k', '-o', threads, '--', 'sh', '-c', '%s threads >&2; %s fork >&2' % (WORKLOAD, WORKLOAD))
    test_against_events(threads, 'processes and threads')
    test_order(recording)
    test_top(recording)
    test_stacks(recording)
    test_names()
    test_big()
    done()


main()
