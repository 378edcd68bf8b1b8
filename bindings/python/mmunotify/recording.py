# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Recordings of `mmunotify trace`, row by row.

The rows are the lines of `mmunotify replay --json` (mmunotify-trace(1), JSON).  There is no second
parser of the format that could disagree with the first: what the command cannot read, this
cannot either, and what it reads of a damaged recording is had here too.
"""
import json
import os
import re
import shutil
import stat
import subprocess
import tempfile
import threading
from typing import Any, Iterator, NamedTuple, Optional, Tuple


class RecordingError(ValueError):
    """What is read is no recording of this version, or not whole."""


class DamagedRecording(RecordingError):
    """Raised behind the last row that could be read.

    offset    at which byte it went wrong, or None
    rows      how many rows were read before it
    frame     of to_pandas(): the DataFrame of what was read before it
    """

    def __init__(self, message, offset=None, rows=0):
        super().__init__(message)
        self.offset = offset
        self.rows = rows
        self.frame = None


class ToolError(RuntimeError):
    """The command mmunotify is not there, or refused."""


class Trace(NamedTuple):
    """The first row: what was traced, by which version."""
    time: Optional[float]
    command: str
    version: str
    type: str = 'trace'


class Process(NamedTuple):
    """A program began (after_exec), or a process was forked."""
    time: Optional[float]
    pid: int
    tid: int
    ppid: int
    after_exec: bool
    comm: str
    exe: Optional[str]
    error: int
    type: str = 'process'


class Frame(NamedTuple):
    """A return address; function, file and line where symbols were found."""
    module: Optional[str]
    offset: int
    function: Optional[str]
    function_offset: Optional[int]
    file: Optional[str]
    line: Optional[int]


class Event(NamedTuple):
    """One change of an address space."""
    time: Optional[float]
    pid: int
    tid: int
    op: str
    event_class: str
    start: int
    end: int
    size: int
    range: str
    name: Optional[str]
    offset: Optional[int]
    more: bool
    duration_ns: int
    outcome: str
    unchanged: bool
    pinned_safe: bool
    stack: Optional[Tuple[Frame, ...]]
    type: str = 'event'


class Release(NamedTuple):
    """An address space went away, by exit or exec."""
    time: Optional[float]
    pid: int
    tid: int
    type: str = 'release'


class Lost(NamedTuple):
    """Totals of what did not reach the trace."""
    time: Optional[float]
    dropped: int
    abandoned: int
    too_deep: int
    unfollowed: int
    unredirected: int
    type: str = 'lost'


class End(NamedTuple):
    """The command ended: by status, or by a signal."""
    time: Optional[float]
    pid: int
    status: Optional[int]
    signal: Optional[int]
    type: str = 'end'


class Other(NamedTuple):
    """A row of a kind that this version does not know."""
    time: Optional[float]
    members: Any
    type: str


def _hex(text):
    return int(text, 16)


def _frame(members):
    return Frame(members.get('module'), _hex(members['offset']), members.get('function'),
                 members.get('function_offset'), members.get('file'), members.get('line'))


def _event(line):
    stack = line.get('stack')
    return Event(line.get('time'), line['pid'], line['tid'], line['op'], line['class'],
                 _hex(line['start']), _hex(line['end']), line['size'], line['range'], line['name'],
                 line['offset'], line['more'], line['duration_ns'], line['outcome'],
                 line['unchanged'], line['pinned_safe'],
                 None if stack is None else tuple(_frame(frame) for frame in stack))


def _plain(row):
    """A maker of rows whose members are called as in the line."""
    names = [name for name in row._fields if name != 'type']
    return lambda line: row(*[line.get(name) for name in names])


_ROWS = {
    'trace': _plain(Trace), 'process': _plain(Process), 'event': _event,
    'release': _plain(Release), 'lost': _plain(Lost), 'end': _plain(End),
}


def _row(text):
    line = json.loads(text)
    make = _ROWS.get(line.get('type'))
    return make(line) if make else Other(line.get('time'), line, str(line.get('type')))


_COMPRESSED = {
    b'\x1f\x8b': ('gzip', 'gzip.open()'),
    b'\xfd7zXZ\0': ('xz', 'lzma.open()'),
    b'BZh': ('bzip2', 'bz2.open()'),
    b'\x28\xb5\x2f\xfd': ('zstd', 'what decompresses it'),
}


def _refuse_compressed(path, file):
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        return
    begin = os.pread(file.fileno(), 8, 0)
    for magic, (name, opener) in _COMPRESSED.items():
        if begin.startswith(magic):
            raise RecordingError('%s: compressed with %s; open it with %s and pass that'
                                 % (path, name, opener))


class _Feed(threading.Thread):
    """Copies a file object into the command."""

    def __init__(self, source, sink):
        super().__init__(name='mmunotify-feed', daemon=True)
        self.source, self.sink, self.error = source, sink, None
        self.start()

    def run(self):
        try:
            with self.sink:
                shutil.copyfileobj(self.source, self.sink, 1 << 16)
        except BrokenPipeError:
            pass    # the command has read enough
        except Exception as error:  # pylint: disable=broad-except
            self.error = error      # raised where the rows are read


class Recording:
    """A recording: a path, or a file object that is open for reading bytes.

    filter    as `mmunotify replay --filter=`, or a list of them
    stacks    with the stacks, if they were recorded (`trace -k`)
    absolute  time is since 1970, not since the beginning of the trace
    tool      the command mmunotify; else MMUNOTIFY in the environment, else of the PATH

    Iterating reads from the beginning each time (a file object can be read once).  The rows are
    Trace, Process, Event, Release, Lost and End; each has `type`.
    """

    def __init__(self, file, *, filter=None, stacks=False, absolute=False, tool=None):
        self._file = file
        self._options = ['--time=absolute'] if absolute else []
        self._options += ['--stacks'] if stacks else []
        filters = [filter] if isinstance(filter, str) else list(filter or [])
        self._options += ['--filter=' + one for one in filters]
        self._stacks = stacks
        self._tool = tool

    def _command(self):
        tool = self._tool or os.environ.get('MMUNOTIFY') or shutil.which('mmunotify')
        if not tool:
            raise ToolError('the command mmunotify is not on the PATH (Debian: mmunotify)')
        return [os.fspath(tool), 'replay', '--json', *self._options, '-']

    def _start(self, source, errors):
        try:
            return subprocess.Popen(self._command(), stdin=source, stdout=subprocess.PIPE, stderr=errors)
        except OSError as error:
            raise ToolError('%s: %s' % (self._command()[0], error.strerror)) from error

    def __iter__(self) -> Iterator[Any]:
        if not isinstance(self._file, (str, bytes, os.PathLike)):
            yield from self._rows(None, 'the recording')
            return
        with open(self._file, 'rb', buffering=0) as source:
            name = os.fsdecode(self._file)
            _refuse_compressed(name, source)
            yield from self._rows(source, name)

    def _rows(self, source, name):
        with tempfile.TemporaryFile() as errors:
            tool = self._start(subprocess.PIPE if source is None else source, errors)
            feed = None if source else _Feed(self._file, tool.stdin)
            count = 0
            try:
                for line in tool.stdout:
                    row = _row(line)
                    count += 1
                    yield row
                status = tool.wait()
                if feed:
                    feed.join()
            finally:
                tool.stdout.close()
                if tool.poll() is None:     # the rest is not wanted
                    tool.kill()
                    tool.wait()
            if feed and feed.error:
                raise DamagedRecording('%s: %s' % (name, feed.error), None, count) from feed.error
            if status:
                errors.seek(0)
                self._raise(name, status, errors.read().decode(errors='replace'), count)

    @staticmethod
    def _raise(name, status, said, count):
        said = said.strip() or 'exit status %d' % status
        damage = re.search(r'damaged at byte (\d+): (.*)', said)
        if damage:
            raise DamagedRecording('%s: damaged at byte %s: %s' % (name, damage[1], damage[2]),
                                   int(damage[1]), count)
        if status == 1:
            raise DamagedRecording('%s: %s' % (name, said), None, count)
        raise ToolError(said)

    def events(self) -> Iterator[Event]:
        """The rows of type event alone."""
        return (row for row in self if row.type == 'event')

    def to_pandas(self):
        """The events as a pandas.DataFrame.

        Its columns are the members of Event but `type`; `stack` only with stacks=True.  Of a
        damaged recording what was read is in the exception's `frame`.
        """
        pandas = _pandas()
        columns = [name for name in Event._fields
                   if name != 'type' and (self._stacks or name != 'stack')]
        values = {name: [] for name in columns}
        appends = [(values[name].append, Event._fields.index(name)) for name in columns]
        damage = None
        try:
            for event in self.events():
                for append, index in appends:
                    append(event[index])
        except DamagedRecording as error:
            damage = error
        frame = pandas.DataFrame({name: pandas.Series(values[name], dtype=_DTYPES.get(name, 'object'))
                                  for name in columns})
        if damage:
            damage.frame = frame
            raise damage
        return frame


_DTYPES = {
    'time': 'float64', 'pid': 'int64', 'tid': 'int64', 'op': 'category', 'event_class': 'category',
    'start': 'uint64', 'end': 'uint64', 'size': 'uint64', 'range': 'category', 'name': 'category',
    'offset': 'UInt64', 'more': 'bool', 'duration_ns': 'int64', 'outcome': 'category',
    'unchanged': 'bool', 'pinned_safe': 'bool',
}


def _pandas():
    try:
        import pandas   # pylint: disable=import-outside-toplevel
    except ImportError as error:
        raise ImportError('to_pandas() needs pandas (Debian: python3-pandas; pip install pandas); '
                          'the rows are there without it: for row in recording') from error
    return pandas
