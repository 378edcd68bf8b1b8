#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Inputs for the operations target to start from.

    generate.py DIRECTORY [COUNT [SEED]]

Random records as operations.c reads them: four bytes, the first of them an index of its
table of operations.  Mapping and writing come often, so that the rest finds memory.
"""
import os
import random
import sys

OPERATIONS = ('mmap munmap mprotect mremap madvise remap_file_pages brk lock msync write read '
              'fill file_write truncate punch fsync driver device fork exit machine pin mm_lock '
              'show fail gpu').split()
WEIGHTS = {'mmap': 6, 'write': 4, 'fill': 8, 'device': 10, 'driver': 4, 'madvise': 6, 'machine': 8,
           'fork': 3, 'gpu': 6, 'mremap': 3, 'exit': 0.5, 'brk': 0.5, 'show': 0.5, 'fail': 0.7}


def record(rnd, place):
    name = rnd.choices(OPERATIONS, [WEIGHTS.get(o, 1) for o in OPERATIONS])[0]
    who = rnd.choice((0, 0, 0, 1, 1, 2))
    third = rnd.randrange(256)
    if name == 'driver':
        third = rnd.choice((0, 0, 0, 1, 1, 2))
    if name == 'mmap' and rnd.random() < 0.7:
        third &= ~7                         # readable and writable
    length = rnd.choice((rnd.randrange(0x80), rnd.randrange(0x80), rnd.randrange(0xf0),
                         rnd.randrange(256)))
    if name == 'mmap' and rnd.random() < 0.8:
        length = (length | 0x80) & ~3       # long and fixed
    return bytes((OPERATIONS.index(name) | who << 5, (place + rnd.randrange(-6, 7)) & 255,
                  length, third))


def sequence(rnd):
    place = rnd.choice((0, 16, 30, 64, 100, rnd.randrange(256)))
    count = rnd.choice((10, 40, 100, 190))
    return bytes((rnd.randrange(128),)) + b''.join(record(rnd, place) for _ in range(count))


def main():
    directory = sys.argv[1]
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 300
    rnd = random.Random(int(sys.argv[3]) if len(sys.argv) > 3 else 1)
    os.makedirs(directory, exist_ok=True)
    for i in range(count):
        with open(os.path.join(directory, '%04d' % i), 'wb') as file:
            file.write(sequence(rnd))


if __name__ == '__main__':
    main()
