#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""mmunotify stat: the counters of running processes, those that have hidden or garbled them too.

    stat.py MMUNOTIFY WORKLOAD CC...
"""
import ctypes
import json
import os
import re
import signal
import struct
import subprocess
import sys
import time

from tap import done, equal, ok, skip
from trace_tool import DIRECTORY, TOOL, WORKLOAD, objects, path, run, tool

CC = sys.argv[3:]
os.environ.pop('MMUNOTIFY_STAT', None)


class Process:
    """A workload that waits; @steps come before."""

    def __init__(self, *steps, command=(), **kwargs):
        self.process = subprocess.Popen([*command, WORKLOAD, *steps, 'ready'], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True, **kwargs)
        self.read('ready\n')
        self.pid = self.process.pid

    def read(self, expected):
        text = self.process.stdout.readline()
        if text != expected:
            ok(False, 'the workload says %r' % expected, text)

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.process.kill()
        self.process.communicate()


def stat(*args, **kwargs):
    return tool('stat', *args, **kwargs)


def shown(pid, **kwargs):
    """What stat --json says of it: one line."""
    result = stat('-p', str(pid), '--json', **kwargs)
    lines = objects(result.stdout)
    return lines[0] if len(lines) == 1 else {'lines': lines, 'error': result.stderr}


def fails(status, pattern, *args, **kwargs):
    result = stat(*args, **kwargs)
    ok(result.returncode == status and not result.stdout and re.search(pattern, result.stderr) and
       len(result.stderr.splitlines()) <= 2, 'stat %s: %d, %s' % (' '.join(args), status, pattern),
       (result.stdout, result.stderr))


UCX = ('create=ucx', 'connected=connected to UCX 1.13.1', 'add=0:7', 'add=1:5')
UCX_OBJECT = {'name': 'ucx', 'connected': True, 'state': 'connected to UCX 1.13.1',
              'counters': {'sections': 7, 'invalidations': 5, 'refused': 0, 'level': 0}}


def test_usage():
    for args in (('-p', 'x'), ('-p', '0'), ('-p', '-1'), ('-p', '1.5'), ('-p', ''), ('-p', '1e99')):
        fails(2, '-p is the number of a process', *args)
    for args in (('-i', '0'), ('-i', 'x'), ('-i', '-1'), ('-i', 'inf'), ('-i', 'nan')):
        fails(2, '-i is a number of seconds', *args)
    for args in (('-c', '0'), ('-c', '1.5'), ('-c', 'x')):
        fails(2, '-c is a number from 1 on', *args)
    fails(2, 'one argument too many', '1')
    fails(2, "there is no option '--nothing'", '--nothing')
    result = stat('--help')
    ok(result.returncode == 0 and result.stdout.startswith('Usage: mmunotify stat'), 'stat --help')
    fails(1, 'there is no process 1073741823', '-p', '1073741823')
    fails(1, 'process %d has no adapters connected' % os.getpid(), '-p', str(os.getpid()))
    zombie = os.fork()
    if not zombie:
        os._exit(0)
    os.waitid(os.P_PID, zombie, os.WEXITED | os.WNOWAIT)
    fails(1, 'process %d has no adapters connected' % zombie, '-p', str(zombie))
    os.waitpid(zombie, 0)


def test_one():
    with Process(*UCX, 'create=libfabric', 'aside=standing aside: no reason') as one:
        result = stat('-p', str(one.pid))
        equal(result.stdout, '%d stat-workload\n'
              '  ucx: connected to UCX 1.13.1\n'
              '    sections                7\n    invalidations           5\n'
              '    refused                 0\n    level                   0\n'
              '  libfabric: not connected, standing aside: no reason\n'
              '    sections                0\n    invalidations           0\n'
              '    refused                 0\n    level                   0\n' % one.pid,
              'a process in text')
        equal((result.returncode, result.stderr), (0, ''), '... and nothing else')
        equal(shown(one.pid)['users'][0], UCX_OBJECT, 'the same as JSON')
        equal((shown(one.pid)['pid'], shown(one.pid)['command']), (one.pid, 'stat-workload'),
              '... with its name')
    with Process('create=ucx', 'create=x', 'connected=') as one:
        text = stat('-p', str(one.pid)).stdout
        ok('  ucx: not connected\n' in text and '  x: connected\n' in text, 'states without a text', text)


def counters_of(pid, name, value):
    """The first user, once that counter is so: a cache shows what it counts now and then."""
    for _ in range(2400):
        user = shown(pid)['users'][0]
        if user['counters'][name] == value:
            break
        time.sleep(0.05)
    return user, user['counters']


def test_cache():
    """A registration cache shows itself, what it counts, and what is pinned."""
    with Process('cache=of buffers', 'get=1000') as one:
        user, counters = counters_of(one.pid, 'hits', 999)
        equal((user['name'], user['connected']), ('of buffers', True), 'a registration cache')
        equal([counters[name] for name in ('hits', 'misses', 'regions', 'bytes', 'late_bytes', 'refused')],
              [999, 1, 1, 1 << 20, 0, 0], '... its counters')
        ok(counters['memory'] > 4096, '... and the memory that it has', counters)
        text = stat('-p', str(one.pid)).stdout
        ok(re.search(r'^    bytes +1048576 \(1\.0 MiB\)$', text, re.M) and
           re.search(r'^    memory +\d+ \(\d+\.\d [KM]iB\)$', text, re.M), '... bytes as a person reads them', text)
    with Process('cache=of buffers', 'get=10', 'unmap=1') as one:
        _, counters = counters_of(one.pid, 'deregistered', 1)
        equal([counters[name] for name in ('invalidations', 'deregistered', 'regions', 'bytes', 'late_bytes')],
              [1, 1, 0, 0, 0], 'an idle process: what was unmapped is deregistered, and it shows')
    with Process('cache=a', 'get=1', 'fork', 'get=5') as one:
        child = int(open('/proc/%d/task/%d/children' % (one.pid, one.pid), encoding='utf-8').read())
        equal(counters_of(child, 'hits', 4)[1]['misses'], 1, 'a forked child has a cache of its own')
        counters = counters_of(one.pid, 'misses', 1)[1]
        equal((counters['misses'], counters['hits']), (1, 0), '... and so has its parent')
        os.kill(child, signal.SIGKILL)


def test_all():
    with Process(*UCX) as one, Process(*UCX, 'add=0:1') as other, Process() as none:
        lines = {line['pid']: line for line in objects(stat('--json').stdout)}
        ok(lines[one.pid]['users'][0]['counters']['sections'] == 7 and
           lines[other.pid]['users'][0]['counters']['sections'] == 8 and none.pid not in lines,
           'all processes of the user', lines)
        text = stat().stdout
        ok('%d stat-workload\n' % one.pid in text and '%d stat-workload\n' % other.pid in text, '... as text')
    if os.getuid():
        skip('nobody else\'s', 'only root can be another user')
        return
    result = stat(preexec_fn=lambda: os.setuid(54321))
    equal((result.returncode, result.stdout, result.stderr),
          (1, '', 'mmunotify stat: no process of this user has adapters connected or a registration cache\n'),
          'of a user who has none')


def test_interval():
    with Process(*UCX) as one:
        result = stat('-p', str(one.pid), '-i', '0.05', '-c', '3', '--json')
        equal(len(objects(result.stdout)), 3, 'three times')
        began = time.monotonic()
        result = stat('-p', str(one.pid), '-c', '2')
        ok(result.stdout.count('stat-workload') == 2 and time.monotonic() - began > 0.9,
           'a second apart without -i', result.stdout)
        watch = subprocess.Popen([TOOL, 'stat', '-p', str(one.pid), '-i', '0.05'],
                                 stdout=subprocess.PIPE, text=True)
        watch.stdout.readline()
        one.process.kill()
        one.process.wait()
        watch.communicate(timeout=240)
        equal(watch.returncode, 0, 'it ends with the process')
    with Process(*UCX) as one:
        result = run('sh', '-c', '"$0" stat -p %d > /dev/full' % one.pid, TOOL)
        ok(result.returncode == 2 and 'cannot be written' in result.stderr, 'a full disk', result.stderr)


def test_children():
    with Process(*UCX, 'fork') as one:
        child = int(open('/proc/%d/task/%d/children' % (one.pid, one.pid), encoding='utf-8').read())
        equal(shown(one.pid)['users'][0], UCX_OBJECT, 'a process that has forked')
        fails(1, 'process %d has no adapters connected' % child, '-p', str(child))
        os.kill(child, signal.SIGKILL)
    with Process(*UCX, 'fork', 'connected=again', 'add=0:100') as one:
        child = int(open('/proc/%d/task/%d/children' % (one.pid, one.pid), encoding='utf-8').read())
        equal(shown(one.pid)['users'][0], UCX_OBJECT, 'a child that counts too: the parent')
        equal(shown(child)['users'][0]['counters']['sections'], 100, '... and the child')
        os.kill(child, signal.SIGKILL)
    script = path('fork.py')
    with open(script, 'w', encoding='utf-8') as file:
        file.write('import os, sys\nif os.fork() == 0:\n os.execv(sys.argv[1], sys.argv[1:])\nos.wait()\n')
    with Process(*UCX, 'fork', command=(sys.executable, script)) as one:
        equal(stat('-p', str(one.pid)).returncode, 1, 'an interpreter without adapters')
        run('pkill', '-9', '-P', str(one.pid))


def may_read_memory(pid):
    """Is it this user's right to look through /proc/PID/mem?"""
    try:
        with open('/proc/%d/mem' % pid, 'rb', buffering=0) as file:
            os.pread(file.fileno(), 1, int(open('/proc/%d/maps' % pid, encoding='utf-8').read().split('-')[0], 16))
        return True
    except OSError:
        return False


CLOSED = 'process %d has closed the descriptor of its counters, and its memory may not be read'


def test_closed():
    with Process(*UCX, 'closefrom') as one:
        if may_read_memory(one.pid):
            equal(shown(one.pid)['users'], [UCX_OBJECT], 'one that has closed its descriptors')
        else:
            fails(1, CLOSED % one.pid, '-p', str(one.pid))
    with Process(*UCX, 'closefrom', 'create=libfabric', 'connected=x') as one:
        if may_read_memory(one.pid):
            equal(len(shown(one.pid)['users']), 2, '... and goes on')
        else:
            fails(1, CLOSED % one.pid, '-p', str(one.pid))


def test_access():
    if os.getuid():
        fails(1, 'process 1 may not be looked into: Permission denied', '-p', '1')
        return
    os.chmod(DIRECTORY.name, 0o755)
    with Process(*UCX, preexec_fn=lambda: os.setuid(54322)) as other:
        result = stat('-p', str(other.pid), '--json')
        if result.returncode == 0:
            equal(objects(result.stdout)[0]['users'], [UCX_OBJECT], 'root sees another user\'s')
        else:
            ok('may not be looked into' in result.stderr,
               'root without the right to trace is refused', result.stderr)
        fails(1, 'process %d may not be looked into: Permission denied' % other.pid, '-p', str(other.pid),
              preexec_fn=lambda: os.setuid(54321))
        result = stat('-p', str(other.pid), preexec_fn=lambda: os.setuid(54322))
        ok('ucx: connected' in result.stdout, 'the user does', result.stderr)
        result = stat('--json', preexec_fn=lambda: os.setuid(54322))
        equal([line['pid'] for line in objects(result.stdout)], [other.pid], '... and only theirs')


def test_run():
    """In the file that run makes a process is found by what it has mapped."""
    os.makedirs(path('adapters/fi'))
    with open(path('empty.c'), 'w', encoding='utf-8') as file:
        file.write('int mmunotify_test_unused;\n')
    run(*CC, '-shared', '-fPIC', '-o', path('adapters/libmmunotify-ucx.so'), path('empty.c'))
    env = dict(os.environ, MMUNOTIFY_ADAPTERS=path('adapters'))
    # The shell's workload is another process each time, and ends before the next.
    script = '"$1" create=early connected=x add=0:1; shift; exec "$@"'
    with Process(*UCX, command=(TOOL, 'run', 'sh', '-c', script, 'sh', WORKLOAD), env=env,
                 stderr=subprocess.DEVNULL) as one:
        child = int(open('/proc/%d/task/%d/children' % (one.pid, one.pid), encoding='utf-8').read())
        equal(shown(child)['users'], [UCX_OBJECT], 'a process under mmunotify run')
        ok('no adapters connected' in stat('-p', str(one.pid)).stderr, 'the tool itself has none')
        os.kill(child, signal.SIGKILL)
    script = 'exec "$@"'
    with Process('create=early', 'connected=x', 'exec', *UCX,
                 command=(TOOL, 'run', 'sh', '-c', script, 'sh'), env=env, stderr=subprocess.DEVNULL) as one:
        child = int(open('/proc/%d/task/%d/children' % (one.pid, one.pid), encoding='utf-8').read())
        equal(shown(child)['users'], [UCX_OBJECT],
              'a process that has executed another program: the new one')
        os.kill(child, signal.SIGKILL)
    with Process(*UCX, 'fork', 'connected=again', 'add=0:100',
                 command=(TOOL, 'run', 'sh', '-c', script, 'sh'), env=env, stderr=subprocess.DEVNULL) as one:
        parent = int(open('/proc/%d/task/%d/children' % (one.pid, one.pid), encoding='utf-8').read())
        child = int(open('/proc/%d/task/%d/children' % (parent, parent), encoding='utf-8').read())
        equal((shown(parent)['users'], shown(child)['users'][0]['counters']['sections']),
              ([UCX_OBJECT], 100), 'a child has a page of its own in it')
        os.kill(child, signal.SIGKILL)


def test_namespaces():
    if run('unshare', '-Urpf', '--mount-proc', 'true').returncode:
        skip('another pid namespace', 'unshare is not permitted here')
        return
    with Process(*UCX, command=('unshare', '-Urpf', '--mount-proc')) as one:
        child = int(open('/proc/%d/task/%d/children' % (one.pid, one.pid), encoding='utf-8').read())
        result = stat('-p', str(child), '--json')
        if 'may not be looked into' in result.stderr:
            skip('another pid namespace', 'processes of another user namespace may not be seen here')
        else:
            equal(objects(result.stdout)[0]['users'], [UCX_OBJECT],
                  'in another pid namespace: it thinks that it is process 1')
        os.kill(child, signal.SIGKILL)


def test_garbled():
    for name, steps in (
            ('no magic', ('garble=0:00',)), ('another version', ('garble=8:02000000',)),
            ('another size', ('garble=12:00000000',)), ('no slots', ('garble=24:00000000',)),
            ('another process', ('garble=28:01000000',)), ('a slot that is not used', ('garble=1024:00',))):
        with Process(*UCX, *steps) as one:
            fails(1, 'process %d has no adapters connected' % one.pid, '-p', str(one.pid))
            ok(True, '... ' + name)
    with Process(*UCX, 'garble=1032:ffffffff', 'garble=1040:1b5b324a0a9b00',
                 'garble=1088:' + '41' * 768) as one:
        result = stat('-p', str(one.pid))
        lines = result.stdout.splitlines()
        ok(all(re.fullmatch(r'[ -~]*', part) for part in lines) and len(lines) == 26 and
           lines[1].startswith('  ?[2J??: AAAAA') and lines[1].endswith('A' * 191),
           'escapes, texts without an end, an absurd number of counters', result.stdout)
        one_object = shown(one.pid)['users'][0]
        ok(one_object['name'] == '?[2J??' and len(one_object['counters']) >= 1, '... as JSON')
    with Process(*UCX, command=('bash', '-c', 'exec -a x "$@"', 'x')) as one:
        equal(shown(one.pid)['users'], [UCX_OBJECT], 'another name of the program')


def memfd(name, content):
    fd = os.memfd_create(name)
    os.write(fd, content)
    return fd


def test_strangers():
    """A process may call anything what we call our files."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int,
                          ctypes.c_long]
    for name, content in (('an empty file', b''), ('a short one', b'mmunstat'), ('a page of zeroes', bytes(16384))):
        pid = os.fork()
        if not pid:
            fd = memfd('mmunotify-stat', content)
            for _ in range(100):
                libc.mmap(None, 16384, 1, 1, fd, 0)
            time.sleep(60)
            os._exit(0)
        for _ in range(12000):
            if 'mmunotify-stat' in open('/proc/%d/maps' % pid, encoding='utf-8').read():
                break
            time.sleep(0.01)
        fails(1, 'has no adapters connected', '-p', str(pid))
        ok(True, '... ' + name)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


STRANGER = '''
import ctypes, mmap, os, select, sys
libc = ctypes.CDLL(None)
root, uid, gid = sys.argv[1].encode(), os.getuid(), os.getgid()
os.makedirs(root)
libc.unshare(0x10020000) and sys.exit(1)    # CLONE_NEWUSER | CLONE_NEWNS
for name, text in (("setgroups", "deny"), ("uid_map", "0 %d 1" % uid), ("gid_map", "0 %d 1" % gid)):
    with open("/proc/self/" + name, "w") as file:
        file.write(text)
libc.mount(b"none", b"/", None, 0x44000, None)    # MS_REC | MS_PRIVATE
libc.mount(b"none", root, b"tmpfs", 0, None) and sys.exit(1)
os.chdir(root)
os.mkdir("old")
libc.syscall(155, b".", b"old") and sys.exit(1)    # pivot_root
os.chdir("/")
name = "/memfd:mmunotify-stat (deleted)"
with open(name, "wb") as file:
    file.write(bytes(16384))
file = open(name, "rb")
memory = mmap.mmap(file.fileno(), 16384, prot=mmap.PROT_READ)
watch = libc.inotify_init()
libc.inotify_add_watch(watch, name.encode(), 0x20)    # IN_OPEN
print("ready", flush=True)
sys.stdin.readline()
print("opened" if select.select([watch], [], [], 0.2)[0] else "untouched", flush=True)
'''


def test_other_files():
    """With a root of its own a process may have a file of that very name, and it may be one
    that does something, or never answers, when it is opened."""
    process = subprocess.Popen([sys.executable, '-c', STRANGER, path('root')],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL, text=True)
    if process.stdout.readline() != 'ready\n':
        skip('another file of that name', 'a process may not have a root of its own here')
    else:
        result = stat('-p', str(process.pid), timeout=240)
        ok(result.returncode == 1 and not result.stdout, 'another file of that name is no page', result.stderr)
        process.stdin.write('\n')
        process.stdin.flush()
        equal(process.stdout.readline(), 'untouched\n', '... and is not opened')
    process.kill()
    process.communicate()


def test_changing():
    """A page that changes while it is read: whatever is shown is printable, and it ends."""
    pid = os.fork()
    if not pid:
        os.execv(sys.executable, [sys.executable, '-c', CHANGING, TOOL])
    time.sleep(0.5)
    good = True
    for _ in range(60):
        result = stat('-p', str(pid))
        good &= result.returncode in (0, 1) and all(re.fullmatch(r'[ -~]*', part)
                                                    for part in (result.stdout + result.stderr).splitlines())
    ok(good, 'a page of noise that changes all the time')
    ok(os.waitpid(pid, os.WNOHANG)[0] == 0, '... did so all the while')
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


CHANGING = '''
import mmap, os, random, struct
fd = os.memfd_create('mmunotify-stat')
os.ftruncate(fd, 16384)
page = mmap.mmap(fd, 16384)
head = b'mmunstat' + struct.pack('IIIIIi', 1, 16384, 1024, 1024, 15, os.getpid())
while True:
    page[0:16384] = head + random.randbytes(16384 - len(head))
    for i in range(15):
        page[1024 * (i + 1):1024 * (i + 1) + 4] = b'\\1\\0\\0\\0'
'''


def main():
    test_usage()
    test_one()
    test_cache()
    test_all()
    test_interval()
    test_children()
    test_closed()
    test_access()
    test_run()
    test_namespaces()
    test_garbled()
    test_strangers()
    test_other_files()
    test_changing()
    done()


main()
