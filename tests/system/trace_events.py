#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""mmunotify trace shows exactly what a program does, and nothing of it changes.

    trace_events.py MMUNOTIFY WORKLOAD
"""
import os
import re
import sys

from tap import diag, done, equal, ok
from trace_tool import (TOOL, WORKLOAD, events, expected_events, objects, path, run, shown, tool,
                        trace_json)


def same_events(got, expected, name):
    got = [shown(event) for event in got]
    if ok(got == expected, name):
        return
    for index in range(max(len(got), len(expected))):
        a = got[index] if index < len(got) else None
        b = expected[index] if index < len(expected) else None
        if a != b:
            diag('event %d: got %r, expected %r' % (index, a, b))
            break


def test_basic():
    result, lines = trace_json(WORKLOAD, 'basic')
    equal(result.returncode, 0, 'the workload runs')
    equal(result.stderr, '', 'nothing goes to stderr with -o')
    expected = expected_events(result.stdout)
    ok(len(expected) >= 20, 'the workload reports its operations')
    same_events(events(lines), expected, 'the trace has exactly these events in this order')
    traced = events(lines)
    equal([event['size'] for event in traced],
          [int(event['end'], 16) - int(event['start'], 16) for event in traced], 'sizes')
    ok(all(event['duration_ns'] > 0 for event in traced), 'each took some time')
    times = [event['time'] for event in traced]
    ok(times == sorted(times), 'in the order of time')
    equal([line['type'] for line in lines if line['type'] != 'event'],
          ['trace', 'process', 'release', 'end'], 'around them begin, process, release and end')
    files = [event for event in traced if event['range'] in ('file', 'memfd')]
    equal([(re.sub('[^-]*$', '', event['name'].split('(')[0]), event['offset'])
           for event in files],
          [('/tmp/trace-workload-', 0x3000), ('', 0x1000), ('', 0x2000), ('', 0)],
          'files have names and offsets')
    ok(traced[5]['more'] and not traced[0]['more'], 'ranges of several mappings say so')


def test_fork():
    result, lines = trace_json(WORKLOAD, 'fork')
    expected = expected_events(result.stdout)
    parent = expected[0]['pid']
    for who, pids in (('parent', {parent}),
                      ('child', {e['pid'] for e in expected} - {parent})):
        same_events([e for e in events(lines) if e['pid'] in pids],
                    [e for e in expected if e['pid'] in pids], 'fork: the %s\'s events' % who)
    processes = [line for line in lines if line['type'] == 'process']
    equal([(p['ppid'] == parent, p['after_exec']) for p in processes],
          [(False, True), (True, False)], 'fork: the child is introduced')
    result, lines = trace_json(WORKLOAD, 'fork', options=['--no-follow'])
    expected = [e for e in expected_events(result.stdout)]
    same_events(events(lines), [e for e in expected if e['pid'] == expected[0]['pid']],
                '--no-follow: the parent\'s events only')


def test_strict():
    for options in [], ['--strict']:
        result, lines = trace_json(WORKLOAD, 'inline', options=options)
        starts = [int(e['start'], 16) for e in events(lines) if e['op'] == 'munmap']
        equal(result.returncode, 0, 'a program with a system call of its own runs')
        equal(int(result.stdout, 16) in starts, bool(options),
              'its unmap is seen with --strict alone: %s' % options)


def test_threads():
    result, lines = trace_json(WORKLOAD, 'threads')
    expected = expected_events(result.stdout)
    for number, tid in enumerate(sorted({e['tid'] for e in expected})):
        same_events([e for e in events(lines) if e['tid'] == tid and e['op'] == 'munmap' and
                     e['size'] == 4096],
                    [e for e in expected if e['tid'] == tid], 'threads: thread %d' % number)
    stacks = [e for e in events(lines) if e['range'] == 'thread-stack']
    ok(stacks, 'threads: stacks are recognised')


def test_signals():
    result, lines = trace_json(WORKLOAD, 'signals', options=['--buffer=64M'])
    loops, handled = map(int, result.stdout.split())
    equal(sum(e['op'] == 'munmap' and e['size'] == 4096 for e in events(lines)), loops,
          'signals: every munmap of the program is there')
    advised = sum(e['op'] == 'madvise-dontneed' for e in events(lines))
    ok(abs(advised - handled) <= 1, 'signals: every madvise of the handler too',
       '%d, %d' % (advised, handled))
    equal([line for line in lines if line['type'] == 'lost'], [], 'signals: nothing is lost')


def test_exec():
    script = 'trap : USR1; %s basic >/dev/null; exec %s basic >/dev/null' % (WORKLOAD, WORKLOAD)
    result, lines = trace_json('/bin/sh', '-c', script)
    equal(result.returncode, 0, 'exec: the programs run')
    names = [line['comm'] for line in lines if line['type'] == 'process' and line['after_exec']]
    equal(names, ['sh'] + 2 * [os.path.basename(WORKLOAD)[:15]],
          'exec: each program is introduced')
    for pid in {line['pid'] for line in lines if line['type'] == 'process' and
                line['comm'] != 'sh'}:
        count = sum(e['pid'] == pid and e['op'] != 'fork' and e['range'] != 'heap'
                    for e in events(lines))
        ok(count >= 19, 'exec: its events are there', count)


def test_filters():
    _, lines = trace_json(WORKLOAD, 'basic', options=['--filter=op=munmap,size>=32K'])
    equal([(e['op'], e['size']) for e in events(lines)],
          [('munmap', 49152), ('munmap', 49152), ('munmap', 32768)], 'a filter on size')
    _, lines = trace_json(WORKLOAD, 'basic', options=['--filter', 'range=memfd|sysv', '-q'])
    equal([e['op'] for e in lines[1:]], ['fallocate', 'truncate', 'munmap', 'shmdt'],
          'a filter on ranges, and -q')
    _, lines = trace_json(WORKLOAD, 'basic', options=['--filter', 'outcome=error'])
    equal([e['outcome'] for e in events(lines)], ['ENOMEM', 'EINVAL'], 'a filter on outcomes')
    _, lines = trace_json(WORKLOAD, 'basic', options=['--filter', 'name=*memfd:work*'])
    equal(len(events(lines)), 3, 'a filter on names')


def test_formats():
    result = tool('trace', WORKLOAD, 'basic')
    lines = result.stderr.splitlines()
    ok(re.match(r' +0\.\d{6} +(\d+)/\1 +program +\S*workload\S*, /\S+, parent \d+$', lines[0]),
       'text: the first line introduces the program', lines[0])
    found = [re.search(r'^ +\d+\.\d{6} +(\d+)/\d+ +(\S+) +(\S+) +([0-9a-f]{12})-([0-9a-f]{12})'
                       r' +([0-9.]+[BKMGT]) +[0-9.]+us +(\S+) +(\S.*)$', line)
             for line in lines[1:-2]]
    expected = expected_events(result.stdout)
    ok(all(found), 'text: every event is one line of columns',
       [line for line, match in zip(lines[1:-2], found) if not match])
    equal([(m[2], m[3], int(m[4], 16), int(m[5], 16), m[7]) for m in found if m],
          [(e['op'], e['class'], int(e['start'], 16), int(e['end'], 16), e['outcome'])
           for e in expected], 'text: with the same events')
    ok('exited with status 0' in lines[-1], 'text: the end')
    absolute = tool('trace', '--time=absolute', WORKLOAD, 'basic').stderr.splitlines()
    ok(re.match(r' *1\d{9}\.\d{6} ', absolute[0]), '--time=absolute', absolute[0])
    none = tool('trace', '--time=none', WORKLOAD, 'basic').stderr.splitlines()
    ok(re.match(r' *\d+/\d+ ', none[0]), '--time=none', none[0])
    live = objects(tool('trace', '--json', WORKLOAD, 'basic').stderr)
    equal(len(events(live)), len(expected), '--json without -o goes to stderr')


def test_summary():
    result = tool('trace', '--summary', WORKLOAD, 'basic')
    count = len(expected_events(result.stdout))
    totals = re.findall(r'^100\.00 +\S+ +\S+ +\S+ +(\d+) +(\d+) +(\d+) +\S+ total$', result.stderr, re.M)
    equal(totals, 2 * [(str(count), '2', '1')], '--summary: both tables add up')
    output = path('summary.json')
    tool('trace', '--summary', '--json', '-o', output, '--', WORKLOAD, 'basic')
    with open(output, encoding='utf-8') as file:
        summary = objects(file.read())[0]
    operations, mappings = summary['tables']
    equal((operations['keys'], mappings['keys']), (['operation'], ['mapping']),
          '--summary --json: two tables')
    by_op = {row['operation']: row for row in operations['rows']}
    equal(sum(row['events'] for row in by_op.values()), count, '--summary --json: operations')
    equal(sum(row['events'] for row in mappings['rows']), count, '--summary --json: mappings')
    equal((by_op['munmap']['events'], by_op['shmdt']['bytes']), (9, 8192),
          '--summary --json: counts and bytes')
    times = [row['time_ns'] for row in operations['rows']]
    equal(times, sorted(times, reverse=True), '--summary: the largest time first')
    ok(all(row['mean_ns'] <= row['max_ns'] <= row['time_ns'] for row in by_op.values()),
       '--summary: mean, max and total fit')


PROBE = r'''
import os, signal, sys
fds = {}
for fd in sorted(map(int, os.listdir("/proc/self/fd"))):
    try:
        fds[fd] = os.readlink("/proc/self/fd/" + str(fd))
    except OSError:
        pass
fds = {fd: target for fd, target in fds.items() if "/fd" not in target}
print(sorted(fd for fd in fds))
print(len(os.listdir("/proc/self/task")))
print([str(signal.getsignal(s)) for s in range(1, 32)])
print(signal.pthread_sigmask(signal.SIG_BLOCK, []))
print(sys.stdin.read())
print({k: v for k, v in os.environ.items() if k not in HIDDEN})
'''


def same_with_and_without(options, hidden, name):
    code = PROBE.replace('HIDDEN', repr(hidden))
    plain = run(sys.executable, '-c', code, input='stdin')
    traced = tool('trace', '-o', path('x'), *options, '--', sys.executable, '-c', code,
                  input='stdin')
    equal((traced.stdout, traced.stderr, traced.returncode),
          (plain.stdout, plain.stderr, plain.returncode), name)


def test_invisible():
    same_with_and_without([], ['LD_PRELOAD', 'MMUNOTIFY_SURVEY', 'MMUNOTIFY_TRACE_RING'],
                          'the program sees the same descriptors, threads, signals and stdin')
    same_with_and_without(['--no-follow'], [], '--no-follow: the same environment too')
    other = '/lib/x86_64-linux-gnu/libdl.so.2'
    environment = {**os.environ, 'LD_PRELOAD': other}
    show = ['sh', '-c', 'echo "$LD_PRELOAD"']
    value = tool('trace', '-o', path('x'), '--', *show, env=environment).stdout.strip()
    ok(value.endswith('mmunotify-trace.so:' + other), 'an LD_PRELOAD of the user is kept', value)
    value = tool('trace', '--no-follow', '-o', path('x'), '--', *show, env=environment).stdout
    equal(value.strip(), other, '--no-follow: and seen alone')


def test_nested():
    inner = path('inner.json')
    result, lines = trace_json(TOOL, 'trace', '--json', '-o', inner, '--', WORKLOAD, 'basic')
    with open(inner, encoding='utf-8') as file:
        same_events(events(objects(file.read())), expected_events(result.stdout),
                    'a trace in a trace shows the same')
    ok(any(line['type'] == 'process' for line in lines), 'and the outer one shows the inner tool')


def main():
    test_basic()
    test_fork()
    test_strict()
    test_threads()
    test_signals()
    test_exec()
    test_filters()
    test_formats()
    test_summary()
    test_invisible()
    test_nested()
    done()


main()
