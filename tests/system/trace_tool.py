# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Running the mmunotify command in tests: TOOL WORKLOAD on the command line."""
import json
import os
import subprocess
import sys
import tempfile

from tap import skip_all

TOOL, WORKLOAD = [os.path.abspath(argument) for argument in sys.argv[1:3]]
if ' ' in TOOL and os.path.basename(sys.argv[0]).startswith('trace_'):
    skip_all('LD_PRELOAD cannot name a path with a space')
DIRECTORY = tempfile.TemporaryDirectory(prefix='mmunotify-test-')


def path(name):
    return os.path.join(DIRECTORY.name, name)


def run(*args, **kwargs):
    """Any program; text in and out."""
    kwargs.setdefault('timeout', 120)
    return subprocess.run(args, capture_output=True, text=True, errors='surrogateescape',
                          check=False, **kwargs)


def tool(*args, **kwargs):
    return run(TOOL, *args, **kwargs)


def objects(text):
    return [json.loads(line) for line in text.splitlines()]


def events(lines):
    return [line for line in lines if line['type'] == 'event']


def trace_json(*args, options=(), **kwargs):
    """(completed process, the trace's objects); the trace goes to a file."""
    output = path('trace.json')
    result = tool('trace', '--json', '-o', output, *options, '--', *args, **kwargs)
    with open(output, encoding='utf-8') as file:
        return result, objects(file.read())


def expected_events(text):
    """What the workload says that a trace must show."""
    result = []
    for line in text.splitlines():
        pid, tid, op, kind, start, end, what, outcome, unchanged = line.split()
        result.append({'pid': int(pid), 'tid': int(tid), 'op': op, 'class': kind, 'start': start,
                       'end': end, 'range': what, 'outcome': outcome,
                       'unchanged': unchanged == '1'})
    return result


def shown(event):
    """The members of an event that expected_events() knows."""
    return {key: event[key] for key in ('pid', 'tid', 'op', 'class', 'start', 'end', 'range',
                                        'outcome', 'unchanged')}
