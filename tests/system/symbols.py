#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What libmmunotify defines: exports, map and man pages agree, names keep the rule,
and loading it can do nothing.

    symbols.py SHARED STATIC MAP MAN3 HEADER...
"""
import re
import shutil
import subprocess
import sys

from tap import done, equal, ok, skip_all

SHARED, STATIC, MAP, MAN3 = sys.argv[1:5]
HEADERS = sys.argv[5:]

# Linux names that are not exported but keep Linux's contract inside core/.
INTERNAL_LINUX_NAMES = {
    'synchronize_srcu', 'call_srcu', 'srcu_barrier', 'do_mmu_notifier_register',
}

# What other libraries redirect or interpose to learn of memory and files: here each is a
# raw system call.  Memory for small objects comes from the program's allocator.
INTERPOSED = {
    'mmap', 'mmap64', 'munmap', 'mremap', 'mprotect', 'pkey_mprotect', 'madvise', 'brk', 'sbrk',
    'shmat', 'shmdt', 'shmget', 'shmctl', 'remap_file_pages', 'mlock', 'munlock', 'mincore',
    'process_madvise', 'memfd_create', 'syscall',
    'open', 'open64', 'openat', 'openat64', 'creat', 'close', 'dup', 'dup2', 'dup3', 'fcntl',
    'fcntl64', 'read', 'pread', 'pread64', 'write', 'writev', 'lseek', 'lseek64', 'ioctl',
    'stat', 'stat64', 'fstat', 'fstat64', 'lstat', 'fstatat', 'fstatat64', 'statx',
    'access', 'faccessat', 'readlink', 'readlinkat', 'opendir', 'readdir', 'readdir64',
    'fopen', 'fopen64', 'fclose', 'flock', 'ftruncate', 'ftruncate64', 'fallocate',
    'fork', 'vfork', 'clone', 'execve', '_exit', '_Exit', 'exit', 'kill', 'tgkill',
    'signal', 'sigaction', 'sigprocmask', 'prctl', 'poll', 'select', 'epoll_wait', 'futex',
    'nanosleep', 'clock_nanosleep', 'usleep', 'sleep', 'dlsym', 'dlclose',
}

# The pages of a software address space are the program's, and shall be seen.
ZONE = {(f'frame_{file}.c.o', call) for file in ('bytes', 'device')
        for call in ('mmap64', 'mmap', 'munmap')}

# Run between two instructions of the program, beside those of the source self.
HOOKS = {'dispatch.c.o', 'srcu.c.o', 'srcu_cells.c.o', 'interval_seq.c.o', 'interval_table.c.o',
         'notifier.c.o', 'exit.c.o', 'chain.c.o', 'task.c.o', 'stat.c.o'}

# Linux names that are exported: the notifiers' own, and an address space's users and locks.
# Everything else that drivers call by Linux's name is the compat library's, which is not
# loaded into every program.
LINUX_NAMES = (r'(__)?mmu_(notifier|interval)_\w+$|mm(get|put|grab|drop)$|mmget_not_zero$'
               r'|mm_(lock|unlock|has_notifiers)$|mmap_(read|write)_(try|un)?lock$')


def output(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def defined(path, *options):
    """{(name, type)}"""
    rows = (line.split() for line in output('nm', '-P', '--defined-only', *options, path).splitlines())
    return {(row[0].split('@')[0], row[1]) for row in rows if len(row) >= 3}


def called():
    """(member of the archive, function): what is not defined in the member itself"""
    rows = (line.split() for line in output('nm', '-A', '-u', STATIC).splitlines())
    return {(row[0].split(':')[1], row[-1]) for row in rows if len(row) >= 3}


def bound_at_first_call():
    """{(member, function)} of the hooks: called through the table in which the linker looks
    it up then, if the program is linked so."""
    pairs = set()
    for text in output('readelf', '-rW', STATIC).split('\nFile: ')[1:]:
        member = text.split(')', 1)[0].rsplit('(', 1)[1]
        if member in HOOKS or 'mmun_self' in text:
            pairs |= {(member, name) for name in re.findall(r'R_X86_64_PLT32 +\w+ +(\w+)', text)}
    return pairs & called()


def map_names():
    with open(MAP, encoding='utf-8') as file:
        text = file.read()
    return set(re.findall(r'^\t(\w+);', text, re.M))


def init_array_entries():
    for line in output('readelf', '-SW', SHARED).splitlines():
        fields = line.replace('[ ', '[').split()
        if len(fields) > 5 and fields[1] == '.init_array':
            return int(fields[5], 16) // 8
    return 0


def main():
    for tool in ('nm', 'readelf'):
        if not shutil.which(tool):
            skip_all(tool + ' is not installed')
    exported = {name for name, kind in defined(SHARED, '-D') if kind != 'A'}
    mapped = map_names()
    documented = set(output(sys.executable, MAN3, '--names', *HEADERS).split())
    equal(sorted(exported - mapped), [], 'every export is in the map')
    equal(sorted(mapped - exported), [], 'everything in the map is exported')
    equal(sorted(mapped - documented), [], 'every export has a man page')

    linux_names = {n for n in mapped if not n.startswith('mmun_')}
    equal(sorted(n for n in linux_names if not re.match(LINUX_NAMES, n)),
          [], 'exported names are mmun_*, or those of notifiers and address spaces in Linux')
    archive = {name for name, _ in defined(STATIC, '-g')}
    # The compiler's own, for unwinding, and that of probe points.
    archive = {n for n in archive if not n.startswith(('DW.ref.', '_.stapsdt.'))}
    strays = {n for n in archive if not n.startswith('mmun_')} - linux_names - INTERNAL_LINUX_NAMES
    equal(sorted(strays), [], 'global names of the archive are mmun_* or those of Linux')
    equal(sorted(mapped - archive), [], 'the archive has everything that is exported')

    equal(sorted(pair for pair in called() - ZONE if pair[1] in INTERPOSED), [],
          'no function is called that others redirect')

    equal(sorted(pair for pair in bound_at_first_call() if pair[1] not in archive), [],
          'no hook calls a function that the linker looks up then')

    dynamic = output('readelf', '-dW', SHARED)
    ok('[libmmunotify.so.0]' in dynamic, 'the soname is libmmunotify.so.0', dynamic)
    ok('NODELETE' in dynamic, 'it stays when it is closed', dynamic)
    ok('TEXTREL' not in dynamic, 'no text relocations', dynamic)
    segments = output('readelf', '-lW', SHARED)
    ok(not re.search(r'^\s+(LOAD|GNU_STACK).* RWE', segments, re.M),
       'nothing is writable and executable', segments)
    ok(init_array_entries() <= 1, 'no constructor but the compiler\'s own',
       '%d entries' % init_array_entries())
    done()


main()
