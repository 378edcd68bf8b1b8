# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Reads the C of this project as far as it takes to know where a mutation can be put.

find(path, text) gives the points of a file: each is one change of its text, and knows how to
stand in a program beside all others, asleep until its number is called (wrapped()).

Operators:

    negate      a condition of if, while, do, for and ?: is turned round
    operand     an operand of && or || is left out
    logic       && becomes ||, and the other way
    equal       == becomes !=, and the other way
    bound       < becomes <=, > becomes >=, and the other way
    one         x + 1 and x - 1 become x
    not         ! is left out where it is not a whole condition
    drop        a statement that is a call, an assignment, ++ or -- is left out
    return      a constant that is returned becomes another: 0 for an error and for 1, 1 for 0,
                true for false

No point is put, by rule,

  - in or on a check of the project's own invariants (ASSERTS): what it would find is a bug
    that is put in somewhere else;
  - on memory orders and compiler barriers: x86 and an unoptimised build show no difference; the
    models in tests/model have mutants for them;
  - on hints to the processor and to the scheduler of tests (HINTS);
  - on statements whose macro declares something (in capitals: without it nothing compiles);
  - on the parts of a for other than its condition: without its step the loop just hangs;
  - in what only some builds compile, in macros' definitions, in constant expressions.
"""
import re

ASSERTS = re.compile(r'^(MMUN_BUG_ON|mmun_bug|_Static_assert|static_assert|assert|WARN\w*|BUG\w*|'
                     r'lockdep_\w+)$')
HINTS = re.compile(r'^(mmun_cpu_relax|mmun_compiler_barrier|mmun_sched_point|__builtin_\w+|asm|__asm__|'
                   r'sched_yield)$')
CONSTANT = re.compile(r'^(sizeof|offsetof|_Alignof|__typeof__|typeof)$')
TYPE_WORDS = set('void char short int long float double signed unsigned bool _Bool struct union '
                 'enum const volatile static register extern inline __auto_type '
                 '__typeof__ typeof'.split())

TOKEN = re.compile(r'''
    (?P<space>(?:\s|\\\n|//[^\n]*|/\*.*?\*/)+)
  | (?P<text>L?"(?:\\.|[^"\\])*"|L?'(?:\\.|[^'\\])*')
  | (?P<number>\.?\d(?:[eEpP][+-]|[\w.])*)
  | (?P<name>[A-Za-z_]\w*)
  | (?P<mark>\.\.\.|<<=|>>=|->|\+\+|--|<<|>>|<=|>=|==|!=|&&|\|\||[-+*/%&|^]=|[^\s\w])
''', re.X | re.S)
DIRECTIVE = re.compile(r'^[ \t]*#[ \t]*(\w+)((?:\\\n|[^\n])*)', re.M)


class Unreadable(Exception):
    """The text is not what this small reader knows."""


class Token:
    __slots__ = ('kind', 'text', 'start', 'end')

    def __init__(self, kind, text, start):
        self.kind, self.text, self.start, self.end = kind, text, start, start + len(text)


def blank(text, start, end):
    return text[:start] + re.sub(r'[^\n]', ' ', text[start:end]) + text[end:]


def tokens_of(text):
    """Without directives, and without what stands between #if and #endif inside braces."""
    clean = re.sub(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"',
                   lambda m: m.group() if m.group()[0] == '"' else
                   re.sub(r'[^\n]', ' ', m.group()), text, flags=re.S)
    depth, at, conditional = 0, 0, []
    for found in list(DIRECTIVE.finditer(clean)):
        depth += clean.count('{', at, found.start()) - clean.count('}', at, found.start())
        at = found.end()
        word = found.group(1)
        if word.startswith('if'):
            conditional.append((depth, found.start()))
        elif word == 'endif' and conditional:
            opened, start = conditional.pop()
            if opened:
                clean = blank(clean, start, found.end())
        clean = blank(clean, found.start(), found.end())
    result, at = [], 0
    while at < len(clean):
        found = TOKEN.match(clean, at)
        if not found:
            raise Unreadable('offset %d' % at)
        if found.lastgroup != 'space':
            result.append(Token(found.lastgroup, found.group(), at))
        at = found.end()
    return result


class Node:
    """An expression: kind is name, number, text, call, binary, unary, choice, cast or other."""

    def __init__(self, kind, start, end, parts=(), mark=None):
        self.kind, self.start, self.end = kind, start, end
        self.parts, self.mark = list(parts), mark


class Point:
    """One mutation.  edits: (start, end, before, after) puts text around a span, and
    (start, end, text) puts text in its place, in the program that has all of them; @ is the
    question whether this one is awake."""

    def __init__(self, kind, span, after, edits):
        self.kind, self.span, self.after, self.edits = kind, span, after, edits


BINARY = {}
for strength, marks in enumerate(('||', '&&', '|', '^', '&', '== !=', '< > <= >=', '<< >>',
                                  '+ -', '* / %')):
    for mark in marks.split():
        BINARY[mark] = strength
ASSIGN = set('= += -= *= /= %= &= |= ^= <<= >>='.split())
BOUND = {'<': '<=', '<=': '<', '>': '>=', '>=': '>'}


class Reader:
    def __init__(self, text, types):
        self.source, self.types = text, types
        self.tokens = tokens_of(text)
        self.at = 0
        self.points = []
        self.unreadable = []

    # Tokens.

    def peek(self, ahead=0):
        at = self.at + ahead
        return self.tokens[at].text if at < len(self.tokens) else ''

    def kind(self, ahead=0):
        at = self.at + ahead
        return self.tokens[at].kind if at < len(self.tokens) else ''

    def take(self, wanted=None):
        if self.at >= len(self.tokens) or wanted and self.peek() != wanted:
            raise Unreadable('%r instead of %r' % (self.peek(), wanted))
        self.at += 1
        return self.tokens[self.at - 1]

    def partner(self, at):
        """The index behind the bracket that closes the one at @at."""
        depth = 0
        while at < len(self.tokens):
            text = self.tokens[at].text
            depth += text in ('(', '[', '{')
            depth -= text in (')', ']', '}')
            at += 1
            if not depth:
                return at
        raise Unreadable('a bracket is not closed')

    def skip_to(self, *marks):
        while self.peek() not in marks:
            self.at = self.partner(self.at) if self.peek() in ('(', '[', '{') else self.at + 1
            if self.at >= len(self.tokens):
                raise Unreadable('no %s' % (marks,))

    # Types.

    def is_type(self, ahead=0):
        text = self.peek(ahead)
        return text in TYPE_WORDS or self.kind(ahead) == 'name' and \
            (text in self.types or text.endswith('_t'))

    def begins_cast(self):
        if self.peek() != '(' or not self.is_type(1):
            return False
        inside = [token.text for token in self.tokens[self.at + 1:self.partner(self.at) - 1]]
        return all(re.match(r'^(\w+|\*)$', text) for text in inside)

    def begins_declaration(self):
        if self.peek(1) == '(' and not (self.is_type() and self.peek(2) == '*'):
            return False
        if self.is_type():
            return True
        if self.kind() != 'name':
            return False
        ahead = 1
        while self.peek(ahead) == '*':
            ahead += 1
        return self.kind(ahead) == 'name' and self.peek(ahead + 1) in ('=', ';', ',', '[')

    # Expressions.

    def expression(self):
        node = self.assignment()
        while self.peek() == ',':
            self.take()
            right = self.assignment()
            node = Node('other', node.start, right.end, [node, right])
        return node

    def assignment(self):
        left = self.choice()
        if self.peek() in ASSIGN:
            mark = self.take()
            right = self.assignment()
            return Node('assign', left.start, right.end, [left, right], mark)
        return left

    def choice(self):
        asked = self.binary(0)
        if self.peek() != '?':
            return asked
        self.take()
        yes = self.expression() if self.peek() != ':' else None
        self.take(':')
        no = self.choice()
        parts = [asked] + ([yes] if yes else []) + [no]
        return Node('choice', asked.start, no.end, parts)

    def binary(self, strength):
        left = self.unary()
        while BINARY.get(self.peek(), -1) >= strength:
            mark = self.take()
            right = self.binary(BINARY[mark.text] + 1)
            left = Node('binary', left.start, right.end, [left, right], mark)
        return left

    def unary(self):
        start = self.tokens[self.at].start
        if CONSTANT.match(self.peek()):
            self.take()
            if self.peek() == '(':
                self.at = self.partner(self.at)
                return self.postfix(Node('constant', start, self.tokens[self.at - 1].end))
            return Node('constant', start, self.unary().end)
        if self.peek() in ('!', '~', '-', '+', '*', '&', '++', '--'):
            mark = self.take()
            inner = self.unary()
            return Node('unary', start, inner.end, [inner], mark)
        if self.begins_cast():
            self.at = self.partner(self.at)
            if self.peek() == '{':
                node = self.initializer()
                return self.postfix(Node('other', start, node.end, [node]))
            inner = self.unary()
            return Node('cast', start, inner.end, [inner])
        return self.postfix(self.primary())

    def primary(self):
        start = self.tokens[self.at].start
        if self.peek() == '(':
            if self.peek(1) == '{':
                raise Unreadable('a statement as an expression')
            self.take()
            node = self.expression()
            return Node('brackets', start, self.take(')').end, [node])
        if self.kind() == 'text':
            while self.kind() in ('text', 'name'):
                end = self.take().end
            return Node('text', start, end)
        if self.kind() not in ('name', 'number'):
            raise Unreadable(self.peek())
        token = self.take()
        return Node(token.kind, start, token.end, mark=token)

    def postfix(self, node):
        while True:
            if self.peek() == '(':
                node = self.call(node)
            elif self.peek() == '[':
                self.take()
                inner = self.expression()
                node = Node('index', node.start, self.take(']').end, [node, inner])
            elif self.peek() in ('.', '->'):
                self.take()
                node = Node('member', node.start, self.take().end, [node])
            elif self.peek() in ('++', '--'):
                mark = self.take()
                node = Node('step', node.start, mark.end, [node], mark)
            else:
                return node

    def call(self, function):
        self.take('(')
        parts = [function]
        while self.peek() != ')':
            if self.is_type():
                self.skip_to(',', ')')
            else:
                parts.append(self.assignment())
            if self.peek() == ',':
                self.take()
        return Node('call', function.start, self.take(')').end, parts, function.mark)

    def initializer(self):
        start, parts = self.take('{').start, []
        while self.peek() != '}':
            while self.peek() in ('.', '['):
                if self.peek() == '.':
                    self.take()
                    self.take()
                else:
                    self.at = self.partner(self.at)
            if self.peek() == '=':
                self.take()
            parts.append(self.initializer() if self.peek() == '{' else self.assignment())
            if self.peek() == ',':
                self.take()
        return Node('other', start, self.take('}').end, parts)

    # Points in expressions.

    def text(self, start, end):
        return self.source[start:end]

    def of(self, node):
        return self.text(node.start, node.end)

    def add(self, kind, span, after, *edits):
        self.points.append(Point(kind, span, after, list(edits)))

    def look(self, node, negated=False):
        """@negated: somebody else turns this one round."""
        if node.kind == 'call' and node.mark and (ASSERTS.match(node.mark.text) or
                                                  HINTS.match(node.mark.text)
                                                  and not node.mark.text.startswith('__builtin')):
            return
        if node.kind == 'binary':
            self.look_binary(node)
        elif node.kind == 'unary' and node.mark.text == '!' and not negated:
            inner = node.parts[0]
            self.add('not', (node.start, node.end), self.of(inner),
                     (node.start, node.end, '(@ ^ ', ')'))
        elif node.kind == 'choice':
            self.condition(node.parts[0])
            for part in node.parts[1:]:
                self.look(part)
            return
        inside = negated and node.kind == 'brackets'
        for part in node.parts:
            self.look(part, inside)

    def look_binary(self, node):
        mark = node.mark.text
        left, right = node.parts
        whole = (node.start, node.end)
        between = self.text(left.end, node.mark.start), self.text(node.mark.end, right.start)

        def with_mark(other):
            return self.of(left) + between[0] + other + between[1] + self.of(right)

        if mark in ('&&', '||'):
            other = '||' if mark == '&&' else '&&'
            turned = '(@ ^ !!(', '))'
            self.add('logic', whole, '(%s)' % with_mark(other),
                     whole + ('(@ ^ (', '))'), (left.start, left.end) + turned,
                     (right.start, right.end) + turned)
            neutral = '(@ || (' if mark == '&&' else '(!@ && ('
            for kept, dropped in ((right, left), (left, right)):
                # The operand that && hangs another on is dropped there.
                if dropped.kind == 'binary' and dropped.mark.text == mark:
                    continue
                self.add('operand', whole, self.of(kept),
                         (dropped.start, dropped.end, neutral, '))'))
        elif mark in ('==', '!='):
            self.add('equal', whole, with_mark('!=' if mark == '==' else '=='),
                     whole + ('(@ ^ (', '))'))
        elif mark in BOUND:
            self.add('bound', whole, with_mark(BOUND[mark]),
                     whole + ('({ __auto_type mutant_l = (',
                              '); @ ? mutant_l %s mutant_r : mutant_l %s mutant_r; })'
                              % (BOUND[mark], mark)),
                     (node.mark.start, node.mark.end, '); __auto_type mutant_r = ('))
        elif mark in '+-' and re.match(r'^1[uUlL]*$', self.of(right)):
            self.add('one', whole, self.of(left), (right.start, right.end, '(', ' - @)'))

    def condition(self, node):
        """Turned round, and what is in it."""
        core = node
        while core.kind == 'brackets':
            core = core.parts[0]
        if core.kind == 'binary' and core.mark.text in ('==', '!='):
            self.look(node)
            return
        if core.kind == 'number' or core.kind == 'name' and core.mark.text in ('true', 'false'):
            return
        is_not = core.kind == 'unary' and core.mark.text == '!'
        after = self.of(core.parts[0]) if is_not else '!(%s)' % self.of(node)
        self.add('negate', (node.start, node.end), after,
                 (node.start, node.end, '(!!(', ') ^ @)'))
        self.look(node, is_not)

    # Statements.

    def bracketed_condition(self):
        self.take('(')
        self.condition(self.expression())
        self.take(')')

    def statement(self):
        word = self.peek()
        reader = getattr(self, 'read_' + word, None) if self.kind() == 'name' else None
        if reader:
            reader()
        elif word == '{':
            self.take()
            while self.peek() != '}':
                self.statement()
            self.take()
        elif word == ';':
            self.take()
        elif self.kind() == 'name' and self.peek(1) == ':':
            self.at += 2
        elif word in ('_Static_assert', 'asm', '__asm__'):
            self.skip_to(';')
            self.take()
        elif self.begins_declaration():
            self.declaration()
        elif self.kind() == 'name' and self.peek(1) == '(' and \
                self.tokens[self.partner(self.at + 1)].text not in (';', ',', '=', '.', '->', '['):
            # A loop that is a macro.
            self.at = self.partner(self.at + 1)
            self.statement()
        else:
            self.simple()

    def read_if(self):
        self.take()
        self.bracketed_condition()
        self.statement()
        if self.peek() == 'else':
            self.take()
            self.statement()

    def read_while(self):
        self.take()
        self.bracketed_condition()
        self.statement()

    def read_do(self):
        self.take()
        self.statement()
        self.take('while')
        self.bracketed_condition()
        self.take(';')

    def read_for(self):
        self.take()
        self.take('(')
        if self.begins_declaration():
            self.declaration()
        else:
            if self.peek() != ';':
                self.look(self.expression())
            self.take(';')
        if self.peek() != ';':
            self.condition(self.expression())
        self.take(';')
        if self.peek() != ')':
            self.look(self.expression())
        self.take(')')
        self.statement()

    def read_switch(self):
        self.take()
        self.take('(')
        self.look(self.expression())
        self.take(')')
        self.statement()

    def read_case(self):
        self.skip_to(':')
        self.take()

    read_default = read_case

    def read_goto(self):
        self.skip_to(';')
        self.take()

    read_break = read_continue = read_goto

    def read_return(self):
        self.take()
        if self.peek() != ';':
            node = self.expression()
            other = self.other_constant(node)
            if other is not None:
                self.add('return', (node.start, node.end), other,
                         (node.start, node.end, '(@ ? %s : (' % other, '))'))
            self.look(node)
        self.take(';')

    def other_constant(self, node):
        text = self.of(node)
        if re.match(r'^-\s*(E[A-Z0-9]+|[1-9]\d*)$', text):
            return '0'
        return {'0': '1', '1': '0', 'true': 'false', 'false': 'true'}.get(text)

    def declaration(self):
        if self.peek() == 'static' or self.peek(1) == 'static':
            self.skip_to(';')
        while self.peek() != ';':
            self.skip_to('=', ';')
            if self.peek() == '=':
                self.take()
                self.look(self.initializer() if self.peek() == '{' else self.assignment())
        self.take(';')

    def simple(self):
        start = self.tokens[self.at].start
        word = self.peek()
        if ASSERTS.match(word) or HINTS.match(word) or re.match(r'^[A-Z][A-Z0-9_]+$', word) \
                and self.peek(1) == '(':
            self.skip_to(';')
            self.take()
            return
        node = self.expression()
        end = self.take(';').end
        core = node
        while core.kind in ('cast', 'brackets'):
            core = core.parts[0]
        if core.kind in ('call', 'assign', 'step') or \
                core.kind == 'unary' and core.mark.text in ('++', '--') or core.kind == 'choice':
            self.add('drop', (start, end), ';', (start, end, '{ if (!@) ', ' }'))
        self.look(node)

    # Files.

    def functions(self):
        """(name, index of the brace) of each definition."""
        self.at = 0
        begin = 0
        while self.at < len(self.tokens):
            word = self.peek()
            if word in (';', '}'):
                self.at += 1
                begin = self.at
            elif word in ('(', '['):
                self.at = self.partner(self.at)
            elif word == '{':
                name = self.function_name(begin)
                after = self.partner(self.at)
                if name:
                    yield name, self.at
                    begin = after
                self.at = after
            else:
                self.at += 1

    def function_name(self, begin):
        at, name = begin, None
        while at < self.at:
            token = self.tokens[at]
            if token.text == '=':
                return None
            if token.text == '(':
                before = self.tokens[at - 1]
                if before.kind == 'name' and not before.text.startswith('__attribute'):
                    name = name or before.text
                at = self.partner(at)
            else:
                at += 1
        return name

    def read(self):
        """[(function, its points)]"""
        result = []
        for name, brace in list(self.functions()):
            self.at, self.points = brace, []
            try:
                self.statement()
            except Unreadable as why:
                self.unreadable.append('%s(): %s' % (name, why))
            else:
                result.append((name, self.points))
        return result


def types_in(texts):
    """Names that typedef makes."""
    names = {'bool', 'va_list', 'FILE'}
    for text in texts:
        names.update(re.findall(r'\btypedef\b[^;{]*?\b(\w+)\s*(?:\[[^;]*\])?;', text))
    return names


def one_line(text):
    return ' '.join(text.split())


class Mutant:
    """A point with its place and its name in the world."""

    def __init__(self, path, function, point, source):
        self.path, self.function, self.kind = path, function, point.kind
        self.point = point
        self.source = source
        self.before = one_line(source[slice(*point.span)])
        self.text = '%s -> %s' % (self.before, one_line(point.after))
        self.number = None

    @property
    def key(self):
        return '%s: %s: %s' % (self.path, self.function, self.text)

    def mutated(self):
        start, end = self.point.span
        return self.source[:start] + self.point.after + self.source[end:]

    def diff(self):
        """The lines that change."""
        start, end = self.point.span
        first = self.source.rfind('\n', 0, start) + 1
        last = self.source.find('\n', end)
        old = self.source[first:last]
        new = self.source[first:start] + self.point.after + self.source[end:last]
        line = self.source.count('\n', 0, start) + 1
        return '%s:%d %s(), %s\n' % (self.path, line, self.function, self.kind) + \
            ''.join('-%s\n' % part for part in old.split('\n')) + \
            ''.join('+%s\n' % part for part in new.split('\n'))


def find(path, text, types):
    """([Mutant], [what could not be read])"""
    reader = Reader(text, types)
    mutants, seen = [], {}
    for function, points in reader.read():
        points.sort(key=lambda point: (point.span[0], -point.span[1]))
        for point in points:
            mutant = Mutant(path, function, point, text)
            again = seen[mutant.key] = seen.get(mutant.key, 0) + 1
            if again > 1:
                mutant.text += ' #%d' % again
            mutants.append(mutant)
    return mutants, ['%s: %s' % (path, why) for why in reader.unreadable]


def wrapped(text, mutants):
    """The text with all of @mutants in it; number N is awake when MUTANT(N) is true."""
    opening, closing, instead = {}, {}, {}
    for order, mutant in enumerate(mutants):
        question = 'MUTANT(%d)' % mutant.number
        for step, edit in enumerate(mutant.point.edits):
            start, end = edit[:2]
            rank = order * 8 + step
            if len(edit) == 3:
                instead[start] = (end, edit[2])
                continue
            opening.setdefault(start, []).append((-end, rank, edit[2].replace('@', question)))
            closing.setdefault(end, []).append((-start, -rank, edit[3].replace('@', question)))
    parts, at = [], 0
    for place in sorted(set(opening) | set(closing) | set(instead)):
        parts.append(text[at:place])
        at = place
        parts += [piece[2] for piece in sorted(closing.get(place, []))]
        parts += [piece[2] for piece in sorted(opening.get(place, []))]
        if place in instead:
            at, piece = instead[place]
            parts.append(piece)
    return ''.join(parts) + text[at:]
