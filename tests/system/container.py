#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""In a container: no io_uring, no perf events, no userfaultfd, no devices, no capabilities, a
root that is read-only, processes of its own.  What works there, and what is said of the rest.

    container.py MMUNOTIFY WORKLOAD SOURCE EXAMPLE

bwrap (bubblewrap) makes the namespaces; a filter refuses what container engines refuse.
"""
import ctypes
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile

from tap import done, equal, ok, skip, skip_all

TOOL, WORKLOAD, SOURCE, EXAMPLE = (os.path.abspath(a) for a in sys.argv[1:5])

EPERM, ENOSYS = 1, 38
# What the engines' default profiles refuse; clone3 is not there, so that clone()'s flags are seen.
REFUSED = {
    'io_uring_setup': (425, EPERM), 'io_uring_enter': (426, EPERM), 'io_uring_register': (427, EPERM),
    'perf_event_open': (298, EPERM), 'userfaultfd': (323, EPERM), 'bpf': (321, EPERM),
    'add_key': (248, EPERM), 'request_key': (249, EPERM), 'keyctl': (250, EPERM),
    'kcmp': (312, EPERM), 'mount': (165, EPERM), 'umount2': (166, EPERM), 'swapon': (167, EPERM),
    'swapoff': (168, EPERM), 'setns': (308, EPERM), 'unshare': (272, EPERM),
    'move_pages': (279, EPERM), 'migrate_pages': (256, EPERM), 'mbind': (237, EPERM),
    'set_mempolicy': (238, EPERM), 'get_mempolicy': (239, EPERM), 'pidfd_getfd': (438, EPERM),
    'process_madvise': (440, EPERM), 'open_by_handle_at': (304, EPERM),
    'name_to_handle_at': (303, EPERM), 'ptrace': (101, EPERM), 'process_vm_readv': (310, EPERM),
    'process_vm_writev': (311, EPERM), 'clone3': (435, ENOSYS),
}


def filters():
    code = [(0x20, 0, 0, 0)]
    for number, error in REFUSED.values():
        code += [(0x15, 0, 1, number), (0x06, 0, 0, 0x00050000 | error)]
    code.append((0x06, 0, 0, 0x7fff0000))
    return b''.join(struct.pack('HBBI', *c) for c in code), len(code)


def inside(work, *command, namespaces=True):
    text, _ = filters()
    read, write = os.pipe()
    os.write(write, text)
    os.close(write)
    jail = ['bwrap', '--unshare-all', '--die-with-parent', '--new-session', '--cap-drop', 'ALL',
            '--ro-bind', '/', '/', '--dev', '/dev', '--proc', '/proc', '--tmpfs', '/tmp',
            '--tmpfs', '/var/tmp', '--bind', work, '/mnt', '--chdir', '/mnt', '--seccomp', str(read)]
    # What lies below a folder that is hidden is shown again.
    for path in (TOOL, WORKLOAD, SOURCE, EXAMPLE):
        if path.startswith(('/tmp/', '/var/tmp/')):
            top = path if os.path.isdir(path) else os.path.dirname(os.path.dirname(path))
            jail += ['--ro-bind', top, top]
    environment = {k: v for k, v in os.environ.items() if not k.startswith('MALLOC_')}
    result = subprocess.run(jail + ['--'] + list(command), capture_output=True, text=True,
                            check=False, pass_fds=[read], timeout=120, errors='replace',
                            env=environment)
    os.close(read)
    return result


def passes(result, name, *words):
    return ok(result.returncode == 0 and all(w in result.stdout + result.stderr for w in words), name,
              'exit %d\n%s%s' % (result.returncode, result.stdout[-3000:], result.stderr[-3000:]))


def test_jail(work):
    """It is one: what the tests below say is said of a container."""
    script = '''
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
def refused(number):
    return libc.syscall(number, 0, 0, 0, 0, 0) < 0 and ctypes.get_errno()
print([refused(n) for n in (425, 298, 323, 435)], os.path.exists('/dev/kvm'), os.getpid() < 100)
'''
    result = inside(work, shutil.which('python3', path='/usr/bin:/bin') or sys.executable, '-c', script)
    return equal(result.stdout.strip(), '[1, 1, 1, 38] False True',
                 'no io_uring, no perf events, no userfaultfd, no /dev/kvm')


def test_probe(work):
    result = inside(work, TOOL, 'probe', '--json')
    if not passes(result, 'probe: the source of the running process works'):
        return
    report = json.loads(result.stdout)
    equal([s['name'] for s in report['sources'] if not s['available']], [], 'probe: each source works')
    missing = {f['name']: f['reason'] for f in report['facilities'] if not f['available']}
    ok('io_uring' in missing and missing['io_uring'], 'probe: says that io_uring is refused, and why',
       report['facilities'])


def test_demo(work):
    result = inside(work, TOOL, 'demo', '--json')
    if passes(result, 'demo: works'):
        equal(json.loads(result.stdout)['backend'], 'vmsplice', 'demo: on vmsplice')
    result = inside(work, TOOL, 'demo', '--backend=io_uring')
    ok(result.returncode == 1 and 'io_uring' in result.stderr, 'demo: says that io_uring is refused',
       result.stdout + result.stderr)


def operations(text):
    return [(e['op'], e['class']) for e in map(json.loads, text.splitlines())
            if e.get('type') == 'event' and e['range'] not in ('heap', 'stack')]


def test_trace(work):
    command = [TOOL, 'trace', '--json', '--filter', 'class=unmap', '--', WORKLOAD, 'basic']
    outside = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    result = inside(work, *command)
    equal(result.returncode, outside.returncode, 'trace: the program ends as outside')
    equal(operations(result.stderr), operations(outside.stderr), 'trace: sees what it sees outside')
    ok(len(operations(outside.stderr)) > 0, 'trace: which is something', outside.stderr[-1000:])
    passes(inside(work, TOOL, 'trace', '--strict', '--', WORKLOAD, 'basic'), 'trace --strict', 'munmap')
    passes(inside(work, TOOL, 'trace', '-k', '--', WORKLOAD, 'basic'), 'trace -k', 'munmap')
    passes(inside(work, TOOL, 'trace', '-o', '/mnt/recording', '--', 'sh', '-c', WORKLOAD + ' basic | cat'),
           'trace -o')
    passes(inside(work, TOOL, 'replay', '--summary', '/mnt/recording'), 'replay', 'munmap')


def test_others(work):
    passes(inside(work, TOOL, 'run', '--', '/bin/true'), 'run')
    passes(inside(work, TOOL, 'audit', '--', '/bin/ls', '/'), 'audit')
    result = inside(work, TOOL, 'stat')
    ok(result.returncode == 1, 'stat: there is nothing to show', result.stdout + result.stderr)
    passes(inside(work, TOOL, 'soft', '--quiet', os.path.join(SOURCE, 'examples/scenarios/ksm.mmun')),
           'soft')
    passes(inside(work, EXAMPLE), 'a program that uses the library', 'munmap')


def main():
    if not shutil.which('bwrap'):
        skip_all('bwrap is not installed (Debian: bubblewrap)')
    with tempfile.TemporaryDirectory(prefix='mmunotify-container-') as work:
        os.chmod(work, 0o777)
        probe = inside(work, '/bin/true')
        if probe.returncode:
            skip_all('bwrap may not make namespaces here: ' + probe.stderr.strip())
        if test_jail(work):
            test_probe(work)
            test_demo(work)
            if ' ' in TOOL:
                skip('trace', 'LD_PRELOAD cannot name a path with a space')
            else:
                test_trace(work)
                test_others(work)
    done()


main()
