#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Many real programs run under mmunotify trace as they run without it.

    matrix.py MMUNOTIFY [--full] [PROGRAM...]

Each program of the table is run without anybody, traced, and traced in strict mode (--full:
also with stacks and without its children), each time in a folder of its own.  Standard
output, standard error and exit status must be the same, to the byte.  What shows its own
environment or libraries (env, ldd) shows the tracer, and is not here.  tests/system/programs.sh
has the longer ones: servers, threads under load, allocators.
"""
import concurrent.futures
import os
import shutil
import subprocess
import sys
import tempfile

from tap import diag, done, ok, skip

TOOL = os.path.abspath(sys.argv[1])
FULL = '--full' in sys.argv[2:]
WANTED = [word for word in sys.argv[2:] if word != '--full']

WAYS = {'traced': [], 'traced in strict mode': ['--strict']}
if FULL:
    WAYS.update({'traced with stacks': ['-k'], 'traced without its children': ['--no-follow']})

PYTHON_THREADS = '''
import threading, mmap, os
def work():
    for i in range(30):
        area = mmap.mmap(-1, 1 << 20); area[:4096] = b"x" * 4096; area.close()
threads = [threading.Thread(target=work) for _ in range(4)]
[thread.start() for thread in threads]; [thread.join() for thread in threads]
pid = os.fork()
if not pid:
    work(); os._exit(3)
print(os.WEXITSTATUS(os.waitpid(pid, 0)[1]))
'''
PYTHON_SPAWN = '''
import subprocess, sys
for command in (["true"], ["false"], ["no-such-program"], ["sh", "-c", "kill -9 $$"]):
    try:
        print(subprocess.run(command, capture_output=True).returncode)
    except OSError as error:
        print(error)
print(subprocess.run(["env", "-i", "/bin/echo", "x"], capture_output=True).stdout)
'''
PERL = '''
my %h; $h{$_} = "x" x ($_ % 500) for 1..3000; print scalar(keys %h), "\\n"; undef %h;
my $pid = fork; if (!$pid) { exit 4 } waitpid $pid, 0; print $? >> 8, "\\n"; die "end\\n";
'''
SHELL = 'x=$(seq 1 300); for i in 1 2 3; do echo $i | tr 1 2; done; (exit 9); echo $?; ' \
        'f() { return 3; }; f; echo no >&2; exit $?'
GIT = 'git -c init.defaultBranch=main init -q . && git add numbers && ' \
      'git -c user.name=t -c user.email=t@t commit -qm one && git log --format=%H -p | tail -n 2 && git fsck'
SQL = 'create table t(a,b); with recursive c(x) as (select 1 union all select x+1 from c where ' \
      'x<5000) insert into t select x, x*2 from c; create index i on t(b); select sum(a) from t ' \
      'where b > 5000; pragma mmap_size=10000000; select count(*) from t; select * from missing;'
JAVASCRIPT = 'const a=[]; for (let i=0;i<50;i++) a.push(Buffer.alloc(100000,i)); console.log(a.length); ' \
             'console.error("e"); process.exit(6)'

# One word: a program, with its arguments after it.  A text: for sh.
PROGRAMS = [
    ['sh', '-c', SHELL], ['bash', '--norc', '-c', SHELL], ['dash', '-c', SHELL],
    ['zsh', '-f', '-c', SHELL], ['fish', '--no-config', '-c', 'for i in 1 2; echo $i | tr 1 2; end; exit 3'],
    ['ls', '-1', '/', '/nowhere'], ['cat', 'numbers', 'nothing'], ['cp', 'numbers', 'copy'],
    ['mv', 'nothing', 'else'], ['rm', 'numbers'], ['sort', '-rn', 'numbers'],
    'sort -R --random-source=numbers -S 1M --parallel=2 numbers | cksum', ['uniq', '-c', 'numbers'],
    ['cut', '-c2', 'numbers'], ['paste', 'numbers', 'numbers'], ['join', 'numbers', 'numbers'],
    'tr 0-9 a-j <numbers', ['wc', 'numbers'], 'yes | head -n 20000 | wc -c', ['tac', 'numbers'],
    ['shuf', '--random-source=numbers', 'numbers'], ['od', '-x', 'numbers'], ['sha256sum', 'numbers'],
    ['base64', 'numbers'], ['factor', '1000000016000000063'], ['split', '-l', '500', 'numbers'],
    ['dd', 'if=numbers', 'bs=1K', 'status=none'], ['stat', '-c', '%s %F', 'numbers'],
    ['du', '-b', '--apparent-size', 'numbers'], ['timeout', '5', 'sh', '-c', 'exit 7'],
    ['timeout', '-s', 'KILL', '0.1', 'sleep', '5'], ['env', '-i', '/bin/echo', 'alone'],
    ['nice', '-n', '1', 'echo', 'nice'], ['tsort', 'numbers'], ['nl', 'numbers'], ['date', '-u', '-d', '@0'],
    ['numfmt', '--to=iec', '1000000'], ['ln', '-s', 'numbers', 'numbers'], ['readlink', '-f', '.././/x'],
    ['find', '/etc', '-maxdepth', '1', '-name', 'p*', '-type', 'f'], 'seq 40 | xargs -P 4 -n 10 echo | sort',
    ['grep', '-c', '^1', 'numbers'], ['sed', '-n', 's/1/one/gp', 'numbers'],
    ['awk', 'BEGIN { for (i = 0; i < 20000; i++) a[i] = i; print length(a); exit 8 }'],
    ['diff', 'numbers', 'main.c'], ['cmp', 'numbers', 'main.c'],
    'tar -cf x.tar --mtime=@0 --owner=0 --group=0 numbers main.c && tar -tvf x.tar && cksum <x.tar',
    'gzip -n9c numbers | cksum', 'bzip2 -c numbers | cksum', 'xz -T2 -c numbers | xz -dc | cksum',
    'zstd -q -T2 -c numbers | cksum', ['gcc', '-O1', '-Wall', '-c', 'main.c'],
    'gcc -g -o main main.c && ./main; echo $?', ['g++', '-x', 'c++', '-fsyntax-only', 'main.c'],
    ['clang', '-S', '-o', '-', 'main.c'], ['cpp', '-P', 'main.c'], ['as', '-o', 'x.o', '/dev/null'],
    ['ld', '--version'], ['nm', '-D', '--defined-only', '/lib/x86_64-linux-gnu/libm.so.6'],
    ['objdump', '-p', '/bin/true'], ['readelf', '-hlW', '/bin/true'],
    'printf "a b:\\n\\t@echo \\$@\\n" >Makefile; make -s -j2 a b | sort', ['ninja', '--version'],
    ['pkg-config', '--list-package-names'],
    ['/usr/bin/python3', '-c', 'import json, sqlite3, ctypes; print(json.dumps(list(range(99)))); [][1]'],
    ['/usr/bin/python3', '-c', PYTHON_THREADS], ['/usr/bin/python3', '-c', PYTHON_SPAWN],
    ['perl', '-e', PERL], GIT, ['sqlite3', 'x.db', SQL], ['node', '-e', JAVASCRIPT],
    ['java', '-Xshare:auto', '-Xmx64m', '-XX:TieredStopAtLevel=1', '-cp', '.', 'Missing'],
    ['openssl', 'dgst', '-sha512', 'numbers'], ['curl', '-s', 'file:///nowhere'],
    ['vim', '-u', 'NONE', '-es', '-c', 'put =range(1,200)', '-c', '%p', '-c', 'q!'],
    ['ctags', '-f', '-', 'main.c'], ['mandoc', '-T', 'ascii', 'page.1'], ['scdoc'],
    ['shellcheck', '-s', 'sh', 'script'], ['clang-format', 'main.c'], ['codespell', 'numbers'],
    ['gcov', '--version'], ['flock', 'numbers', 'echo', 'locked'], ['setarch', '-R', 'echo', 'fixed'],
    ['getent', 'passwd', 'root'], 'iconv -f latin1 -t utf-16 numbers | cksum', ['locale', '-a'],
    ['getconf', 'PAGESIZE'], ['uname', '-s'], ['id', '-u'], ['dpkg', '--print-architecture'],
    ['apt-config', 'dump', 'APT::Architecture'], ['infocmp', '-1', 'xterm'], ['bc', '--version'],
    'script -qec "echo terminal" /dev/null </dev/null', ['redis-cli', '--version'], ['gdb', '-nx', '-batch', '-ex', 'p 6*7'],
    ['fio', '--version'], ['spin', '-V'], ['ssh', '-V'], ['file', '-b', 'numbers'],
]
MAIN = '#include <stdio.h>\n#include <stdlib.h>\nint main(void)\n{\n\tchar *p = (char *)malloc(1 << 20);\n' \
       '\tp[0] = 1;\n\tfree(p);\n\tputs("main");\n\treturn 5;\n}\n'


def command_of(program):
    return ['sh', '-c', program] if isinstance(program, str) else program


def name_of(program):
    name = ' '.join((program if isinstance(program, str) else ' '.join(program)).split())
    return name if len(name) <= 60 else name[:57] + '...'


def needs(program):
    """The program that the row is of."""
    return program.split()[0] if isinstance(program, str) else program[0]


def prepare(folder):
    with open(os.path.join(folder, 'numbers'), 'w', encoding='ascii') as file:
        file.write(''.join('%d\n' % number for number in range(2000, 4000)))
    for name, text in (('main.c', MAIN), ('script', 'echo $x\n'),
                       ('page.1', '.TH X 1\n.SH NAME\nx \\- y\n')):
        with open(os.path.join(folder, name), 'w', encoding='ascii') as file:
            file.write(text)


def run(command):
    with tempfile.TemporaryDirectory(prefix='mmunotify-matrix-') as top:
        # The same path each time: programs print it.
        folder = os.path.join(top, 'here')
        os.mkdir(folder)
        prepare(folder)
        environment = {
            'PATH': os.environ['PATH'], 'LC_ALL': 'C.UTF-8', 'HOME': folder, 'TERM': 'dumb',
            'GIT_AUTHOR_DATE': '2020-01-01T00:00:00Z', 'GIT_COMMITTER_DATE': '2020-01-01T00:00:00Z',
        }
        result = subprocess.run(command, cwd=folder, env=environment, stdin=subprocess.DEVNULL,
                                capture_output=True, timeout=100, check=False)
        top = top.encode()
        return (result.returncode, result.stdout.replace(top, b'TOP'),
                result.stderr.replace(top, b'TOP'))


def is_recorded(path):
    with open(path, encoding='utf-8', errors='replace') as file:
        text = file.read()
    return '"type":"process"' in text and '"type":"end"' in text and '"type":"lost"' not in text


def examine(program):
    """What went wrong, by way."""
    command = command_of(program)
    plain = run(command)
    wrong = {}
    for way, options in WAYS.items():
        with tempfile.NamedTemporaryFile(prefix='mmunotify-matrix-') as trace:
            result = run([TOOL, 'trace', '--json', '-o', trace.name, *options, '--', *command])
            if result != plain:
                wrong[way] = '%.900r\ninstead of\n%.900r' % (result, plain)
            elif not is_recorded(trace.name):
                wrong[way] = 'the trace is not complete'
    return wrong


def main():
    programs = [program for program in PROGRAMS
                if not WANTED or any(word in name_of(program) for word in WANTED)]
    there = [program for program in programs if shutil.which(needs(program))]
    with concurrent.futures.ThreadPoolExecutor(max(2, os.cpu_count() or 2)) as pool:
        results = list(pool.map(examine, there))
    for program in programs:
        if program not in there:
            skip(name_of(program), needs(program) + ' is not installed')
            continue
        wrong = results[there.index(program)]
        if not ok(not wrong, name_of(program)):
            for way, what in wrong.items():
                diag('%s: %s' % (way, what))
    done()


main()
