#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The Python module watches its own process: nothing missed silently, and nothing of Python in a hook.

    python_watch.py LIBRARY MODULE EXAMPLES

Each case is a program of its own, so that what one leaves behind is not another's.
"""
import os
import subprocess
import sys
import tempfile

from tap import done, ok

LIBRARY, MODULE, EXAMPLES = (os.path.abspath(a) for a in sys.argv[1:4])
ENV = dict(os.environ, MMUNOTIFY_WATCH_LIBRARY=LIBRARY, PYTHONPATH=MODULE, PYTHONDONTWRITEBYTECODE='1',
           PYTHONFAULTHANDLER='1')

HEAD = '''
import asyncio, ctypes, errno, gc, mmap, os, select, signal, subprocess, sys, threading, time
import mmunotify
from mmunotify import *

libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p] + [ctypes.c_size_t] + [ctypes.c_int] * 3 + [ctypes.c_long]
libc.munmap.argtypes = libc.madvise.argtypes = libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
PAGE = 4096

def new(pages=1):
    return libc.mmap(None, pages * PAGE, 3, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1, 0)

def gone(pages=1):
    at = new(pages)
    assert not libc.munmap(at, pages * PAGE)
    return at

def about(rows, at, pages=1):
    return [row for row in rows if isinstance(row, Change) and row.start == at and row.size == pages * PAGE]

def raises(kind, call):
    try:
        call()
    except kind as error:
        return error
    raise AssertionError('%s was not raised' % kind)
'''

# {what is right: the program}; it prints nothing, and its status is 0.
CASES = {
    'a change is a row, with what the kernel answered': '''
with Watch() as watch:
    before = time.monotonic()
    at = gone(3)
    row, = about(watch.read(), at, 3)
    assert (row.op, row.event_class, row.result, row.unchanged) == ('munmap', 'unmap', 0, False), row
    assert row.tid == threading.get_native_id() and before <= row.time <= time.monotonic() and row.pc
    at = new(2)
    libc.madvise(at, PAGE, mmap.MADV_DONTNEED)
    libc.mprotect(at, PAGE, 1)
    assert [(r.op, r.event_class, r.result) for r in about(watch.read(), at)] == [
        ('madvise-dontneed', 'clear', 0), ('mprotect', 'protect', 0)]
    libc.munmap(at, 2 * PAGE)
    libc.mprotect(at, PAGE, 1)
    row, = about(watch.read(), at)
    assert row.result == -errno.ENOMEM, row
''',
    'only what was asked for: classes and addresses': '''
at = new(4)
with Watch(classes='protect') as rights, Watch(start=at + PAGE, end=at + 2 * PAGE) as second:
    for i in range(4):
        libc.mprotect(at + i * PAGE, PAGE, 1)
        libc.madvise(at + i * PAGE, PAGE, mmap.MADV_DONTNEED)
    assert {r.event_class for r in rights.read()} == {'protect'}
    assert [(r.start, r.op) for r in second.read()] == [(at + PAGE, 'mprotect'), (at + PAGE, 'madvise-dontneed')]
raises(ValueError, lambda: Watch(classes=['unmap', 'nothing']))
raises(ValueError, lambda: Watch(classes=[]))
raises(ValueError, lambda: Watch(start=2, end=1))
raises(ValueError, lambda: Watch(events=1 << 25))
raises(ValueError, lambda: Watch(events=0))
''',
    'a full ring drops, counts and says so, in its place': '''
at = new(2)
with Watch(8, start=at, end=at + 2 * PAGE) as watch:
    for i in range(20):
        libc.mprotect(at, PAGE, i % 2)
    rows = watch.read(3)
    assert len(rows) == 3 and not watch.missed
    libc.mprotect(at + PAGE, PAGE, 1)
    rows += watch.read()
    assert [type(r).__name__ for r in rows] == ['Change'] * 8 + ['Missed', 'Change'], rows
    assert rows[8].count == watch.missed == 12 and rows[9].start == at + PAGE
    for i in range(20):
        libc.mprotect(at, PAGE, i % 2)
    rows = watch.read()
    assert len(rows) == 9 and rows[8] == Missed(12) and watch.missed == 24, rows
    assert watch.read() == [] and not watch.wait(0)
    for i in range(10):
        libc.mprotect(at, PAGE, i % 2)
    found = []
    for row in watch:       # broken off at any place, nothing is lost
        found.append(row)
        if len(found) == 8:
            break
    assert watch.wait(0) and watch.read() == [Missed(2)]
''',
    'wait, fileno and select agree': '''
at = new()
with Watch(start=at, end=at + PAGE) as watch:
    poll = select.poll()
    assert not watch.wait(0) and not watch.wait(0.01)
    libc.mprotect(at, PAGE, 1)
    fd = watch.fileno()
    assert watch.fileno() == fd and not os.get_inheritable(fd)
    poll.register(fd, select.POLLIN)
    for i in range(100):
        assert poll.poll(60000) and watch.wait(60)
        assert len(watch.read()) == 1
        assert not poll.poll(0) and not watch.wait(0)
        libc.mprotect(at, PAGE, i % 2)
        libc.mprotect(at, PAGE, i % 2 + 2)
        assert poll.poll(60000)
        assert len(watch.read(1)) == 1 and poll.poll(0)
''',
    'a descriptor that others have closed, and used again, is left alone': '''
at = new()
watch = Watch(start=at, end=at + PAGE)
fd = watch.fileno()
os.closerange(3, 64)
event = [os.eventfd(0, os.EFD_NONBLOCK) if i % 2 else os.pipe2(os.O_NONBLOCK)[0] for i in range(16)]
pairs = [__import__('socket').socketpair() for i in range(16)]
for i in range(10):
    libc.mprotect(at, PAGE, i % 2)
assert len(watch.read()) == 10 and watch.wait(0) is False
assert not select.select(event + [s for p in pairs for s in p], [], [], 0)[0]
watch.close()
for f in event:
    os.fstat(f)
for one, other in pairs:
    one.send(b'x')
    assert other.recv(2) == b'x'
    one.close(), other.close()
''',
    'threads: each change reaches one reader, all of them together': '''
ROUNDS, THREADS, PAGES = 2000, 4, 4
at = new(THREADS)
end = new()
watch = Watch(1 << 16, start=at, end=at + THREADS * PAGE)
found = [[] for i in range(2)]
def change(n):
    for i in range(ROUNDS):
        libc.mprotect(at + n * PAGE, PAGE, i % 2)
def read(n):
    for row in watch:
        found[n].append(row)
readers = [threading.Thread(target=read, args=[n]) for n in range(2)]
workers = [threading.Thread(target=change, args=[n]) for n in range(THREADS)]
for t in readers + workers: t.start()
for t in workers: t.join()
deadline = time.monotonic() + 60
while sum(map(len, found)) < ROUNDS * THREADS and time.monotonic() < deadline: time.sleep(0.01)
watch.close()
for t in readers: t.join()
rows = sorted(found[0] + found[1])
assert len(rows) == len(set(rows)) == ROUNDS * THREADS, len(rows)
for n in range(THREADS):
    assert len([r for r in rows if r.start == at + n * PAGE]) == ROUNDS
''',
    "a thread that holds the interpreter's lock keeps no other from changing memory": '''
# PyDLL keeps the lock in the call: for as long as libc sleeps no Python runs anywhere, and
# the other thread's changes, made by C alone, must go on meanwhile.
at = new()
watch = Watch(start=at, end=at + PAGE)
C = ctypes.CFUNCTYPE
source = b"""#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>
static volatile int done; static void *page; static pthread_t thread;
static void *work(void *arg) { for (int i = 0; i < 1000; i++) mprotect(page, 4096, i & 1); done = 1; return arg; }
int locked(void *at) { page = at; if (pthread_create(&thread, 0, work, 0)) return -1;
for (int i = 0; i < 60000 && !done; i++) usleep(1000); pthread_join(thread, 0); return done; }
"""
folder = sys.argv[1]
subprocess.run(['cc', '-O1', '-shared', '-fPIC', '-x', 'c', '-', '-o', folder + '/locked.so'], input=source, check=True)
library = ctypes.PyDLL(folder + '/locked.so')
library.locked.argtypes = [ctypes.c_void_p]
assert library.locked(at) == 1
assert len(watch.read()) == 1000
''',
    'a callback runs outside the change, in its own thread': '''
heard, threads = [], set()
event = threading.Event()
at = new()
def callback(row):
    threads.add(threading.get_native_id())
    gone(7)                     # changes memory itself: is heard of, and ends
    heard.append(row)
    if about([row], at): event.set()
with subscribe(callback, classes=['unmap']) as subscription:
    libc.munmap(at, PAGE)
    assert event.wait(60)
    assert threads == {subscription.thread.native_id} and subscription.missed == 0
count = len(heard)
gone()
time.sleep(0.05)
assert len(heard) == count
subscription.close()
''',
    'an exception in a callback ends the subscription and is reported': '''
said = []
threading.excepthook = lambda args: said.append(args.exc_type)
def callback(row): raise KeyError('x')
subscription = subscribe(callback)
gone()
subscription.thread.join(60)
assert said == [KeyError] and subscription._watch.closed
subscription.close()
''',
    'a callback may end its own subscription': '''
made, done = threading.Event(), threading.Event()
def callback(row):
    made.wait()
    subscription.close()
    done.set()
subscription = subscribe(callback)
made.set()
gone()
assert done.wait(60)
subscription.thread.join(60)
assert not subscription.thread.is_alive()
''',
    'asyncio: rows, two watches at a time, cancelled, closed': '''
async def main():
    at = new()
    loop = asyncio.get_running_loop()
    with Watch(start=at, end=at + PAGE) as one, Watch(start=at, end=at + PAGE) as two:
        async def collect(watch, n):
            rows = []
            async for row in watch:
                rows.append(row)
                if len(rows) == n: return rows
            return rows
        def change():
            for i in range(50): libc.mprotect(at, PAGE, i % 2)
        tasks = [asyncio.ensure_future(collect(w, 50)) for w in (one, two)]
        await asyncio.sleep(0.01)
        await loop.run_in_executor(None, change)
        for task in tasks: assert len(await asyncio.wait_for(task, 60)) == 50
        task = asyncio.ensure_future(collect(one, 1))
        await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        libc.mprotect(at, PAGE, 1)
        assert len(one.read()) == 1
        task = asyncio.ensure_future(collect(two, 2))
        await asyncio.sleep(0.01)
        two.close()
        assert len(await asyncio.wait_for(task, 60)) == 1
        assert await collect(two, 1) == []
asyncio.run(main())
''',
    'closed: readers leave, everything says so, twice is once': '''
watch = Watch()
waiter = threading.Thread(target=lambda: raises(WatchClosed, lambda: [watch.wait() and watch.read() for i in range(1 << 30)]))
waiter.start()
time.sleep(0.02)
watch.close()
waiter.join(60)
assert not waiter.is_alive() and watch.closed
watch.close()
for call in (watch.read, watch.wait, watch.fileno): raises(WatchClosed, call)
assert list(watch) == []
with Watch() as other:          # takes the same place; the old one does not reach it
    raises(WatchClosed, watch.read)
    gone()
    assert other.read()
''',
    'as many as there are; one too many says so': '''
watches = [Watch(8) for i in range(64)]
error = raises(WatchError, lambda: Watch(8))
assert error.errno == errno.ENOSPC and '64' in str(error)
watches[3].close()
Watch(8).close()
at = gone()
for i, watch in enumerate(watches):
    assert i == 3 or watch.read()
''',
    'collected: the hook is gone with the object': '''
def descriptors(): return len(os.listdir('/proc/self/fd'))
before = descriptors()
for i in range(200):            # more than there may be at a time
    watch = Watch(8)
    watch.fileno()
    watch.me = watch            # a cycle
    del watch
    if i % 32 == 31: gc.collect()
gc.collect()
gone()
assert descriptors() == before
''',
    'fork: the child has none, may have its own, and ends well': '''
watch = Watch()
watch.fileno()
with subscribe(lambda row: None) as subscription:
    for how in ('_exit', 'exit', 'close', 'raw'):
        pid = os.fork() if how != 'raw' else libc.fork()
        if not pid:
            try:
                for call in (watch.read, watch.wait, watch.fileno): raises(StaleWatch, call)
                gone()
                own = Watch(8)
                at = gone()
                assert about(own.read(), at)
                if how == 'close':
                    watch.close()
                    raises(WatchClosed, watch.read)
                    subscription._watch.close()
                if how in ('exit', 'close'): sys.exit(0)
                os._exit(0)
            except BaseException as error:
                if not isinstance(error, SystemExit) or error.code: __import__('traceback').print_exc(); os._exit(9)
                raise
        _, status = os.waitpid(pid, 0)
        assert status == 0, (how, status)
    assert [r for r in watch.read() if r.op == 'fork' and r.event_class == 'protect-page']
    at = gone()
    assert about(watch.read(), at)
''',
    'a fork while another thread reads, and a signal whose handler reads': '''
watch = Watch()
inside, go_on = threading.Event(), threading.Event()
def hold():
    with watch._lock: inside.set(); go_on.wait()
thread = threading.Thread(target=hold); thread.start()
inside.wait()
pid = os.fork()
if not pid:
    signal.alarm(60)
    raises(StaleWatch, watch.read)
    os._exit(0)
assert os.waitpid(pid, 0)[1] == 0
go_on.set(); thread.join()
signal.alarm(60)
taken = []
signal.signal(signal.SIGUSR1, lambda *_: taken.extend(watch.read()))
at = gone()
with watch._lock: signal.raise_signal(signal.SIGUSR1)
assert about(taken, at)
gone()
assert watch.wait(float('inf'))
''',
    'subprocess and multiprocessing beside a watch': '''
import multiprocessing
watch = Watch()
subprocess.run(['/bin/true'], check=True)
def child(q):
    with Watch() as own: q.put(bool(about(own.read(), gone()) or True))
context = multiprocessing.get_context('fork')
q = context.Queue()
process = context.Process(target=child, args=[q])
process.start()
assert q.get(timeout=60)
process.join(60)
assert process.exitcode == 0
at = gone()
assert about(watch.read(), at)
''',
    'an exec that fails ends the address space: it is said': '''
watch = Watch()
waiting = Watch()
def list_ends(watch):
    try: list(watch)
    except WatchEnded: return True
raised_in_waiter = []
def wait():
    try:
        while True: waiting.wait(); waiting.read()
    except WatchEnded as error: raised_in_waiter.append(error)
thread = threading.Thread(target=wait); thread.start()
path = sys.argv[1] + '/not-a-program'
with open(path, 'wb') as file: file.write(bytes([127]) + b'ELF' + bytes(100))
os.chmod(path, 0o755)
raises(OSError, lambda: os.execv(path, [path]))
thread.join(60)
assert raised_in_waiter
raises(WatchEnded, lambda: [watch.read() for i in range(1 << 20)])
assert list_ends(watch)
with Watch() as watch:
    at = gone()
    assert about(watch.read(), at)
''',
    'signals: a handler runs while a read waits, and an interrupt ends it': '''
hits = []
signal.signal(signal.SIGALRM, lambda *a: hits.append(1))
at = new()
with Watch(start=at, end=at + PAGE) as watch:
    signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
    for i in range(10):
        assert not watch.wait(0.02)
    signal.setitimer(signal.ITIMER_REAL, 0)
    assert hits
    signal.signal(signal.SIGALRM, signal.default_int_handler)
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    raises(KeyboardInterrupt, watch.wait)
''',
    'the interpreter ends in the middle of it: threads wait, change and subscribe': '''
watch, other = Watch(), Watch()
subscribe(lambda row: None)
def run(call):
    def loop():
        try:
            while True: call()
        except WatchClosed: pass
    threading.Thread(target=loop, daemon=True).start()
run(lambda: other.wait()); run(lambda: gone()); run(lambda: watch.read()); run(lambda: bytearray(1 << 21))
time.sleep(0.05)
gc.collect()
''',
    'an object of another version is refused': '''
folder = sys.argv[1]
subprocess.run(['cc', '-shared', '-fPIC', '-x', 'c', '-', '-o', folder + '/old.so'],
               input=b'unsigned mmun_watch_abi(void) { return 77; }', check=True)
os.environ['MMUNOTIFY_WATCH_LIBRARY'] = folder + '/old.so'
assert 'another version (77' in str(raises(WatchError, Watch))
os.environ['MMUNOTIFY_WATCH_LIBRARY'] = '/nowhere.so'
assert 'mmunotify-watch.so' in str(raises(WatchError, Watch))
''',
    'strict mode sees what the C library does not make': '''
try:
    watch = Watch(strict=True)
except WatchError as error:
    assert error.errno in (errno.ENOTSUP, errno.EPERM), error
else:
    code = bytes.fromhex('b80b000000' '0f05' 'c3')      # mov $11,%eax; syscall; ret
    text = mmap.mmap(-1, PAGE, prot=7)
    text.write(code)
    call = ctypes.CFUNCTYPE(ctypes.c_long, ctypes.c_void_p, ctypes.c_size_t)(ctypes.addressof(ctypes.c_char.from_buffer(text)))
    at = new()
    assert call(at, PAGE) == 0
    assert about(watch.read(), at), watch.read()
''',
}


def main():
    for name, text in CASES.items():
        run_case(name, text)
    result = subprocess.run([sys.executable, os.path.join(EXAMPLES, 'watch_live.py')], env=ENV,
                            capture_output=True, text=True, timeout=240, check=False)
    ok(result.returncode == 0 and result.stdout.count('munmap   unmap     65540 KiB') == 2,
       'example watch_live.py', result.stdout + result.stderr)
    done()


def run_case(name, text):
    with tempfile.TemporaryDirectory() as folder:
        try:
            result = subprocess.run([sys.executable, '-X', 'dev', '-c', HEAD + text, folder], env=ENV,
                                    capture_output=True, text=True, timeout=240, check=False)
            ok(result.returncode == 0 and not result.stdout + result.stderr, name,
               'status %d\n%s' % (result.returncode, result.stdout + result.stderr))
        except subprocess.TimeoutExpired as error:
            ok(False, name, 'does not end\n%s' % error.stderr)


main()
