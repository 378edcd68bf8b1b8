#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Every wrong use of the mmunotify command: one clear sentence, the right exit
status; and the traced program's own end, which is passed on.

    trace_errors.py MMUNOTIFY WORKLOAD CC...
"""
import ctypes
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time

from tap import done, equal, ok, skip
from trace_tool import TOOL, WORKLOAD, DIRECTORY, path, run, tool, trace_json

CC = sys.argv[3:]
NOBODY = 65534


def fails(status, sentence, *args, name=None, **kwargs):
    """The command says one sentence that contains @sentence and exits with @status."""
    result = tool(*args, **kwargs)
    lines = result.stderr.strip().splitlines()
    hints = [line for line in lines if line.startswith("Try 'mmunotify ")]
    said = [line for line in lines if line not in hints]
    name = name or ' '.join(os.path.basename(argument) for argument in args)
    ok(result.returncode == status and len(said) == 1 and sentence in said[0] and
       said[0].startswith('mmunotify') and not result.stdout, '%s: exit %d' % (name, status),
       'exit %d, stdout %r, stderr %r' % (result.returncode, result.stdout, result.stderr))
    return hints


def test_usage():
    for args, sentence in (
            ([], 'a command is missing'),
            (['trase'], "no command 'trase'"),
            (['--verbose'], "no option '--verbose'"),
            (['help', 'me'], "no command 'me'"),
            (['trace'], 'a command to run is missing'),
            (['trace', '--'], 'a command to run is missing'),
            (['trace', '--text', '--json', 'true'], '--text does not go with --json'),
            (['trace', '--time=late', 'true'], '--time is relative, absolute or none'),
            (['trace', '--buffer=7', 'true'], '--buffer is a size from 1K to 1G'),
            (['trace', '--buffer=4096G', 'true'], '--buffer is a size from 1K to 1G'),
            (['trace', '--filter=op=munmp', 'true'], "column 4: there is no op 'munmp', only"),
            (['replay'], 'a recording to print is missing'),
            (['replay', 'a', 'b'], 'one recording at a time'),
            (['probe', '--sites=x', 'y'], '--sites does not go with a command')):
        hints = fails(2, sentence, *args)
        ok(len(hints) == 1, '... with a hint where help is', hints)


def test_options():
    """One prefix and one sentence, whatever is wrong with an option."""
    for command in ('trace', 'replay', 'probe', 'run', 'stat', 'soft'):
        for args, sentence in (
                (['--no-such'], "there is no option '--no-such'"),
                (['--no-such=x'], "there is no option '--no-such'"),
                (['--help=x'], "option '--help' takes no argument"),
                (['-W'], "there is no option '-W'"),
                (['-hW'], None)):
            if sentence:
                fails(2, 'mmunotify %s: %s' % (command, sentence), command, *args)
            else:
                equal(tool(command, *args).returncode, 0, '%s -hW: help comes first' % command)
    for args, sentence in (
            (['trace', '--filter'], "option '--filter' needs an argument"),
            (['trace', '-ke'], "option '-e' needs an argument"),
            (['trace', '--json', '-qW', 'true'], "there is no option '-W'"),
            (['replay', '-o'], "option '-o' needs an argument"),
            (['replay', 'x', '--t'], "'--t' is the beginning of several options"),
            (['stat', '-p'], "option '-p' needs an argument"),
            (['trace', '--color=red', 'true'], '--color is auto, always or never'),
            (['trace', '--top=0', 'true'], '--top is a number of rows or all'),
            (['trace', '--sort=size!', 'true'], '--sort is time, mean, max'),
            (['trace', '--summary=operation,speed', 'true'], "--summary: there is no key 'speed', only operation"),
            (['trace', '--summary=class+class', 'true'], "'class' stands twice"),
            (['trace', '--folded=weight', 'true'], '--folded is events, bytes or time'),
            (['trace', '--folded', '--json', 'true'], '--folded does not go with --json'),
            (['trace', '--perfetto', '-c', 'true'], '--perfetto does not go with --summary'),
            (['replay', '--perfetto', '--time=none', 'x'], '--time=none does not go with --perfetto'),
            (['replay', '-p', '1x', 'y'], '-p is the number of one process'),
            # What strace users type and would not mean here.
            (['trace', '-p', '1'], '-p: a running process cannot be watched'),
            (['trace', '-s', '80', 'true'], '-s: there are no strings to cut'),
            (['trace', '-tt', 'true'], '-t: the style of times is --time'),
            (['trace', '-C', 'true'], '-C: it is lines or a summary'),
            (['trace', '-e', 'trace=open', 'true'], "'open' is no operation on memory"),
            (['replay', '-T', 'x'], '-T: how long each operation took always stands')):
        fails(2, sentence, *args)


def test_of_strace():
    """The short forms mean what the long ones do."""
    recording = path('short')
    tool('trace', '-f', '-q', '-k', '-o', recording, '--', WORKLOAD, 'basic')
    process = re.search(r'"pid":(\d+)', tool('replay', '--json', recording).stdout)[1]
    for short, long in ((['-c'], ['--summary']), (['-e', 'munmap'], ['--filter=op=munmap']),
                        (['-e', 'trace=!mmap'], ['--filter', 'op!=mmap-fixed']),
                        (['-p', process], ['--filter', 'pid=' + process]),
                        (['-p', '1'], ['--filter', 'pid=1']),
                        (['-qk'], ['--quiet', '--stacks']),
                        (['-cS', 'calls'], ['--summary', '--sort=events'])):
        equal(tool('replay', *short, recording).stdout, tool('replay', *long, recording).stdout,
              'replay %s is %s' % (' '.join(short), ' '.join(long)))


def test_help():
    for args in (['--help'], ['help'], ['--version'], ['trace', '--help'], ['replay', '-h'],
                 ['probe', '--help'], ['help', 'trace'], ['help', 'probe']):
        result = tool(*args)
        ok(result.returncode == 0 and result.stdout and not result.stderr,
           '%s: exit 0, on stdout' % ' '.join(args))
    equal(tool('help', 'replay').stdout, tool('replay', '--help').stdout, 'both say the same')
    ok(re.match(r'mmunotify \d+\.\d+\.\d+\n$', tool('--version').stdout), '--version')


def write(name, text, mode=0o755):
    file = path(name)
    with open(file, 'w', encoding='utf-8') as out:
        out.write(text)
    os.chmod(file, mode)
    return file


def compile_program(name, *flags):
    source = write('program.c', '#include <stdio.h>\nint main(void) { puts("hello"); return 4; }\n')
    result = run(*CC, source, '-o', path(name), *flags)
    return path(name) if result.returncode == 0 else None


def patch_elf(name, offset, byte):
    with open(compile_program(name), 'r+b') as file:
        file.seek(offset)
        file.write(bytes([byte]))
    return path(name)


def test_programs():
    fails(127, 'command not found', 'trace', 'no-such-program-xyz',
          env=dict(os.environ, PATH='/usr/bin:/bin'))
    fails(127, 'no such file', 'trace', '/no/such/program')
    fails(127, 'name is empty', 'trace', '')
    fails(126, 'it is a directory', 'trace', '/usr')
    fails(126, 'may not be executed', 'trace', write('plain', 'x', 0o644))
    fails(126, 'neither an ELF program nor a script', 'trace', write('text', 'echo hello\n'))
    fails(126, 'neither an ELF program nor a script', 'trace', write('empty', ''))
    fails(126, 'interpreter cannot be run', 'trace', write('script', '#!/no/such/shell\n'))
    static = compile_program('static', '-static')
    if static:
        fails(126, 'it is statically linked', 'trace', static)
        fails(126, 'it is statically linked', 'trace', write('by-static', '#! %s -x\n' % static),
              name='trace a script whose interpreter is static')
    else:
        skip('a static program', 'the C library is not there to link statically')
    static = compile_program('static-pie', '-static-pie')
    if static:
        fails(126, 'it is statically linked', 'trace', static)
    fails(126, '32-bit program', 'trace', patch_elf('narrow', 4, 1))
    fails(126, 'another processor', 'trace', patch_elf('foreign', 18, 183))
    with open(compile_program('other-libc'), 'r+b') as file:
        content = file.read()
        at = content.index(b'/lib64/ld-linux-x86-64.so.2')
        file.seek(at)
        file.write(b'/lib/ld-musl-x86_64.so.1\0')
    fails(126, 'uses the C library musl', 'trace', path('other-libc'))
    with open(path('other-libc'), 'r+b') as file:
        file.seek(at)
        file.write(b'/lib64/no-such-linker.so\0')
    fails(126, 'its dynamic linker /lib64/no-such-linker.so is not there', 'trace',
          path('other-libc'))


def test_rights():
    if os.geteuid():
        return skip('set-user-ID programs', 'needs root to make one')
    program = compile_program('setuid')
    os.chown(program, NOBODY, NOBODY)
    os.chmod(program, 0o4755)
    if os.statvfs(program).f_flag & os.ST_NOSUID:
        return skip('set-user-ID programs', 'temporary files are mounted nosuid')
    fails(126, 'set-user-ID program', 'trace', program)
    os.chmod(program, 0o2755)
    fails(126, 'set-group-ID program', 'trace', program)
    os.chown(program, 0, 0)
    os.chmod(program, 0o6755)
    equal(tool('trace', '-o', path('x'), program).returncode, 4,
          'set-user-ID to the same user is traced')


def test_output():
    fails(2, 'cannot be written', 'trace', '-o', '/no/such/directory/file', '--', 'true')
    fails(2, 'cannot be written', 'trace', '-o', '/usr', '--', 'true')
    fails(2, 'cannot be written: No space left', 'trace', '-o', '/dev/full', '--', 'true')
    fails(2, 'cannot be read', 'replay', '/no/such/file')
    keep = write('keep', 'precious', 0o644)
    tool('trace', '-o', keep, '--', 'no-such-program-xyz')
    with open(keep, encoding='utf-8') as file:
        equal(file.read(), 'precious', 'a mistyped command does not empty the output file')
    fails(125, 'MMUNOTIFY_TRACE_LIBRARY', 'trace', 'true',
          env={**os.environ, 'MMUNOTIFY_TRACE_LIBRARY': '/no/such/library.so'})
    result = subprocess.run('%s trace -- %s loop 20000 2>&1 | head -n 1' % (TOOL, WORKLOAD),
                            shell=True, capture_output=True, text=True, timeout=240, check=False)
    ok(len(result.stdout.splitlines()) == 1, 'a reader that goes away does not hang the tool')


def test_exit_status():
    for status in (0, 1, 42, 255):
        equal(tool('trace', '-o', path('x'), 'sh', '-c', 'exit %d' % status).returncode, status,
              'exit status %d is passed on' % status)
    for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV, signal.SIGABRT, signal.SIGUSR1):
        result = tool('trace', '-o', path('x'), 'sh', '-c', 'kill -%d $$' % number,
                      preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CORE, (-1, -1)),
                      cwd=DIRECTORY.name)
        equal(result.returncode, -number, 'death by %s is passed on' % number.name)
    equal([name for name in os.listdir(DIRECTORY.name) if name.startswith('core')
           and 'mmunotify' in name], [], 'the tool dumps no core')
    result = run('sh', '-c', '%s trace -o %s sh -c "kill -9 \\$\\$"; echo $?' % (TOOL, path('x')))
    equal(result.stdout.strip(), '137', 'a shell sees 128+9')
    result, lines = trace_json('sh', '-c', 'kill -9 $$')
    equal((lines[-1]['type'], lines[-1]['signal']), ('end', 9), 'the trace ends with the signal')
    script = write('script', '#!/bin/sh\nexit 3\n')
    equal(tool('trace', '-o', path('x'), script).returncode, 3, 'a script is run')


def default_signals():
    """A test runner may ignore some, and a shell cannot trap what it finds ignored."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)


def start(*args):
    """The tool in a process group of its own, ready when the program says so."""
    process = subprocess.Popen([TOOL, 'trace', '--json', '-o', path('s.json'), '--', *args],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                               start_new_session=True, preexec_fn=default_signals)
    process.stdout.readline()
    return process


def runs(process, name):
    """Has the tool a child of that name, if only one that it has not yet waited for?"""
    with open('/proc/%d/task/%d/children' % (process.pid, process.pid), encoding='utf-8') as file:
        children = file.read().split()
    for child in children:
        try:
            with open('/proc/%s/stat' % child, encoding='utf-8') as file:
                if '(%s) ' % name in file.read():
                    return True
        except OSError:
            pass                        # reaped meanwhile
    return False


def trace_is_whole():
    with open(path('s.json'), encoding='utf-8') as file:
        return json.loads(file.read().splitlines()[-1])['type'] == 'end'


def test_signals():
    process = start(sys.executable, '-uc', 'import time; print(); time.sleep(60)')
    os.killpg(process.pid, signal.SIGINT)
    process.communicate(timeout=240)
    equal(process.returncode, -signal.SIGINT, 'Ctrl-C: the program dies of it, the tool likewise')
    ok(trace_is_whole(), 'Ctrl-C: the trace is whole')
    process = start('sh', '-c', 'trap "echo caught; exit 7" INT; echo; while :; do sleep 0.1; done')
    os.killpg(process.pid, signal.SIGINT)
    out, _ = process.communicate(timeout=240)
    equal((process.returncode, out.strip()), (7, 'caught'), 'Ctrl-C: the program may catch it')
    ok(trace_is_whole(), 'Ctrl-C: and the trace is whole')
    process = start('sh', '-c', 'trap "exit 8" TERM; echo; while :; do sleep 0.1; done')
    os.kill(process.pid, signal.SIGTERM)
    process.communicate(timeout=240)
    equal(process.returncode, 8, 'SIGTERM to the tool is passed on to the program')


def test_descendants():
    result, lines = trace_json('sh', '-c', '(sleep 1; exec %s basic) >/dev/null 2>&1 & exit 6'
                               % WORKLOAD)
    equal(result.returncode, 6, 'the exit status is the program\'s, not its children\'s')
    ok(sum(line.get('op') == 'munmap' for line in lines) >= 9,
       'children that outlive the program are traced to their end')
    process = start('sh', '-c', 'echo; sleep 100 >/dev/null 2>&1 & exit 6')
    while runs(process, 'sh'):
        time.sleep(0.01)
    time.sleep(0.5)
    os.kill(process.pid, signal.SIGINT)
    process.communicate(timeout=240)
    equal(process.returncode, 6, 'an interrupt ends the wait for them')
    os.killpg(process.pid, signal.SIGKILL)
    result = tool('trace', '--no-follow', '-o', path('x'), 'sh', '-c',
                  'sleep 100 >/dev/null 2>&1 & echo $!; exit 6', timeout=240)
    equal(result.returncode, 6, '--no-follow does not wait')
    os.kill(int(result.stdout), signal.SIGKILL)


def test_unfollowed():
    static = path('sleeper')
    source = write('sleeper.c', '#include <unistd.h>\nint main(void) { sleep(3); return 0; }\n')
    if run(*CC, '-static', source, '-o', static).returncode:
        return skip('children that cannot be followed', 'no static C library')
    _, lines = trace_json('sh', '-c', 'exec ' + static)
    lost = [line for line in lines if line['type'] == 'lost']
    equal([line['unfollowed'] for line in lost], [1], 'a program not followed is counted')


LATE_LIBRARY = r'''
long own_munmap(void *at, long size)
{
	long result;

	__asm__ volatile("mov $11, %%eax\n\tsyscall"
			 : "=a"(result) : "D"(at), "S"(size) : "rcx", "r11", "memory");
	return result;
}
'''

# Loads it when written memory may no longer become executable.
LATE_PROGRAM = r'''
#include <dlfcn.h>
#include <sys/mman.h>
#include <sys/prctl.h>
int main(int argc, char **argv)
{
	void *page = mmap(0, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (argc > 2 && prctl(65, 1, 0, 0, 0))
		return 77;
	if (!dlopen(argv[1], RTLD_NOW))
		return 1;
	return munmap(page, 4096);
}
'''


def late_library():
    """A program that loads a library with system calls of its own, and the library."""
    program, library = path('late'), path('liblate.so')
    if (run(*CC, '-shared', '-fPIC', write('liblate.c', LATE_LIBRARY), '-o', library).returncode or
            run(*CC, write('late.c', LATE_PROGRAM), '-o', program).returncode):
        raise OSError('no program could be compiled')
    return program, library


def test_unredirected():
    program, library = late_library()
    result, lines = trace_json(program, library, 'deny')
    if result.returncode == 77:
        return skip('a library that cannot be redirected', 'this kernel has no PR_SET_MDWE')
    lost = [line for line in lines if line['type'] == 'lost']
    ok(result.returncode == 0 and len(lost) == 1 and lost[0]['unredirected'] > 0,
       'a library that cannot be redirected is counted', lost)
    result = tool('trace', '--text', '-o', path('late.txt'), program, library, 'deny')
    with open(path('late.txt'), encoding='utf-8') as file:
        ok('a library that was loaded later failed' in file.read(), '... and the trace says so')
    _, lines = trace_json(program, library)
    equal([line for line in lines if line['type'] == 'lost'], [], 'one that can be is not')
    return None


def deny_written_code():
    """PR_SET_MDWE: memory that was written never becomes executable."""
    if ctypes.CDLL(None).prctl(65, 1, 0, 0, 0):
        raise OSError('this kernel has no PR_SET_MDWE')


def test_refused():
    """Where the event source cannot work: for the tool, and for one program only."""
    try:
        run('true', preexec_fn=deny_written_code)
    except subprocess.SubprocessError:
        return skip('an event source that cannot work', 'this kernel has no PR_SET_MDWE')
    fails(125, 'may not make memory executable that was written', 'trace', '-o', path('x'), 'true',
          preexec_fn=deny_written_code, name='trace under memory-deny-write-execute')
    result = tool('probe', preexec_fn=deny_written_code)
    ok(result.returncode == 1 and re.search(r'^self +unavailable ', result.stdout, re.M) and
       'why: this process may not' in result.stdout and 'do:  ' in result.stdout,
       'probe says why and what to do, exit 1', result.stdout)
    script = ('import ctypes, os; ctypes.CDLL(None).prctl(65, 1, 0, 0, 0); '
              'os.execv("/bin/sh", ["sh", "-c", "echo runs; exit 4"])')
    result, lines = trace_json(sys.executable, '-c', script, options=['-q'])
    equal((result.returncode, result.stdout), (4, 'runs\n'), 'such a program runs untraced')
    ok([line['error'] for line in lines if line['type'] == 'process'] not in ([], [0]),
       'and the trace says so', lines)


def test_probe():
    result = tool('probe')
    ok(result.returncode == 0 and re.search(r'^self +available ', result.stdout, re.M),
       'probe finds the source', result.stdout)
    result = tool('probe', '--sites', '/lib/x86_64-linux-gnu/libc.so.6')
    ok(result.returncode == 0 and re.search(r'^redirected +11 +\S*munmap\+', result.stdout, re.M),
       'probe --sites: the C library: munmap is redirected, nothing is left', result.stdout)
    result = tool('probe', '--sites', '/etc/passwd')
    ok(result.returncode == 2 and 'Exec format error' in result.stderr,
       'probe --sites: a file that is no program', result.stderr)
    with open('/lib/x86_64-linux-gnu/libc.so.6', 'rb') as libc, open(path('cut'), 'wb') as cut:
        cut.write(libc.read(3000))
    for file, why in ((path('cut'), 'Exec format error'), ('/', 'Exec format error'),
                      ('/dev/null', 'Exec format error'), ('/nonexistent', 'No such file')):
        result = tool('probe', '--sites', file)
        ok(result.returncode == 2 and why in result.stderr,
           'probe --sites: %s' % os.path.basename(file or '/'), result.stderr)
    result = tool('probe', '-v')
    ok(re.search(r'^  munmap +before$', result.stdout, re.M), 'probe -v shows the coverage')
    ok(re.search(r'^    redirected   11 .*munmap', result.stdout, re.M),
       'probe -v lists the system calls of the process itself')
    probe = json.loads(tool('probe', '--json').stdout)
    ok(probe['sources'][0]['available'] and probe['sources'][0]['coverage']['munmap'] == 'before'
       and {f['name'] for f in probe['facilities']} >= {'maps-query', 'io_uring'},
       'probe --json', probe)


def test_sanitizers():
    source = write('memory.c', '#include <stdlib.h>\n#include <string.h>\n#include <stdio.h>\n'
                   '#include <sys/mman.h>\n'
                   'int main(int argc, char **argv)\n{\n\tchar *p = malloc(1 << 22);\n'
                   '\tmemset(p, 1, 1 << 22);\n\tif (argc > 1)\n\t\tp[1 << 22] = 1;\n'
                   '\tfree(p);\n\tmunmap(mmap(NULL, 4096, PROT_READ, '
                   'MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), 4096);\n\tputs("done");\n\treturn 5;\n}\n')
    for kind in ('address', 'thread', 'undefined'):
        program = path(kind)
        if run('gcc', '-g', '-fsanitize=' + kind, source, '-o', program).returncode:
            skip('a program with -fsanitize=' + kind, 'gcc has no library for it')
            continue
        result = tool('trace', '-o', path('x'), program)
        equal((result.returncode, result.stdout, result.stderr), (5, 'done\n', ''),
              'a program with -fsanitize=%s is traced' % kind)
        out = tool('replay', '--json', path('x')).stdout
        ok('"op":"munmap"' in out, '... and its munmap is seen')
    if os.path.exists(path('address')):
        result = tool('trace', '-o', path('x'), path('address'), 'overflow')
        ok('heap-buffer-overflow' in result.stderr, 'and AddressSanitizer still works')


def sites(program, name):
    """{(function, state)} of the object @name of a program of probe --json."""
    return {(site['function'], site['state']) for one in program['objects'] for site in one['sites']
            if os.path.basename(one['path']).startswith(name)}


def test_probe_command():
    program, library = late_library()
    result = tool('probe', '-v', '--', program, library)
    ok(result.returncode == 0 and re.search(r'^\S*late \(process \d+\):$', result.stdout, re.M) and
       re.search(r'liblate.so: 1 redirected, 0 other, 0 left\n    redirected   11       own_munmap', result.stdout),
       'probe -v COMMAND lists what was loaded meanwhile', result.stdout + result.stderr)
    ok('mmunotify-trace' not in result.stdout, '... and not what it has put there itself')
    result = tool('probe', program, library)
    ok(result.returncode == 0 and 'liblate.so: 1 redirected' in result.stdout and
       'own_munmap' not in result.stdout, 'without -v it counts', result.stdout)
    result = tool('probe', '--json', '-v', program, library, 'deny')
    shown = json.loads(result.stdout)['programs']
    if run(program, library, 'deny').returncode == 77:
        skip('what could not be redirected', 'this kernel has no PR_SET_MDWE')
    else:
        ok(result.returncode == 1 and len(shown) == 1 and shown[0]['at_end'] and
           ('own_munmap', 'left') in sites(shown[0], 'liblate.so') and
           sites(shown[0], 'libc.so') & {('munmap', 'redirected'), ('__munmap', 'redirected')} and
           'liblate.so: this process may not make memory executable' in shown[0]['reason'],
           'what could not be redirected is listed as left, with the reason', result.stdout[:500])
    result = tool('probe', '--json', 'sh', '-c', '%s %s; %s %s; kill -9 $$' % (2 * (program, library)))
    shown = json.loads(result.stdout)['programs']
    equal([(os.path.basename(one['path'])[:4], one['at_end']) for one in shown[1:]],
          [('late', True), ('late', True)], 'each program that is executed is listed')
    ok(not shown[0]['at_end'], 'one that is killed is shown as it was at its start')
    result = tool('probe', 'sh', '-c', 'exec %s %s' % (program, library))
    ok(re.search(r'^/\S*sh \(process \d+\):$', result.stdout, re.M) and
       re.search(r'^\S*late \(process \d+\):$', result.stdout, re.M), 'exec ends the one and begins the other',
       result.stdout)
    fails(127, 'command not found', 'probe', 'no-such-command-here')
    fails(126, 'it is neither an ELF program', 'probe', write('text', 'hello\n'))


def main():
    test_usage()
    test_options()
    test_of_strace()
    test_help()
    test_programs()
    test_rights()
    test_output()
    test_exit_status()
    test_signals()
    test_descendants()
    test_unfollowed()
    test_unredirected()
    test_probe()
    test_probe_command()
    test_refused()
    test_sanitizers()
    done()


main()
