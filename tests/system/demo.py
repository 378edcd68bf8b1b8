#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""mmunotify demo: results, formats, fallback and exit statuses.

    demo.py MMUNOTIFY LIBURING(0|1)
"""
import ctypes
import json
import os
import pty
import struct
import subprocess
import sys

from tap import diag, done, equal, ok, skip

TOOL, HAVE_LIBURING = sys.argv[1], sys.argv[2] == '1'
SYS_MREMAP, SYS_IO_URING_SETUP = 25, 425
OPERATIONS = ['munmap-mmap', 'mmap-fixed', 'madvise-dontneed', 'mremap-over', 'hole-punch']


def run(*args, env=None, preexec=None):
    return subprocess.run([TOOL, 'demo', *args], capture_output=True, text=True, timeout=120,
                          env={**os.environ, **(env or {})}, preexec_fn=preexec, check=False)


def run_json(*args, **kwargs):
    """(exit status, object or None)"""
    result = run('--json', *args, **kwargs)
    try:
        return result.returncode, json.loads(result.stdout)
    except ValueError:
        diag(result.stdout + result.stderr)
        return result.returncode, None


def forbid(number):
    """A seccomp filter that answers this system call with EPERM."""
    code = [(0x20, 0, 0, 0),                        # load the system call number
            (0x15, 0, 1, number),                   # if it is ours
            (0x06, 0, 0, 0x00050000 | 1),           # return EPERM
            (0x06, 0, 0, 0x7fff0000)]               # allow
    filters = b''.join(struct.pack('HBBI', *c) for c in code)
    buffer = ctypes.create_string_buffer(filters)
    program = struct.pack('HxxxxxxP', len(code), ctypes.addressof(buffer))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, ctypes.create_string_buffer(program), 0, 0):
        raise OSError(ctypes.get_errno(), 'seccomp')


def forbid_io_uring():
    forbid(SYS_IO_URING_SETUP)


def forbid_mremap():
    """Without it no text can be replaced, so nobody can register."""
    forbid(SYS_MREMAP)


def io_uring_works():
    if not HAVE_LIBURING:
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    params = ctypes.create_string_buffer(120)
    fd = libc.syscall(SYS_IO_URING_SETUP, 4, params)
    if fd >= 0:
        os.close(fd)
    return fd >= 0


def check_columns(report, delivers, label):
    equal([o['name'] for o in report['operations']], OPERATIONS, label + ': the five operations')
    for operation in report['operations']:
        without, cured, cached = (operation[way] for way in ('without', 'with', 'cached'))
        views = ['device_reads'] + (['device_writes'] if delivers else [])
        ok(all(without[v] == 'stale' for v in views),
           '%s: %s is stale without a notifier' % (label, operation['name']), without)
        ok(all(cured[v] == 'fresh' for v in views),
           '%s: %s is not with one' % (label, operation['name']), cured)
        ok(cured['invalidations'] >= 1 and cured['registrations'] >= 2,
           '%s: %s was seen and registered again' % (label, operation['name']), cured)
        ok(all(cached[v] == 'fresh' for v in views),
           '%s: %s is not through the cache' % (label, operation['name']), cached)
        ok(cached['invalidations'] == 1 and cached['registrations'] == 2,
           '%s: %s ended one registration, and another was made' % (label, operation['name']), cached)
        if not delivers:
            equal((without['device_writes'], cured['device_writes'], cached['device_writes']), (None,) * 3,
                  '%s: %s claims nothing about the other direction' % (label, operation['name']))


def test_backend(name, delivers):
    status, report = run_json('--backend=' + name)
    if not ok(report is not None, name + ': JSON'):
        return
    check_columns(report, delivers, name)
    equal((status, report['pass'], report['stale_without'], report['stale_with'], report['stale_cached']),
          (0, True, 5, 0, 0), name + ': verdict and exit status')
    equal([report[key] for key in ('note', 'error_without', 'error_with', 'error_cached')], [None] * 4,
          name + ': nothing to excuse')
    table = run('--backend=' + name)
    equal(table.returncode, 0, name + ': the table has the same verdict')
    equal(table.stdout.count('STALE'), 5 * (2 if delivers else 1) + 1,
          name + ': every stale cell is in the table')
    ok('\033' not in table.stdout, name + ': no colour off a terminal')
    ok(max(len(line) for line in table.stdout.splitlines() if '|' in line) < 80,
       name + ': it is narrow', table.stdout)


def test_fallback():
    try:
        status, report = run_json(preexec=forbid_io_uring)
    except subprocess.SubprocessError as error:
        skip('io_uring forbidden', 'seccomp filters are not permitted here: %s' % error)
        return
    if not ok(report is not None, 'io_uring forbidden: JSON'):
        return
    equal((status, report['backend']), (0, 'vmsplice'), 'io_uring forbidden: vmsplice instead')
    ok(report['note'], 'io_uring forbidden: says why')
    text = run(preexec=forbid_io_uring)
    ok('vmsplice instead' in text.stdout, 'io_uring forbidden: the table says so', text.stdout)
    forced = run('--backend=io_uring', preexec=forbid_io_uring)
    equal((forced.returncode, forced.stdout), (1, ''), 'io_uring forbidden and demanded: status 1')
    equal(forced.stderr.count('\n'), 1, 'io_uring forbidden and demanded: one sentence')


def test_refusal():
    try:
        status, report = run_json('--backend=vmsplice', preexec=forbid_mremap)
    except subprocess.SubprocessError as error:
        skip('no notifiers', 'seccomp filters are not permitted here: %s' % error)
        return
    if not ok(report is not None, 'no notifiers: JSON'):
        return
    equal((status, report['pass'], report['stale_with'], report['stale_cached']), (1, False, 0, 0),
          'no notifiers: no cure is claimed')
    ok(report['error_with'] and report['error_cached'] == report['error_with'], 'no notifiers: says so once')
    equal([o[way]['device_reads'] for o in report['operations'] for way in ('with', 'cached')], [None] * 10,
          'no notifiers: no cell of the other columns is filled')
    ok('with a notifier: ' in run('--backend=vmsplice', preexec=forbid_mremap).stdout,
       'no notifiers: the table says so')


def on_terminal(env):
    """The demo's output on a terminal."""
    pid, fd = pty.fork()
    if not pid:
        os.environ.update(env)
        os.execv(TOOL, [TOOL, 'demo'])
    output = b''
    while True:
        try:
            block = os.read(fd, 4096)
        except OSError:
            break
        if not block:
            break
        output += block
    os.waitpid(pid, 0)
    os.close(fd)
    return output


def test_colour():
    ok(b'\033[' in on_terminal({'NO_COLOR': ''}), 'colour on a terminal')
    ok(b'\033[' not in on_terminal({'NO_COLOR': '1'}), 'NO_COLOR is obeyed')


def test_usage():
    for args in (['x'], ['--backend'], ['--backend=none'], ['--unknown'], ['--json=1']):
        result = run(*args)
        equal((result.returncode, result.stdout), (2, ''), 'usage: %s has status 2' % args)
        ok("'mmunotify demo --help'" in result.stderr, 'usage: %s points to the help' % args,
           result.stderr)
    result = run('--help')
    ok(result.returncode == 0 and '--backend' in result.stdout, 'usage: --help')


def main():
    if io_uring_works():
        test_backend('io_uring', True)
        test_fallback()
    else:
        skip('io_uring', 'io_uring is not permitted here' if HAVE_LIBURING
             else 'built without liburing')
    test_backend('vmsplice', False)
    test_refusal()
    test_colour()
    test_usage()
    done()


main()
