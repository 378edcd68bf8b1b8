#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Memory regions of soft-RoCE: kept, and through the cache, while their memory is replaced.

    verbs.py FOLDER SUITE REGIONS PINGPONG LIBRARY...

REGIONS (regions.c) and PINGPONG (examples/verbs-pingpong.c) run in a virtual machine with the
kernel of Debian's SUITE.  What REGIONS reports is reported, with the job in front.  In
trixie-backports, whose soft-RoCE pages on demand, that is what is tested.
"""
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../system'))
from machine import Job, Machine, Unavailable  # noqa: E402
from tap import diag, done, ok, skip_all  # noqa: E402

# Until an emulated processor, which may have others beside it, has done it.
SECONDS = 240
SIZES = 8


def jobs(suite, regions, pingpong):
    if suite == 'trixie-backports':
        return [Job('on-demand', SECONDS, regions + ' on-demand')]
    return [Job('regions', SECONDS, regions),
            Job('strict', SECONDS, 'MMUNOTIFY_STRICT=1 %s raw' % regions),
            Job('pingpong', SECONDS, pingpong + ' -n 8 2>&1')]


def relay(name, output):
    """The results of a program that prints TAP, as ours."""
    results = re.findall(r'^((?:not )?ok) \d+ - (.*)\n((?:# (?:failed|got).*\n)*)', output, re.M)
    for line in re.findall(r'^# (?!failed|got)(.*)$', output, re.M):
        diag('%s: %s' % (name, line))
    for verdict, what, why in results:
        ok(verdict == 'ok', '%s: %s' % (name, what), why)
    ok(results and '\n1..%d\n' % len(results) in output, '%s: ran to its end' % name, output)


def judge_pingpong(result):
    """Two processes; it compares each message itself."""
    output = result.output if result else 'no result'
    for line in output.splitlines():
        diag('pingpong: ' + line)
    counts = re.search(r'^(\d+) hits, (\d+) misses, ', output, re.M)
    ok(result and result.status == 0 and len(re.findall(r'^ +\d+ +[\d.]+$', output, re.M)) == SIZES,
       'pingpong: every size is right, and measured', output)
    ok(counts and int(counts.group(1)) > int(counts.group(2)) > 0,
       'pingpong: more gets are hits than misses', output)


def main():
    folder, suite, *programs = sys.argv[1:]
    programs = [os.path.abspath(path) for path in programs]
    try:
        machine = Machine(folder, suite, needed={})
    except Unavailable as error:
        skip_all(error)
    diag(machine.versions(['libibverbs1']))
    wanted = jobs(suite, *programs[:2])
    found = machine.run('verbs', wanted, {}, programs)
    for job in wanted:
        result = found.get(job.name)
        if job.name == 'pingpong':
            judge_pingpong(result)
        else:
            relay(job.name, result.output if result else 'no result')
    done()


main()
