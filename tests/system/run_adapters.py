#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""mmunotify run and stat with the adapters that were built, around programs that know
nothing of us: they link UCX or libfabric.

    run_adapters.py MMUNOTIFY ADAPTERS WORKLOAD CC...

ADAPTERS is "ucx", "libfabric", "ucx,libfabric" or "none".
"""
import json
import os
import re
import shutil
import subprocess
import sys

from tap import done, equal, ok, skip, skip_all

TOOL, BUILT = os.path.abspath(sys.argv[1]), sys.argv[2].split(',')
# trace_tool's order.
sys.argv[2:4] = [sys.argv[3]]
from trace_tool import path, run, tool  # noqa: E402

CC = sys.argv[3:]
NAMES = ('LD_PRELOAD', 'FI_PROVIDER_PATH', 'MMUNOTIFY_STRICT', 'MMUNOTIFY_STAT', 'MMUNOTIFY_ADAPTERS',
         'MMUNOTIFY_UCX', 'MMUNOTIFY_FI')
ENVIRONMENT = {name: value for name, value in os.environ.items() if name not in NAMES}

# Subscribes as a registration cache does, unmaps ten times, and waits if it is asked to.
UCX_USER = r'''
#include <stdio.h>
#include <sys/mman.h>
int ucm_set_event_handler(int events, int priority, void (*cb)(int, void *, void *), void *arg);
static int calls;
static void unmapped(int event, void *what, void *arg) { calls++; }
int main(int argc, char **argv)
{
	if (ucm_set_event_handler(1 << 17, 0, unmapped, NULL))
		return 1;
	for (int i = 0; i < 10; i++)
		munmap(mmap(NULL, 65536, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), 65536);
	printf("%s\n", calls >= 10 ? "called" : "deaf");
	fflush(stdout);
	return argc > 1 ? getchar() == 0 : 0;
}
'''
FI_USER = r'''
#include <stdio.h>
#include <sys/mman.h>
#include <rdma/fabric.h>
int main(int argc, char **argv)
{
	struct fi_info *info = NULL;

	if (fi_getinfo(FI_VERSION(1, 9), NULL, NULL, 0, NULL, &info))
		return 1;
	fi_freeinfo(info);
	puts("initialised");
	return 0;
}
'''


def compile_c(name, text, *options):
    with open(path(name + '.c'), 'w', encoding='utf-8') as file:
        file.write(text)
    made = run(*CC, '-o', path(name), path(name + '.c'), *options)
    return path(name) if ok(made.returncode == 0, 'compile ' + name, made.stderr) else None


def with_adapters(*args, **more):
    return tool('run', *args, env=dict(ENVIRONMENT, **more))


def line(result):
    found = [part for part in result.stderr.splitlines() if part.startswith('mmunotify run: ')]
    return found[-1] if found else result.stderr


CONNECTED = r'mmunotify run: ucx connected in %s process(es)?; [1-9]\d* sections, [1-9]\d* invalidations, ' \
            r'0 refused registrations'


def test_ucx(user):
    for options in ((), ('--strict',), ('--with=ucx',)):
        result = with_adapters(*options, '--', user)
        ok((result.returncode, result.stdout) == (0, 'called\n') and
           re.fullmatch(CONNECTED % 1, line(result)), 'UCX is fed: run %s' % ' '.join(options), result.stderr)
    result = with_adapters(user, MMUNOTIFY_UCX='off')
    ok('no adapter was connected' in line(result) and result.stdout == 'called\n',
       'MMUNOTIFY_UCX=off: UCX hears by its own hooks', result.stderr)
    result = with_adapters('sh', '-c', '%s & %s & wait' % (user, user))
    ok(re.fullmatch(CONNECTED % 2, line(result)), 'two processes of a shell', result.stderr)
    process = subprocess.Popen([TOOL, 'run', '--', 'sh', '-c', 'exec "$@"', 'sh', user, 'wait'], env=ENVIRONMENT,
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    process.stdout.readline()
    with open('/proc/%d/task/%d/children' % (process.pid, process.pid), encoding='utf-8') as file:
        child = file.read().split()[0]
    result = tool('stat', '--json', '-p', child)
    shown = json.loads(result.stdout or '{"users": []}')['users']
    ok(len(shown) == 1 and shown[0]['name'] == 'ucx' and shown[0]['connected'] and
       shown[0]['counters']['sections'] >= 10, 'stat shows it while it runs', result.stdout + result.stderr)
    process.communicate('\n', timeout=240)


def test_ucx_beside(user):
    jemalloc = run('gcc', '-print-file-name=libjemalloc.so.2').stdout.strip()
    if os.path.isabs(jemalloc):
        result = with_adapters(user, LD_PRELOAD=jemalloc)
        ok(result.stdout == 'called\n' and re.fullmatch(CONNECTED % 1, line(result)),
           'beside jemalloc', result.stderr)
    else:
        skip('beside jemalloc', 'it is not installed')
    launcher = shutil.which('mpirun')
    if not launcher:
        skip('processes that mpirun starts', 'it is not installed')
        return
    env = {'OMPI_ALLOW_RUN_AS_ROOT': '1', 'OMPI_ALLOW_RUN_AS_ROOT_CONFIRM': '1',
           'OMPI_MCA_rmaps_base_oversubscribe': '1'}
    result = with_adapters(launcher, '-n', '3', user, **env)
    if result.returncode and 'called' not in result.stdout:
        skip('processes that mpirun starts', 'it starts none here')
        return
    ok(re.fullmatch(CONNECTED % 3, line(result)), 'processes that mpirun starts', result.stderr)


def test_asan():
    asan = compile_c('asan', 'int main(void) { return 3; }\n', '-fsanitize=address') \
        if run(*CC, '-fsanitize=address', '-x', 'c', '-o', '/dev/null', '-', input='int main(){}').returncode == 0 \
        else None
    if not asan:
        skip('a program with AddressSanitizer', 'there is no library for it')
        return
    for adapter in BUILT:
        result = with_adapters('--with=' + adapter, asan)
        ok(result.returncode == 3 and len(result.stderr.splitlines()) == 1,
           'a program with AddressSanitizer runs with %s' % adapter, result.stderr)


def test_libfabric(user):
    result = with_adapters('--', user)
    ok((result.returncode, result.stdout) == (0, 'initialised\n') and
       re.match(r'mmunotify run: libfabric connected in 1 process; ', line(result)) and
       len(result.stderr.splitlines()) == 1, 'libfabric is fed', result.stderr)
    result = with_adapters('--with=libfabric', user, FI_PROVIDER_PATH='@/nowhere')
    ok('libfabric connected in 1' in line(result), '... beside a path of the user', result.stderr)
    result = with_adapters(user, MMUNOTIFY_FI='off')
    ok('no adapter was connected' in line(result), 'MMUNOTIFY_FI=off', result.stderr)


def main():
    if BUILT == ['none']:
        skip_all('no adapter was built')
    if 'ucx' in BUILT:
        user = compile_c('ucx_user', UCX_USER, '-lucm', '-lucs')
        if user:
            test_ucx(user)
            test_ucx_beside(user)
    else:
        skip('UCX', 'its adapter was not built')
    if 'libfabric' in BUILT:
        user = compile_c('fi_user', FI_USER, '-lfabric')
        if user:
            test_libfabric(user)
    else:
        skip('libfabric', 'its adapter was not built')
    test_asan()
    done()


main()
