#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What the tool has found in libraries reaches the programs, and a survey that is none does no harm.

    trace_survey.py MMUNOTIFY WORKLOAD
"""
import os
import re
import shutil

from tap import done, equal, ok, skip
from trace_tool import TOOL, WORKLOAD, events, expected_events, path, run, shown, trace_json

VARIABLE = 'MMUNOTIFY_SURVEY'
# What a child of the traced program gets.
SHOW = ['sh', '-c', 'env; true']
SCAN = re.compile(r'mmap\(NULL, \d{7,}, PROT_READ\|PROT_WRITE, MAP_PRIVATE\|MAP_ANONYMOUS'
                  r'\|MAP_NORESERVE')


def environment(*options):
    output = run(TOOL, 'trace', '-o', path('recording'), *options, '--', *SHOW).stdout
    return dict(line.split('=', 1) for line in output.splitlines() if '=' in line)


def test_variable():
    ok(environment().get(VARIABLE, '').startswith('/proc/'), 'a traced program is given a survey')
    equal([name for name in environment('--no-follow') if name.startswith('MMUNOTIFY_')], [],
          'one whose children are not followed keeps nothing of it in its environment')


def test_use():
    """Working memory for a look at the C library is megabytes of MAP_NORESERVE."""
    if not shutil.which('strace'):
        return skip('a traced program does not look at the C library', 'strace is not installed')
    looked = {}
    for name, given in (('with', []), ('without', ['env', '-u', VARIABLE])):
        log = path('strace')
        run('strace', '-f', '-o', log, '-e', 'trace=mmap,execve', TOOL, 'trace', '-o',
            path('recording'), '--', *given, '/bin/true')
        with open(log, encoding='utf-8', errors='replace') as file:
            text = file.read()
        # What the last program does.
        looked[name] = len(SCAN.findall(text[text.rindex('/bin/true"]'):]))
    equal(looked['with'], 0, 'a traced program does not look at the C library')
    ok(looked['without'] >= 1, 'one that has lost the survey does', looked)


def test_others():
    os.mkfifo(path('fifo'))
    with open(path('file'), 'wb') as file:
        file.write(b'survey' * 4000)
    for value in ('', 'survey', '/dev/zero', path('fifo'), path('file'), '/proc/self/mem',
                  '/proc/self/fd/0', '/proc/1/fd/0'):
        result, lines = trace_json('env', VARIABLE + '=' + value, WORKLOAD, 'basic')
        expected = expected_events(result.stdout)
        pids = {event['pid'] for event in expected}
        shows = [shown(event) for event in events(lines)][-len(expected):]
        ok(result.returncode == 0 and len(expected) >= 20 and shows == expected,
           'a survey named %r does no harm' % value.replace(path(''), ''))


test_variable()
test_use()
test_others()
done()
