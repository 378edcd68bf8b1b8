#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Events that do not reach the tool are counted, and never hold anybody up.

    trace_overflow.py MMUNOTIFY WORKLOAD
"""
import json
import os
import signal
import subprocess
import time

from tap import diag, done, equal, ok
from trace_tool import TOOL, WORKLOAD, events, objects, path, tool, trace_json

COUNT = 5000


def lost(lines):
    return [line for line in lines if line['type'] == 'lost']


def is_dead(pid):
    """A zombie, while its parent is stopped."""
    with open('/proc/%d/stat' % pid, encoding='utf-8') as stat:
        return stat.read().rsplit(')', 1)[1].split()[0] == 'Z'


def trace_stalled(*options):
    """A program runs to its end while the tool is stopped.  Its status, and stderr."""
    script = 'echo; read x; exec %s loop %d' % (WORKLOAD, COUNT)
    process = subprocess.Popen([TOOL, 'trace', '--buffer=8K', *options, '--', 'sh', '-c', script],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)
    process.stdout.readline()
    os.kill(process.pid, signal.SIGSTOP)
    with open('/proc/%d/task/%d/children' % (process.pid, process.pid), encoding='utf-8') as file:
        child = int(file.read().split()[0])
    process.stdin.write('\n')
    process.stdin.flush()
    for _ in range(6000):
        if is_dead(child):
            break
        time.sleep(0.01)
    ok(is_dead(child), 'a stalled tool does not hold the program up')
    os.kill(process.pid, signal.SIGCONT)
    _, errors = process.communicate(timeout=240)
    equal(process.returncode, 0, '... and ends when it goes on')
    return errors


def test_stalled_reader():
    recording = path('overflow')
    equal(trace_stalled('-o', recording), '', 'with -o nothing goes to stderr even then')
    lines = objects(tool('replay', '--json', recording).stdout)
    equal(len(lost(lines)), 1, 'the loss is reported')
    dropped = lost(lines)[0]['dropped']
    ok(COUNT - 64 <= dropped <= COUNT + 64, 'with a count of what is missing', dropped)
    ok(len(events(lines)) + dropped >= COUNT, 'shown and lost together are all')
    equal(lines[-1]['type'], 'end', 'the trace has its end')
    sentence = 'events lost because the ring was full (--buffer makes it larger): %d' % dropped
    for options in ([], ['--summary'], ['-q']):
        ok(sentence in tool('replay', *options, recording).stdout,
           'replay %s says so' % ' '.join(options))
    summary = json.loads(tool('replay', '--summary', '--json', recording).stdout)
    equal(summary['dropped'], dropped, 'replay --summary --json says so')
    for options in ([], ['--summary'], ['-q']):
        ok('events lost because the ring was full' in trace_stalled(*options),
           'a live trace %s says so' % ' '.join(options))
    live = objects(trace_stalled('--json'))
    ok(lost(live)[0]['dropped'] >= COUNT - 64, 'a live trace --json says so')


def test_enough_room():
    result, lines = trace_json(WORKLOAD, 'loop', str(COUNT), options=['--buffer=16M'])
    equal(result.returncode, 0, 'a large ring')
    equal(sum(e['op'] == 'munmap' and e['size'] == 4096 for e in events(lines)), COUNT,
          '... loses nothing')
    equal(lost(lines), [], '... and says nothing of loss')


def test_killed_producers():
    result, lines = trace_json(WORKLOAD, 'storm', timeout=240)
    equal(result.returncode, 0, 'producers killed at work do not stop the tool')
    equal(sum(line['type'] == 'process' and not line['after_exec'] for line in lines), 20,
          'all of them are in the trace')
    ok(any(e['op'] == 'munmap' and e['size'] == 12288 for e in events(lines)),
       'and what came after them')
    equal(lines[-1]['type'], 'end', 'the trace has its end')
    diag('%d events, lost: %s' % (len(events(lines)), lost(lines)))


def main():
    test_stalled_reader()
    test_enough_room()
    test_killed_producers()
    done()


main()
