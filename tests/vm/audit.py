#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""mmunotify audit on Open MPI over UCX and libfabric, real memory regions on soft-RoCE.

    audit.py FOLDER MMUNOTIFY REPLACE LIBRARY...

REPLACE (replace.c) runs in a virtual machine under the audit. With adapters that hand nothing
on ("silent") the libraries keep regions of memory that is gone, and post them: those are findings.
With the adapters as they are none is used afterwards.
"""
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../system'))
from machine import Job, Machine, Unavailable  # noqa: E402
from stacks import ENVIRONMENT, NO_PATCHER, SILENT, STACKS  # noqa: E402
from tap import diag, done, ok, skip_all  # noqa: E402

SIZES = [16384, 262144]
MESSAGES = 3
# Deregistration waits for the next use of the cache, on an emulated processor.
GRACE = 600000


def jobs(mmunotify, replace):
    for stack, options in STACKS.items():
        for column, environment in (('silent', SILENT), ('ours', '')):
            program = 'mpirun -n 2 %s %s %d %s' % (options, replace, MESSAGES,
                                                   ' '.join(str(size) for size in SIZES))
            command = ('env %s %s %s audit --json --grace=%d -o report.json -- %s run -- %s >output 2>&1; '
                       'echo status $?; cat report.json; sed "s/^/# /" output') % (
                           NO_PATCHER, environment, mmunotify, GRACE, mmunotify, program)
            yield Job(('%s:%s' % (stack, column)).replace(' ', '-'), 400, command)


def report(output):
    lines = [json.loads(line) for line in output.splitlines() if line.startswith('{')]
    return ([line for line in lines if line['type'] == 'finding'],
            next((line for line in lines if line['type'] == 'summary'), {}))


def judge(stack, column, output):
    findings, summary = report(output)
    name = '%s, %s' % (stack, column)
    diag('%s: %s' % (name, {key: summary.get(key) for key in (
        'findings', 'stale', 'used_afterwards', 'registrations', 'deferred', 'incomplete')}))
    regions = [f for f in findings if f['kind'] == 'verbs']
    used = [f for f in regions if f['used_afterwards']]
    ok(summary and summary['registrations'] > 0, name + ': regions are registered', output)
    if column == 'ours':
        ok(summary and not findings, name + ': clean', output)
        return
    ok({'munmap', 'mmap-fixed', 'madvise-dontneed', 'mremap'} <= {f['op'] for f in used},
       name + ': regions of memory that is gone are posted', output)
    ok(all(f['made_stack'] and f['changed_stack'] and f['used_stack'] for f in used),
       name + ': with their stacks')


def main():
    folder, *programs = (os.path.abspath(path) for path in sys.argv[1:])
    mmunotify, replace = programs[:2]
    try:
        machine = Machine(folder)
    except Unavailable as error:
        skip_all(error)
    diag(machine.versions())
    found = machine.run('audit', list(jobs(mmunotify, replace)), ENVIRONMENT, programs)
    for stack in STACKS:
        for column in ('silent', 'ours'):
            result = found.get(('%s:%s' % (stack, column)).replace(' ', '-'))
            if result:
                diag('%s, %s: %d s' % (stack, column, result.seconds))
            judge(stack, column, result.output if result else 'no result')
    done()


if __name__ == '__main__':
    main()
