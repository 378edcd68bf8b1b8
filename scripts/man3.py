#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Section-3 manual pages out of the comments of the installed headers.

    man3.py --list HEADER...                names of the files it would write
    man3.py --output DIR --version V HEADER...
    man3.py --names HEADER...               every documented function and type

Rules.  A header's leading comment becomes a topic page.  A declaration with a
comment becomes a page named after its first function (or type); declarations
that follow without a comment belong to it.  Every other function on a page
becomes an alias file.  A group of macros belongs to what follows.  A header
without any /** comment is one page.  "Context:", "Locks:", "Ordering:",
"Return:" and "Lifetime:" become sections; deeper indented lines are examples.
"""
import argparse
import datetime
import itertools
import os
import re
import sys

LABELS = {'Context': 'CONTEXT', 'Locks': 'LOCKS', 'Ordering': 'ORDERING',
          'Return': 'RETURN VALUE', 'Lifetime': 'LIFETIME'}
COMMENT = re.compile(r'/\*.*?\*/', re.S)
NOISE = re.compile(r'^#ifdef __cplusplus\n.*\n#endif$|^#ifndef MMUNOTIFY_\w+_H\n#define .*$'
                   r'|^#include .*$|^#pragma .*$|^#endif\s*\Z', re.M)


class Page:
    def __init__(self, header):
        self.header = header
        self.comment = ''
        self.code = []
        self.declared = []

    @property
    def name(self):
        """What its own declaration declares, before what came to it later."""
        return self.names()[0]

    def names(self):
        return self.declared

    def add(self, functions, types):
        self.declared += functions + types


def comment_text(comment):
    """The text of a comment without its stars; relative indentation kept."""
    lines = comment[2:-2].lstrip('*').split('\n')
    lines = [re.sub(r'^\s*\* ?', '', line) if i else line.strip() for i, line in enumerate(lines)]
    return '\n'.join(line.rstrip() for line in lines).strip('\n')


def strip_bodies(code):
    """Inline functions end at their prototype."""
    out, depth, inline = [], 0, False
    for line in code.split('\n'):
        if depth == 0 and line.startswith('static inline'):
            inline = True
        if inline and line.startswith('{'):
            depth = 1
            out[-1] += ';'
        elif inline and depth and line.startswith('}'):
            depth, inline = 0, False
        elif not depth:
            out.append(line)
    return '\n'.join(out)


def chunks(text):
    """Runs of lines between blank lines, braces and comments kept whole."""
    chunk, depth, in_comment = [], 0, False
    for line in text.split('\n'):
        if not line.strip() and not depth and not in_comment:
            if chunk:
                yield '\n'.join(chunk)
            chunk = []
            continue
        chunk.append(line)
        if '/*' in line:
            in_comment = '*/' not in line[line.rindex('/*'):]
        elif '*/' in line:
            in_comment = False
        bare = re.sub(r'/\*.*?(\*/|$)', '', line)
        if not in_comment and not bare.lstrip().startswith('*'):
            depth += bare.count('{') - bare.count('}')
    if chunk:
        yield '\n'.join(chunk)


def declared(code):
    bare = COMMENT.sub('', code)
    functions = []
    flat = bare
    while re.search(r'\{[^{}]*\}', flat):
        flat = re.sub(r'\{[^{}]*\}', '', flat)
    flat = re.sub(r'^#define(?:.*\\\n)*.*$', '', flat, flags=re.M)
    for match in re.finditer(r'\b(\w+)\(', flat):
        if match.group(1) not in functions and not match.group(1).startswith('__attribute'):
            functions.append(match.group(1))
    # Not "file" and "inode": those pages would be named after other things.
    types = re.findall(r'^(?:struct|enum) ((?:mm|mmu|mmun|vm)_\w+) \{', bare, flags=re.M)
    return functions, types


def split_lead(chunk):
    match = re.match(r'/\*.*?\*/\n?', chunk, re.S)
    if not match:
        return None, chunk
    return match.group(0).strip(), chunk[match.end():]


def parse(path):
    """(topic page, [pages]) of one header."""
    with open(path, encoding='utf-8') as file:
        text = file.read()
    text = re.sub(r'\A/\* SPDX.*?\*/\n', '', text)
    topic = Page(path)
    lead = re.match(r'/\*[^*].*?\*/\n', text, re.S)
    if lead:
        topic.comment = comment_text(lead.group(0).strip())
        text = text[lead.end():]
    whole = '/**' not in text
    pages, pending = [], []
    for chunk in chunks(NOISE.sub('', text)):
        comment, code = split_lead(chunk)
        functions, types = declared(chunk)
        if not functions and not types:
            if '#define' in chunk:
                pending.append(chunk)
            continue
        if whole:
            page = topic
        elif comment is None and functions and pages:
            page = pages[-1]
        elif comment is None and not functions and not pending:
            pending.append(chunk)
            continue
        else:
            page = Page(path)
            pages.append(page)
            if comment is None and pending:
                comment, pending[0] = split_lead(pending[0])
            page.comment = comment_text(comment) if comment else ''
        page.code += pending + [strip_bodies(chunk if whole or not comment else code)]
        pending = []
        page.add(functions, types)
    return topic, pages


def topic_name(topic):
    if topic.declared:
        return topic.declared[0]
    return 'mmunotify_' + os.path.splitext(os.path.basename(topic.header))[0]


def inline_markup(text):
    text = text.replace('\\', '\\e')
    text = re.sub(r'@(\w+)', r'\\fI\1\\fP', text)
    text = re.sub(r'(->\w+|\b\w+\(\))', r'\\fB\1\\fP', text)
    return re.sub(r"^([.'])", r'\\&\1', text.replace('-', '\\-'))


def body(text, out):
    """Paragraphs, and what is indented deeper as examples."""
    for paragraph in re.split(r'\n\s*\n', text.strip('\n')):
        fresh = True
        for example, lines in itertools.groupby(paragraph.split('\n'),
                                                lambda line: line.startswith('    ')):
            if example:
                out.append('.PP\n.in +4n\n.EX')
                code_lines('\n'.join(line[4:] for line in lines), out)
                out.append('.EE\n.in')
            else:
                if fresh and out[-1].split()[0] != '.SH':
                    out.append('.PP')
                out += [inline_markup(line.strip()) for line in lines]
            fresh = example


def sections(text):
    """(description, [(heading, text)]): labels start a section wherever they stand."""
    parts = re.split(r'(?<!\w)(Context|Locks|Ordering|Return|Lifetime): ', text)
    rest = {}
    for label, part in zip(parts[1::2], parts[2::2]):
        part = part.strip()
        rest[label] = rest[label] + '\n\n' + part if label in rest else part
    return parts[0].strip('\n'), [(LABELS[label], rest[label]) for label in LABELS if label in rest]


def summary_of(text):
    """(one line for NAME, the remaining text)."""
    match = re.match(r'(?:struct )?\w+(?:\(\))?(?: and family)? - ', text)
    rest = text[match.end():] if match else text
    end = re.search(r'[.?](?=\s|$)', rest)
    line = rest[:end.start()] if end else rest
    remaining = rest[end.end():] if end else ''
    line = ' '.join(line.split()).replace('@', '')
    if not match and remaining.strip():
        remaining = text
    if not match and line[1:2].islower():
        line = line[0].lower() + line[1:]
    return line, remaining.strip('\n ')


def code_lines(code, out):
    for line in code.split('\n'):
        line = line.expandtabs(8).replace('\\', '\\e').replace('-', '\\-')
        out.append(re.sub(r"^([.'])", r'\\&\1', line))


def sentence(text):
    return text[0].upper() + text[1:]


def render(name, names, header, comment, code, see, version, extra=None):
    date = datetime.datetime.fromtimestamp(
        int(os.environ.get('SOURCE_DATE_EPOCH', datetime.datetime.now().timestamp())),
        datetime.timezone.utc).strftime('%Y-%m-%d')
    line, rest = summary_of(comment)
    out = ['.TH "%s" "3" "%s" "mmunotify %s" "Library Functions"' % (name, date, version),
           '.SH NAME', ', '.join(names) + ' \\- ' + line.replace('-', '\\-'),
           '.SH SYNOPSIS', '.nf', '#include <mmunotify/%s>' % os.path.basename(header), '.fi']
    for part in code:
        out.append('.PP\n.nf')
        code_lines(part, out)
        out.append('.fi')
    description, labelled = sections(rest)
    if description:
        out.append('.SH DESCRIPTION')
        body(description, out)
    for heading, text in labelled:
        out.append('.SH ' + heading)
        body(sentence(text), out)
    out += extra or []
    out += ['.SH SEE ALSO', ',\n'.join('.BR %s (%s)' % pair for pair in see).replace('),', ') ,')]
    return '\n'.join(out) + '\n'


def topic_extra(pages):
    if not pages:
        return []
    out = ['.SH DECLARATIONS']
    for page in pages:
        out += ['.TP', '.BR %s (3)' % page.name, inline_markup(summary_of(page.comment)[0])]
    return out


def build(headers, version):
    """{file name: contents}"""
    files = {}
    for header in headers:
        topic, pages = parse(header)
        title = topic_name(topic)
        if not topic.comment and not topic.code and pages:
            topic.comment = 'The declarations of mmunotify/%s.' % os.path.basename(header)
        names = [title] + [n for n in topic.names() if n != title]
        files[title + '.3'] = render(title, names, header, topic.comment, topic.code,
                                     [('mmunotify', '7')], version, topic_extra(pages))
        aliases = [(title, n) for n in names[1:]]
        for page in pages:
            files[page.name + '.3'] = render(page.name, page.names(), header, page.comment, page.code,
                                             [(title, '3'), ('mmunotify', '7')], version)
            aliases += [(page.name, n) for n in page.names()[1:]]
        for target, alias in aliases:
            # A struct and a function may share a name.
            if alias != target:
                files[alias + '.3'] = '.so man3/%s.3\n' % target
    return files


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n', maxsplit=1)[0])
    parser.add_argument('--list', action='store_true')
    parser.add_argument('--names', action='store_true')
    parser.add_argument('--output')
    parser.add_argument('--version', default='')
    parser.add_argument('headers', nargs='+')
    args = parser.parse_args()
    files = build(args.headers, args.version)
    if args.names:
        print('\n'.join(sorted(name[:-2] for name in files)))
    elif args.list:
        print('\n'.join(sorted(files)))
    elif args.output:
        for name, text in files.items():
            with open(os.path.join(args.output, name), 'w', encoding='utf-8') as file:
                file.write(text)
    else:
        parser.error('say --list, --names or --output DIR')
    return 0


if __name__ == '__main__':
    sys.exit(main())
