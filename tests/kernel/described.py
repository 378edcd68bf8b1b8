# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The file `driver` of a folder: what is compiled of a Linux tree, and how."""
import collections
import os
import re
import shlex

Version = collections.namedtuple('Version', 'major minor text')


class Wrong(Exception):
    """A description, or a tree, that cannot be used, and why."""


def version_of(tree):
    """The version in the Makefile of @tree."""
    try:
        with open(os.path.join(tree, 'Makefile'), encoding='utf-8') as file:
            text = file.read(4096)
    except OSError as error:
        raise Wrong('%s is no Linux tree: %s' % (tree, error.strerror)) from None
    numbers = re.findall(r'^(VERSION|PATCHLEVEL|SUBLEVEL) = (\d+)', text, re.M)
    if len(numbers) != 3:
        raise Wrong('%s is no Linux tree: its Makefile has no version' % tree)
    major, minor, patch = (int(number) for _, number in numbers)
    return Version(major, minor, '%d.%d.%d' % (major, minor, patch))


def within(spoken, version):
    """Whether @version is in the range @spoken: 6.12, 6.1-6.12, 6.12-, -6.6."""
    first, dash, last = spoken.partition('-')
    at = (version.major, version.minor)

    def number(text):
        if not re.fullmatch(r'\d+\.\d+', text):
            raise Wrong('%s is no range of kernels' % spoken)
        return tuple(int(part) for part in text.split('.'))

    if not dash:
        return at == number(first)
    return (not first or at >= number(first)) and (not last or at <= number(last))


def included_as(path):
    """How C includes a header that lies under an include folder, or None."""
    match = re.search(r'(?:^|/)include/(?:uapi/)?(.+)$', path)
    return match.group(1) if match else None


class Driver:
    """One folder."""

    KEYWORDS = {'source': 1, 'header': 1, 'as': 2, 'define': 1, 'flags': 1, 'kernels': 1, 'title': 1, 'tree': 1,
                'expect-tsan': 2, 'expect-warning': 2, 'expect-skip': 2, 'user': 1, 'user-flags': 1, 'arguments': 1,
                'control': 2}

    def __init__(self, name, folder):
        self.name = name
        self.folder = folder
        self.kernels = '-'
        # Another source tree than Linux that it is of.
        self.tree = None
        self.lines = []
        with open(os.path.join(folder, 'driver'), encoding='utf-8') as file:
            for number, line in enumerate(file, 1):
                line = line.strip()
                if line and not line.startswith('#'):
                    self.add(line, 'drivers/%s/driver:%d' % (name, number))

    def add(self, line, place):
        word, _, rest = line.partition(' ')
        word, _, spoken = word.partition('@')
        rest = rest.strip()
        if word not in self.KEYWORDS:
            raise Wrong('%s: what is %s?' % (place, word))
        if len(rest.split()) < self.KEYWORDS[word]:
            raise Wrong('%s: %s takes %d words' % (place, word, self.KEYWORDS[word]))
        if word == 'kernels':
            self.kernels = rest
        elif word == 'tree':
            self.tree = rest
        else:
            self.lines.append((word, spoken or '-', rest))

    def has(self, version):
        return within(self.kernels, version)

    def all(self, word, version):
        """What stands behind each @word that counts for @version."""
        return [rest for kind, spoken, rest in self.lines
                if kind == word and (spoken == '-' or within(spoken, version))]

    def title(self, version):
        return ' '.join(self.all('title', version)) or self.name

    def paths(self, version):
        """The files of a Linux tree that it is made of."""
        if self.tree or not self.has(version):
            return []
        return [line.split()[0] for word in ('source', 'header', 'as', 'user')
                for line in self.all(word, version)]

    def flags(self, version):
        """For the compiler, of driver code."""
        return ['-D%s' % definition for definition in self.all('define', version)] + \
            [flag for line in self.all('flags', version) for flag in shlex.split(line)]

    def expected(self, word, version):
        """[(text, reason)]"""
        return [tuple(line.split(None, 1)) for line in self.all(word, version)]

    def own(self, below=''):
        """Its own .c files: compiled as the driver is, they may use libc too; or as the user's program is, @below user."""
        return sorted(os.path.join(below, name) for name in os.listdir(os.path.join(self.folder, below))
                      if name.endswith('.c'))
