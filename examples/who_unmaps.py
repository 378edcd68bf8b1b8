#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Who unmaps, how much, how often: from a recording of `mmunotify trace -o FILE -- COMMAND`.

    who_unmaps.py FILE
"""
import collections
import sys

import mmunotify


def main(path):
    calls, sizes = collections.Counter(), collections.Counter()
    programs = {}
    damage = None
    try:
        for row in mmunotify.Recording(path):
            if row.type == 'process':
                programs[row.pid] = row.comm
            elif row.type == 'event' and row.event_class == 'unmap':
                who = (programs.get(row.pid, '?'), row.pid, row.op, row.range)
                calls[who] += 1
                sizes[who] += row.size
    except mmunotify.RecordingError as error:
        damage = error      # what was read before it counts all the same
    print('%10s %8s  %-16s %8s  %-16s %s' % ('KiB', 'changes', 'program', 'process', 'operation', 'mapping'))
    for who, size in sizes.most_common():
        print('%10d %8d  %-16s %8d  %-16s %s' % (size >> 10, calls[who], *who))
    print('%10d KiB in %d changes' % (sum(sizes.values()) >> 10, sum(calls.values())))
    if damage:
        print(damage, file=sys.stderr)
    return 1 if damage else 0


if __name__ == '__main__':
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1]))
