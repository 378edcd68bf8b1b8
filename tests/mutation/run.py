#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Changes one place of core/ or primary/soft at a time and sees whether a test fails.

    run.py [--jobs N] [--only FILE|FOLDER|FUNCTION]... [--tests FOLDER]
           [--sample N [--seed S]] [--list]

The operators, and where none is put, are in the head of points.py.

All mutants of a file are compiled into it at once, asleep; a number in the environment wakes
one.  So a tree is built once: a copy of the working tree with such files in core/ and
primary/soft, in TREE/tree, built by the project's own meson.build in TREE/build.  Each test
program says which mutants' places it comes to; a mutant is tried with those only, the quick
ones first, until one fails, crashes, or takes several times as long as usual.

First come the tests of the suites unit and rules, then what else runs on the software address
space (LATER).  A mutant that no test fails on survives.  Those that are equivalent, or that no test
can observe, are in survivors.txt with the reason; the others are shown as differences.  The
score is the share of killed ones among all but those in survivors.txt, the raw share that
among all.  Status 1 when a folder's score is less than --bound percent.

What was found out is kept in TREE/results.json: a killed mutant is tried again when its file or
the sources of the program that killed it have changed, a survivor when its file or any test has.
"""
import argparse
import concurrent.futures
import fnmatch
import functools
import hashlib
import json
import os
import random
import re
import resource
import select
import signal
import subprocess
import sys
import threading
import time

import points

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
FOLDERS = ['core', 'primary/soft']
FIRST = ['unit', 'rules']
# Suites, and folders whose meson.build defines the program.
LATER = ['script', 'fuzz', 'differential', 'tests/contract/secondary']
# A test that has a limit in seconds gets this one.
SHORTER = {'--seconds': '3'}
# A test that takes longer, in seconds, is not used: much more than any of them needs on a machine
# that has something else to do, too.
LONGEST = 150
# Of so many that kill, one is run again as it is, to see that it does not fail by itself.
CONTROL = 20
PER_FILE = 1024
OPTIONS = ['-Dwerror=false', '-Dwarning_level=0', '-Doptimization=1', '-Ddebug=false',
           '-Dman=disabled', '-Dpeers=disabled', '-Dstacks=disabled']


def sources_of(tree):
    """All files that git knows or would take."""
    listed = subprocess.run(['git', '-C', tree, 'ls-files', '-co', '--exclude-standard', '-z'],
                            check=True, capture_output=True, text=True).stdout
    return sorted(path for path in set(listed.split('\0'))
                  if path and os.path.isfile(os.path.join(tree, path)))


def read(path, tree=ROOT):
    with open(os.path.join(tree, path), encoding='utf-8') as file:
        return file.read()


def digest(*texts):
    found = hashlib.sha256()
    for text in texts:
        found.update(text if isinstance(text, bytes) else text.encode())
        found.update(b'\0')
    return found.hexdigest()[:24]


def load(path, otherwise):
    try:
        with open(path, encoding='utf-8') as file:
            return json.load(file)
    except FileNotFoundError:
        return otherwise


def save(path, what):
    with open(path + '.new', 'w', encoding='utf-8') as file:
        json.dump(what, file, indent=0)
    os.replace(path + '.new', path)


class Tree:
    """The copy, and what is built of it."""

    def __init__(self, folder):
        self.folder = folder
        self.copy = os.path.join(folder, 'tree')
        self.build = os.path.join(folder, 'build')
        os.makedirs(self.copy, exist_ok=True)
        self.all = sources_of(ROOT)
        self.files = [path for path in self.all
                      if re.match('(%s)/.*[.][ch]$' % '|'.join(FOLDERS), path)]
        self.mutants = []
        self.unreadable = []
        # Mutants that do not compile, by key.
        self.refused = set(load(os.path.join(folder, 'refused.json'), []))

    def find(self):
        types = points.types_in(read(path) for path in self.all if path.endswith('.h') or
                                path in self.files)
        places = load(os.path.join(self.folder, 'places.json'), {})
        for path in self.files:
            found, trouble = points.find(path, read(path), types)
            self.unreadable += trouble
            if path not in places:
                places[path] = min(set(range(len(places) + 1)) - set(places.values()))
            if len(found) > PER_FILE:
                sys.exit('%s has more than %d mutants' % (path, PER_FILE))
            for index, mutant in enumerate(found):
                mutant.number = places[path] * PER_FILE + index
            self.mutants += found
        save(os.path.join(self.folder, 'places.json'),
             {path: place for path, place in places.items() if path in self.files})
        self.numbers = (max(places.values()) + 1) * PER_FILE

    def write(self, path, text):
        """Only when it differs: what is built of it is younger than it."""
        target = os.path.join(self.copy, path)
        data = text if isinstance(text, bytes) else text.encode()
        try:
            with open(target, 'rb') as file:
                if file.read() == data:
                    return
        except FileNotFoundError:
            os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(target, 'wb') as file:
            file.write(data)

    def write_mutants(self, paths):
        for path in paths:
            its = [mutant for mutant in self.mutants
                   if mutant.path == path and mutant.key not in self.refused]
            self.write(path, points.wrapped(read(path), its))

    def make(self):
        for path in self.all:
            if path in self.files:
                continue
            with open(os.path.join(ROOT, path), 'rb') as file:
                self.write(path, file.read())
            os.chmod(os.path.join(self.copy, path), os.stat(os.path.join(ROOT, path)).st_mode)
        for folder, _, names in os.walk(self.copy):
            for name in names:
                path = os.path.relpath(os.path.join(folder, name), self.copy)
                if path not in self.all:
                    os.unlink(os.path.join(self.copy, path))
        self.write_mutants(self.files)
        if not os.path.exists(os.path.join(self.build, 'build.ninja')):
            include = '-include%s/tests/mutation/mutant.h' % self.copy
            subprocess.run(['meson', 'setup', self.build, self.copy] + OPTIONS +
                           ["-Dc_args=['%s', '-w', '-DMUTANT_NUMBERS=%d']"
                            % (include, 256 * PER_FILE)],
                           check=True, stdout=subprocess.DEVNULL)
        # What introspection says is of the last configuration.
        subprocess.run(['ninja', '-C', self.build, 'build.ninja'], check=True,
                       stdout=subprocess.DEVNULL)

    def ninja(self, targets, jobs):
        """What does not compile is taken out, by the lines that the compiler names."""
        while True:
            made = subprocess.run(['ninja', '-C', self.build, '-k', '0', '-j', str(jobs)] + targets,
                                  capture_output=True, text=True)
            if not made.returncode:
                return
            wrong = self.refused_by(made.stdout)
            if not wrong:
                sys.exit('\n'.join(line for line in made.stdout.split('\n')
                                   if 'error' in line or line.startswith('FAILED')) + made.stderr)
            self.refused |= {mutant.key for mutant in wrong}
            save(os.path.join(self.folder, 'refused.json'), sorted(self.refused))
            self.write_mutants({mutant.path for mutant in wrong})

    def refused_by(self, output):
        places = set(re.findall(r'tree/((?:%s)/[\w/]+[.][ch]):(\d+):\d+: error' % '|'.join(FOLDERS),
                                output))
        lines = {}
        for path, line in places:
            lines.setdefault(path, set()).add(int(line))
        wrong = []
        for path, bad in lines.items():
            text = read(path, self.copy).split('\n')
            numbers = {int(number) for line in bad
                       for number in re.findall(r'MUTANT[(](\d+)[)]', text[line - 1])}
            wrong += [mutant for mutant in self.mutants if mutant.number in numbers]
        return wrong


@functools.lru_cache
def test_headers(copy):
    """The contents of all of them: which program includes which is not asked."""
    paths = (os.path.join(folder, name)
             for folder, _, names in os.walk(os.path.join(copy, 'tests'))
             for name in names if name.endswith('.h'))
    return tuple(open(path, 'rb').read() for path in sorted(paths))


class Test:
    def __init__(self, described, targets, tree):
        self.name = described['name']
        self.suites = [suite.split(':')[-1] for suite in described['suite']]
        self.command = described['cmd'][:]
        for at, word in enumerate(self.command[:-1]):
            if word in SHORTER:
                self.command[at + 1] = SHORTER[word]
        self.folder = described['workdir'] or tree.build
        self.environment = described['env']
        self.targets = [os.path.relpath(word, tree.build) for word in self.command
                        if word in targets]
        self.targets += [os.path.relpath(target['filename'][0], tree.build)
                         for target in targets.values() if target['id'] in described['depends']]
        program = targets.get(self.command[0])
        self.defined = os.path.relpath(os.path.dirname(program['defined_in']), tree.copy) \
            if program else ''
        files = [source for target in [program] if target
                 for group in target['target_sources'] for source in group['sources']]
        files += [word for word in self.command if word.startswith(tree.copy)
                  and os.path.isfile(word)]
        self.sources = [open(path, 'rb').read() for path in sorted(set(files))
                        if os.path.exists(path)]
        # With the headers of the tests, which say what a case does.
        self.digest = digest(self.name, *self.sources, *test_headers(tree.copy))
        self.later = not set(self.suites) & set(FIRST)
        # How long it takes, how long it is silent in between, and what it comes to.
        self.time = None
        self.silence = 0
        self.reached = b''

    def is_used(self, folder):
        if folder:
            return (self.defined + '/').startswith(folder.rstrip('/') + '/')
        return bool(set(self.suites) & set(FIRST + LATER)) or self.defined in LATER

    def limits(self):
        return 5 + 4 * self.time, 2 + 3 * self.silence

    def run(self, more, limits):
        """None, or how it failed.  @limits: in all, and without a word."""
        environment = dict(os.environ, **self.environment)
        environment.update(more)
        child = subprocess.Popen(self.command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                 stdin=subprocess.DEVNULL, env=environment, cwd=self.folder,
                                 start_new_session=True)
        try:
            return self.watch(child, *limits)
        finally:
            try:
                os.killpg(child.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            child.stdout.close()
            child.wait()

    def watch(self, child, whole, quiet):
        rest, heard = b'', time.monotonic()
        until = heard + whole
        while True:
            left = min(until, heard + quiet) - time.monotonic()
            if left <= 0 or not select.select([child.stdout], [], [], left)[0]:
                return 'it hangs'
            got = os.read(child.stdout.fileno(), 65536)
            if self.time is None:
                self.silence = max(self.silence, time.monotonic() - heard)
            heard = time.monotonic()
            if not got:
                break
            *lines, rest = (rest + got).split(b'\n')
            for line in lines:
                if line.startswith(b'not ok') or line.startswith(b'Bail out'):
                    return line.decode(errors='replace')
        try:
            status = child.wait(max(0.1, min(until, heard + quiet) - time.monotonic()))
        except subprocess.TimeoutExpired:
            return 'it hangs'
        if status < 0:
            return 'it ends by ' + signal.Signals(-status).name
        return 'it ends with %d' % status if status else None


class Tests:
    def __init__(self, tree, jobs, folder):
        self.tree = tree
        described = self.introspect('--tests')
        targets = {name: target for target in self.introspect('--targets')
                   for name in target['filename']}
        self.all = [test for test in (Test(one, targets, tree) for one in described)
                    if test.is_used(folder)]
        tree.ninja(sorted({target for test in self.all for target in test.targets}), jobs)
        self.unusable = []
        self.controls = self.failed_controls = 0

    def introspect(self, what):
        found = subprocess.run(['meson', 'introspect', self.tree.build, what], check=True,
                               capture_output=True, text=True).stdout
        return json.loads(found)

    def measure(self, pool):
        """Each as it is: whether it passes, how long it takes, and what it reaches."""
        for test, trouble in zip(self.all, pool.map(self.try_one, self.all)):
            # Once more, when the machine is less busy.
            trouble = trouble and self.try_one(test)
            if trouble:
                self.unusable.append('%s: %s' % (test.name, trouble))
        self.all = sorted((test for test in self.all if test.time is not None),
                          key=lambda test: (test.later, test.time))
        self.digest = digest(*sorted(test.digest for test in self.all))

    def try_one(self, test):
        path = os.path.join(self.tree.folder, 'reached.%s.%s' % (test.suites[0], test.name))
        with open(path, 'wb') as file:
            file.truncate(256 * PER_FILE)
        began = time.monotonic()
        trouble = test.run({'MUTANT_REACHED': path}, (2 * LONGEST, 2 * LONGEST))
        took = time.monotonic() - began
        with open(path, 'rb') as file:
            reached = file.read()
        os.unlink(path)
        if not trouble and took > LONGEST:
            trouble = 'takes %.0f s' % took
        if trouble or not any(reached):
            return trouble
        test.time, test.reached = took, reached
        return None

    def reaching(self, mutant):
        return [test for test in self.all if test.reached[mutant.number]]


class Results:
    """What is known from earlier runs."""

    def __init__(self, path, tests, fresh):
        self.path, self.tests = path, tests
        self.known = {} if fresh else load(path, {})
        self.by_name = {test.name: test for test in tests.all}
        self.files = {}
        self.lock = threading.Lock()
        self.saved = time.monotonic()

    def mark(self, mutant):
        if mutant.path not in self.files:
            self.files[mutant.path] = digest(mutant.source)
        return self.files[mutant.path]

    def get(self, mutant):
        known = self.known.get(mutant.key)
        if not known or known['file'] != self.mark(mutant):
            return None
        if known['by']:
            test = self.by_name.get(known['by'])
            return known if test and test.digest == known['tests'] else None
        return known if known['tests'] == self.tests.digest else None

    def hint(self, mutant):
        """The test that killed it when something was different."""
        known = self.known.get(mutant.key)
        return known and known['by']

    def put(self, mutant, test, how):
        found = {'file': self.mark(mutant), 'by': test.name if test else None, 'how': how,
                 'tests': test.digest if test else self.tests.digest}
        with self.lock:
            self.known[mutant.key] = found
            if time.monotonic() - self.saved > 20:
                self.write()
        return found

    def write(self):
        save(self.path, self.known)
        self.saved = time.monotonic()


def try_mutant(mutant, tests, results, known_only):
    """{'by': test or None, 'how': text}"""
    known = results.get(mutant)
    if known or known_only:
        return known
    its = tests.reaching(mutant)
    hint = results.hint(mutant)
    its.sort(key=lambda test: test.name != hint)
    for test in its:
        how = test.run({'MUTANT_AWAKE': str(mutant.number)}, test.limits())
        while how and random.random() * CONTROL < 1:
            tests.controls += 1
            if not test.run({}, test.limits()):
                break
            tests.failed_controls += 1
            how = test.run({'MUTANT_AWAKE': str(mutant.number)}, test.limits())
        if how:
            return results.put(mutant, test, how)
    return results.put(mutant, None, 'reached by %d' % len(its) if its else 'not reached')


class Reasons:
    """survivors.txt: a key of points.Mutant, or one whose texts are *, and in indented lines
    below why no test can fail on it."""

    def __init__(self, path):
        self.lines = []
        if os.path.exists(path):
            for line in read(path).split('\n'):
                if line and not line[0].isspace() and not line.startswith('#'):
                    self.lines.append(line)
        self.exact = set(self.lines)
        self.general = [line for line in self.lines if line.endswith(': *')]
        self.used = set()

    def has(self, mutant):
        for line in self.general:
            if mutant.key.startswith(line[:-1]):
                self.used.add(line)
                return True
        if mutant.key in self.exact:
            self.used.add(mutant.key)
            return True
        return False

    def stale(self, mutants, results):
        """Lines that no longer stand for a survivor; of mutants that were not tried, those that
        stand for none."""
        keys = {mutant.key for mutant in mutants}
        for line in self.lines:
            if line in self.used:
                continue
            if line.endswith(': *'):
                its = [mutant for mutant in mutants if mutant.key.startswith(line[:-1])]
                if not its or all(results.get(mutant.key) for mutant in its):
                    yield line, 'no survivor' if its else 'there is nothing like it'
            elif line not in keys:
                yield line, 'there is no such mutant'
            elif line in results:
                yield line, 'it is killed: ' + (results[line]['how'] or '')


def chosen(mutants, options):
    def wanted(mutant):
        return not options.only or any(
            fnmatch.fnmatch(mutant.path, word) or mutant.path.startswith(word.rstrip('/') + '/')
            or os.path.basename(mutant.path) == word or mutant.function == word
            for word in options.only)
    its = [mutant for mutant in mutants if wanted(mutant)]
    if options.sample and options.sample < len(its):
        its = random.Random(options.seed).sample(its, options.sample)
        its.sort(key=lambda mutant: mutant.number)
    return its


def percent(killed, total):
    return 100.0 * killed / total if total else 100.0


def score(total, killed, explained):
    return percent(killed, total - explained)


def report(options, tree, tests, its, results):
    reasons = Reasons(os.path.join(HERE, 'survivors.txt'))
    rows, sums, new = {}, {}, []
    for mutant in its:
        found = results.get(mutant.key)
        if not found:
            continue
        folder = next(name for name in FOLDERS if mutant.path.startswith(name + '/'))
        for row in (rows.setdefault(mutant.path, [0, 0, 0]), sums.setdefault(folder, [0, 0, 0])):
            row[0] += 1
            row[1] += bool(found['by'])
        if not found['by']:
            if reasons.has(mutant):
                rows[mutant.path][2] += 1
                sums[folder][2] += 1
            else:
                new.append(mutant)
    if not options.quiet:
        for mutant in new:
            print('%s# %s\n' % (mutant.diff(), results[mutant.key]['how']))
    print('%-40s %7s %7s %9s %7s %7s' % ('file', 'mutants', 'killed', 'explained', 'score', 'raw'))
    every = [sum(row[at] for row in sums.values()) for at in range(3)]
    for path, row in sorted(rows.items()) + sorted(sums.items()) + [('all', every)]:
        print('%-40s %7d %7d %9d %6.1f%% %6.1f%%' % (path, *row, score(*row),
                                                     percent(row[1], row[0])))
    refused = len([mutant for mutant in tree.mutants if mutant.key in tree.refused])
    print('of %d mutants; %d more do not compile; %d survivors without a reason'
          % (len(tree.mutants) - refused, refused, len(new)))
    if tests.controls:
        print('of %d programs that had just killed and were run as they are, %d failed'
              % (tests.controls, tests.failed_controls))
    if options.sample:
        print('a sample of %d with the seed %d' % (len(its), options.seed))
    for text in tree.unreadable:
        print('not read: ' + text)
    for text in tests.unusable:
        print('not used: ' + text)
    for line, why in reasons.stale(tree.mutants, results):
        print('survivors.txt: %s\n\t%s' % (line, why))
    if options.json:
        save(options.json, [dict(results[mutant.key], key=mutant.key, kind=mutant.kind)
                            for mutant in its if mutant.key in results])
    return all(score(*row) >= options.bound for row in sums.values())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--tree', default=os.path.join(ROOT, 'build-mutation'))
    parser.add_argument('--jobs', type=int, default=os.cpu_count())
    parser.add_argument('--only', action='append', default=[],
                        help='a folder, a file (pattern), or a function')
    parser.add_argument('--tests', metavar='FOLDER', help='only with the programs of that folder')
    parser.add_argument('--sample', type=int, default=0, help='so many, at random')
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--list', action='store_true', help='the mutants; nothing is run')
    parser.add_argument('--known', action='store_true', help='what is known; nothing is run')
    parser.add_argument('--fresh', action='store_true', help='forget what is known')
    parser.add_argument('--quiet', action='store_true', help='no differences')
    parser.add_argument('--json', help='the results, to a file')
    parser.add_argument('--bound', type=float, default=90)
    options = parser.parse_args()
    tree = Tree(options.tree)
    tree.find()
    if not chosen(tree.mutants, options):
        print('mutation: no mutant is in %s' % ', '.join(options.only), file=sys.stderr)
        return 2
    if options.list:
        for mutant in chosen(tree.mutants, options):
            print(mutant.key)
        return 0
    tree.make()
    # Mutants that write without end, or lose their way.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        tests = Tests(tree, options.jobs, options.tests)
        tests.measure(pool)
        results = Results(os.path.join(tree.folder, 'results.json'), tests, options.fresh)
        its = chosen([mutant for mutant in tree.mutants if mutant.key not in tree.refused], options)
        found = {}
        began, left = time.monotonic(), len(its)
        work = {pool.submit(try_mutant, mutant, tests, results, options.known): mutant
                for mutant in its}
        for future in concurrent.futures.as_completed(work):
            if future.result():
                found[work[future].key] = future.result()
            left -= 1
            if sys.stderr.isatty() or left % 200 == 0:
                print('%d left, %.0f s' % (left, time.monotonic() - began), file=sys.stderr)
        results.write()
    return 0 if report(options, tree, tests, its, found) else 1


if __name__ == '__main__':
    sys.exit(main())
