#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The benchmark of registration caches runs, and says what does not depend on the machine's pace.

    bench.py MMUNOTIFY_BENCH PEER...

PEER: UCX or libfabric, as far as they are there.
"""
import json
import subprocess
import sys

from tap import done, equal, ok

BENCH, PEERS = sys.argv[1], sys.argv[2:]
# What the rows of the table say of: nanoseconds are not judged here.
SURE = ('bytes pinned', 'bytes a region of 100,000')
# Nobody's bytes are gone after 300 ms but ours.
LEFT = 1000 * 65536


def run(*args):
    return subprocess.run([BENCH, *args], capture_output=True, text=True, timeout=250)


wrong = run('--json', 'no-such-question')
equal(wrong.returncode, 2, 'a question that does not exist: status 2')
ok('rcache' in wrong.stderr, 'the usage names the questions', wrong.stderr)

result = run('--json', '--generations=1', '--rounds=1', 'rcache')
equal(result.returncode, 0, 'one round of rcache: status 0')
rows = [json.loads(line) for line in result.stdout.splitlines()]
total = rows.pop()
ok('goals_reached' in total, 'the last line sums up', total)
for name in ['mmunotify', *PEERS]:
    own = [row for row in rows if row['what'].startswith(name + ': ')]
    absent = [row for row in own if 'absent' in row]
    ok(len(own) >= 40 and not absent, '%s: all questions are answered' % name,
       '%d rows; %s\n%s' % (len(own), absent, result.stderr))
for peer in {'UCX', 'libfabric'}.difference(PEERS):
    ok(all('absent' in row for row in rows if row['what'].startswith(peer + ': ')),
       '%s: said to be absent' % peer)
for row in rows:
    if 'goal' in row and row['what'].split(': ')[1].startswith(SURE):
        equal(row['verdict'], 'pass', row['what'])
for peer in PEERS:
    pinned = [row['median'] for row in rows if row['what'] == peer + ': bytes pinned after 300 ms']
    ok(pinned and pinned[0] >= LEFT * 0.99, '%s: all stay pinned, so that would be seen' % peer,
       pinned)
judged = sum('verdict' in row for row in rows)
equal(total['goals_reached'] + total['goals_missed'], judged, 'every goal is reached or missed')
done()
