# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Changes of address spaces: recordings of `mmunotify trace`, and this process's own, live.

Recordings
----------

    import mmunotify

    for row in mmunotify.Recording('run.mmun'):
        if row.type == 'event' and row.op == 'munmap':
            print(row.time, row.pid, row.size, row.name)

    frame = mmunotify.Recording('run.mmun').to_pandas()     # needs pandas

A recording is read by `mmunotify replay --json`, which is the only reader of the format: the
command must be on the PATH, or MMUNOTIFY names it.

This process
------------

    with mmunotify.Watch() as watch:
        ...
        for change in watch.read():
            print(change)

Memory changes inside munmap(), free(), in any thread, with any lock held, in the middle of the
interpreter.  No Python can run there, and none does: what runs is a few lines of C
(mmunotify-watch.so) that put the change into a bounded ring and never need the interpreter's
lock.  Python reads the ring, later.  So

  - when you hear of a change it has happened.  A Watch shows what went on; it is no place to
    keep a device from using memory that is gone.  For that the callback has to run inside the
    change, in C or C++: mmunotify/mmu_notifier.h, mmunotify/rcache.h, mmunotify.hpp;
  - a full ring drops changes, counts them, and says so: `Missed(count)` stands where they
    would have;
  - reading makes changes too (Python's own memory), and those are seen as well;
  - a forked child inherits no watch: there, everything about it raises StaleWatch.  It may make
    one of its own;
  - what the event source cannot see (mmunotify(7), LIMITS) is not seen here either.
"""
from .recording import (DamagedRecording, End, Event, Frame, Lost, Other, Process, Recording,
                        RecordingError, Release, ToolError, Trace)
from .watch import (CLASSES, Change, Missed, StaleWatch, Subscription, Watch, WatchClosed,
                    WatchEnded, WatchError, subscribe)

__all__ = [
    'CLASSES', 'Change', 'DamagedRecording', 'End', 'Event', 'Frame', 'Lost', 'Missed', 'Other',
    'Process', 'Recording', 'RecordingError', 'Release', 'StaleWatch', 'Subscription',
    'ToolError', 'Trace', 'Watch', 'WatchClosed', 'WatchEnded', 'WatchError', 'subscribe',
]
