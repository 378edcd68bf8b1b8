#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The documents say what is: paths and names in them exist, the README's program
compiles, the table in EVENTS.md is the declared one, pages and scripts are clean.

    docs.py SOURCE BUILD MMUNOTIFY
"""
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile

from tap import done, equal, ok, skip

SOURCE, BUILD, TOOL = (os.path.abspath(a) for a in sys.argv[1:4])
DOCUMENTS = ['README.md', 'CONTRIBUTING.md'] + sorted(
    'docs/' + os.path.basename(p) for p in glob.glob(os.path.join(SOURCE, 'docs/*.md')))
LATER = {'build', 'build-coverage', 'build-fuzz', 'LICENSES'}
# Where what a program includes lies.
HEADERS = ('include', 'include/compat', 'include/compat/linux')


# Around the README's program: what it looks up, and the question.  The exit status says which
# answer was wrong.
README_HEAD = '''
#include <stddef.h>
#include <sys/mman.h>
#include <mmunotify/mmu_notifier.h>
#include <mmunotify/self.h>
#include <mmunotify/seq.h>

struct translation { void *of; };
static struct translation made[100];
static int nr;

static void *look_up(void *buffer)
{
	made[nr].of = buffer;
	return &made[nr++];
}

void *get(void *buffer);

'''
README_MAIN = '''
static struct translation *translation(void *buffer)
{
	return get(buffer);
}

int main(void)
{
	char *a = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *b = a + 4096;
	struct translation *first;

	if (mmu_notifier_register(&mn, mmun_self()))
		return 2;
	first = translation(a);
	if (first->of != a || translation(a) != first || nr != 1)
		return 3;
	if (translation(b)->of != b || translation(a)->of != a || nr != 3)
		return 4;
	first = translation(a);
	madvise(a, 4096, MADV_DONTNEED);
	if (translation(a) == first || translation(a)->of != a || nr != 4)
		return 5;
	mmu_notifier_unregister(&mn, mmun_self());
	return 0;
}
'''


def run(*command, **kwargs):
    return subprocess.run(command, capture_output=True, text=True, check=False, **kwargs)


def read(path):
    with open(os.path.join(SOURCE, path), encoding='utf-8') as file:
        return file.read()


def tracked():
    """The files of the project: git's list, or everything but build trees."""
    listed = run('git', '-C', SOURCE, 'ls-files', '--cached', '--others', '--exclude-standard')
    if listed.returncode == 0 and listed.stdout:
        return [f for f in listed.stdout.split('\n')
                if f and os.path.exists(os.path.join(SOURCE, f))]
    found = []
    for folder, folders, files in os.walk(SOURCE):
        folders[:] = [f for f in folders if f != '.git' and not f.startswith('build')]
        found += [os.path.relpath(os.path.join(folder, f), SOURCE) for f in files]
    return sorted(found)


def prose(text):
    """Without fenced programs."""
    return re.sub(r'^```.*?^```$', '', text, flags=re.M | re.S)


def braces(word):
    """a{b,c} -> ab, ac"""
    match = re.search(r'\{([^{}]*)\}', word)
    if not match:
        return [word]
    return [w for part in match.group(1).split(',')
            for w in braces(word[:match.start()] + part + word[match.end():])]


def path_words(text):
    """Words in backquotes, or the targets of links, that name a place in the tree."""
    words = re.findall(r'\]\(([^)#]+?)(?:#[^)]*)?\)', text)
    for quoted in re.findall(r'`([^`\n]+)`', text):
        words += [w for part in quoted.split() for w in braces(part)]
    return {w.rstrip('.,:') for w in words if '/' in w or w.endswith('.md')}


def test_paths():
    tops = {f.split('/')[0] for f in tracked()}
    for document in DOCUMENTS:
        missing = []
        folder = os.path.dirname(document)
        for word in path_words(prose(read(document))):
            if re.match(r'https?:', word):
                continue
            here = os.path.normpath(os.path.join(folder, word))
            bases = {here, os.path.normpath(word)}
            bases |= {os.path.join(top, word) for top in HEADERS if word.endswith('.h')}
            if word.split('/')[0] not in tops | {'..'} and here.split('/')[0] not in tops:
                continue
            if any(b.split('/')[0] in LATER or 'x' in b.split('/') for b in bases):
                continue
            if not any(glob.glob(os.path.join(SOURCE, b)) for b in bases):
                missing.append(word)
        equal(sorted(missing), [], '%s: the paths exist' % document)


def test_make_targets():
    phony = set(re.findall(r'^(\w+):', read('Makefile'), re.M))
    for document in DOCUMENTS:
        named = set(re.findall(r'^    make (\w+)', read(document), re.M))
        named |= set(re.findall(r'`make (\w+)', read(document)))
        equal(sorted(named - phony), [], '%s: make has the targets' % document)


def test_commands():
    """Each mmunotify command and option in a document is in that command's help."""
    for document in DOCUMENTS:
        wrong = []
        text = re.sub(r'\s*\n\s*', ' ', prose(read(document)))
        for command, rest in re.findall(r'mmunotify (trace|audit|run|stat|replay|probe|demo|soft)\b([^`]*)', text):
            usage = run(TOOL, command, '--help').stdout
            rest = rest.split(' -- ')[0]
            for option in re.findall(r'^(?: (--?[a-z][a-z-]*))', rest):
                if not re.search(r'(^|[\s,\[])%s\b' % re.escape(option), usage):
                    wrong.append('%s %s' % (command, option))
        equal(wrong, [], '%s: the commands have the options' % document)


def test_names():
    """Functions named in documents, man pages and headers exist."""
    man3 = os.path.join(SOURCE, 'scripts/man3.py')
    headers = sorted(glob.glob(os.path.join(SOURCE, 'include/mmunotify/*.h')))
    known = set(run(sys.executable, man3, '--names', *headers).stdout.split())
    # LOCKING.md speaks of internals too.
    for header in (h for folder in ('core', 'base', 'primary/*', 'primary/soft/*', 'secondary/*')
                   for h in glob.glob(os.path.join(SOURCE, folder, '*.h'))):
        known |= set(re.findall(r'\b(mmun_\w+)\(', read(os.path.relpath(header, SOURCE))))
    pages = ['docs/man/' + os.path.basename(p) for p in glob.glob(os.path.join(SOURCE, 'docs/man/*.scd'))]
    for document in DOCUMENTS + sorted(pages) + [os.path.relpath(h, SOURCE) for h in headers]:
        text = read(document)
        named = set(re.findall(r'\b((?:mmun|(?:__)?mmu_notifier|mm_lock|mmap)_\w+)\(\)', text))
        named |= set(re.findall(r'\*((?:mmun|(?:__)?mmu_notifier)\w*)\*\(3\)', text))
        equal(sorted(named - known), [], '%s: the functions exist' % document)


def test_readme_program():
    blocks = re.findall(r'^```c\n(.*?)^```$', read('README.md'), re.M | re.S)
    if not ok(len(blocks) == 1, 'README.md: one program'):
        return
    with tempfile.TemporaryDirectory() as folder:
        source, program = os.path.join(folder, 'readme.c'), os.path.join(folder, 'readme')
        with open(source, 'w', encoding='utf-8') as file:
            file.write(README_HEAD + blocks[0] + README_MAIN)
        made = run('cc', '-std=gnu11', '-Wall', '-Wextra', '-Wno-unused-parameter', '-Werror',
                   '-o', program, source, '-I' + os.path.join(SOURCE, 'include'),
                   '-L' + os.path.join(BUILD, 'include'), '-lmmunotify',
                   '-Wl,-rpath,' + os.path.join(BUILD, 'include'))
        if not ok(made.returncode == 0, 'README.md: the program compiles', made.stderr):
            return
        result = run(program)
    ok(result.returncode == 0, 'README.md: it is right for two buffers, before and after a change',
       'exit status %d' % result.returncode)


def test_coverage_table():
    script = os.path.join(SOURCE, 'scripts/coverage.py')
    result = run(sys.executable, script, '--check', TOOL, os.path.join(SOURCE, 'docs/EVENTS.md'))
    ok(result.returncode == 0, 'docs/EVENTS.md: the table is what the sources declare',
       result.stdout + result.stderr)


def test_unfinished():
    marks = [f for f in tracked() if f != 'tests/system/docs.py' and not f.startswith('LICENSES/') and
             re.search(r'(\*|#|//) (TODO|FIXME|XXX)\b', open(os.path.join(SOURCE, f), encoding='utf-8',
                                                     errors='replace').read())]
    equal(marks, [], 'nothing is marked as unfinished')


def test_spelling():
    if not shutil.which('codespell'):
        skip('spelling', 'codespell is not installed')
        return
    files = [os.path.join(SOURCE, f) for f in tracked() if not f.startswith('LICENSES/')]
    # Words of the field, not slips.
    result = run('codespell', '-L', 'buildd,filp,mmaped,mis,fo,ser,clos,inout,ans,te,som,hda,ist,hsi', *files)
    ok(result.returncode == 0, 'codespell', result.stdout + result.stderr)


def test_scripts():
    scripts = []
    for path in tracked():
        if path.endswith('.py') or path.endswith('.c'):
            continue
        with open(os.path.join(SOURCE, path), 'rb') as file:
            if re.match(rb'#! ?/(usr/)?bin/(env )?(ba|da)?sh\b', file.readline()):
                scripts.append(os.path.join(SOURCE, path))
    if not shutil.which('shellcheck'):
        skip('scripts', 'shellcheck is not installed')
        return
    result = run('shellcheck', '--severity=warning', *scripts)
    ok(result.returncode == 0, 'shellcheck: %d scripts' % len(scripts), result.stdout + result.stderr)


def test_man_pages():
    pages = [p for p in glob.glob(os.path.join(BUILD, 'docs/man/**/*.[0-9]'), recursive=True)]
    if not pages:
        skip('man pages', 'built without them')
        return
    if not shutil.which('mandoc'):
        skip('man pages', 'mandoc is not installed')
        return
    with tempfile.TemporaryDirectory() as folder:
        # Aliases are resolved relative to the top of a man tree.
        os.mkdir(os.path.join(folder, 'man3'))
        for page in pages:
            if page.endswith('.3'):
                shutil.copy(page, os.path.join(folder, 'man3'))
        result = run('mandoc', '-Tlint', '-Werror', *sorted(pages), cwd=folder)
    ok(result.returncode == 0, 'mandoc: %d pages without an error' % len(pages),
       result.stdout + result.stderr)


def main():
    test_paths()
    test_make_targets()
    test_commands()
    test_names()
    test_readme_program()
    test_coverage_table()
    test_unfinished()
    test_spelling()
    test_scripts()
    test_man_pages()
    done()


main()
