#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The Python module reads recordings: what `replay --json` prints, as rows and as a DataFrame.

    python_recording.py MMUNOTIFY WORKLOAD MODULE EXAMPLES
"""
import gzip
import io
import lzma
import os
import subprocess
import sys

MODULE, EXAMPLES = os.path.abspath(sys.argv[3]), sys.argv[4]
del sys.argv[3:]
sys.path.insert(0, MODULE)

from tap import done, equal, ok, skip  # noqa: E402
from trace_tool import TOOL, WORKLOAD, objects, path, run, tool  # noqa: E402

import mmunotify  # noqa: E402

ENV = dict(os.environ, MMUNOTIFY=os.path.abspath(TOOL), PYTHONPATH=MODULE)
os.environ['MMUNOTIFY'] = os.path.abspath(TOOL)


def record(name, *options):
    recording = path(name)
    tool('trace', '-o', recording, *options, '--', WORKLOAD, 'basic')
    return recording


def rows_until_error(recording):
    rows, error = [], None
    try:
        for row in recording:
            rows.append(row)
    except mmunotify.RecordingError as raised:
        error = raised
    return rows, error


def in_line(row):
    """A row as the command would have it in a line."""
    line = {('class' if name == 'event_class' else name): value
            for name, value in row._asdict().items()}
    if row.type == 'event':
        line.update(start=hex(row.start), end=hex(row.end))
        if row.stack is None:
            del line['stack']
    if row.type == 'end':
        line.pop('signal' if row.signal is None else 'status')
    return line


def test_rows(recording):
    lines = objects(tool('replay', '--json', recording).stdout)
    rows = list(mmunotify.Recording(recording))
    equal([type(row).__name__.lower() for row in rows], [line['type'] for line in lines],
          'there is a row for each line, in their order')
    # What a version adds to a line, the rows of an older module do not have.
    shown = [{key: line.get(key) for key in in_line(row)} for row, line in zip(rows, lines)]
    equal([in_line(row) for row in rows], shown, 'and it says the same')
    again = mmunotify.Recording(recording)
    equal((list(again), list(again)), (rows, rows), 'it can be read again')
    events = list(mmunotify.Recording(recording, filter=['op=munmap', 'size>4K']).events())
    ok(events and all(event.op == 'munmap' and event.size > 4096 for event in events),
       'filters are those of the command', events)
    absolute = next(iter(mmunotify.Recording(recording, absolute=True)))
    ok(abs(absolute.time - os.stat(recording).st_mtime) < 60, 'absolute time')
    with open(recording, 'rb') as file:
        equal(list(mmunotify.Recording(file)), rows, 'a file object')
    with open(recording, 'rb') as file:
        data = file.read()
    for name, module in (('gzip', gzip), ('xz', lzma)):
        packed = io.BytesIO(module.compress(data))
        equal(list(mmunotify.Recording(module.open(packed))), rows, 'through Python\'s ' + name)
    first = iter(mmunotify.Recording(recording))
    next(first)
    first.close()
    ok(True, 'the rest may be left unread')


def test_stacks():
    recording = record('stacks', '-k')
    events = list(mmunotify.Recording(recording, stacks=True).events())
    frames = [frame for event in events for frame in event.stack]
    ok(frames and all(frame.module and frame.offset for frame in frames[:1]), 'stacks', events[:1])
    equal([event.stack for event in mmunotify.Recording(recording).events()], [None] * len(events),
          'which are not there unless they are asked for')


def test_damage(recording):
    with open(recording, 'rb') as file:
        data = file.read()
    whole = list(mmunotify.Recording(recording))
    cut = path('cut')
    with open(cut, 'wb') as file:
        file.write(data[:len(data) // 2])
    for name, source in (('a path', cut), ('a file object', io.BytesIO(data[:len(data) // 2]))):
        rows, error = rows_until_error(mmunotify.Recording(source))
        ok(isinstance(error, mmunotify.DamagedRecording) and 0 < error.offset <= len(data) // 2 and
           'damaged at byte' in str(error), 'cut in the middle, %s: an exception with the place' % name, error)
        ok(0 < len(rows) < len(whole) and rows == whole[:len(rows)] and error.rows == len(rows),
           '... behind what could be read')
    flipped = bytearray(data)
    flipped[len(data) // 2] ^= 0x10
    rows, error = rows_until_error(mmunotify.Recording(io.BytesIO(bytes(flipped))))
    ok(isinstance(error, mmunotify.DamagedRecording) and rows == whole[:len(rows)], 'a flipped bit', error)
    rows, error = rows_until_error(mmunotify.Recording(io.BytesIO(b'')))
    ok(isinstance(error, mmunotify.DamagedRecording) and not rows, 'nothing at all', error)
    with open(path('packed'), 'wb') as file:
        file.write(gzip.compress(data))
    rows, error = rows_until_error(mmunotify.Recording(path('packed')))
    ok(error and 'gzip.open()' in str(error), 'a compressed one: says with what to open it', error)
    half = gzip.open(io.BytesIO(gzip.compress(os.urandom(1 << 18) + data)[:1000]))
    rows, error = rows_until_error(mmunotify.Recording(half))
    ok(isinstance(error, mmunotify.DamagedRecording), 'half a compressed one', error)
    try:
        list(mmunotify.Recording(path('missing')))
        ok(False, 'a file that is not there')
    except FileNotFoundError:
        ok(True, 'a file that is not there')


def raised(call):
    try:
        call()
    except Exception as error:  # pylint: disable=broad-except
        return error
    return None


def test_command(recording):
    error = raised(lambda: list(mmunotify.Recording(recording, tool='/nowhere/mmunotify')))
    ok(isinstance(error, mmunotify.ToolError) and '/nowhere/mmunotify' in str(error),
       'no such command', error)
    error = raised(lambda: list(mmunotify.Recording(recording, filter='colour=red')))
    ok(isinstance(error, mmunotify.ToolError) and 'colour' in str(error),
       'a filter that is none: what the command says', error)
    result = subprocess.run([sys.executable, '-c', 'import mmunotify; list(mmunotify.Recording(%r))' % recording],
                            env={'PYTHONPATH': MODULE, 'PATH': '/nowhere'}, capture_output=True, text=True)
    ok('ToolError: the command mmunotify is not on the PATH' in result.stderr, 'a PATH without it',
       result.stderr)


PANDAS = '''
import mmunotify, sys, pandas
frame = mmunotify.Recording(sys.argv[1], stacks=True).to_pandas()
rows = list(mmunotify.Recording(sys.argv[1], stacks=True).events())
assert list(frame.columns) == [name for name in mmunotify.Event._fields if name != 'type'], frame.columns
assert len(frame) == len(rows) > 10
for name in frame.columns:
    ours = [getattr(row, name) for row in rows]
    theirs = [None if name in ('name', 'offset') and pandas.isna(value) else value for value in frame[name]]
    assert ours == theirs, (name, ours, theirs)
assert str(frame['start'].dtype) == 'uint64' and str(frame['op'].dtype) == 'category'
assert frame.groupby('op', observed=True)['size'].sum().sum() == sum(row.size for row in rows)
try:
    mmunotify.Recording(sys.argv[2]).to_pandas()
except mmunotify.DamagedRecording as error:
    assert 0 < len(error.frame) < len(rows) and error.rows > len(error.frame), error
else:
    assert False
'''

WITHOUT = '''
import sys, mmunotify
sys.modules['pandas'] = None
try:
    mmunotify.Recording(sys.argv[1]).to_pandas()
except ImportError as error:
    assert 'python3-pandas' in str(error) and 'rows' in str(error), error
else:
    assert False
'''


def test_pandas(recording):
    result = run(sys.executable, '-B', '-c', WITHOUT, recording, env=ENV)
    equal((result.returncode, result.stderr), (0, ''), 'without pandas: what is missing, and what to do')
    for python in (sys.executable, '/usr/bin/python3'):
        if not subprocess.run([python, '-c', 'import pandas'], capture_output=True, check=False).returncode:
            result = run(python, '-B', '-W', 'ignore', '-c', PANDAS, recording, path('cut'), env=ENV)
            equal((result.returncode, result.stderr), (0, ''), 'a DataFrame has the rows, and half of them of half')
            return
    skip('a DataFrame', 'pandas is not installed')


def test_example(recording):
    result = run(sys.executable, '-B', os.path.join(EXAMPLES, 'who_unmaps.py'), recording, env=ENV)
    events = [event for event in mmunotify.Recording(recording).events() if event.event_class == 'unmap']
    ok(result.returncode == 0 and '%d changes' % len(events) in result.stdout, 'example who_unmaps.py',
       result.stdout + result.stderr)
    result = run(sys.executable, '-B', os.path.join(EXAMPLES, 'who_unmaps.py'), path('cut'), env=ENV)
    ok(result.returncode == 1 and 'damaged at byte' in result.stderr and ' changes' in result.stdout,
       'example who_unmaps.py: half a recording: what is there, and what is wrong', result.stdout + result.stderr)


def main():
    recording = record('basic')
    test_rows(recording)
    test_stacks()
    test_damage(recording)
    test_command(recording)
    test_pandas(recording)
    test_example(recording)
    done()


main()
