# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Is every declaration of a Linux tree's header in include/compat, with the same type?

What is compiled is made anew each time from the tree's own header, in a scratch folder: each
function is assigned to a pointer of the type that Linux declares, each struct is declared once
more under another name and its members compared, enumerators and constants by value.
"""
import os
import re
import subprocess
import tempfile

import described
import tap

HERE = os.path.dirname(os.path.realpath(__file__))
INCLUDE = os.path.join(HERE, '../../include')
# As a kernel that has all of it is configured.
CONFIG = ['-DCONFIG_MMU_NOTIFIER=1', '-DCONFIG_LOCKDEP=1', '-DCONFIG_HMM_MIRROR=1']
HEADERS = ['mmu_notifier.h', 'hmm.h', 'hmm-dma.h']
PATHS = ['include/linux/' + name for name in HEADERS]
# What differs, and why: docs/COMPAT.md has it too.
EXPECTED = {
    'mmu_notifier.rcu': 'private',
    'mmu_interval_notifier.interval_tree': 'its tree is another; ->start and ->last are the same',
    'mmu_interval_notifier.deferred_item': 'private',
    'mmu_interval_notifier_finish.link': 'private',
    'mmu_notifier_range.vma': 'of 6.1: vma_lookup() of the range has it',
    'HMM_PFN_ORDER_SHIFT': 'always as since 6.16',
    'HMM_PFN_FLAGS': 'always as since 6.16',
}
OPEN, CLOSE = '([{', ')]}'


def preprocessed(path, *options):
    """The header without the headers that it includes."""
    with open(path, encoding='utf-8') as file:
        text = re.sub(r'^\s*#\s*include.*$', '', file.read(), flags=re.M)
    return subprocess.run(['cpp', '-P', '-undef', *CONFIG, *options], input=text, stdout=subprocess.PIPE,
                          text=True, check=True).stdout


def pieces(text):
    """Declarations: [(text before the body, body or '')]."""
    found, start, depth, body = [], 0, 0, None
    for at, char in enumerate(text):
        if char in OPEN:
            if char == '{' and not depth:
                body = at
            depth += 1
        elif char in CLOSE:
            depth -= 1
            # A function ends with its body, anything else with a semicolon.
            if char == '}' and not depth and text[:body].rstrip().endswith(')'):
                found.append((text[start:body].strip(), text[body + 1:at]))
                start, body = at + 1, None
        elif char == ';' and not depth:
            end = at if body is None else body
            found.append((text[start:end].strip(), '' if body is None else text[body + 1:text.rindex('}', 0, at)]))
            start, body = at + 1, None
    return found


def members(body):
    """Names of a struct's members."""
    names = []
    for declaration in re.sub(r'\s+', ' ', body).split(';'):
        pointer = re.search(r'\(\s*\*\s*(\w+)\s*\)', declaration)
        plain = re.search(r'(\w+)\s*(?:\[[^]]*\])?\s*$', declaration)
        if pointer or plain:
            names.append((pointer or plain).group(1))
    return names


def same_type(one, other):
    return '_Static_assert(__builtin_types_compatible_p(__typeof__(%s), __typeof__(%s)), "another type");' % (one, other)


def of_struct(tag, body):
    yield 'struct ' + tag, 'struct linux_%s { %s };' % (tag, body)
    for name in members(body):
        yield '%s.%s' % (tag, name), same_type('((struct %s *)0)->%s' % (tag, name),
                                               '((struct linux_%s *)0)->%s' % (tag, name))


def of_enum(tag, body):
    names = re.findall(r'(\w+)\s*(?==|,|$)', re.sub(r'=[^,]*', '=', body.strip().rstrip(',')))
    own = body
    for name in names:
        own = re.sub(r'\b%s\b' % name, 'linux_' + name, own)
    yield 'enum ' + tag, 'enum linux_%s { %s }; extern enum %s an_%s;' % (tag, own, tag, tag)
    for name in names:
        yield name, '_Static_assert((unsigned long)%s == (unsigned long)linux_%s, "another value");' % (name, name)


def of_function(head):
    head = re.sub(r'\b(static|inline|extern|__must_check|__always_inline)\b', '', head)
    name = re.search(r'(\w+)\s*\(', head).group(1)
    own = re.sub(r'\b%s\b' % name, 'linux_' + name, head, count=1)
    yield name, 'extern %s; %s' % (own, same_type('(%s)' % name, 'linux_' + name))


def of_macro(line):
    """The header's own ones: by name, and by value where one is a number."""
    match = re.match(r'#define (\w+)(\([^)]*\))?\s*(.*)', line)
    name, parameters, value = match.groups()
    if name.startswith(('CONFIG_', '__STDC')) or not value and not parameters:
        return
    if not parameters and re.fullmatch(r'[\d\s()<|UL]+', value):
        yield name, '_Static_assert(%s == (%s), "another value");' % (name, value)
    else:
        yield name, '#ifndef %s\n#error not there\n#endif' % name


def checks(path):
    """[(what, C that compiles if it is so)] for a header."""
    found = []
    for line in preprocessed(path, '-dM').splitlines():
        found += of_macro(line)
    for head, body in pieces(preprocessed(path)):
        tagged = re.fullmatch(r'(struct|enum) (\w+)', head)
        if tagged and body:
            found += (of_struct if tagged.group(1) == 'struct' else of_enum)(tagged.group(2), body)
        elif tagged:
            found.append((head + ';', head + ';'))
        elif re.search(r'\w+\s*\(', head) and not head.startswith('typedef'):
            found += of_function(head)
        elif head:
            name = re.search(r'(\w+)(?:\[[^]]*\])?$', head).group(1)
            found.append((name, same_type(name, re.sub(r'^extern ', '', head)[:-len(name)])))
    # A name may be declared and defined.
    return list(dict(found).items())


def differences(compiler, scratch, path, version):
    """{what: the compiler's words or ''} of a header, and errors elsewhere."""
    header = os.path.basename(path)
    found = checks(path)
    source = os.path.join(scratch, header.replace('.h', '.c'))
    with open(source, 'w', encoding='utf-8') as file:
        # A private type of a private member.
        file.write('#include <linux/%s>\nstruct llist_node { struct llist_node *next; };\n' % header)
        for number, (_, text) in enumerate(found):
            file.write('# 1 "declaration-%d"\n%s\n' % (number, text))
    done = subprocess.run([*compiler, '-std=gnu11', '-D_GNU_SOURCE', '-fsyntax-only', '-w', '-fdiagnostics-color=never',
                           '-Werror=incompatible-pointer-types', '-Werror=int-conversion',
                           '-Werror=implicit-function-declaration', '-include', 'linux/kconfig.h',
                           '-DCONFIG_LOCKDEP=1', '-DMMUN_COMPAT_LINUX=0x%02x%02x' % version[:2],
                           '-I' + os.path.join(INCLUDE, 'compat'), '-I' + INCLUDE, source],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    wrong = {what: '' for what, _ in found}
    for number, words in re.findall(r'^declaration-(\d+):\d+(?::\d+)?: error: (.*)$', done.stdout, re.M):
        what = found[int(number)][0]
        wrong[what] = wrong[what] or words
    rest = [line for line in done.stdout.splitlines() if 'error: ' in line and not line.startswith('declaration-')]
    return wrong, rest


def look_at(compiler, path, version):
    with tempfile.TemporaryDirectory() as scratch:
        wrong, rest = differences(compiler, scratch, path, version)
    header = os.path.basename(path)
    tap.equal(rest, [], '%s compiles, with %d declarations of the kernel beside it' % (header, len(wrong)))
    for what, words in wrong.items():
        reason = EXPECTED.get(what)
        if words and reason:
            tap.ok(True, '%s: %s differs, as it is known to: %s' % (header, what, reason))
        else:
            tap.ok(not words, '%s: %s is here' % (header, what), words)
    return set(wrong), {what for what, words in wrong.items() if words}


def run(build, tree):
    version = described.version_of(tree)
    tap.diag('Linux %s' % version.text)
    known, differ = set(), set()
    for path in PATHS:
        path = os.path.join(tree, path)
        if os.path.exists(path):
            there, wrong = look_at(build.compiler, path, version)
            known |= there
            differ |= wrong
    tap.ok(len(known) > 90, 'the parser finds what the headers declare')
    with open(os.path.join(HERE, '../../docs/COMPAT.md'), encoding='utf-8') as file:
        text = file.read()
    for what in sorted(differ & set(EXPECTED)):
        tap.ok('`%s`' % what in text, 'docs/COMPAT.md says that %s differs' % what)
    tap.done()
