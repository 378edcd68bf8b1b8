# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A driver compiled and linked as one build tree is, and its run."""
import contextlib
import fnmatch
import json
import os
import platform
import re
import shlex
import shutil
import signal
import subprocess

import described

HERE = os.path.dirname(os.path.realpath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
INCLUDE = os.path.join(ROOT, 'include')
# A folder has no more levels than that above a header which it asks for by "../".
ABOVE = 3
# Only what hangs is to reach these; a test of meson has 900.
SECONDS = 240
# A program that is the kernel of another.
USER_SECONDS = 800
# Bytes of each stream that are kept.
OUTPUT = 8 << 20
LIBRARY = 'include/libmmunotify.so'
COMPAT = 'compat/libmmunotify-compat.a'
# What the kernel's own build does not ask for.
QUIET = ['-Wall', '-Wno-sign-compare', '-Wno-missing-field-initializers', '-Wno-unused-but-set-variable',
         '-Wno-unused-const-variable', '-Wno-pointer-sign', '-Wno-address-of-packed-member',
         '-Wno-maybe-uninitialized', '-Wno-type-limits', '-Wno-unused-function', '-Wno-frame-address',
         '-Wno-format-security', '-Wno-unknown-warning-option',
         '-Werror=implicit-function-declaration', '-Werror=int-conversion']
# Names in the reports of the sanitizers.
REPORTS = {'thread': 'ThreadSanitizer', 'address,undefined': 'AddressSanitizer and UBSan'}


class Wrong(Exception):
    """A build tree that cannot be used, and why."""


def without_randomisation():
    """Prefix for programs of sanitizers: their runtimes want a plain address space."""
    command = ['setarch', platform.machine(), '-R']
    if shutil.which('setarch') and subprocess.run(command + ['true'], check=False,
                                                  capture_output=True).returncode == 0:
        return command
    return []


def limited(command, seconds, folder, environment):
    """Exit status or what is wrong, stdout, stderr: as far as they go, a test may print in a loop."""
    files = [os.path.join(folder, name) for name in ('out', 'errors')]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          cwd=folder, env=environment, start_new_session=True) as process:
        heads = []
        for pipe, path in zip((process.stdout, process.stderr), files):
            with open(path, 'wb') as file:
                heads.append(subprocess.Popen(['head', '-c', str(OUTPUT)], stdin=pipe, stdout=file))
            # The program is to see that head has ended.
            pipe.close()
        try:
            status = process.wait(seconds)
        except subprocess.TimeoutExpired:
            status = 'none after %d s' % seconds
        # What it has left in its session, too.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    for head in heads:
        head.wait()
    texts = []
    for path in files:
        with open(path, encoding='utf-8', errors='replace') as file:
            texts.append(file.read())
    return status, *texts


class Build:
    """A build tree: its compiler, its sanitizer, its libraries."""

    def __init__(self, folder):
        self.folder = os.path.abspath(folder)
        words = self.words()
        at = next(at for at, word in enumerate(words) if word.startswith('-'))
        self.compiler = words[:at]
        self.flags = [word for word in words
                      if word.startswith('-fsanitize') or word == '-fno-omit-frame-pointer']
        self.sanitizer = next((word.partition('=')[2] for word in self.flags
                               if word.startswith('-fsanitize=')), 'none')
        self.prefix = without_randomisation() if self.sanitizer != 'none' else []
        for file in (LIBRARY, COMPAT):
            if not os.path.exists(os.path.join(self.folder, file)):
                raise Wrong('%s has no %s (ninja -C %s)' % (folder, file, folder))
        name = os.path.basename(self.compiler[-1])
        self.title = '%s, %s' % (name, REPORTS.get(self.sanitizer, 'no sanitizer'))
        self.scratch = os.path.join(self.folder, 'tests/kernel/run')
        os.makedirs(self.scratch, exist_ok=True)

    def words(self):
        """The command that compiles a file of libmmunotify-compat."""
        try:
            with open(os.path.join(self.folder, 'compile_commands.json'), encoding='utf-8') as file:
                for entry in json.load(file):
                    if entry['file'].endswith('compat/device.c'):
                        return shlex.split(entry['command'])
        except OSError:
            pass
        raise Wrong('%s is no configured build tree (meson setup %s)' % (self.folder, self.folder))

    def results(self, name, kernel):
        return os.path.join(self.scratch, '%s@%s.json' % (name, kernel))


class Program:
    """A driver and its test, as one program."""

    def __init__(self, driver, build, tree, version):
        self.driver = driver
        self.build = build
        self.tree = tree
        self.version = version
        self.scratch = os.path.join(build.scratch, driver.name)
        self.program = os.path.join(self.scratch, driver.name)
        # Where the driver's test is a program of its own.
        self.user = os.path.join(self.scratch, 'user') if driver.all('user', version) else None
        self.results = []
        self.excused = []
        self.linked = False
        self.skipped = 0
        shutil.rmtree(self.scratch, ignore_errors=True)
        os.makedirs(self.scratch)

    def add(self, passed, name, detail=''):
        self.results.append((passed, '%s: %s' % (self.driver.name, name), detail))

    def place(self, path, *more):
        """A folder or file of the scratch, with what is above it."""
        place = os.path.join(self.scratch, path, *more)
        os.makedirs(os.path.dirname(place), exist_ok=True)
        return place

    def copy(self):
        """What is taken of the Linux tree; False when something is not there."""
        missing = []

        def take(path, place):
            try:
                shutil.copyfile(os.path.join(self.tree, path), self.place(place))
            except OSError:
                missing.append(path)

        for word in ('source', 'user'):
            for path in self.driver.all(word, self.version):
                take(path, os.path.join('tree', path))
        for path in self.driver.all('header', self.version):
            included = described.included_as(path)
            take(path, os.path.join('taken', included) if included else os.path.join('tree', path))
        for line in self.driver.all('as', self.version):
            path, name = line.split()
            take(path, os.path.join('taken', name))
        if os.path.isdir(os.path.join(self.driver.folder, 'include')):
            shutil.copytree(os.path.join(self.driver.folder, 'include'), self.place('standing'))
        # Of a file in standing/up, "../x.h" is standing/x.h.
        os.makedirs(os.path.join(self.scratch, 'standing', *['up'] * ABOVE), exist_ok=True)
        os.makedirs(os.path.join(self.scratch, 'taken'), exist_ok=True)
        if missing:
            self.add(False, 'the tree has its files', 'not there: ' + ', '.join(missing))
        return not missing

    def common(self):
        return ['-std=gnu11', '-O2', '-g', '-D_GNU_SOURCE', '-pthread',
                '-fno-strict-aliasing', '-fasynchronous-unwind-tables', '-fdiagnostics-color=never',
                '-DTEST_LINUX=0x%02x%02x' % self.version[:2],
                '-DMMUN_COMPAT_LINUX=0x%02x%02x' % self.version[:2]]

    def driver_flags(self):
        folders = [os.path.join(self.scratch, 'taken')]
        folders += [os.path.join(self.scratch, 'standing', *['up'] * level) for level in range(ABOVE + 1)]
        folders += [self.driver.folder, os.path.join(HERE, 'include'), os.path.join(INCLUDE, 'compat'), INCLUDE,
                    os.path.join(self.scratch, 'tree')]
        return [*self.build.flags, *self.common(), *QUIET, '-include', 'linux/kconfig.h',
                '-DKBUILD_MODNAME="%s"' % self.driver.name.replace('-', '_'),
                *self.driver.flags(self.version), *['-I' + folder for folder in folders]]

    def units(self):
        """[(what, path, flags)] of everything that is compiled; a @what is a result of its own."""
        units = []
        for path in self.driver.all('source', self.version):
            units.append((path, os.path.join(self.scratch, 'tree', path), self.driver_flags()))
        for name in self.driver.own():
            units.append((None, os.path.join(self.driver.folder, name), self.driver_flags()))
        return units

    def in_folder(self, flag):
        return flag.replace('$FOLDER', self.driver.folder)

    def user_units(self):
        """The same of the program whose kernel the other one is."""
        flags = [*self.common(), *QUIET, *['-I' + os.path.join(self.scratch, folder) for folder in ('taken', 'tree')],
                 *[flag for line in self.driver.all('user-flags', self.version)
                   for flag in map(self.in_folder, shlex.split(line))]]
        units = []
        for path in self.driver.all('user', self.version):
            units.append((path, os.path.join(self.scratch, 'tree', path), flags))
        for name in self.driver.own('user'):
            units.append((None, os.path.join(self.driver.folder, name), flags))
        return units

    def warnings(self, text):
        """The compiler's warnings that nobody expected."""
        unknown = []
        for line in re.findall(r'^.*\bwarning: .*$', text, re.M):
            reason = next((reason for word, reason in self.driver.expected('expect-warning', self.version)
                           if word in line), None)
            if reason is None:
                unknown.append(line)
            elif reason not in self.excused:
                self.excused.append(reason)
        return '\n'.join(unknown)

    def compile(self):
        if not self.copy():
            return
        library = os.path.join(self.build.folder, LIBRARY)
        self.linked = self.make(self.program, self.units(), self.build.flags, [
            os.path.join(self.build.folder, COMPAT), library, '-Wl,-rpath,' + os.path.dirname(library)])
        if self.linked and self.user:
            self.linked = self.make(self.user, self.user_units(), [], ['-ldl'])

    def make(self, program, units, flags, libraries):
        """Whether it compiles and links."""
        objects, good = [], True
        for number, (what, path, flags_of_unit) in enumerate(units):
            objects.append('%s.%d.o' % (program, number))
            made = subprocess.run([*self.build.compiler, *flags_of_unit, '-c', path, '-o', objects[-1]],
                                  capture_output=True, text=True, check=False, cwd=self.scratch)
            trouble = '\n'.join(made.stderr.splitlines()[:30]) if made.returncode else self.warnings(made.stderr)
            good = good and made.returncode == 0
            if what:
                self.add(not trouble, '%s compiles as it is' % what, trouble)
            elif trouble:
                self.add(False, '%s compiles' % os.path.relpath(path, HERE), trouble)
        return good and self.link(program, [*flags, '-pthread', '-o', program, *objects, *libraries])

    def link(self, program, words):
        made = subprocess.run([*self.build.compiler, *words], capture_output=True, text=True, check=False)
        if made.returncode:
            self.add(False, '%s links' % os.path.basename(program), '\n'.join(made.stderr.splitlines()[-30:]))
        return made.returncode == 0

    def command(self, *more):
        """@more: options, then arguments of the user's program behind --."""
        arguments = [word for line in self.driver.all('arguments', self.version) for word in line.split()]
        options, arguments_of_user = more, ()
        if '--' in more:
            options, arguments_of_user = more[:more.index('--')], more[more.index('--') + 1:]
        return [*self.build.prefix, self.program, *arguments, *options,
                *([self.user, *arguments_of_user] if self.user else [])]

    def run_command(self, *more):
        environment = dict(os.environ)
        seconds = USER_SECONDS if self.user else SECONDS
        environment['TSAN_OPTIONS'] = os.environ.get('TSAN_OPTIONS', '') + ':exitcode=0:second_deadlock_stack=1'
        environment['UBSAN_OPTIONS'] = os.environ.get('UBSAN_OPTIONS', '') + ':print_stacktrace=1'
        return limited(self.command(*more), seconds, self.scratch, environment)

    def run(self):
        status, out, errors = self.run_command()
        with open(os.path.join(self.scratch, 'log'), 'w', encoding='utf-8') as file:
            file.write(out + errors)
        failed = self.tap(out)
        reports = self.reports(errors)
        if status != 0 and not failed and not reports:
            self.add(False, 'it ends well', 'exit status %s\n%s' % (status, '\n'.join(errors.splitlines()[-15:])))
        if self.build.sanitizer != 'none':
            self.add(not reports, '%s reports nothing%s' % (REPORTS.get(self.build.sanitizer, self.build.sanitizer),
                                                          ' else' if self.excused else ''),
                     '\n'.join(reports[0].splitlines()[:40]) if reports else '\n'.join(self.excused))
        for line in self.driver.all('control', self.version):
            self.run_control(*line.split())

    def run_control(self, name, *more):
        """With @more as arguments the result @name is to fail."""
        _, out, errors = self.run_command(*more)
        failed = re.search(r'^not ok \d+ (?:- )?%s$' % re.escape(name), out, re.M)
        self.add(bool(failed), '%s fails with %s' % (name, ' '.join(more)),
                 '' if failed else '\n'.join((out + errors).splitlines()[-30:]))

    def tap(self, text):
        """The test's own results; whether one failed."""
        planned = re.search(r'^1\.\.(\d+)', text, re.M)
        lines = re.findall(r'^(not )?ok \d+ (?:- )?(.*)\n((?:#.*\n)*)', text, re.M)
        failed = False
        for negated, name, comments in lines:
            if '# SKIP' in name:
                name, _, reason = name.partition('# SKIP')
                # Tests of Linux 6.1 leave the name out.
                self.skip(name.strip() or reason.strip(), reason.strip())
            else:
                self.add(not negated, name, re.sub(r'^# ?', '', comments, flags=re.M) if negated else '')
                failed = failed or bool(negated)
        if not planned or int(planned.group(1)) != len(lines):
            self.add(False, 'it runs to its end', 'planned %s results, printed %d: %s' % (
                planned.group(1) if planned else 'no', len(lines), os.path.join(self.scratch, 'log')))
            return True
        return failed

    def skip(self, name, reason):
        """A program of Linux's skips only what Linux itself would make it skip."""
        if self.user and not any(fnmatch.fnmatch(name, pattern)
                                 for pattern, _ in self.driver.expected('expect-skip', self.version)):
            self.add(False, name, 'skipped: ' + reason)
            return
        self.add(None, name, reason)
        self.skipped += 1

    def reports(self, errors):
        """Those of a sanitizer that nobody expected."""
        reports = []
        expected = self.driver.expected('expect-tsan', self.version)
        for report in re.findall(r'^WARNING: ThreadSanitizer: .*?^={18}$', errors, re.M | re.S):
            # Of a race the two accesses, not where memory, locks and threads have come from.
            accesses = re.split(r'^  (?:Location|Mutex|Thread) ', report, maxsplit=1, flags=re.M)[0] \
                if ': data race ' in report else report
            functions = re.findall(r'^\s+#\d+ (\S+) ', accesses, re.M)
            reason = next(('%s: %s' % line for line in expected if line[0] in functions), None)
            if reason is None:
                reports.append(report)
            elif reason not in self.excused:
                self.excused.append(reason)
        for line in ('ERROR: AddressSanitizer', 'ERROR: LeakSanitizer', 'runtime error: ',
                     'FATAL: ThreadSanitizer', 'ERROR: ThreadSanitizer'):
            at = errors.find(line)
            if at >= 0:
                reports.append(errors[errors.rfind('\n', 0, at) + 1:])
        return reports

    def row(self):
        """What a table says of this run."""
        return {'title': self.driver.title(self.version), 'linux': self.version.text,
                'files': self.driver.all('source', self.version), 'sanitizer': self.build.sanitizer,
                'linked': self.linked, 'passed': sum(passed is True for passed, _, _ in self.results),
                'failed': sum(passed is False for passed, _, _ in self.results),
                'skipped': self.skipped, 'excused': self.excused}
