# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Changes of this process's own address space, read from a ring.

Nothing here is called by a hook: mmunotify-watch.so fills the ring (its header says what it does
inside a change), and the functions that are called of it give the interpreter's lock away while
they wait.
"""
import asyncio
import collections
import ctypes
import errno
import os
import threading
import time
import weakref
from typing import Iterator, List, NamedTuple, Optional, Union

_ABI = 1
_BATCH = 256
# Rows of one read(): reading changes memory, too, and must come to an end.
_MOST = 1 << 20

# Of enum mmu_notifier_event, by the names that the command prints.
CLASSES = ('unmap', 'clear', 'protect', 'protect-page', 'soft-dirty', 'release', 'migrate',
           'exclusive')


class WatchError(OSError):
    """The watch cannot be had, or not be read."""


class WatchClosed(WatchError):
    """It was closed."""


class StaleWatch(WatchError):
    """It belongs to the process that forked this one."""


class WatchEnded(WatchError):
    """An exec was begun and failed: the address space that was watched has ended.  Make a new
    Watch."""


class Change(NamedTuple):
    """One change, after it happened.  time is that of time.monotonic()."""
    time: float
    tid: int
    op: str
    event_class: str
    start: int
    end: int
    result: Optional[int]
    unchanged: bool
    pinned_safe: bool
    pc: int

    @property
    def size(self):
        return self.end - self.start


class Missed(NamedTuple):
    """So many changes stood here, and the ring was full."""
    count: int


class _Event(ctypes.Structure):
    _fields_ = [('time', ctypes.c_uint64), ('start', ctypes.c_uint64), ('end', ctypes.c_uint64),
                ('result', ctypes.c_int64), ('pc', ctypes.c_uint64), ('lost', ctypes.c_uint64),
                ('tid', ctypes.c_uint32), ('op', ctypes.c_uint16), ('event', ctypes.c_uint8),
                ('flags', ctypes.c_uint8)]


class _Options(ctypes.Structure):
    _fields_ = [('events', ctypes.c_uint64), ('start', ctypes.c_uint64), ('end', ctypes.c_uint64),
                ('classes', ctypes.c_uint32), ('strict', ctypes.c_uint32)]


class _Place(ctypes.Structure):
    _fields_ = [('file', ctypes.c_char_p), ('base', ctypes.c_void_p), ('name', ctypes.c_char_p),
                ('address', ctypes.c_void_p)]


_UNCHANGED, _PINNED_SAFE, _HAS_RESULT = 1, 2, 4
_loading = threading.Lock()
_library = None


def _library_path():
    """Beside the libmmunotify that the dynamic linker finds: there is one chain in a process."""
    named = os.environ.get('MMUNOTIFY_WATCH_LIBRARY')
    if named:
        return named
    try:
        base = ctypes.CDLL('libmmunotify.so.0')
    except OSError as error:
        raise WatchError(errno.ENOENT, 'libmmunotify is not installed (Debian: libmmunotify0): %s'
                         % error) from error
    place = _Place()
    found = ctypes.CDLL(None).dladdr(ctypes.cast(base.mmun_self, ctypes.c_void_p), ctypes.byref(place))
    folder = os.path.dirname(os.path.realpath(os.fsdecode(place.file))) if found else ''
    return os.path.join(folder, 'mmunotify', 'mmunotify-watch.so')


def _load():
    global _library     # pylint: disable=global-statement
    with _loading:
        if _library is not None:
            return _library
        path = _library_path()
        try:
            library = ctypes.CDLL(path)
        except OSError as error:
            raise WatchError(errno.ENOENT, 'cannot load mmunotify-watch.so (Debian: mmunotify): %s'
                             % error) from error
        abi = library.mmun_watch_abi()
        if abi != _ABI:
            raise WatchError(errno.ENOEXEC, '%s is of another version (%d, not %d): install both of '
                             'one version' % (path, abi, _ABI))
        library.mmun_watch_open.restype = ctypes.c_long
        library.mmun_watch_open.argtypes = [ctypes.POINTER(_Options)]
        library.mmun_watch_read.restype = ctypes.c_long
        library.mmun_watch_read.argtypes = [ctypes.c_long, ctypes.POINTER(_Event), ctypes.c_size_t,
                                            ctypes.POINTER(ctypes.c_uint64)]
        library.mmun_watch_wait.argtypes = [ctypes.c_long, ctypes.c_long]
        library.mmun_watch_fd.argtypes = [ctypes.c_long]
        library.mmun_watch_close.argtypes = [ctypes.c_long]
        library.mmun_op_name.restype = ctypes.c_char_p
        library.mmun_op_name.argtypes = [ctypes.c_uint]
        _library = library
        return library


def _failed(error):
    """The exception for a negative errno of a call on a watch."""
    if error == -errno.EBADF:
        return WatchClosed(errno.EBADF, 'the watch is closed')
    if error == -errno.ESRCH:
        return StaleWatch(errno.ESRCH, 'the watch belongs to the process that forked this one; make '
                          'a new one')
    if error == -errno.ENODATA:
        return WatchEnded(errno.ENODATA, 'the address space has ended: an exec was begun and failed; '
                          'make a new watch')
    return WatchError(-error, os.strerror(-error))


def _class_bits(classes):
    if classes is None:
        return 0
    bits = 0
    for name in [classes] if isinstance(classes, str) else classes:
        if name not in CLASSES:
            raise ValueError('%r is no event class; there are %s' % (name, ', '.join(CLASSES)))
        bits |= 1 << CLASSES.index(name)
    if not bits:
        raise ValueError('no event class at all')
    return bits


class Watch:
    """Watches the address space of this process, from now until close().

    events    how many the ring has room for, a power of two (64 bytes each)
    start, end    only changes that touch these addresses
    classes   only these event classes (CLASSES)
    strict    also system calls outside the C library; slower, see mmunotify(7), STRICT MODE

    Iterating waits for the next change, and ends when another thread closes the watch;
    `async for` does so in asyncio.  read() takes what is there.  fileno() makes it fit for select()
    and its like.  Several threads may use one watch: each change reaches one of them.
    """

    def __init__(self, events=16384, *, start=0, end=0, classes=None, strict=False):
        if events < 1 or start < 0 or end < start or end >= 1 << 64:
            raise ValueError('events must be above 0, and start at most end')
        options = _Options(1 << max(3, (events - 1).bit_length()), start, end, _class_bits(classes),
                           bool(strict))
        if options.events > 1 << 24:
            raise ValueError('at most %d events' % (1 << 24))
        self._library = _load()
        handle = self._library.mmun_watch_open(ctypes.byref(options))
        if handle < 0:
            hint = {-errno.ENOSPC: '64 watches are open',
                    -errno.ENOMEM: 'for a ring of %d KiB' % (options.events >> 4)}.get(
                        handle, "'mmunotify probe' says why")
            raise WatchError(-handle, '%s (%s)' % (os.strerror(-handle), hint))
        self._handle = handle
        # A signal's handler may read in the middle of a read().
        self._lock = threading.RLock()
        self._process = os.getpid()
        self._names = {}
        # Taken from the ring by an iteration, and not handed out yet.
        self._rest = collections.deque()
        self.missed = 0
        # Also when it is collected, and before the interpreter ends.
        self._close = weakref.finalize(self, self._library.mmun_watch_close, handle)

    def close(self):
        """Stop; whoever waits is woken.  Changes that were not read are gone.  May be repeated."""
        self._close()

    @property
    def closed(self):
        return not self._close.alive

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def fileno(self) -> int:
        """A descriptor that is readable while there is something to read().  Not to be read or
        closed by others."""
        while True:
            fd = self._library.mmun_watch_fd(self._handle)
            if fd >= 0:
                return fd
            if fd != -errno.EBUSY:
                raise _failed(fd)

    def wait(self, timeout: Optional[float] = None) -> bool:
        """Sleep until there is something to read(); False if the time is over first."""
        if self._rest:
            return True
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            nsec = -1 if end is None else int(max(0, min((end - time.monotonic()) * 1e9, 1 << 62)))
            result = self._library.mmun_watch_wait(self._handle, nsec)
            if result >= 0:
                return bool(result)
            # The interpreter runs signal handlers, or raises KeyboardInterrupt, here.
            if result != -errno.EINTR:
                raise _failed(result)

    def _name(self, op):
        name = self._names.get(op)
        if name is None:
            name = self._names[op] = self._library.mmun_op_name(op).decode()
        return name

    def _change(self, event):
        flags = event.flags
        return Change(event.time / 1e9, event.tid, self._name(event.op),
                      CLASSES[event.event] if event.event < len(CLASSES) else str(event.event),
                      event.start, event.end, event.result if flags & _HAS_RESULT else None,
                      bool(flags & _UNCHANGED), bool(flags & _PINNED_SAFE), event.pc)

    def _add_missed(self, rows, count):
        if count:
            self.missed += count
            rows.append(Missed(count))

    def read(self, limit: Optional[int] = None) -> List[Union[Change, Missed]]:
        """What there is now, at most @limit changes, without waiting: Change and Missed."""
        rows = []
        left = _MOST if limit is None else limit
        # In a forked child the lock may be that of a thread that is not there.
        if os.getpid() != self._process:
            raise _failed(-errno.EBADF if self.closed else -errno.ESRCH)
        with self._lock:
            while self._rest and left > 0:
                rows.append(self._rest.popleft())
                left -= 1
            while left > 0:
                size = min(left, _BATCH)
                events, lost = (_Event * size)(), ctypes.c_uint64()
                taken = self._library.mmun_watch_read(self._handle, events, size, ctypes.byref(lost))
                if taken < 0 and rows:
                    break           # said by the next call
                if taken < 0:
                    raise _failed(taken)
                for event in events[:taken]:
                    self._add_missed(rows, event.lost)
                    rows.append(self._change(event))
                self._add_missed(rows, lost.value)
                left -= taken
                if taken < size:
                    break
        return rows

    def _next(self):
        """The oldest row, or None: there is none now."""
        try:
            return self._rest.popleft()
        except IndexError:
            pass
        rows = self.read(1)
        # What was missed before a change comes with it.
        self._rest.extend(rows[1:])
        return rows[0] if rows else None

    def __iter__(self) -> Iterator[Union[Change, Missed]]:
        while True:
            try:
                row = self._next()
                if row is None:
                    self.wait()
                    continue
            except WatchClosed:
                return
            yield row

    async def __aiter__(self):
        loop = asyncio.get_running_loop()
        try:
            # Its own: when the watch is closed, this one says so.
            fd = os.dup(self.fileno())
        except WatchClosed:
            return
        try:
            while True:
                try:
                    row = self._next()
                except WatchClosed:
                    return
                if row is not None:
                    yield row
                    # What reads changes memory: others must come to run all the same.
                    await asyncio.sleep(0)
                    continue
                ready = loop.create_future()
                loop.add_reader(fd, lambda: ready.done() or ready.set_result(None))
                try:
                    await ready
                finally:
                    loop.remove_reader(fd)
        finally:
            os.close(fd)


class Subscription:
    """A callback that hears of each change, in a thread of its own; see subscribe()."""

    def __init__(self, callback, watch):
        self._watch = watch
        self._callback = callback
        self.thread = threading.Thread(target=self._run, name='mmunotify-subscription', daemon=True)
        self.thread.start()

    def _run(self):
        with self._watch:
            for row in self._watch:
                self._callback(row)

    @property
    def missed(self):
        """How many changes were dropped since the beginning."""
        return self._watch.missed

    def close(self):
        """No callback runs after the return, unless it is the callback that calls this."""
        self._watch.close()
        if self.thread is not threading.current_thread():
            self.thread.join()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def subscribe(callback, events=16384, *, start=0, end=0, classes=None, strict=False) -> Subscription:
    """Call @callback with each Change, and each Missed, until close().

    It runs in a thread of its own, after the change, never inside it; it may do what Python may.
    What it does to memory it hears of as well.  An exception in it ends the subscription and is
    reported as that of any thread (threading.excepthook).  The other arguments are those of Watch.
    """
    return Subscription(callback, Watch(events, start=start, end=end, classes=classes, strict=strict))
