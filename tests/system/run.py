#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""mmunotify run: the environment that it makes, the line at the end, and that the command
is otherwise as it would be without.

    run.py MMUNOTIFY WORKLOAD CC...

The adapters here are empty objects; what they would count the workload counts.
"""
import fcntl
import os
import pty
import re
import shutil
import signal
import struct
import subprocess
import sys
import time

from tap import done, equal, ok, skip
from trace_tool import DIRECTORY, TOOL, WORKLOAD, path, run, tool

CC = sys.argv[3:]
ADAPTERS = path('adapters')
UCX = os.path.join(ADAPTERS, 'libmmunotify-ucx.so')
FI = os.path.join(ADAPTERS, 'fi/libmmunotify-fi.so')


def environment(**more):
    env = {name: value for name, value in os.environ.items()
           if name not in ('LD_PRELOAD', 'FI_PROVIDER_PATH', 'MMUNOTIFY_STRICT', 'MMUNOTIFY_STAT')}
    env['MMUNOTIFY_ADAPTERS'] = ADAPTERS
    env.update(more)
    return env


def compile_c(name, text, *options):
    source = path(name + '.c')
    with open(source, 'w', encoding='utf-8') as file:
        file.write(text)
    made = run(*CC, '-o', path(name), source, *options)
    return path(name) if made.returncode == 0 else None


def make_adapters():
    os.makedirs(os.path.dirname(FI))
    empty = compile_c('empty.so', 'int mmunotify_test_unused;\n', '-shared', '-fPIC')
    shutil.copy(empty, UCX)
    shutil.copy(empty, FI)


def with_adapters(*args, **kwargs):
    kwargs.setdefault('env', environment())
    return tool('run', *args, **kwargs)


def line(result):
    """What run says at the end."""
    found = [part for part in result.stderr.splitlines() if part.startswith('mmunotify run: ')]
    return found[-1][len('mmunotify run: '):] if found else ''


def fails(status, pattern, *args, **kwargs):
    result = with_adapters(*args, **kwargs)
    ok(result.returncode == status and re.search(pattern, result.stderr) and
       len(result.stderr.splitlines()) <= 2,
       'run %s: %d, %s' % (' '.join(args)[:60], status, pattern), result.stderr)


NONE = 'no adapter was connected: no process here has made a registration cache of UCX or libfabric'


def shown_environment(*options, **more):
    env = environment(**more)
    text = with_adapters(*options, '--', 'env', env=env).stdout
    return dict(part.split('=', 1) for part in text.splitlines() if '=' in part)


def test_usage():
    fails(2, 'a command to run is missing', '--strict')
    fails(2, "there is no adapter 'mpi'", '--with', 'ucx,mpi', 'true')
    fails(2, '--with names no adapter', '--with', ',', 'true')
    fails(2, "there is no option '--no-such-option'", '--no-such-option', 'true')
    fails(127, 'command not found', 'no-such-command-here')
    fails(127, 'there is no such file', './no/such/file')
    fails(127, "the command's name is empty", '')
    fails(126, 'it is a directory', '/tmp')
    fails(126, 'it may not be executed', '/etc/passwd')
    with open(path('text'), 'w', encoding='utf-8') as file:
        file.write('hello\n')
    os.chmod(path('text'), 0o755)
    fails(126, 'Exec format error', path('text'))
    fails(125, 'no adapter is installed', 'true', env=environment(MMUNOTIFY_ADAPTERS='/nowhere'))
    fails(125, 'adapter libfabric is not installed', '--with', 'libfabric', 'true',
          env=environment(MMUNOTIFY_ADAPTERS='/nowhere'))
    result = tool('run', '--help')
    ok(result.returncode == 0 and result.stdout.startswith('Usage: mmunotify run'), 'run --help')
    for name in ('with space', 'with:colon', 'with$ORIGIN'):
        folder = path(name)
        shutil.copytree(ADAPTERS, folder)
        fails(125, 'LD_PRELOAD cannot name a path with a space, a colon or a dollar', 'true',
              env=environment(MMUNOTIFY_ADAPTERS=folder))


def test_environment():
    env = shown_environment()
    equal((env['LD_PRELOAD'], env['FI_PROVIDER_PATH'], env.get('MMUNOTIFY_STRICT')),
          (UCX + ':' + FI, os.path.dirname(FI), None), 'both adapters by default')
    ok(re.fullmatch(r'/proc/\d+/fd/\d+:\d+', env['MMUNOTIFY_STAT']),
       'the file of the pages is named', env['MMUNOTIFY_STAT'])
    env = shown_environment('--strict', '--with=ucx')
    equal((env['LD_PRELOAD'], env.get('FI_PROVIDER_PATH'), env.get('MMUNOTIFY_STRICT')),
          (UCX, None, '1'), '--strict --with=ucx')
    env = shown_environment('--with', 'libfabric')
    equal((env['LD_PRELOAD'], env['FI_PROVIDER_PATH']), (FI, os.path.dirname(FI)),
          '--with libfabric')
    shutil.copytree(ADAPTERS, path('one'))
    os.remove(os.path.join(path('one'), 'libmmunotify-ucx.so'))
    env = shown_environment(MMUNOTIFY_ADAPTERS=path('one'))
    ok('ucx' not in env['LD_PRELOAD'], 'by default those that are installed')


def preloaded(old):
    """LD_PRELOAD as it is made of @old; the loader of what is not there is not asked."""
    script = 'LD_PRELOAD=%s; export LD_PRELOAD; exec "$@"' % old
    text = run('sh', '-c', script.replace('exec', 'MMUNOTIFY_TEST=1 exec'), 'sh', TOOL, 'run', '--',
               'env', env=environment()).stdout
    return [part.split('=', 1)[1] for part in text.splitlines() if part.startswith('LD_PRELOAD=')][0]


def test_preload():
    empty = path('empty.so')
    ours = UCX + ':' + FI
    equal(preloaded(empty), ours + ':' + empty, 'ours is in front of what is preloaded')
    equal(preloaded('"%s  :%s"' % (empty, UCX)), ours + ':' + empty,
          'spaces separate as well; ours is there once')
    jemalloc = run('gcc', '-print-file-name=libjemalloc.so.2').stdout.strip()
    if not os.path.isabs(jemalloc):
        skip('jemalloc', 'it is not installed')
    else:
        equal(preloaded(jemalloc), ours + ':' + jemalloc, 'jemalloc comes behind')
    asan = run('gcc', '-print-file-name=libasan.so').stdout.strip()
    if not os.path.isabs(asan):
        skip('a sanitizer\'s run-time', 'it is not installed')
        return
    asan = os.path.realpath(asan)
    env = environment(LD_PRELOAD=asan, ASAN_OPTIONS='detect_leaks=0')
    result = with_adapters('sh', '-c', 'echo $LD_PRELOAD', env=env)
    equal(result.stdout, '%s:%s\n' % (asan, ours), 'the run-time of a sanitizer stays first')


def test_providers():
    folder = os.path.dirname(FI)
    for old, new in (('', '+' + FI), ('/a:/b', folder + ':/a:/b'), ('@/a', '@' + folder + ':/a'),
                     ('@', '@+' + FI), ('+/a/libx-fi.so', '+' + FI + ':+/a/libx-fi.so'),
                     ('+/a/libx-fi.so:/b', folder + ':+/a/libx-fi.so:/b'),
                     (folder + ':/a', folder + ':/a'), ('/a:' + folder, folder + ':/a'),
                     (folder + '2:/a', folder + ':' + folder + '2:/a'), (':/a::', folder + ':/a'),
                     ('/tmp:/a', folder + ':/tmp:/a'), ('/:' + folder, folder + ':/')):
        env = shown_environment(FI_PROVIDER_PATH=old)
        equal(env['FI_PROVIDER_PATH'], new, 'FI_PROVIDER_PATH=%s' % old)


def test_line():
    result = with_adapters('true')
    equal((result.returncode, result.stdout, line(result)), (0, '', NONE), 'nothing connected')
    result = with_adapters(WORKLOAD, 'create=ucx', 'connected=connected to UCX 1.13.1', 'add=0:7',
                           'add=1:5', 'add=2:3', 'add=3:100')
    equal(line(result), 'ucx connected in 1 process; 7 sections, 5 invalidations, 3 refused '
          'registrations', 'one process')
    result = with_adapters('sh', '-c', '"$@" & "$@" & wait', 'sh', WORKLOAD, 'create=ucx', 'connected=x',
                           'add=0:7', 'create=libfabric', 'connected=y', 'add=0:1', 'children=3',
                           'connected=again', 'add=1:2')
    equal(line(result), 'ucx connected in 2 processes, libfabric in 8; 16 sections, 12 '
          'invalidations, 0 refused registrations', 'grandchildren count for themselves')
    result = with_adapters(WORKLOAD, 'create=ucx', 'aside=standing aside: UCX 0.9 is not known',
                           'create=libfabric', 'connected=x')
    equal(line(result), 'libfabric connected in 1 process; 0 sections, 0 invalidations, 0 refused '
          'registrations; ucx stood aside in 1 process (UCX 0.9 is not known)', 'one stands aside')
    result = with_adapters(WORKLOAD, 'create=ucx', 'aside=for a reason')
    equal(line(result), 'no adapter was connected; 0 sections, 0 invalidations, 0 refused '
          'registrations; ucx stood aside in 1 process (for a reason)', 'all stand aside')
    result = with_adapters(WORKLOAD, 'create=ucx', 'connected=x', 'add=0:18446744073709551615',
                           'create=ucx', 'connected=x', 'add=0:9')
    equal(line(result), 'ucx connected in 1 process; 18446744073709551615 sections, 0 '
          'invalidations, 0 refused registrations',
          'two copies in a process are one process, and sums do not wrap')
    result = with_adapters('sh', '-c', '"$@" & wait', 'sh', WORKLOAD, 'create=ucx', 'connected=x',
                           'add=0:4', 'signal=9')
    ok(line(result).startswith('ucx connected in 1 process; 4 sections'),
       'a process that is killed counts', result.stderr)


def test_out_of_reach():
    static = compile_c('static', 'int main(void) { return 3; }\n', '-static')
    if static:
        result = with_adapters(static)
        equal((result.returncode, line(result)[:25]), (3, 'no adapter was connected:'),
              'a static program runs')
        ok('statically linked' in line(result), 'and it is said why nothing connected', line(result))
    else:
        skip('a static program', 'it cannot be linked here')
    setuid = compile_c('setuid', 'int main(void) { return 4; }\n')
    if os.getuid() == 0:
        os.chown(setuid, 1, 1)
        os.chmod(setuid, 0o4755)
        os.chmod(DIRECTORY.name, 0o755)
        result = with_adapters(setuid)
        if os.statvfs(setuid).f_flag & os.ST_NOSUID:
            skip('a set-user-ID program', 'this file system has none')
        else:
            equal(result.returncode, 4, 'a set-user-ID program runs')
            ok('set-user-ID program' in line(result), 'and it is said why nothing connected',
               result.stderr)
    else:
        skip('a set-user-ID program', 'only root can make one of another user')
    result = with_adapters('true', preexec_fn=lambda: resource_limit())
    ok(result.returncode == 0 and 'the processes are not counted' in line(result),
       'a limit of file sizes: it runs uncounted', result.stderr)
    result = with_adapters('env', env=environment(MMUNOTIFY_STAT='off'))
    ok('MMUNOTIFY_STAT=off' in result.stdout.splitlines() and
       line(result) == 'the processes are not counted: MMUNOTIFY_STAT=off',
       'MMUNOTIFY_STAT=off stays', result.stdout + result.stderr)


def resource_limit():
    import resource
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))


def test_statuses():
    for status in (0, 1, 2, 77, 125, 255):
        result = with_adapters(WORKLOAD, 'status=%d' % status)
        equal(result.returncode, status, 'exit status %d' % status)
    for number in (signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM, signal.SIGABRT):
        result = with_adapters(WORKLOAD, 'create=ucx', 'connected=x', 'signal=%d' % number)
        equal(result.returncode, -number, 'ends by signal %d' % number)
        ok(line(result).startswith('ucx connected in 1'), '... and the line is there', result.stderr)
    result = with_adapters('sh', '-c', 'cat; echo error >&2; exit 5', input='through\n')
    equal((result.returncode, result.stdout, result.stderr.splitlines()[0]),
          (5, 'through\n', 'error'), 'the streams are the command\'s')
    result = with_adapters('--', WORKLOAD, 'say=--help', 'say=a b"\'$x\\')
    equal(result.stdout, '--help\na b"\'$x\\\n', 'arguments are passed as they are')
    result = run('sh', '-c', 'exec 2>&-; exec "$@"', 'sh', TOOL, 'run', WORKLOAD, 'create=ucx',
                 'status=6', env=environment())
    equal(result.returncode, 6, 'without a standard error')


def test_nested():
    result = with_adapters(TOOL, 'run', '--with=ucx', WORKLOAD, 'create=ucx', 'connected=x', 'add=0:2')
    said = [part for part in result.stderr.splitlines() if part.startswith('mmunotify run: ')]
    ok(len(said) == 2 and said[0].startswith('mmunotify run: ucx connected in 1 process; 2 sections')
       and said[1] == 'mmunotify run: ' + NONE, 'of two runs the inner one counts', result.stderr)
    env = shown_environment('--', TOOL, 'run')
    equal((env['LD_PRELOAD'], env['FI_PROVIDER_PATH']), (UCX + ':' + FI, os.path.dirname(FI)),
          'each path is there once')


def start(*args, **kwargs):
    return subprocess.Popen([TOOL, 'run', *args], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True, env=environment(), **kwargs)


def end(process):
    out, error = process.communicate(timeout=240)
    return out, error, process.returncode


def child_of(pid):
    with open('/proc/%d/task/%d/children' % (pid, pid), encoding='utf-8') as file:
        return int(file.read().split()[0])


def test_signals():
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGUSR1,
               signal.SIGUSR2)
    # What a background job or nohup ignores would stay ignored.
    for number in numbers:
        signal.signal(number, signal.SIG_DFL)
    for number in numbers:
        process = start(WORKLOAD, 'on=%d' % number, 'create=ucx', 'connected=x', 'say=ready',
                        'until=%d' % number, 'status=9')
        process.stdout.readline()
        process.send_signal(number)
        out, error, status = end(process)
        ok((out, status) == ('signal %02d\n' % number, 9) and 'ucx connected in 1' in error,
           'signal %d is passed on, once' % number, (out, error, status))
    process = start(WORKLOAD, 'say=ready', 'until=1')
    process.stdout.readline()
    process.terminate()
    equal(end(process)[2], -signal.SIGTERM, 'a command that does not catch it ends by it')
    process = subprocess.Popen(['nohup', TOOL, 'run', WORKLOAD, 'ready', 'status=8'], env=environment(),
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)
    process.stdout.readline()
    process.send_signal(signal.SIGHUP)
    time.sleep(0.1)
    equal(end(process)[2], 8, 'what nohup ignores stays ignored')
    process = start(WORKLOAD, 'ready', preexec_fn=lambda: signal.pthread_sigmask(
        signal.SIG_BLOCK, [signal.SIGCHLD]))
    process.stdout.readline()
    equal(end(process)[2], 0, 'SIGCHLD may be blocked')


def test_ignored_child():
    """SIGCHLD may be ignored: the command ignores it, too, and its status is not lost, also if
    it has ended before the tool goes on."""
    slow = compile_c('slow.so', """#define _GNU_SOURCE
        #include <dlfcn.h>
        #include <unistd.h>
        pid_t fork(void)
        {
            pid_t (*next)(void) = (pid_t (*)(void))dlsym(RTLD_NEXT, "fork"), pid = next();

            if (pid > 0)
                usleep(300000);
            return pid;
        }
        """, '-shared', '-fPIC')
    # Ends with 2: one of the files is not there.
    command = ('grep', '-hs', 'SigIgn', '/proc/self/status', '/nowhere')
    for what, preload in (('', ''), (', and the command is faster', slow)):
        process = subprocess.Popen(
            [TOOL, 'run', '--', *command], env=environment(LD_PRELOAD=preload),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            preexec_fn=lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN))
        try:
            out = process.communicate(timeout=240)[0]
        except subprocess.TimeoutExpired:
            process.kill()
            out = process.communicate()[0]
        equal(process.returncode, 2, 'SIGCHLD is ignored%s: its status' % what)
        ok(re.fullmatch(r'SigIgn:\s[0-9a-f]{11}[13579bdf][0-9a-f]{4}\n', out),
           'SIGCHLD is ignored%s: by the command as well' % what, out)


def states(pid):
    text = []
    for one in (pid, child_of(pid)):
        with open('/proc/%d/stat' % one, encoding='utf-8') as file:
            text.append(file.read().rsplit(')', 1)[1].split()[0])
    return ''.join(text)


def until(question, what):
    for _ in range(12000):
        if question():
            return True
        time.sleep(0.01)
    return ok(False, 'waited too long until ' + what)


def test_terminal():
    """Keys of the terminal reach the command once, and job control works."""
    master, slave = pty.openpty()

    def own_terminal():
        os.setsid()
        fcntl.ioctl(slave, 0x540e, 0)    # TIOCSCTTY

    process = subprocess.Popen([TOOL, 'run', WORKLOAD, 'on=2', 'say=ready', 'until=2', 'ready', 'status=7'],
                               env=environment(), stdin=slave, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True, preexec_fn=own_terminal)
    process.stdout.readline()
    os.write(master, b'\x1a')
    # A group without a parent in its session does not stop by the key: it is orphaned.
    time.sleep(0.05)
    os.killpg(process.pid, signal.SIGSTOP)
    until(lambda: states(process.pid) == 'TT', 'both are stopped')
    ok(states(process.pid) == 'TT', 'a stopped group is stopped as a whole')
    os.killpg(process.pid, signal.SIGCONT)
    until(lambda: 'T' not in states(process.pid), 'both go on')
    os.write(master, b'\x03')
    ok(process.stdout.readline() == 'signal 02\n', 'Ctrl-C reaches the command')
    ok(process.stdout.readline() == 'ready\n', '... which goes on')
    os.write(master, b'\n')
    out, _, status = end(process)
    equal((out, status), ('', 7), '... and gets it once')
    os.close(master)
    os.close(slave)


def test_daemon():
    process = start(WORKLOAD, 'create=ucx', 'connected=x', 'add=0:1', 'daemon', 'connected=again',
                    'ready')
    process.stdout.readline()
    process.wait(timeout=240)
    equal(process.returncode, 0, 'a command that goes into the background has ended')
    process.stdin.write('\n')
    error = end(process)[1]
    ok('ucx connected in ' in error, 'the line is there', error)


def page_file(pid):
    """The file of the pages of a run, open for writing."""
    folder = '/proc/%d/fd' % pid
    for fd in os.listdir(folder):
        if 'mmunotify-stat' in os.readlink(os.path.join(folder, fd)):
            return os.open(os.path.join(folder, fd), os.O_RDWR)
    return -1


def test_pages():
    """Who writes nonsense into the file does not deceive the tool into more than nonsense."""
    process = start(WORKLOAD, 'create=ucx', 'connected=x', 'add=0:1', 'ready')
    process.stdout.readline()
    file = page_file(process.pid)
    equal(os.fstat(file).st_size, 16385 * 16384, 'there is room for 16384 processes')
    ok(os.fstat(file).st_blocks * 512 <= 4 * 16384, '... and no memory used for them')
    claimed = struct.unpack('Q', os.pread(file, 8, 32))[0]
    equal(claimed, 1, 'one is taken')
    os.pwrite(file, struct.pack('Q', 16384 + 904), 32)
    process.stdin.write('\n')
    error = end(process)[1]
    ok('ucx connected in 1 process; 1 sections' in error and
       '17287 processes could not be counted' in error, 'who found no page is counted', error)
    os.close(file)
    process = start(WORKLOAD, 'create=ucx', 'connected=x', 'add=0:1', 'ready')
    process.stdout.readline()
    file = page_file(process.pid)
    os.pwrite(file, struct.pack('Q', 2 ** 64 - 1), 32)
    try:
        os.ftruncate(file, 0)
        ok(False, 'the file cannot be made shorter')
    except PermissionError:
        ok(True, 'the file cannot be made shorter')
    process.stdin.write('\n')
    error = end(process)[1]
    ok('1 process; 1 sections' in error and 'could not be counted' in error,
       'a count without sense', error)
    os.close(file)
    result = with_adapters(WORKLOAD, 'create=ucx', 'connected=x', 'garble=1040:1b5d303b78079b31',
                           'garble=1024:01000000ffffffffffffffff')
    ok(re.fullmatch(r'[ -~]*', line(result)) and '?]0;x??1 connected in 1' in line(result),
       'escapes of the terminal are no letters', repr(result.stderr))
    result = with_adapters(WORKLOAD, 'create=ucx', 'connected=x', 'children=300', 'connected=y', 'add=0:1')
    ok('ucx connected in 301 processes; 300 sections' in line(result), 'many processes', result.stderr)


def main():
    make_adapters()
    test_usage()
    test_environment()
    test_preload()
    test_providers()
    test_line()
    test_out_of_reach()
    test_statuses()
    test_nested()
    test_signals()
    test_ignored_child()
    test_terminal()
    test_daemon()
    test_pages()
    done()


main()
