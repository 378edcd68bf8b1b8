#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Where the output goes, and what is said when it cannot: full disks, limits, closed streams;
and the command line's errors, which begin alike and end with a shell's exit statuses.

    trace_output.py MMUNOTIFY WORKLOAD
"""
import os
import pty
import resource
import signal
import subprocess

from tap import done, equal, ok, skip
from trace_tool import TOOL, WORKLOAD, DIRECTORY, objects, path, run, tool

NOBODY = 65534
BASH = '/bin/bash'


def record(name, *options):
    result = tool('trace', '-o', path(name), *options, '--', WORKLOAD, 'basic')
    return path(name) if result.returncode == 0 else None


def content(file):
    with open(file, 'rb') as stream:
        return stream.read()


def said(result, status, *parts):
    lines = result.stderr.splitlines()
    return (result.returncode == status and len(lines) == 1 and
            lines[0].startswith(('mmunotify ', 'mmunotify: ')) and all(part in lines[0] for part in parts))


def test_in_place():
    recording = record('whole')
    before = content(recording)
    os.symlink(recording, path('link'))
    os.link(recording, path('hard'))
    for name, output, source in (
            ('onto itself', recording, recording), ('through a symbolic link', path('link'), recording),
            ('through a hard link', path('hard'), recording),
            ('by another path', os.path.join(DIRECTORY.name, '.', 'whole'), recording),
            ('from a link', recording, path('link'))):
        result = tool('replay', '-o', output, source)
        ok(said(result, 2, 'is the recording that is read') and content(recording) == before,
           'replay %s is refused' % name, result.stderr)
    with open(recording, 'rb') as stream:
        result = tool('replay', '-o', recording, '-', stdin=stream)
    ok(said(result, 2, 'is the recording that is read') and content(recording) == before,
       'replay of standard input onto itself is refused', result.stderr)
    if '--html' in tool('replay', '--help').stdout:
        result = tool('replay', '--html=' + path('link'), recording)
        ok(result.returncode == 2 and content(recording) == before,
           'a page over the recording is refused', result.stderr)
    result = tool('replay', '--json', '-o', path('copy'), recording)
    ok(result.returncode == 0 and content(path('copy')), 'another file is written')


def test_standard_output():
    recording = record('source')
    plain = tool('replay', '--json', recording).stdout
    equal(tool('replay', '--json', '-o', '-', recording).stdout, plain,
          'replay -o - writes to standard output')
    result = tool('trace', '--json', '-o', '-', '--', 'true')
    lines = objects(result.stdout)
    ok(lines[0]['type'] == 'trace' and lines[-1]['type'] == 'end' and not result.stderr,
       'trace -o - writes to standard output')
    result = run('sh', '-c', '%s trace -o - -- true | %s replay --json -' % (TOOL, TOOL))
    ok(objects(result.stdout)[-1]['type'] == 'end', 'a recording goes through a pipe', result.stderr)
    ok(not os.path.exists('-'), 'no file is called -')
    terminal, other = pty.openpty()
    result = subprocess.run([TOOL, 'trace', '-o', '-', '--', 'true'], stdout=other,
                            stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    os.close(other)
    os.close(terminal)
    ok(said(result, 2, 'standard output: is a terminal'), 'a recording is not shown to a terminal',
       result.stderr)


def test_full():
    recording = record('full')
    for options in ([], ['--text'], ['--json'], ['--summary'], ['--summary', '--json'], ['--perfetto']):
        result = tool('trace', '-o', '/dev/full', *options, '--', 'sh', '-c', 'echo runs')
        ok(said(result, 2, '/dev/full: cannot be written: No space left on device') and
           result.stdout == 'runs\n', 'trace %s to a full disk: said, and the program runs'
           % ' '.join(options), result.stderr)
        result = tool('replay', '-o', '/dev/full', *options, recording)
        ok(said(result, 2, '/dev/full: cannot be written: No space left on device'),
           'replay %s to a full disk' % ' '.join(options), result.stderr)
    with open('/dev/full', 'wb') as full:
        for args in (['replay', recording], ['replay', '--json', recording], ['--help'],
                     ['--version'], ['trace', '--help'], ['probe'], ['probe', '--json'],
                     ['help', 'replay'], ['help']):
            result = subprocess.run([TOOL, *args], stdout=full, stderr=subprocess.PIPE, text=True,
                                    timeout=60, check=False)
            ok(result.returncode == 2 and
               'standard output: cannot be written: No space left on device' in result.stderr,
               '%s >/dev/full' % ' '.join(args[:2]), result.stderr)


def test_full_system():
    """A file system that fills up in the middle."""
    script = ('mount -t tmpfs -o size=64k none %s && %s trace -o %s/r -- %s loop 20000 >/dev/null'
              % (path('small'), TOOL, path('small'), WORKLOAD))
    os.mkdir(path('small'))
    if run('unshare', '-m', 'mount', '-t', 'tmpfs', 'none', path('small')).returncode:
        return skip('a file system that fills up', 'nothing can be mounted')
    result = run('unshare', '-m', 'sh', '-c', script)
    return ok(said(result, 2, 'cannot be written: No space left on device'),
              'a file system that fills up', result.stderr)


def limited(size):
    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    return limit


def test_limit():
    result = tool('trace', '-o', path('limited'), '--buffer=1K', '--', 'sh', '-c',
                  'grep SigIgn /proc/self/status; %s loop 20000 >/dev/null' % WORKLOAD,
                  preexec_fn=limited(16384))
    ok(said(result, 2, 'limited: cannot be written: File too large (ulimit -f'),
       'RLIMIT_FSIZE: said, and no death by SIGXFSZ', result.stderr)
    ok(result.stdout and not int(result.stdout.split()[1], 16) >> (signal.SIGXFSZ - 1) & 1,
       '... which the program does not ignore', result.stdout)
    ok(os.path.getsize(path('limited')) <= 16384, '... and the recording is as long as may be')
    result = tool('replay', '--json', path('limited'))
    ok(result.returncode == 1 and result.stdout and 'damaged at byte' in result.stderr,
       '... and its beginning can be read', result.stderr)
    result = tool('trace', 'true', preexec_fn=limited(16384))
    ok(said(result, 125, 'the ring of 4194304 bytes cannot be made: File too large', '--buffer'),
       'a ring that the limit does not allow', result.stderr)
    recording = record('long', '-k')
    result = tool('replay', '--json', '-o', path('cut'), recording, preexec_fn=limited(512))
    ok(said(result, 2, 'File too large'), 'replay with RLIMIT_FSIZE', result.stderr)


def test_closed():
    recording = record('open')
    for command, status in (('%s replay %s >&-' % (TOOL, recording), 2),
                            ('%s --help >&-' % TOOL, 2), ('%s probe >&-' % TOOL, 2)):
        result = run('sh', '-c', command)
        ok(said(result, status, 'standard output: cannot be written: Bad file descriptor (it is closed)'),
           'closed standard output: %s' % command.split()[1], result.stderr)
    script = '%s trace -o %s -- sh -c "ls -l /proc/self/fd >%s" <&- >&- 2>&-'
    result = run('sh', '-c', script % (TOOL, path('closed'), path('open-in-it')))
    lines = objects(tool('replay', '--json', path('closed')).stdout)
    ok(result.returncode == 0 and lines[-1]['type'] == 'end',
       'with all three closed a recording is whole')
    numbers = [int(line.split()[8]) for line in content(path('open-in-it')).decode().splitlines()[1:]]
    ok(not set(numbers) & {2} and len(numbers) == 2, '... and the program finds them closed', numbers)
    result = run('sh', '-c', '%s replay %s | true; exit 0' % (TOOL, recording))
    equal(result.stderr, '', 'a reader that goes away is no error to complain of')
    result = run(BASH, '-c', 'trap "" PIPE; %s replay --json %s | true; exit ${PIPESTATUS[0]}'
                 % (TOOL, record('longer', '-k')))
    ok(result.returncode in (0, 2) and (not result.returncode or said(
        result, 2, 'standard output: cannot be written: Broken pipe (its reader has gone)')),
       '... and where SIGPIPE is ignored it is called by its name', result.stderr)


def test_prefix():
    commands = [line.split()[0] for line in tool('--help').stdout.split('Commands:\n')[1].splitlines()
                if line.startswith('  ') and line.strip() and not line.strip().startswith('-')]
    ok(len(commands) > 6, 'the commands are listed', commands)
    for command in commands:
        if command == 'help':
            continue
        result = tool(command, '--no-such-option')
        first = result.stderr.splitlines()[0]
        ok(result.returncode == 2 and first.startswith('mmunotify %s: ' % command) and
           'no-such-option' in first, '%s: an error of options begins as others' % command,
           result.stderr)
    result = tool('trace', '--filter')
    ok(result.stderr.startswith('mmunotify trace: option ') and result.returncode == 2,
       'an option without its value', result.stderr)


def as_nobody():
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)


def test_path():
    """The same exit status as bash's."""
    os.chmod(DIRECTORY.name, 0o755)
    for name in ('first', 'secret', 'folder/tool', 'second'):
        os.makedirs(path(name))
    for name, mode in (('first/tool', 0o644), ('secret/tool', 0o755), ('second/tool', 0o755),
                       ('secret/other', 0o755)):
        with open(path(name), 'w', encoding='utf-8') as out:
            out.write('#!/bin/sh\nexit 9\n')
        os.chmod(path(name), mode)
    os.chmod(path('secret'), 0)
    drop = as_nobody if os.geteuid() == 0 else None
    if drop and subprocess.run(['test', '-x', TOOL], preexec_fn=drop, check=False).returncode:
        skip('exit statuses of commands that are not there', 'another user may not run the tool')
        return
    for name, folders, command, expected in (
            ('a folder of PATH that may not be searched', ['secret'], 'tool', 127),
            ('... before one that has it', ['secret', 'second'], 'tool', 9),
            ('a file that may not be executed', ['first'], 'tool', 126),
            ('... before one that may', ['first', 'second'], 'tool', 9),
            ('... before a folder that may not be searched', ['first', 'secret'], 'tool', 126),
            ('a folder of that name', ['folder'], 'tool', 127),
            ('nothing of that name', ['second'], 'other', 127),
            ('a folder of PATH that is none', ['first/tool', 'nowhere'], 'tool', 127),
            ('a path into a folder that may not be searched', ['second'], path('secret/tool'), 126),
            ('a path to a file that may not be executed', ['second'], path('first/tool'), 126),
            ('a path to a folder', ['second'], path('folder'), 126),
            ('a path to nothing', ['second'], path('second/other'), 127),
            ('a path through a file', ['second'], path('second/tool/x'), 126)):
        env = {**os.environ, 'PATH': ':'.join(map(path, folders))}
        mine = run(TOOL, 'trace', '-o', '/dev/null', '--', command, env=env, preexec_fn=drop)
        equal(mine.returncode, expected, '%s: exit %d' % (name, expected))
        shell = run(BASH, '-c', '"$1"', 'x', command, env=env, preexec_fn=drop)
        equal(mine.returncode, shell.returncode, '... as bash says')
    os.chmod(path('secret'), 0o755)


def test_no_proc():
    script = 'umount -l /proc && exec "$@"'
    if run('unshare', '-m', 'sh', '-c', script, 'x', 'true').returncode:
        return skip('without /proc', '/proc cannot be unmounted')
    library = os.path.join(os.path.dirname(TOOL), '..', 'include')
    env = {**os.environ, 'LD_LIBRARY_PATH': library}
    for args in (['trace', 'true'], ['probe', 'true'], ['run', 'true'], ['stat']):
        result = run('unshare', '-m', 'sh', '-c', script, 'x', TOOL, *args, env=env)
        ok(said(result, 125, '/proc is not mounted'), '%s without /proc' % args[0], result.stderr)
    result = run('unshare', '-m', 'sh', '-c', script, 'x', TOOL, 'probe', env=env)
    return ok('/proc is not mounted' in result.stdout, 'probe without /proc', result.stdout)


def main():
    test_in_place()
    test_standard_output()
    test_full()
    test_full_system()
    test_limit()
    test_closed()
    test_prefix()
    test_path()
    test_no_proc()
    done()


main()
