#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""mmunotify audit: each way in which a registration outlives its memory, and none where it does not.

    audit.py MMUNOTIFY WORKLOAD HAVE_LIBDW(0|1)
"""
import os
import shutil
import signal
import sys
import time

from tap import diag, done, equal, ok, skip
from trace_tool import TOOL, WORKLOAD, objects, path, run, tool

HAVE_LIBDW = sys.argv[3] == '1'
for name in ('DEBUGINFOD_URLS', 'LD_PRELOAD'):
    os.environ.pop(name, None)


def audit(*command, options=(), **kwargs):
    """(completed process, findings, summary)"""
    output = path('report')
    if os.path.exists(output):
        os.unlink(output)
    result = tool('audit', '--json', '-o', output, *options, '--', *command, **kwargs)
    lines = []
    if os.path.exists(output):
        with open(output, encoding='utf-8') as file:
            lines = objects(file.read())
    return (result, [line for line in lines if line['type'] == 'finding'],
            lines[-1] if lines else {})


def functions(stack):
    return [frame['function'] for frame in stack]


# The operation that the report must name.
STALE = {
    'munmap': 'munmap', 'half': 'munmap', 'fixed': 'mmap-fixed', 'dontneed': 'madvise-dontneed',
    'mremap-over': 'mremap', 'mremap-away': 'mremap', 'shrink': 'mremap', 'punch': 'fallocate',
    'truncate': 'truncate', 'remove': 'madvise-remove', 'shmdt': 'shmdt', 'brk': 'brk',
    'free': 'munmap',
}
CLEAN = ['protect', 'lazyfree', 'dontneed-shared', 'fails', 'elsewhere']


def one(kind, how, *steps, options=()):
    result, findings, summary = audit(WORKLOAD, kind, how, *steps, options=options)
    if result.returncode == 77:
        skip('%s: %s' % (kind, how), result.stdout)
        return None
    return result, findings, summary


def check_stale(kind, how, *steps, printed, options=(), **expected):
    """One operation makes it stale."""
    got = one(kind, how, *steps, options=options)
    if not got:
        return None
    result, findings, summary = got
    name = '%s, %s, %s' % (kind, how, ' '.join(steps))
    if not ok(result.returncode == 99 and findings and
              all(f['kind'] == printed and f['op'] == STALE[how] for f in findings) and
              not summary['incomplete'], name, (result.returncode, result.stderr, findings, summary)):
        return None
    start, length = int(result.stdout.split()[0], 16), int(result.stdout.split()[1])
    stale = sum(f['stale_bytes'] for f in findings)
    equal(stale, length // 2 if how in ('half', 'shrink') else length, '... so many bytes of it')
    ok(all(start <= int(f['stale_start'], 16) < int(f['stale_end'], 16) <= start + length
           for f in findings), '... these', findings)
    for key, value in expected.items():
        equal(sum(f[key] for f in findings), value, '... %s' % key)
    if HAVE_LIBDW:
        ok(all('make_registration' in functions(f['made_stack']) and
               'change_memory' in functions(f['changed_stack']) for f in findings),
           '... made and changed there', findings)
    return findings


def check_clean(kind, how, *steps, options=()):
    got = one(kind, how, *steps, options=options)
    if got:
        result, findings, summary = got
        ok(result.returncode == 0 and not findings and not summary['incomplete'] and
           summary['registrations'] > 0, '%s, %s, %s: clean' % (kind, how, ' '.join(steps)),
           (result.returncode, result.stderr, findings, summary))


def test_operations():
    for how in STALE:
        findings = check_stale('uring', how, 'change', 'use', 'drop', printed='io_uring',
                               options=['--grace=0'])
        if findings and how not in ('half', 'shrink'):
            equal(sum(f['used_afterwards'] for f in findings), 1, '... one buffer of two was used')
            if HAVE_LIBDW:
                ok(any('use_registration' in functions(f['used_stack']) for f in findings),
                   '... there')
    for how in ('munmap', 'dontneed'):
        check_stale('raw', how, 'change', 'use', printed='io_uring', used_afterwards=1, at_end=2)
        check_stale('verbs', how, 'change', printed='verbs', use_unknown=1, at_end=1)
        check_stale('verbs', how, 'change', 'inline', 'use', 'drop', printed='verbs',
                    used_afterwards=1, dropped_later=1)
        check_stale('verbs', how, 'change', 'inline', 'drop', printed='verbs', options=['--grace=0'],
                    use_unknown=1, dropped_later=1)
        check_stale('cuda', how, 'change', printed='cuda', use_unknown=1, at_end=1)
        check_stale('vmsplice', how, 'change', 'use', printed='vmsplice', use_unknown=1,
                    dropped_later=1)
    check_stale('mlock', 'munmap', 'change', printed='mlock', options=['--kinds=mlock'])


def test_clean():
    for how in CLEAN:
        check_clean('uring', how, 'change', 'use', 'drop', options=['--grace=0'])
    for kind in ('uring', 'raw', 'verbs', 'cuda'):
        check_clean(kind, 'munmap', 'drop', 'change', options=['--grace=0'])
    check_clean('vmsplice', 'munmap', 'use', 'change')
    check_clean('vmsplice', 'munmap', 'refill', 'change')
    check_clean('vmsplice', 'munmap', 'stream', 'change')
    check_clean('verbs', 'fixed', 'change', 'rereg', 'use', 'drop')
    check_clean('verbs', 'munmap', 'close-device', 'change', options=['--grace=0'])
    result, findings, summary = audit(WORKLOAD, 'on-demand', 'munmap', 'change', 'use')
    ok(result.returncode == 0 and not findings, 'a region that is paged on demand')
    check_clean('uring', 'munmap', 'close', 'change')
    check_clean('uring', 'munmap', 'child', 'drop', 'change')
    check_clean('uring', 'munmap', 'exit-ring', 'change')
    check_clean('mlock', 'munmap', 'drop', 'change', options=['--kinds=all'])
    check_clean('mlock', 'protect', 'change', options=['--kinds=mlock'])
    result, findings, _ = audit(WORKLOAD, 'mlock', 'munmap', 'change')
    ok(result.returncode == 0 and not findings, 'locks are not looked at unless they are asked for')
    got = one('uring', 'none', 'pieces=150')
    if got:
        equal((got[0].returncode, sum(f['registrations'] for f in got[1])), (99, 300),
              'each buffer of two rings, unmapped one by one')
    got = one('uring', 'munmap', 'change', 'drop')
    if got:
        equal((got[0].returncode, got[2]['deferred']), (0, 2),
              'dropped unused right after the change: counted, and no finding')


def test_crowd():
    result, findings, summary = audit(WORKLOAD, 'verbs', 'none', 'crowd', options=['--grace=0'])
    ok(result.returncode == 0 and not findings and not summary['incomplete'] and
       summary['registrations'] == 4 * 300 + 10 * 5, 'threads, signals and forks',
       (result.returncode, result.stderr, findings[:2], summary))
    began = time.monotonic()
    result, findings, summary = audit(WORKLOAD, 'verbs', 'none', 'raw-fork')
    ok(result.returncode == 0 and not findings and time.monotonic() - began < 60,
       'a child by a plain system call', (result.returncode, findings))
    result, findings, summary = audit(WORKLOAD, 'verbs', 'none', 'many=20000',
                                      options=['--buffer=64M'])
    ok(result.returncode == 99 and len(findings) == 1 and findings[0]['registrations'] == 20000 and
       findings[0]['stale_bytes'] == 20000 * 4096 and not summary['incomplete'],
       '20000 registrations of one place are one finding', (result.stderr, summary, len(findings)))
    result, findings, summary = audit(WORKLOAD, 'verbs', 'none', 'many-dropped=5000',
                                      options=['--buffer=64M', '--grace=0'])
    ok(len(findings) == 1 and findings[0]['dropped_later'] == 5000 and not findings[0]['at_end'],
       '... and each is found again when it is dropped', (result.stderr, summary, findings[:1]))
    result, findings, summary = audit(WORKLOAD, 'verbs', 'none', 'many=20000',
                                      options=['--buffer=1K'])
    ok(summary['incomplete'] and summary['dropped_messages'] > 0 and result.returncode == 99,
       'what found no room in the ring is counted', (result.returncode, result.stderr, summary))


def test_unseen():
    result, findings, summary = audit(WORKLOAD, 'uring', 'none', 'unseen')
    if result.returncode == 77:
        skip('a registration that is not seen', result.stdout)
        return
    ok(result.returncode == 0 and not findings and summary['incomplete'] and
       summary['unknown_buffers'] == 1, 'buffers that were registered unseen are counted', summary)
    result = tool('audit', WORKLOAD, 'uring', 'none', 'unseen')
    ok('registered by calls that are not seen: 1' in result.stderr, '... and said',
       result.stderr)


def test_children():
    got = one('uring', 'munmap', 'fork', 'change', 'use')
    if got:
        ok(got[0].returncode == 99 and got[1][0]['used_afterwards'] == 1, 'a forked child', got)
        command = '%s uring munmap drop change; %s uring munmap change use' % (WORKLOAD, WORKLOAD)
        result, findings, _ = audit('sh', '-c', command)
        ok(result.returncode == 99 and len(findings) == 1, 'a child of a shell', findings)
        result, findings, _ = audit('sh', '-c', command, options=['--no-follow'])
        ok(result.returncode == 0 and not findings, 'and not, if they are not followed')
    got = one('uring', 'munmap', 'change', 'use', 'kill')
    if got:
        ok(got[0].returncode == 99 and got[1][0]['used_afterwards'] == 1, 'a program that is killed',
           got)


def test_status():
    result, _, summary = audit(WORKLOAD, 'verbs', 'munmap', 'change', 'status=3',
                               options=['--exit-code=0'])
    equal((result.returncode, summary['findings'], summary['status']), (3, 1, 3), "the program's status")
    result, _, _ = audit(WORKLOAD, 'verbs', 'munmap', 'change', options=['--exit-code=17'])
    equal(result.returncode, 17, 'another status for findings')
    result, _, _ = audit(WORKLOAD, 'verbs', 'munmap', 'drop', 'change', 'status=4')
    equal(result.returncode, 4, "the program's status without findings")
    result, _, _ = audit(WORKLOAD, 'verbs', 'munmap', 'drop', 'kill')
    equal(result.returncode, -signal.SIGKILL, '... or signal')
    for options, words in ((['--kinds=x'], 'kinds is a list'), (['--kinds='], 'kinds is a list'),
                           (['--grace=x'], 'grace is a number'), (['--exit-code=256'], 'is a number'),
                           (['--max-findings=-1'], 'is a number'), (['--buffer=1'], 'from 1K to 1G'),
                           (['--suppressions=/nowhere'], 'cannot be read'), (['--nothing'], 'there is no option'),
                           (['-o', '/nowhere/x'], 'cannot be written')):
        result = tool('audit', *options, '--', 'true')
        ok(result.returncode == 2 and words in result.stderr, 'audit ' + ' '.join(options), result.stderr)
    result = tool('audit')
    ok(result.returncode == 2 and 'command to run is missing' in result.stderr, 'no command')
    equal(tool('audit', '/nowhere').returncode, 127, 'a command that is not there')
    result = tool('audit', '-o', '/dev/full', WORKLOAD, 'verbs', 'munmap', 'change')
    ok(result.returncode == 2 and 'cannot be written: No space' in result.stderr, 'a full disk',
       result.stderr)


def test_text():
    result = tool('audit', WORKLOAD, 'verbs', 'munmap', 'drop', 'change')
    equal(result.stderr, '', 'nothing is printed of a clean run')
    result = tool('audit', WORKLOAD, 'verbs', 'munmap', 'change')
    words = ['mmunotify audit: stale memory region of RDMA verbs, use unknown', '65536 bytes at 0x',
             'whose memory (anonymous) changed by munmap', '1 registration like this',
             'SUMMARY: mmunotify audit: 1 finding: of 1 registrations 1 stale']
    if HAVE_LIBDW:
        words += ['make_registration+0x', 'change_memory+0x']
    ok(all(word in result.stderr for word in words), 'a finding as text', result.stderr)
    result = tool('audit', WORKLOAD, 'verbs', 'munmap', 'many-dropped=5', 'change')
    ok('0 suppressed; 5 dropped unused within --grace\n' in result.stderr, 'what --grace leaves out',
       result.stderr)
    result = tool('audit', '--max-findings=0', WORKLOAD, 'verbs', 'munmap', 'change')
    ok('more findings, not shown (--max-findings): 1' in result.stderr and result.returncode == 99,
       'findings that are too many', result.stderr)


def suppressed(text):
    name = path('suppressions')
    with open(name, 'w', encoding='utf-8') as file:
        file.write(text)
    return tool('audit', '--suppressions=' + name, WORKLOAD, 'verbs', 'munmap', 'change')


def test_suppressions():
    result = suppressed('# known\n\nstale:audit-work*\n')
    ok(result.returncode == 0 and '0 findings' in result.stderr and '1 suppressed' in result.stderr,
       'a suppression by module', result.stderr)
    if HAVE_LIBDW:
        for text in ('verbs:make_reg', 'made:^make_registration$', 'changed:change_memory',
                     'stale:audit_workload.c'):
            equal(suppressed(text + '\n').returncode, 0, 'suppression ' + text)
    for text in ('cuda:make_reg', 'made:^change_memory$', 'changed:^make_registration$', 'verbs:^ake_reg'):
        result = suppressed(text + '\n')
        ok(result.returncode == 99 and 'unused suppression ' + text in result.stderr,
           'no match: ' + text, result.stderr)
    for text in ('x', 'x:y', 'verbs:'):
        result = suppressed('\n' + text + '\n')
        ok(result.returncode == 2 and 'line 2' in result.stderr, 'no suppression: ' + text, result.stderr)


def test_programs():
    result, findings, summary = audit(TOOL, 'demo', '--backend', 'io_uring')
    if result.returncode == 99:
        equal(sorted(f['op'] for f in findings if f['used_afterwards']),
              ['fallocate', 'madvise-dontneed', 'mmap-fixed', 'mremap', 'munmap'],
              'the five of mmunotify demo, and none of those with a notifier or the cache')
        equal(len(findings), 5, '... and no others')
    else:
        skip('mmunotify demo', result.stderr)
    result, findings, _ = audit(TOOL, 'demo', '--backend', 'vmsplice')
    equal(sorted({f['op'] for f in findings}),
          ['fallocate', 'madvise-dontneed', 'mmap-fixed', 'mremap', 'munmap'], '... in a pipe')
    copy = os.path.join(os.path.dirname(TOOL), '../examples/uring-copy')
    if not os.path.exists(copy):
        skip('a program with the registration cache', 'the examples are not built')
    else:
        with open(path('source'), 'wb') as file:
            file.write(os.urandom(3 << 20))
        result, findings, summary = audit(copy, path('source'), path('target'))
        if 'not permitted' in result.stderr:
            skip('the example of the registration cache', result.stderr)
        else:
            ok(result.returncode == 0 and not findings and summary['registrations'] > 0,
               'a program with the registration cache is clean', (result.stderr, findings[:1], summary))
    if not shutil.which('fio'):
        skip('fio', 'fio is not installed')
        return
    for threads in ('0', '1'):
        result, findings, summary = audit(
            'fio', '--ioengine=io_uring', '--fixedbufs=1', '--rw=randrw', '--bs=4k', '--iodepth=8',
            '--size=1m', '--numjobs=2', '--loops=4', '--thread=' + threads, '--name=audit',
            '--directory=' + os.path.dirname(path('x')))
        if result.returncode and 'Operation not permitted' in result.stdout + result.stderr:
            skip('fio', 'io_uring is not permitted here')
            return
        ok(result.returncode == 0 and not findings and summary['registrations'] >= 16 and
           not summary['incomplete'], 'fio with fixed buffers is clean, thread=' + threads,
           (result.returncode, result.stderr[-500:], findings[:1], summary))


def test_allocator():
    """jemalloc makes system calls by syscall() while it holds its lock."""
    if not shutil.which('redis-server'):
        skip('an allocator that calls syscall()', 'redis-server is not installed')
        return
    result, findings, _ = audit('redis-server', '--version')
    ok(result.returncode == 0 and 'jemalloc' in result.stdout and not findings,
       'an allocator that calls syscall()', (result.returncode, result.stdout, result.stderr))


def main():
    test_operations()
    test_clean()
    test_crowd()
    test_unseen()
    test_children()
    test_status()
    test_text()
    test_suppressions()
    test_programs()
    test_allocator()
    done()


main()
