#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What a piece of Python does to the address space, live: once by a callback, once in asyncio.

    watch_live.py
"""
import asyncio
import mmap
import queue
import sys

import mmunotify

MIB = 1 << 20


def work():
    """An array of 64 MiB comes and goes; the C library unmaps it inside free()."""
    large = bytearray(64 * MIB)
    mapping = mmap.mmap(-1, 8 * MIB)
    mapping.close()
    del large


def show(row):
    if isinstance(row, mmunotify.Missed):
        print('%d changes were missed' % row.count)
    else:
        print('%-8s %-8s %6d KiB  thread %d' % (row.op, row.event_class, row.size >> 10, row.tid))


def by_callback():
    """The callback runs in a thread of its own, after the change, never inside it."""
    heard = queue.Queue()
    with mmunotify.subscribe(heard.put, classes=['unmap']):
        work()
        sizes = []
        while 64 * MIB not in [size >> 20 << 20 for size in sizes]:
            row = heard.get(timeout=60)
            show(row)
            sizes.append(getattr(row, 'size', 0))


async def in_asyncio():
    with mmunotify.Watch(classes=['unmap']) as watch:
        worker = asyncio.get_running_loop().run_in_executor(None, work)
        async for row in watch:
            show(row)
            if getattr(row, 'size', 0) >= 64 * MIB:
                break
        await worker


if __name__ == '__main__':
    if len(sys.argv) != 1:
        sys.exit(__doc__)
    print('by a callback:')
    by_callback()
    print('in asyncio:')
    asyncio.run(in_asyncio())
