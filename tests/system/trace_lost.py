#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Nothing is lost silently: what a program executes is followed whatever its environment,
and what cannot be followed is named with the reason.

    trace_lost.py MMUNOTIFY WORKLOAD LOST-WORKLOAD CC...
"""
import json
import os
import re
import shutil
import signal
import subprocess
import sys

from tap import done, equal, ok, skip
from trace_tool import TOOL, WORKLOAD, path, run, tool, trace_json

LOST = os.path.abspath(sys.argv[3])
CC = sys.argv[4:]
NOBODY = 65534
WAYS = ('posix_spawn', 'posix_spawnp', 'vfork', 'execve', 'execvpe', 'execle', 'null', 'execveat',
        'fexecve', 'syscall', 'system', 'popen', 'preload', 'thread', 'handler', 'clone', 'bad')


def write(name, text, mode=0o755):
    with open(path(name), 'w', encoding='utf-8') as out:
        out.write(text)
    os.chmod(path(name), mode)
    return path(name)


def compile_program(name, *command, text='#include <unistd.h>\nint main(void) { return 4; }\n'):
    """The program, or None where that compiler is not there."""
    source = write(name + '.c', text)
    if not shutil.which(command[0]) or run(*command, source, '-o', path(name)).returncode:
        return None
    return path(name)


def programs(lines):
    return [line['exe'] for line in lines if line['type'] == 'process' and line['after_exec']]


def unfollowed(lines):
    return [(line['exe'], line['reason']) for line in lines if line['type'] == 'unfollowed']


def test_followed():
    program = compile_program('followed', *CC)
    for way in WAYS:
        plain = run(LOST, way, program)
        result, lines = trace_json(LOST, way, program)
        equal((result.returncode, result.stderr, program in programs(lines), unfollowed(lines)),
              (plain.returncode, '', True, []), '%s: the program is followed' % way)
    result, lines = trace_json(LOST, 'instruction', program, options=['--strict'])
    equal((result.returncode, result.stderr, program in programs(lines)), (4, '', True),
          'with --strict also one that an instruction of the program executes')
    result, lines = trace_json(LOST, 'syscall', program, options=['--strict'])
    equal((result.returncode, program in programs(lines)), (4, True), '... and one by syscall()')
    result, lines = trace_json('env', '-i', program)
    equal((result.returncode, program in programs(lines)), (4, True), 'env -i')
    result, lines = trace_json('sh', '-c', 'LD_PRELOAD=libm.so.6 %s' % program)
    equal((result.returncode, program in programs(lines), result.stderr), (4, True, ''),
          'a shell that sets another LD_PRELOAD')
    result, lines = trace_json(LOST, 'preload', shutil.which('env'))
    shown = re.sub(r'=/\S+/mmunotify-trace.so', '=TRACER', result.stdout).splitlines()
    equal(shown[1:], ['LD_PRELOAD=TRACER:libm.so.6', 'A=b', 'C=d'],
          'the program\'s own variables stay')
    result, _ = trace_json('env', '-i', 'A=b', 'env', options=['--no-follow'])
    equal(result.stdout, 'A=b\n', 'with --no-follow the environment stays as it is')
    for way, number in (('many', 151), ('together', 80)):
        result, lines = trace_json(LOST, way, '/bin/true')
        equal((result.returncode, len(programs(lines))), (0, number + 1),
              '%s: all are followed, and their parent\'s memory does not grow' % way)


def test_descriptors():
    for options in ([], ['--no-follow']):
        result = tool('trace', *options, '-o', path('descriptors'), '--', LOST, 'descriptors', 'x')
        equal((result.returncode, result.stderr), (0, ''),
              ' '.join(['children inherit no descriptor of the tracer'] + options))


def test_full_environment():
    """What would be too large with ours is executed without."""
    plain = run(LOST, 'full', 'x')
    result, lines = trace_json(LOST, 'full', 'x')
    ok(plain.returncode == 0 and result.stdout == plain.stdout,
       'an environment as large as may be is executed', plain.stdout + result.stdout)
    ok(any('Argument list too long' in reason for _, reason in unfollowed(lines)),
       '... and the program is named', unfollowed(lines)[:3])


def named(name, reason, *command, program=None, **kwargs):
    """The program runs as without a trace, and is named in recording, stderr and summary."""
    program = program or command[-1]
    plain = run(*command, **kwargs)
    result = tool('trace', '-o', path('named'), '--', *command, **kwargs)
    said = [line for line in result.stderr.splitlines() if line.startswith('mmunotify trace: ')]
    ok((result.returncode, result.stdout) == (plain.returncode, plain.stdout) and len(said) == 1 and
       said[0].startswith('mmunotify trace: not followed: %s: ' % program) and reason in said[0],
       '%s: it runs, and is named on standard error' % name, result.stderr + result.stdout)
    others = [line for line in result.stderr.splitlines() if line not in said]
    equal(others, plain.stderr.splitlines(), '... and nothing else is said')
    text = tool('replay', path('named')).stdout
    ok(re.search(r'not followed +%s: .*%s' % (re.escape(program), re.escape(reason)), text),
       '... and in the recording', text)
    ok('not followed: %s: ' % program in tool('replay', '--summary', path('named')).stdout,
       '... and in its summary')


def test_named():
    static = compile_program('static', *CC, '-static')
    if static:
        named('a static program', 'it is statically linked', 'sh', '-c', 'exec ' + static,
              program=static)
        named('one with an empty environment', 'it is statically linked', 'env', '-i', static)
        named('one that a vfork child executes', 'it is statically linked', LOST, 'vfork', static)
    else:
        skip('a static program', 'the C library is not there to link statically')
    narrow = compile_program('narrow', *CC, '-m32')
    if narrow and run(narrow).returncode == 4:
        named('a 32-bit program', '32-bit program', 'sh', '-c', narrow + '; exit 5', program=narrow)
    else:
        skip('a 32-bit program', 'it cannot be compiled and run here')
    musl = compile_program('musl', 'musl-gcc')
    if musl:
        named('a program of another C library', 'the C library musl', 'sh', '-c', musl + '; exit 5',
              program=musl)
    else:
        skip('a program of another C library', 'musl-gcc is not there')
    _, lines = trace_json(LOST, 'instruction', '/bin/sleep', '1')
    ok(any('--strict' in reason for _, reason in unfollowed(lines)),
       'what is executed out of sight is noticed', unfollowed(lines))
    _, lines = trace_json(LOST, 'rawfork', '/bin/sleep', '1')
    ok(any('not made by fork' in reason for _, reason in unfollowed(lines)),
       '... and by a child that the C library does not know', unfollowed(lines))
    for _ in range(5):
        _, lines = trace_json(LOST, 'rawfork', '/bin/true')
        equal([line for line in unfollowed(lines) if 'not made by fork' not in line[1]], [],
              '... which is named once, however short its life is')
        equal(len(unfollowed(lines)), 1, '... in each run')
    _, lines = trace_json('sh', '-c', 'i=0; while [ $i -lt 100 ]; do (exit 0); i=$((i + 1)); done')
    equal(unfollowed(lines), [], '... and children of the C library are not, however short')
    _, lines = trace_json('sh', '-c', '/bin/sleep 1 & wait', options=['--no-follow'])
    _, others = trace_json(LOST, 'rawfork', '/bin/sleep', '1', options=['--no-follow'])
    equal(unfollowed(lines) + unfollowed(others), [], '... but not where nobody is followed')


def test_rights():
    if os.geteuid():
        return skip('set-user-ID programs, other users', 'needs root')
    program = compile_program('setuid', *CC)
    os.chown(program, NOBODY, NOBODY)
    os.chmod(program, 0o4755)
    if os.statvfs(program).f_flag & os.ST_NOSUID:
        skip('set-user-ID programs', 'temporary files are mounted nosuid')
    else:
        named('a set-user-ID program', 'set-user-ID', 'sh', '-c', program + '; exit 5',
              program=program)
    other = compile_program('other', *CC)
    os.chmod(os.path.dirname(other), 0o755)
    return named('another user\'s program', 'another user (%d)' % NOBODY,
                 'setpriv', '--reuid=%d' % NOBODY, '--clear-groups', other)


def test_not_named():
    """Followed programs are not said to be lost, however long they take to begin."""
    library = write('slow.c', '#include <unistd.h>\n'
                    '__attribute__((constructor)) static void slow(void) { usleep(2300000); }\n')
    run(*CC, '-fPIC', '-shared', library, '-o', path('libslow.so'))
    program = compile_program('slowly', *CC, '-Wl,--no-as-needed', path('libslow.so'))
    result, lines = trace_json('sh', '-c', '%s & exec env -i %s' % (program, program))
    equal((result.returncode, result.stderr, unfollowed(lines), programs(lines).count(program)),
          (4, '', [], 2), 'constructors may take their time')
    text = write('text', 'exit 6\n')
    result, lines = trace_json('sh', '-c', text + '; exit 7')
    equal((result.returncode, unfollowed(lines)), (7, []), 'a script without a first line')


FAILING = r'''
import os, sys
try:
    os.execv(sys.argv[1], [sys.argv[1]])
except OSError as error:
    print(error.errno)
x = bytearray(1 << 22)
del x
'''


def test_failed():
    text = write('neither', 'neither a program nor a script\n')
    result, lines = trace_json(sys.executable, '-c', FAILING, text)
    equal((result.returncode, result.stdout), (0, '8\n'), 'what cannot be executed is refused')
    ok(any('Exec format error' in reason and 'is not seen' in reason
           for _, reason in unfollowed(lines)), '... and what comes then is said not to be seen',
       unfollowed(lines))


def test_odd_files():
    """A script for which the kernel finds no interpreter is refused, and nobody waits."""
    os.mkfifo(path('fifo'), 0o755)
    script = write('waiting', '#!%s\n' % path('fifo'))
    result, _ = trace_json(sys.executable, '-c', FAILING, script)
    equal((result.returncode, result.stdout), (0, '13\n'), 'an interpreter that is a FIFO')


def test_other_root():
    if os.geteuid():
        return skip('another root directory', 'needs root')
    program = compile_program('rooted', *CC)
    os.mkdir(path('root'))
    for file in re.findall(r'(/\S+) \(0x', run('ldd', program).stdout) + [program]:
        os.makedirs(path('root') + os.path.dirname(file), exist_ok=True)
        shutil.copy(file, path('root') + file)
    return named('a program in another root directory', 'root directory is another',
                 'chroot', path('root'), program)


def default_signals():
    """A test runner may ignore some."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)


def test_waiting():
    process = subprocess.Popen([TOOL, 'trace', '-o', path('waiting'), '--', 'sh', '-c',
                                'sleep 1000 >/dev/null 2>&1 & echo $!'], stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True, preexec_fn=default_signals)
    child = int(process.stdout.readline())
    said = process.stderr.readline()
    ok(re.match(r'mmunotify trace: sh has ended, process %d \(sleep\) goes on: waiting .*'
                r'kill -INT %d ' % (child, process.pid), said),
       'who is waited for is said, and what ends it', said)
    os.kill(process.pid, signal.SIGINT)
    equal(process.wait(timeout=120), 0, '... and an interrupt does')
    os.kill(child, signal.SIGKILL)
    process.communicate()


def test_probe():
    program = compile_program('probed', *CC)
    result = tool('probe', '--', 'env', '-i', program)
    ok(re.search(r'^%s \(process \d+\):$' % program, result.stdout, re.M),
       'probe lists a program with an environment of its own', result.stdout)
    result, lines = trace_json(TOOL, 'probe', '--', 'sh', '-c', program + '; ' + program)
    equal((result.returncode, programs(lines)[:1]), (0, [os.path.realpath(TOOL)]),
          'the tool may be traced')
    ok(len(re.findall(r'^%s \(process \d+\):$' % program, result.stdout, re.M)) == 2,
       '... and both follow', result.stdout)
    equal(programs(lines).count(program), 2, '... the trace as well')
    tool('audit', '--', TOOL, 'trace', '--json', '-o', path('inner'), '--', 'sh', '-c',
         program + '; env -i ' + program)
    with open(path('inner'), encoding='utf-8') as inner:
        lines = [json.loads(line) for line in inner]
    equal(programs(lines).count(program), 2, 'a trace under an audit has each program once')


def main():
    test_followed()
    test_descriptors()
    test_full_environment()
    test_named()
    test_rights()
    test_not_named()
    test_failed()
    test_odd_files()
    test_other_root()
    test_waiting()
    test_probe()
    done()


main()
