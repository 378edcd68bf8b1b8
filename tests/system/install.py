#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The installed tree serves a user: examples compile by their own first line, run,
and link statically; the command and the man pages are there.

    install.py MESON BUILD SOURCE
"""
import glob
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile

from tap import diag, done, ok, skip

MESON, BUILD, SOURCE = sys.argv[1:4]


def run(command, **kwargs):
    return subprocess.run(command, capture_output=True, text=True, check=False, **kwargs)


def passes(result, name):
    return ok(result.returncode == 0, name, result.stdout + result.stderr)


def find(root, pattern):
    found = glob.glob(os.path.join(root, '**', pattern), recursive=True)
    return found[0] if found else None


def environment(root, pc):
    env = dict(os.environ)
    env['PKG_CONFIG_SYSROOT_DIR'] = root
    env['PKG_CONFIG_PATH'] = os.path.dirname(pc)
    env['LD_LIBRARY_PATH'] = os.path.dirname(find(root, 'libmmunotify.so.0'))
    # What is compiled here must not inherit a sanitizer of the tree around.
    for name in ('CFLAGS', 'LDFLAGS', 'LD_PRELOAD'):
        env.pop(name, None)
    return env


def first_line_command(path):
    with open(path, encoding='utf-8') as file:
        match = re.match(r'/\* (c(?:c|\+\+) .*) \*/$', file.readline().rstrip())
    return match.group(1) if match else None


def test_examples(env, work):
    for source in sorted(glob.glob(os.path.join(SOURCE, 'examples', '*.c')) +
                         glob.glob(os.path.join(SOURCE, 'examples', '*.cpp'))):
        name = os.path.splitext(os.path.basename(source))[0]
        command = first_line_command(source)
        if not ok(command, 'example %s: its first line is a command' % name):
            continue
        if name == 'uring-copy':
            test_uring_copy(source, command, env, work)
            continue
        if name == 'verbs-pingpong':
            test_verbs_pingpong(source, command, env, work)
            continue
        shutil.copy(source, work)
        if passes(run(['sh', '-c', command + ' -Wall -Wextra -Werror'], cwd=work, env=env),
                  'example %s: compiles by its first line' % name):
            passes(run([os.path.join(work, name)], cwd=work, env=env, timeout=240),
                   'example %s: runs' % name)


def same(path, data):
    with open(path, 'rb') as file:
        return file.read() == data


def test_uring_copy(source, command, env, work):
    """A cp: what is copied is the same, what is wrong is said as cp says it."""
    if run(['pkg-config', '--exists', 'mmunotify-uring'], env=env).returncode:
        skip('example uring-copy', 'built without liburing')
        return
    shutil.copy(source, work)
    if not passes(run(['sh', '-c', command + ' -Wall -Wextra -Werror'], cwd=work, env=env),
                  'example uring-copy: compiles by its first line'):
        return

    def copy(*args):
        return run([os.path.join(work, 'uring-copy'), *args], cwd=work, env=env, timeout=240)

    data = os.urandom(1 << 20) * 9 + b'the end'
    for name, contents in (('data', data), ('empty', b'')):
        with open(os.path.join(work, name), 'wb') as file:
            file.write(contents)
    first = copy('-v', 'data', 'copy')
    if 'io_uring_queue_init: ' in first.stderr:
        skip('example uring-copy: runs', 'io_uring is not permitted here')
        return
    passes(first, 'example uring-copy: runs')
    ok(same(os.path.join(work, 'copy'), data), 'example uring-copy: the bytes are the same')
    found = re.search(r'(\d+) buffers registered, (\d+) found again', first.stdout)
    # How many depends on where malloc() finds memory, and so on the order of the completions.
    ok(found and int(found.group(2)) > 0, 'example uring-copy: buffers are found again',
       first.stdout)
    passes(copy('empty', 'copy'), 'example uring-copy: an empty file')
    ok(same(os.path.join(work, 'copy'), b''), 'example uring-copy: is empty')
    with open(os.path.join(work, 'holes'), 'wb') as file:
        file.truncate(64 << 20)
        file.seek(20000000)
        file.write(b'island')
    passes(copy('holes', 'copy'), 'example uring-copy: a file with holes')
    with open(os.path.join(work, 'holes'), 'rb') as file:
        ok(same(os.path.join(work, 'copy'), file.read()), 'example uring-copy: the same bytes')
    ok(os.stat(os.path.join(work, 'copy')).st_blocks < 4096, 'example uring-copy: and holes')
    passes(copy('/proc/cpuinfo', 'copy'), 'example uring-copy: a file of /proc')
    ok(os.stat(os.path.join(work, 'copy')).st_size > 100, 'example uring-copy: has its bytes')
    for args in (('data', 'data'), ('missing', 'copy'), ('/proc', 'copy'), ('data/x', 'copy'),
                 ('data', 'missing/copy'), ('data', '/dev/full')):
        ours, theirs = copy(*args), run(['cp', *args], cwd=work, env=dict(env, LC_ALL='C'))
        ok(ours.returncode == 1 and ours.stderr == theirs.stderr.replace('cp:', 'uring-copy:'),
           'example uring-copy %s %s: refused as cp does' % args, ours.stderr + theirs.stderr)


CUDA = '''
#include <stdio.h>
#include <mmunotify/cuda.h>

int main(void)
{
	struct mmun_probe probe;

	mmun_cuda_probe(NULL, &probe);
	printf("%s%s\\n", probe.available ? "there" : "none: ", probe.reason);
	return !probe.available == !*probe.reason;
}
'''


def test_cuda(env, work):
    """What it is built with has nothing of CUDA; it says whether there is a driver."""
    if run(['pkg-config', '--exists', 'mmunotify-cuda'], env=env).returncode:
        skip('the cache for CUDA', 'built without it')
        return
    with open(os.path.join(work, 'cuda.c'), 'w', encoding='utf-8') as file:
        file.write(CUDA)
    if passes(run(['sh', '-c', 'cc -Wall -Wextra -Werror -o cuda cuda.c $(pkg-config --cflags --libs mmunotify-cuda)'],
                  cwd=work, env=env), 'the cache for CUDA: a program with it'):
        passes(run([os.path.join(work, 'cuda')], env=env), 'the cache for CUDA: runs, driver or not')


def test_verbs_pingpong(source, command, env, work):
    """Runs in the virtual machine too, where there is a device: tests/vm/verbs.py."""
    if run(['pkg-config', '--exists', 'mmunotify-verbs'], env=env).returncode:
        skip('example verbs-pingpong', 'built without libibverbs')
        return
    shutil.copy(source, work)
    if not passes(run(['sh', '-c', command + ' -Wall -Wextra -Werror'], cwd=work, env=env),
                  'example verbs-pingpong: compiles by its first line'):
        return
    result = run([os.path.join(work, 'verbs-pingpong'), '-n', '20'], cwd=work, env=env, timeout=240)
    if result.returncode == 77:
        ok('there is no RDMA device' in result.stderr and 'rdma link add' in result.stderr,
           'example verbs-pingpong: says what is missing, and what to do', result.stderr)
        skip('example verbs-pingpong: runs', 'there is no RDMA device')
    else:
        passes(result, 'example verbs-pingpong: runs')


def test_driver(env, work):
    """A kernel driver and its KUnit cases; tests/system/driver_page.py does the rest."""
    command = ('cc -o driver %s $(pkg-config --cflags mmunotify-compat) $(pkg-config --libs mmunotify-compat)' %
               ' '.join(shlex.quote(os.path.join(SOURCE, 'examples/kernel_driver', name))
                        for name in ('mirror.c', 'mirror_kunit.c')))
    if passes(run(['sh', '-c', command], cwd=work, env=env), 'example kernel_driver: compiles'):
        result = run([os.path.join(work, 'driver')], env=env, timeout=240)
        ok(result.returncode == 0 and 'ok 1 mirror\n' in result.stdout,
           'example kernel_driver: its cases pass', result.stdout + result.stderr)


def test_static(env, work):
    """The archive in a dynamic program works; in a static one it says no and harms nothing."""
    command = ('cc -o mixed print_events.c $(pkg-config --cflags mmunotify) -Wl,-Bstatic '
               '$(pkg-config --static --libs-only-L --libs-only-l mmunotify | '
               "sed 's/-lpthread//; s/-ldl//') -Wl,-Bdynamic -lpthread -ldl")
    if passes(run(['sh', '-c', command], cwd=work, env=env), 'static archive: links'):
        linked = run(['readelf', '-dW', 'mixed'], cwd=work)
        ok('libmmunotify' not in linked.stdout, 'static archive: no shared library is needed',
           linked.stdout)
        passes(run([os.path.join(work, 'mixed')], timeout=240), 'static archive: runs')
    command = 'cc -static -o alone print_events.c $(pkg-config --static --cflags --libs mmunotify)'
    if passes(run(['sh', '-c', command], cwd=work, env=env), 'static program: links'):
        result = run([os.path.join(work, 'alone')], timeout=240)
        ok(result.returncode == 1 and 'not supported' in result.stderr.lower(),
           'static program: registration is refused with a sentence',
           '%d %s' % (result.returncode, result.stderr))


def test_headers(env, work):
    """The same header test as for the source tree, on what was installed."""
    flags = run(['pkg-config', '--cflags-only-I', 'mmunotify'], env=env).stdout.split()
    include = flags[0][2:] if flags else find(env['PKG_CONFIG_SYSROOT_DIR'], 'include')
    passes(run([sys.executable, os.path.join(SOURCE, 'tests/system/headers.py'), include]),
           'installed headers compile alone in C and C++')
    installed = {os.path.basename(h) for h in glob.glob(os.path.join(include, 'mmunotify/*.h'))}
    ours = {os.path.basename(h) for h in glob.glob(os.path.join(SOURCE, 'include/mmunotify/*.h'))}
    ok(installed == ours, 'every header is installed', installed ^ ours)


def test_command(root, env):
    tool = find(root, 'bin/mmunotify')
    if ok(tool, 'the command is installed'):
        passes(run([tool, '--version'], env=env), 'the command finds its library')
        passes(run([tool, 'probe'], env=env), 'the command finds an event source')
        traced = run([tool, 'trace', '--summary', '--', '/bin/true'], env=env)
        passes(traced, 'the installed tracer is found')
        if find(root, 'libmmunotify-ucx.so') or find(root, 'libmmunotify-fi.so'):
            passes(run([tool, 'run', 'true'], env=env), 'the installed adapters are found')
        else:
            skip('the installed adapters', 'built without them')


PYTHON = '''
import ctypes, mmap, sys
import mmunotify
with mmunotify.Watch() as watch:
    mmap.mmap(-1, 1 << 22).close()
    assert [row for row in watch.read() if row.size == 1 << 22]
assert [row for row in mmunotify.Recording(sys.argv[1])]
print(mmunotify.__file__)
'''


def test_python(root, env, work):
    module = find(root, 'mmunotify/watch.py')
    if not module:
        skip('the Python module', 'built without it')
        return
    folder = os.path.dirname(os.path.dirname(module))
    env = dict(env, PYTHONDONTWRITEBYTECODE='1',
               PATH=os.path.dirname(find(root, 'bin/mmunotify')) + ':' + env['PATH'])
    recording = os.path.join(work, 'recording')
    run(['mmunotify', 'trace', '-o', recording, '--', '/bin/true'], env=env)

    def works(python, path, name):
        result = run([python, '-c', PYTHON, recording], env=dict(env, PYTHONPATH=path), cwd=work)
        ok(result.returncode == 0 and path in result.stdout, name, result.stdout + result.stderr)

    works(sys.executable, folder, 'the installed Python module finds its library and the command')
    # And by pip, without a network; a copy, because it writes beside the sources.
    python = '/usr/bin/python3'
    if run([python, '-c', 'import pip, setuptools.build_meta, wheel']).returncode:
        skip('the Python module by pip', 'pip, setuptools or wheel is not installed')
        return
    copy, target = os.path.join(work, 'python'), os.path.join(work, 'site')
    shutil.copytree(os.path.join(SOURCE, 'bindings/python'), copy)
    if passes(run([python, '-m', 'pip', 'install', '--no-build-isolation', '--no-index', '--no-deps',
                   '--no-compile', '--root-user-action=ignore', '--target', target, copy], env=env),
              'pip installs the Python module, offline'):
        works(python, target, 'and it works')
    version = run([os.path.join(SOURCE, 'scripts/version.sh')]).stdout.strip()
    with open(os.path.join(copy, 'pyproject.toml'), encoding='utf-8') as file:
        ok('version = "%s"' % version in file.read(), "its version is the project's")


def test_man_pages(root):
    pages = glob.glob(os.path.join(root, '**/man/man[0-9]/*'), recursive=True)
    if not pages:
        skip('man pages', 'built without them')
        return
    names = {os.path.basename(p) for p in pages}
    for page in ('mmunotify.1', 'mmunotify-trace.1', 'mmunotify-audit.1', 'mmunotify-demo.1', 'mmunotify-run.1', 'mmunotify-stat.1', 'mmunotify.7',
                 'mmu_notifier_register.3', '__mmu_notifier_register.3', 'mmun_seq_retry.3',
                 'mmun_uring_create.3', 'mmun_cuda_create.3', 'mmun_verbs_create.3',
                 'mmunotify_rcache.3'):
        ok(page in names, 'man page %s is installed' % page)


def test_documents(root):
    """What is linked to within the documents is installed beside them."""
    top = os.path.dirname(find(root, 'doc/mmunotify/README.md') or '/')
    if not ok(top != '/', 'documents are installed'):
        return
    for name in ('NEWS.md', 'docs/EVENTS.md', 'LICENSES/BSD-2-Clause.txt', 'examples/print_events.c',
                 'examples/kernel_driver/mirror.c', 'examples/scenarios/ksm.mmun'):
        ok(os.path.exists(os.path.join(top, name)), '%s is installed' % name)
    missing = set()
    for folder, _, files in os.walk(top):
        for path in (os.path.join(folder, f) for f in files if f.endswith('.md')):
            with open(path, encoding='utf-8') as file:
                links = re.findall(r'\]\(((?:\.\./)*(?:docs|LICENSES|examples|NEWS)[^)#]*|\w+\.md)', file.read())
            missing |= {link for link in links
                        if not os.path.exists(os.path.join(os.path.dirname(path), link))}
    ok(missing <= {'CONTRIBUTING.md', '../CONTRIBUTING.md'}, 'their links lead to what is installed', missing)


def test_completion(root):
    for name in ('bash-completion/completions/mmunotify', 'zsh/site-functions/_mmunotify',
                 'fish/vendor_completions.d/mmunotify.fish'):
        path = find(root, name)
        ok(path and os.path.getsize(path) > 1000, 'completion: %s' % name)


def main():
    with tempfile.TemporaryDirectory(prefix='mmunotify-install-') as temporary:
        root, work = os.path.join(temporary, 'root'), os.path.join(temporary, 'work')
        os.mkdir(work)
        result = run([MESON, 'install', '-C', BUILD, '--no-rebuild', '--destdir', root])
        if not passes(result, 'meson install'):
            done()
        pc = find(root, 'mmunotify.pc')
        if not ok(pc, 'a pkg-config file is installed'):
            done()
        env = environment(root, pc)
        diag(run(['pkg-config', '--cflags', '--libs', 'mmunotify'], env=env).stdout)
        test_examples(env, work)
        test_cuda(env, work)
        test_driver(env, work)
        test_static(env, work)
        test_headers(env, work)
        test_command(root, env)
        test_python(root, env, work)
        test_man_pages(root)
        test_documents(root)
        test_completion(root)
    done()


main()
