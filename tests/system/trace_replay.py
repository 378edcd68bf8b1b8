#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What is recorded replays as it was traced, in every format; damage is reported.

    trace_replay.py MMUNOTIFY WORKLOAD
"""
import os
import re

from tap import done, equal, ok, skip
from trace_tool import TOOL, WORKLOAD, events, expected_events, objects, path, run, shown, tool

# Without randomised addresses two runs perform the same operations at the same places.
FIXED = ['setarch', '-R', TOOL]


def steady(text):
    """The text of a trace without what differs from run to run."""
    text = re.sub(r'\b\d+/\d+ +', 'PID ', text)
    text = re.sub(r'"(pid|tid|ppid|duration_ns|time|time_ns|mean_ns|max_ns)":[0-9.]+', r'"\1":0',
                  text)
    text = re.sub(r' +[0-9.]+us', ' us', text)
    text = re.sub(r'parent \d+', 'parent', text)
    text = re.sub(r'"command":"[^"]*"', '', text)
    return re.sub(r'trace-workload-\w+', 'trace-workload', text)


def record(name, *args, options=()):
    recording = path(name)
    result = run(*FIXED, 'trace', '-o', recording, *options, '--', *args)
    return result, recording


def test_equality():
    if run(*FIXED, '--version').returncode:
        return skip('live output equals replayed output', 'setarch -R is not permitted')
    _, recording = record('fixed', WORKLOAD, 'basic')
    for options in (['--time=none'], ['--time=none', '--json'], ['--time=none', '-q'],
                    ['--time=none', '--filter', 'op=munmap|brk,size>4K']):
        live = run(*FIXED, 'trace', *options, '--', WORKLOAD, 'basic').stderr
        again = tool('replay', *options, recording).stdout
        ok(len(live.splitlines()) > 5, 'live output with %s' % ' '.join(options))
        equal(steady(again), steady(live), '... is what a replay prints')
    return None


def test_same_run():
    """One run, both ways: what the program says and what the replay shows."""
    result, recording = record('same', WORKLOAD, 'basic')
    lines = objects(tool('replay', '--json', recording).stdout)
    equal([shown(event) for event in events(lines)], expected_events(result.stdout),
          'a replay has exactly the program\'s events')
    equal(objects(tool('replay', '--json', '-', stdin=open(recording, 'rb')).stdout), lines,
          'a recording may come through standard input')
    output = path('replayed')
    equal(tool('replay', '--json', '-o', output, recording).stdout, '', 'replay -o prints nothing')
    with open(output, encoding='utf-8') as file:
        equal(objects(file.read()), lines, 'but writes the same')
    summary = tool('replay', '--summary', recording).stdout
    ok(re.search(r' %d +2 +1 +\S+ total$' % len(events(lines)), summary, re.M), 'replay --summary')
    absolute = tool('replay', '--time=absolute', recording).stdout
    ok(abs(float(absolute.split()[0]) - os.stat(recording).st_mtime) < 5,
       'a replay knows when it was')
    ok(os.path.getsize(recording) < 40 * len(lines) + 300, 'a recording is compact',
       '%d bytes, %d lines' % (os.path.getsize(recording), len(lines)))


def replay_bytes(content):
    file = path('damaged')
    with open(file, 'wb') as out:
        out.write(content)
    return tool('replay', '--json', file)


def test_damage():
    _, recording = record('whole', WORKLOAD, 'basic')
    with open(recording, 'rb') as file:
        content = file.read()
    whole = tool('replay', '--json', recording).stdout.splitlines()
    for part in (0.3, 0.5, 0.9, 0.99):
        cut = int(len(content) * part)
        result = replay_bytes(content[:cut])
        lines = result.stdout.splitlines()
        ok(result.returncode == 1 and lines == whole[:len(lines)] and
           0 < len(lines) < len(whole), 'cut at %d%%: the readable part, exit 1' % (100 * part))
        match = re.search(r'damaged at byte (\d+): .*\n$', result.stderr)
        ok(match and int(match[1]) <= cut and result.stderr.count('\n') == 1,
           '... and one sentence with the place', result.stderr)
    middle = len(content) // 2
    result = replay_bytes(content[:middle] + bytes([content[middle] ^ 0x10]) +
                          content[middle + 1:])
    lines = result.stdout.splitlines()
    ok(result.returncode == 1 and lines == whole[:len(lines)] and
       ('checksum' in result.stderr or 'length' in result.stderr), 'a flipped bit: the same',
       result.stderr)
    for name, content in (('an empty file', b''), ('a text', b'hello\n' * 100)):
        result = replay_bytes(content)
        ok(result.returncode == 1 and 'not a recording' in result.stderr and not result.stdout,
           name + ' is no recording', result.stderr)
    result = replay_bytes(b'\x89MMUN\r\n\x1a\x63')
    ok(result.returncode == 1 and 'another version' in result.stderr,
       'a recording of another version is refused', result.stderr)


def main():
    test_equality()
    test_same_run()
    test_damage()
    done()


main()
