#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Latency and bandwidth of messages between two ranks, with us and without.

    pingpong.py FOLDER MMUNOTIFY PINGPONG ADAPTER...

PINGPONG (pingpong.c) runs over soft-RoCE without, with, with and without `mmunotify run`.
Printed are the medians and their ratio.  They are not judged: the times are those of an
emulated processor.  That all sizes were measured, and that the ranks were connected, is.
"""
import collections
import os
import statistics
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../system'))
from machine import Job, Machine, Unavailable  # noqa: E402
from stacks import ENVIRONMENT, STACKS, is_connected  # noqa: E402
from tap import diag, done, ok, skip_all  # noqa: E402

SIZES = [8, 4096, 65536, 1048576]
ROUNDS = 60
TURNS = ['without', 'with', 'with', 'without']


def job_name(stack, turn):
    return '%s:%d' % (stack.replace(' ', '-'), turn)


def jobs(mmunotify, pingpong):
    for stack, options in STACKS.items():
        for turn, way in enumerate(TURNS):
            yield Job(job_name(stack, turn), 300, '%s mpirun -n 2 %s %s %d %s 2>&1' % (
                mmunotify + ' run --' if way == 'with' else '', options, pingpong, ROUNDS,
                ' '.join(str(size) for size in SIZES)))


def measured(output):
    """{(what, bytes): value}"""
    lines = (line.split() for line in output.splitlines())
    return {(words[0], int(words[1])): float(words[2]) for words in lines
            if len(words) == 3 and words[0] in ('latency', 'bandwidth')}


def show(stack, values):
    for what, unit in (('latency', 'us'), ('bandwidth', 'MB/s')):
        for size in SIZES:
            both = [values[way, (what, size)] for way in ('without', 'with')]
            if all(both):
                without, ours = (statistics.median(numbers) for numbers in both)
                diag('%s, %s, %7d bytes: %9.2f %s without us, %9.2f with us, ratio %.2f' % (
                    stack, what, size, without, unit, ours, ours / without))


def main():
    folder, *programs = (os.path.abspath(path) for path in sys.argv[1:])
    mmunotify, pingpong = programs[:2]
    try:
        machine = Machine(folder)
    except Unavailable as error:
        skip_all(error)
    diag(machine.versions())
    found = machine.run('pingpong', list(jobs(mmunotify, pingpong)), ENVIRONMENT, programs)
    for stack in STACKS:
        values = collections.defaultdict(list)
        for turn, way in enumerate(TURNS):
            result = found.get(job_name(stack, turn))
            output = result.output if result else 'no result'
            numbers = measured(output)
            ok(len(numbers) == 2 * len(SIZES), '%s, %s, turn %d: every size is measured' % (
                stack, way, turn), output)
            if way == 'with':
                ok(is_connected(stack, output, False), '%s, turn %d: both ranks are connected' % (
                    stack, turn), output)
            for key, number in numbers.items():
                values[way, key].append(number)
        show(stack, values)
    done()


if __name__ == '__main__':
    main()
