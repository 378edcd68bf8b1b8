#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Puts known bugs back, one at a time, and sees that the test for it fails.

    run.py [--jobs N] [--only WORD] [PATCH or FOLDER...]

A test that cannot fail shows nothing.  Each *.patch here, and in secondary/ for the example
devices, is one bug: it says in its head which numbers of docs/RULES.md it breaks (Breaks:, or
none), which program must notice (Program:), and how (Fails:, one or more lines):

    Fails: TEXT     a result "not ok" whose name begins with TEXT
    Fails: abort    the program dies of SIGABRT: a check inside the library found it
    Fails: crash    it dies of any signal
    Fails: hang     it does not end

Any other outcome fails the mutant: also a patch that does not apply exactly, a result
TEXT that the unmutated program does not have, and an unmutated program that fails.

The patched files are compiled apart and linked before an archive of everything else; so are the
sources beside a patched header.  Other folders do not see it, but the program does.  The working tree is only read.  TAP on stdout.
"""
import argparse
import concurrent.futures
import glob
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
FOLDERS = [HERE, os.path.join(HERE, 'secondary')]
LIBRARIES = ['base', 'core', 'primary/soft', 'stat', 'rcache', 'secondary/gru', 'secondary/kvm', 'secondary/xpmem',
             'adapters/libfabric/history.c', 'adapters/libfabric/entries.c']
FLAGS = ['-std=gnu11', '-O0', '-w', '-pthread', '-D_GNU_SOURCE', '-DMMUN_DEBUG',
         '-fno-strict-aliasing']
CC = shlex.split(os.environ.get('CC', 'cc'))
# Longer than any unmutated program takes on a loaded machine.
ENDS = 300
# A mutant that has printed nothing new for so long hangs; one that has to hang, earlier.
QUIET = 90
QUIET_OF_ONE_THAT_HANGS = 20
WORDS = ('abort', 'crash', 'hang')


class Broken(Exception):
    """The mutant shows nothing; the text says why."""


class Patch:
    """One bug."""

    def __init__(self, path):
        self.name = os.path.basename(path)[:-len('.patch')]
        with open(path, encoding='utf-8') as file:
            head, _, self.body = file.read().partition('\n--- ')
        self.breaks = self.fields(head, 'Breaks')[0].split()
        self.program = self.fields(head, 'Program')[0]
        self.fails = self.fields(head, 'Fails')

    def fields(self, head, key):
        found = re.findall(r'^%s: (.+)$' % key, head, re.M)
        if not found:
            sys.exit('%s.patch has no %s:' % (self.name, key))
        return found

    def texts(self):
        return [text for text in self.fails if text not in WORDS]

    def files(self):
        """{path: [(old text, new text)]}; nothing but the text decides where a hunk goes."""
        files = {}
        for part in ('\n--- ' + self.body).split('\n--- ')[1:]:
            names, *hunks = re.split(r'^@@.*@@.*\n', part, flags=re.M)
            path = re.search(r'^\+\+\+ b/(\S+)', names, re.M).group(1)
            files[path] = [self.both_sides(hunk) for hunk in hunks]
        return files

    @staticmethod
    def both_sides(hunk):
        lines = [line or ' ' for line in hunk.rstrip('\n').split('\n')]
        return tuple(''.join(line[1:] + '\n' for line in lines if line[0] in kinds)
                     for kinds in (' -', ' +'))

    def apply(self, path, hunks):
        with open(os.path.join(ROOT, path), encoding='utf-8') as file:
            text = file.read()
        for old, new in hunks:
            if text.count(old) != 1:
                raise Broken('does not apply: %s has this %d times:\n%s'
                             % (path, text.count(old), old))
            text = text.replace(old, new)
        return text


def compile_file(source, target, path, patched=()):
    """@path is where the file belongs: its neighbours' headers are found there; @patched:
    folders that come before all others."""
    folders = ['include', 'base', 'primary/soft', 'core', 'stat', 'rcache', 'adapters/libfabric',
               'tests', 'tests/unit', 'tests/unit/soft', os.path.dirname(path)]
    # Its own library before the others.
    folders.sort(key=lambda folder: not path.startswith(folder + '/'))
    for part, folder in ('soft', 'primary/soft'), ('rcache', 'rcache'):
        if path.startswith('tests/unit/%s/' % part):
            folders.sort(key=lambda name: name != folder)
    if path.startswith('tests/contract/secondary/'):
        folders.insert(0, 'secondary/' + os.path.basename(path)[:-len('.c')].split('_')[0])
    made = subprocess.run(CC + FLAGS + ['-I' + folder for folder in patched] +
                          ['-I' + os.path.join(ROOT, folder) for folder in folders] +
                          ['-c', '-o', target, source], capture_output=True, text=True)
    if made.returncode:
        raise Broken('%s is not compiled:\n%s' % (path, made.stderr))
    return target


class Build:
    """The unmutated parts."""

    def __init__(self, folder, pool, programs):
        self.folder = folder
        self.archive = os.path.join(folder, 'all.a')
        sources = [os.path.relpath(path, ROOT) for library in LIBRARIES
                   for path in sorted(glob.glob(os.path.join(
                       ROOT, library, '' if library.endswith('.c') else '**/*.c').rstrip('/'),
                       recursive=True))]
        objects = list(pool.map(self.compile, sources))
        subprocess.run(['ar', 'rcs', self.archive] + objects, check=True)
        self.programs = dict(zip(programs, pool.map(self.compile, programs)))

    def compile(self, path):
        target = os.path.join(self.folder, path.replace('/', '-') + '.o')
        return compile_file(os.path.join(ROOT, path), target, path)

    def link(self, program, objects, target):
        made = subprocess.run(CC + ['-pthread', '-o', target, program] + objects +
                              [self.archive], capture_output=True, text=True)
        if made.returncode:
            raise Broken('not linked:\n' + made.stderr)
        return target


class Run:
    """One run of a program: its results, and how it ended."""

    def __init__(self, path, until, ends, quiet):
        self.passed, self.failed, self.last = [], [], []
        self.hung = False
        # What it prints apart goes nowhere: reports of misuse are part of some tests.
        self.child = subprocess.Popen([path], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                      text=True, start_new_session=True)
        total = threading.Timer(ends, self.kill)
        total.start()
        self.read(until, quiet)
        total.cancel()
        self.status = self.child.wait()

    def kill(self):
        self.hung = True
        self.end()

    def end(self):
        try:
            os.killpg(self.child.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass

    def read(self, until, quiet):
        silence = threading.Timer(quiet, self.kill)
        silence.start()
        for line in self.child.stdout:
            silence.cancel()
            result = re.match(r'(not )?ok \d+ - (.*)', line)
            if result:
                (self.failed if result.group(1) else self.passed).append(result.group(2))
            self.last = (self.last + [line])[-5:]
            if until(self):
                self.end()
                break
            silence = threading.Timer(quiet, self.kill)
            silence.start()
        silence.cancel()

    def outcome(self):
        if self.hung:
            return 'it hangs'
        if self.status < 0:
            return 'it ends by ' + signal.Signals(-self.status).name
        return 'it ends with %d, failed: %s' % (self.status, self.failed[:3])


def begins(texts, names):
    return any(name.startswith(text) for text in texts for name in names)


def fails_as_said(patch, run):
    """Also when the program goes on after the result that counts."""
    if begins(patch.texts(), run.failed):
        return True
    if run.hung:
        return 'hang' in patch.fails
    died = -run.status if run.status < 0 else 0
    return died and ('crash' in patch.fails or died == signal.SIGABRT and 'abort' in patch.fails)


def make_including(patch, build, folder):
    """Of a program that includes the sources that it tests."""
    for place in {os.path.dirname(path) for path in patch.files()}:
        shutil.copytree(os.path.join(ROOT, place), os.path.join(folder, place))
    for path, hunks in patch.files().items():
        with open(os.path.join(folder, path), 'w', encoding='utf-8') as file:
            file.write(patch.apply(path, hunks))
    program = os.path.join(folder, patch.program)
    os.makedirs(os.path.dirname(program), exist_ok=True)
    shutil.copy(os.path.join(ROOT, patch.program), program)
    program = compile_file(program, os.path.join(folder, 'program.o'), patch.program)
    return build.link(program, [], os.path.join(folder, 'mutant'))


def includes(program, path):
    """Does the program include that source as a whole?"""
    with open(os.path.join(ROOT, program), encoding='utf-8') as file:
        return '../%s"' % path in file.read()


def copy_neighbours(header, folder, patched):
    """The other headers of its folder, which may include it, go beside the patched one; and the
    sources, whose paths are returned."""
    sources = []
    for path in sorted(glob.glob(os.path.join(ROOT, os.path.dirname(header), '*.[ch]'))):
        name = os.path.relpath(path, ROOT)
        if name in patched:
            continue
        shutil.copy(path, os.path.join(folder, os.path.dirname(header)))
        sources += [name] if name.endswith('.c') else []
    return sources


def make_mutant(patch, build):
    """The path of the program."""
    folder = os.path.join(build.folder, patch.name)
    objects, headers = [], []
    if any(path.startswith('primary/self/') or includes(patch.program, path)
           for path in patch.files()):
        return make_including(patch, build, folder)
    for path, hunks in patch.files().items():
        source = os.path.join(folder, path)
        os.makedirs(os.path.dirname(source), exist_ok=True)
        with open(source, 'w', encoding='utf-8') as file:
            file.write(patch.apply(path, hunks))
        if path.endswith('.h'):
            headers.append(os.path.join(folder, path.split('/')[0]))
            for neighbour in copy_neighbours(path, folder, patch.files()):
                if includes(patch.program, neighbour):
                    continue
                beside = os.path.join(folder, neighbour)
                objects.append(compile_file(beside, beside + '.o', neighbour))
        else:
            objects.append(compile_file(source, source + '.o', path))
    program = build.programs[patch.program]
    if headers:
        program = compile_file(os.path.join(ROOT, patch.program),
                               os.path.join(folder, 'program.o'), patch.program, headers)
    return build.link(program, objects, os.path.join(folder, 'mutant'))


def try_mutant(patch, build):
    """None, or why the mutant shows nothing."""
    try:
        program = make_mutant(patch, build)
    except Broken as broken:
        return str(broken)
    quiet = QUIET_OF_ONE_THAT_HANGS if patch.fails == ['hang'] else QUIET
    run = Run(program, lambda run: begins(patch.texts(), run.failed), ENDS, quiet)
    os.unlink(program)
    if fails_as_said(patch, run):
        return None
    return 'expected: %s; but %s\n%s' % (' or '.join(patch.fails), run.outcome(), ''.join(run.last))


def try_unmutated(program, patches, build):
    """None, or what is wrong."""
    wanted = [text for patch in patches for text in patch.texts()]
    # It may stop when all that the mutants are to fail has passed; but how a mutant ends
    # is compared with how the whole program does.
    to_the_end = any(patch.texts() != patch.fails for patch in patches)

    def missing(run):
        return [text for text in wanted if not begins([text], run.passed)]

    def enough(run):
        return run.failed or not (to_the_end or missing(run))

    path = build.link(build.programs[program], [],
                      os.path.join(build.folder, program.replace('/', '-') + '.run'))
    run = Run(path, enough, ENDS, ENDS)
    if run.failed or run.hung or to_the_end and run.status:
        return run.outcome()
    return 'it has no result %r' % missing(run)[0] if missing(run) else None


class Tap:
    """Results in the order in which they come."""

    def __init__(self):
        self.count = self.failures = 0

    def result(self, name, trouble):
        self.count += 1
        self.failures += bool(trouble)
        print('%sok %d - %s' % ('not ' if trouble else '', self.count, name))
        for line in (trouble or '').splitlines():
            print('#', line)
        sys.stdout.flush()

    def done(self):
        print('1..%d' % self.count)
        return 1 if self.failures else 0


def patches_of(path):
    """A folder's, or the one."""
    return sorted(glob.glob(os.path.join(path, '*.patch'))) if os.path.isdir(path) else [path]


def chosen(options):
    patches = [Patch(patch) for path in options.patch or FOLDERS for patch in patches_of(path)]
    return [patch for patch in patches if options.only in [''] + patch.breaks + [patch.name]]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--jobs', type=int, default=os.cpu_count())
    parser.add_argument('--only', default='', help='a number, or the name of a patch')
    parser.add_argument('patch', nargs='*')
    options = parser.parse_args()
    patches = chosen(options)
    programs = sorted({patch.program for patch in patches})
    tap = Tap()
    with tempfile.TemporaryDirectory(prefix='mmun-mutants-') as folder, \
            concurrent.futures.ThreadPoolExecutor(options.jobs) as pool, \
            concurrent.futures.ThreadPoolExecutor(4 * options.jobs) as waiting:
        build = Build(folder, pool, programs)
        work = {}
        for program in programs:
            its = [patch for patch in patches if patch.program == program]
            work[pool.submit(try_unmutated, program, its, build)] = \
                program + ' passes as it is'
        for patch in patches:
            # To see that one hangs is to wait, without a processor: beside the others.
            beside = waiting if patch.fails == ['hang'] else pool
            work[beside.submit(try_mutant, patch, build)] = \
                '%s: %s fails with %s' % (' '.join(patch.breaks), patch.program, patch.name)
        for future in concurrent.futures.as_completed(work):
            tap.result(work[future], future.result())
    return tap.done()


if __name__ == '__main__':
    sys.exit(main())
