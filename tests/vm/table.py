#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Open MPI over UCX and over libfabric, between buffers whose memory is replaced.

    table.py FOLDER MMUNOTIFY REPLACE ADAPTER...

REPLACE (replace.c) runs in a virtual machine with soft-RoCE, once per stack and column:

  own hooks  as it is installed: the libraries' own hooks, and Open MPI's
  silent     the adapters connected but handing no event on, Open MPI's hooks off: the
             negative control, which shows that every size is sent from registrations
  ours       mmunotify run, Open MPI's hooks off: whatever is right is so through us
  strict     mmunotify run --strict, otherwise as own hooks

One result per row, stack and judged column; the table itself is printed as comments.
"""
import collections
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../system'))
from machine import Job, Machine, Unavailable  # noqa: E402
from stacks import ENVIRONMENT, NO_PATCHER, SILENT, STACKS, is_connected  # noqa: E402
from tap import diag, done, ok, skip_all  # noqa: E402

SIZES = [4096, 16384, 65536, 262144, 1048576, 4194304]
MESSAGES = 3
# Each row and what the columns must be; None is not judged.
RIGHT, WRONG = 'right', 'wrong'
Row = collections.namedtuple('Row', 'name text silent ours strict')
ROWS = [
    Row('munmap+mmap', 'munmap, mmap', WRONG, RIGHT, RIGHT),
    Row('MAP_FIXED', 'mmap MAP_FIXED', WRONG, RIGHT, RIGHT),
    Row('DONTNEED', 'madvise DONTNEED', WRONG, RIGHT, RIGHT),
    Row('mremap-onto', 'mremap onto it', WRONG, RIGHT, RIGHT),
    Row('syscall()', 'syscall()', WRONG, RIGHT, RIGHT),
    Row('assembly', 'inline assembly', WRONG, RIGHT, RIGHT),
    # Nothing in the code shows that it is munmap: that takes strict mode.
    Row('number', '... its number read', WRONG, None, RIGHT),
    Row('punch', 'hole in its memfd', WRONG, RIGHT, RIGHT),
    Row('punch-by-other', 'by another process', None, None, None),
]
COLUMNS = {
    'own hooks': '{mpirun}',
    'silent': 'env %s %s {mmunotify} run -- {mpirun}' % (NO_PATCHER, SILENT),
    'ours': 'env %s {mmunotify} run -- {mpirun}' % NO_PATCHER,
    'strict': '{mmunotify} run --strict -- {mpirun}',
}


def job_name(stack, column):
    return ('%s:%s' % (stack, column)).replace(' ', '-')


def jobs(mmunotify, replace):
    for stack, options in STACKS.items():
        for column, text in COLUMNS.items():
            mpirun = 'mpirun -n 2 %s %s %d %s' % (options, replace, MESSAGES,
                                                  ' '.join(str(size) for size in SIZES))
            command = text.format(mpirun=mpirun, mmunotify=mmunotify)
            yield Job(job_name(stack, column), 300, command + ' 2>&1')


def series(result):
    """{row: {size: (wrong, messages)}}"""
    found = collections.defaultdict(dict)
    for line in result.output.splitlines() if result else ():
        words = line.split()
        if words[:1] == ['replaced'] and len(words) == 5:
            found[words[1]][int(words[2])] = (int(words[3]), int(words[4]))
    return found


def cell(found):
    """How it stands in the table."""
    if sorted(found) != SIZES:
        return 'did not end'
    wrong, sent = (sum(counts) for counts in zip(*found.values()))
    return 'wrong %d of %d' % (wrong, sent) if wrong else 'right'


def is_as(found, expected):
    """In every size; all but the first message go through memory that was replaced."""
    if sorted(found) != SIZES:
        return False
    if expected == RIGHT:
        return all(wrong == 0 for wrong, _ in found.values())
    return all(wrong == sent - 1 for wrong, sent in found.values())


def show(table):
    diag('%d messages in each of the sizes %s' % (MESSAGES, ', '.join(
        '%d KiB' % (size // 1024) for size in SIZES)))
    for stack in STACKS:
        diag(' ')
        diag('| %-19s |' % stack + ''.join(' %-14s |' % column for column in COLUMNS))
        diag('|' + '-' * 21 + '|' + ('-' * 16 + '|') * len(COLUMNS))
        for row in ROWS:
            diag('| %-19s |' % row.text + ''.join(
                ' %-14s |' % cell(table[stack, column][row.name]) for column in COLUMNS))


def judge(table, outputs):
    for stack in STACKS:
        for column in ('silent', 'ours', 'strict'):
            for row in ROWS:
                expected = getattr(row, column)
                if expected:
                    found = table[stack, column][row.name]
                    ok(is_as(found, expected), '%s, %s, %s: %s' % (
                        stack, column, row.text, expected), '%s: %s\n%s' % (
                            cell(found), dict(found), outputs[stack, column]))
        ok(any(is_as(table[stack, 'own hooks'][row.name], WRONG) for row in ROWS[:-1]),
           '%s, own hooks: the same command without us is wrong in some row' % stack,
           outputs[stack, 'own hooks'])


def summaries(outputs):
    """The line at the end of mmunotify run: both ranks were connected, and counted."""
    for (stack, column), output in outputs.items():
        if column in ('ours', 'strict'):
            ok(is_connected(stack, output), '%s, %s: both ranks are connected and counted' % (
                stack, column), output)


def main():
    folder, *programs = (os.path.abspath(path) for path in sys.argv[1:])
    mmunotify, replace = programs[:2]
    try:
        machine = Machine(folder)
    except Unavailable as error:
        skip_all(error)
    diag(machine.versions())
    found = machine.run('table', list(jobs(mmunotify, replace)), ENVIRONMENT, programs)
    table, outputs = {}, {}
    for stack in STACKS:
        for column in COLUMNS:
            result = found.get(job_name(stack, column))
            table[stack, column] = series(result)
            outputs[stack, column] = '\n'.join(
                line for line in (result.output if result else 'no result').splitlines()
                if not line.startswith('replaced '))
            if result:
                diag('%s, %s: status %d, %d s' % (stack, column, result.status, result.seconds))
    show(table)
    judge(table, outputs)
    summaries(outputs)
    done()


if __name__ == '__main__':
    main()
