# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Test Anything Protocol for one Python program; the relative of tests/tap.h."""
import sys

_count = 0
_failures = 0


def diag(text):
    for line in str(text).splitlines():
        print('#', line)
    sys.stdout.flush()


def ok(condition, name, detail=''):
    """One test; @detail is shown when it fails."""
    global _count, _failures
    _count += 1
    print('%sok %d - %s' % ('' if condition else 'not ', _count, name.replace('#', '')))
    if not condition:
        _failures += 1
        diag(detail)
    sys.stdout.flush()
    return bool(condition)


def equal(got, expected, name):
    return ok(got == expected, name, 'got %r, expected %r' % (got, expected))


def skip(name, reason):
    global _count
    _count += 1
    print('ok %d - %s # SKIP %s' % (_count, name, reason))
    sys.stdout.flush()


def skip_all(reason):
    print('1..0 # SKIP', reason)
    sys.exit(0)


def done():
    print('1..%d' % _count)
    sys.exit(1 if _failures else 0)
