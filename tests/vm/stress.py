#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Ranks that remap, fork and exchange, over soft-RoCE.

    stress.py FOLDER MMUNOTIFY EXCHANGE ADAPTER...

EXCHANGE (exchange.c) runs over UCX, where UCX's own hooks are set to patch functions
(bistro), the tables of symbols (reloc) or nothing, and over libfabric; for
MMUNOTIFY_VM_SECONDS (60) seconds in all.  Nothing may hang, die or arrive as something
else; with adapters that hand nothing on it must.
"""
import collections
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../system'))
from machine import Job, Machine, Unavailable  # noqa: E402
from stacks import ENVIRONMENT, NO_PATCHER, SILENT, STACKS, is_connected  # noqa: E402
from tap import diag, done, ok, skip_all  # noqa: E402

SECONDS = int(os.environ.get('MMUNOTIFY_VM_SECONDS', '60'))
# Until an emulated processor has started two ranks, and has stopped them.
START = 300
CONTROL_SECONDS = 4

Run = collections.namedtuple('Run', 'name stack settings strict silent')
RUNS = [
    Run('bistro', 'pml ucx', 'UCX_MEM_MMAP_HOOK_MODE=bistro', True, False),
    Run('reloc', 'pml ucx', 'UCX_MEM_MMAP_HOOK_MODE=reloc', False, False),
    Run('none', 'pml ucx', 'UCX_MEM_MMAP_HOOK_MODE=none', False, False),
    Run('libfabric', 'mtl ofi', '', True, False),
    Run('silent-ucx', 'pml ucx', NO_PATCHER + ' ' + SILENT, False, True),
    Run('silent-libfabric', 'mtl ofi', NO_PATCHER + ' ' + SILENT, False, True),
]


def job(run, mmunotify, exchange):
    share = CONTROL_SECONDS if run.silent else SECONDS / sum(not r.silent for r in RUNS)
    command = 'env %s %s run %s -- mpirun -n 2 %s %s %g %s 2>&1' % (
        run.settings, mmunotify, '--strict' if run.strict else '', STACKS[run.stack], exchange,
        share, 'raw' if run.strict else '')
    return Job(run.name, START + share, command)


def counts(result):
    """messages, wrong, forks, rounds of the threads; or None."""
    for line in result.output.splitlines() if result else ():
        words = line.split()
        if words[:1] == ['exchanged'] and len(words) == 5:
            return [int(word) for word in words[1:]]
    return None


def judge(run, result):
    found = counts(result)
    output = result.output if result else 'no result'
    name = '%s, %s%s' % (run.stack, run.name, ', strict' if run.strict else '')
    if found:
        diag('%s: %d messages, %d wrong; %d forks; %d rounds of threads' % (name, *found))
    if run.silent:
        ok(found and found[1] > 0, '%s: messages are wrong' % name, output)
        return
    ok(found and result.status == 0, '%s: no hang' % name, output)
    ok(found and found[0] > 20 and found[1] == 0, '%s: every message is right' % name, output)
    ok(found and found[2] > 0 and found[3] > 0, '%s: children and threads went on' % name, output)
    ok(is_connected(run.stack, output), '%s: both ranks are connected and counted' % name, output)


def main():
    folder, *programs = (os.path.abspath(path) for path in sys.argv[1:])
    mmunotify, exchange = programs[:2]
    try:
        machine = Machine(folder)
    except Unavailable as error:
        skip_all(error)
    diag(machine.versions())
    jobs = [job(run, mmunotify, exchange) for run in RUNS]
    found = machine.run('stress', jobs, ENVIRONMENT, programs)
    for run in RUNS:
        judge(run, found.get(run.name))
    done()


if __name__ == '__main__':
    main()
