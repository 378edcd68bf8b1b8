# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Recordings made by hand: names that no program of ours has, and more events than fit.

The format is in mmunotify-recording(5).
"""
import binascii

MAGIC = b'\x89MMUN\r\n\x1a\x01'
START = 10 ** 12
HAS_RESULT, AFTER_EXEC = 8, 16
MUNMAP, MMAP_FIXED, FORK = 1, 2, 20
UNMAP = 0
ANONYMOUS, FILE = 2, 6


def number(value):
    out = bytearray()
    while value >= 0x80:
        out.append(0x80 | value & 0x7f)
        value >>= 7
    out.append(value)
    return bytes(out)


def signed(value):
    return number(value << 1 if value >= 0 else (-value << 1) - 1)


def text(value):
    return number(len(value)) + value


def frame(body):
    return number(len(body)) + body + binascii.crc_hqx(body, 0xffff).to_bytes(2, 'little')


class Recording:
    """Bytes, piece by piece.  Times are differences to the record before, in nanoseconds."""

    def __init__(self, command=b'program'):
        self.parts = [MAGIC, frame(b'\0' + number(START) + number(1700000000 * 10 ** 9) +
                                   text(b'0.2.0') + text(command))]
        self.strings = {}

    def string(self, value):
        """Its number."""
        if not value:
            return 0
        if value not in self.strings:
            self.parts.append(frame(b'\x40' + text(value)))
            self.strings[value] = len(self.strings) + 1
        return self.strings[value]

    def begin(self, kind, pid, tid, after, flags):
        return bytes([kind]) + number(flags) + signed(after) + number(pid) + number(tid)

    def process(self, pid, comm, exe, ppid=1, after=1000):
        exe = self.string(exe)
        self.parts.append(frame(self.begin(1, pid, pid, after, AFTER_EXEC) + number(ppid) +
                                number(0) + text(comm) + number(exe)))

    def event_bytes(self, pid, tid=None, op=MUNMAP, kind=ANONYMOUS, name=b'', step=0, size=4096,
                    duration=1500, result=0, stack=(), after=1000):
        """One frame: the same bytes again are the same operation, later and further up."""
        name = self.string(name)
        frames = [(self.string(module), offset) for module, offset in stack]
        body = self.begin(2, pid, tid or pid, after, HAS_RESULT) + number(op) + number(UNMAP)
        body += number(kind) + signed(step) + number(size) + number(duration) + signed(result)
        body += number(name) + number(0) + number(len(frames))
        for module, offset in frames:
            body += number(module) + number(offset)
        return frame(body)

    def event(self, *args, **kwargs):
        # The strings stand before it.
        body = self.event_bytes(*args, **kwargs)
        self.parts.append(body)

    def end(self, pid, after=1000):
        self.parts.append(frame(self.begin(5, pid, pid, after, 0) + number(0)))

    def write(self, path):
        with open(path, 'wb') as out:
            out.write(b''.join(self.parts))
        return path
