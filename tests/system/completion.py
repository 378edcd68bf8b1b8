#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What each command takes, what its help and its page say, and what bash, zsh and fish
complete are the same; the three shells themselves are asked, at a terminal.

    completion.py MMUNOTIFY GENERATOR SOURCE PRELOAD COMPLETIONS

COMPLETIONS is the folder of the three files; PRELOAD prints what getopt_long() is asked for.
"""
import json
import os
import pty
import re
import select
import shutil
import subprocess
import sys
import tempfile
import time

from tap import diag, done, equal, ok, skip

TOOL, GENERATOR, SOURCE, PRELOAD, FOLDER = (os.path.abspath(a) for a in sys.argv[1:6])
BASH_COMPLETION = '/usr/share/bash-completion/bash_completion'


def run(*command, **kwargs):
    return subprocess.run(command, capture_output=True, text=True, check=False, **kwargs)


# ---- The command, its help, its page.

def accepted(command, preload):
    """{name: takes}, and the names that are one option."""
    result = run(TOOL, command, 'x', env=dict(os.environ, LD_PRELOAD=preload))
    takes, same = {}, {}
    for line in result.stdout.splitlines():
        name, takes_what, value = line.split()
        takes[name] = None if takes_what == 'nothing' else takes_what
        same.setdefault(value, set()).add(name)
    # A letter that no one is shown stands for a long option alone.
    return takes, sorted(sorted(names) for names in same.values())


def page_options(command):
    """{name: (takes, argument)} of the page's section OPTIONS."""
    found = {}
    path = os.path.join(SOURCE, 'docs/man/mmunotify-%s.1.scd' % command)
    with open(path, encoding='utf-8') as file:
        text = file.read().split('# OPTIONS')[1].split('\n# ')[0]
    for line in text.splitlines():
        if not re.match(r'\*-', line):
            continue
        for form in line.split(', '):
            plain = form.replace('*', '').replace('_', '').strip()
            match = re.match(r'^(-\w|--[\w-]+)(?:(\[?)=?\s?([A-Z]+)\]?)?$', plain)
            if match:
                found[match.group(1)] = match.group(3)
            else:
                found[plain] = 'not understood'
    return found


def test_agreement(commands, preload):
    for name, command in commands.items():
        if name in ('', 'help'):
            continue
        takes, same = accepted(name, preload)
        helped = {n: o['takes'] for o in command['options'] for n in o['names']}
        equal(helped, takes, '%s: its help has the options that it takes' % name)
        equal(sorted(sorted(o['names']) for o in command['options']), same,
              '%s: its help pairs short and long ones as it does' % name)
        # A short one has the argument of the long one.
        paged = page_options(name)
        equal(sorted(paged), sorted(takes), '%s: its page has them' % name)
        equal({n: a for n, a in paged.items() if n.startswith('--') and a},
              {n: o['argument'] for o in command['options'] for n in o['names']
               if n.startswith('--') and o['argument']}, '%s: and their arguments' % name)


def test_offers(commands):
    """Each word that is offered is taken: nothing is said about the option."""
    for name, command in commands.items():
        for option in command['options']:
            offer = [w for w in option['offer'] or ['@nothing'] if w != '@list']
            if offer[0].startswith('@'):
                continue
            wrong = run(TOOL, name, '%s=?' % option['names'][-1], '--no-such-option')
            for word in offer:
                said = run(TOOL, name, '%s=%s' % (option['names'][-1], word), '--no-such-option')
                ok('no-such-option' in said.stderr and said.returncode == 2,
                   '%s %s: %s is taken' % (name, option['names'][-1], word), said.stderr)
            ok('no-such-option' not in wrong.stderr,
               '%s %s: another word is not' % (name, option['names'][-1]), wrong.stderr)


# ---- The shells.

class Terminal:
    """An interactive shell.  A key writes the line being edited to a file, and clears it."""

    def __init__(self, work, command, start, env):
        self.answer = os.path.join(work, 'line')
        self.screen = b''
        pid, self.fd = pty.fork()
        if not pid:
            os.chdir(work)
            os.execvpe(command[0], command, env)
        self.pid = pid
        for line in start:
            os.write(self.fd, line.encode() + b'\n')
        os.write(self.fd, b'echo rea""dy\n')
        self.wait(lambda: b'ready\r\n' in self.screen)

    def wait(self, until):
        limit = time.monotonic() + 60
        while not until() and time.monotonic() < limit:
            if select.select([self.fd], [], [], 0.02)[0]:
                try:
                    self.screen += os.read(self.fd, 65536)
                except OSError:
                    return

    def line(self, keys):
        """The line after @keys; then an empty one."""
        if os.path.exists(self.answer):
            os.unlink(self.answer)
        os.write(self.fd, keys.encode() + b'\x18\x10')
        self.wait(lambda: os.path.exists(self.answer) and os.path.getsize(self.answer))
        with open(self.answer, encoding='utf-8') as file:
            return file.read().rstrip('\n')

    def close(self):
        os.write(self.fd, b'exit\n')
        try:
            while os.read(self.fd, 65536):
                pass
        except OSError:
            pass
        os.close(self.fd)
        os.waitpid(self.pid, 0)


ALL = '\x18*'


class Bash(Terminal):
    def __init__(self, work, env):
        super().__init__(work, ['bash', '--norc', '--noprofile', '-i'], [
            "PS1='$ ' PS2= HISTFILE=",
            "bind 'set enable-bracketed-paste off' 'set completion-query-items 0' 2>&-",
            "bind 'set page-completions off'; bind 'set bell-style none'",
            'written() { printf "%%s\\n" "$READLINE_LINE" >%s.new && mv %s.new %s; '
            'READLINE_LINE= READLINE_POINT=0; }' % ((os.path.join(work, 'line'),) * 3),
            "bind -x '\"\\C-x\\C-p\": written'",
            "bind '\"\\C-x*\": insert-completions'",
            '. ' + BASH_COMPLETION,
            ". '%s'" % os.path.join(FOLDER, 'mmunotify'),
        ], env)


class Zsh(Terminal):
    def __init__(self, work, env):
        super().__init__(work, ['zsh', '-f', '-i'], [
            "PS1='$ ' PS2= PROMPT_EOL_MARK= ; unsetopt zle_bracketed_paste list_beep beep; bindkey -e",
            "fpath=('%s' $fpath); autoload -U compinit; compinit -u -D" % FOLDER,
            'written() { print -r -- "$BUFFER" >%s.new && mv %s.new %s; BUFFER= }; '
            'zle -N written; bindkey "^X^P" written' % ((os.path.join(work, 'line'),) * 3),
            'zle -C every complete-word _generic; bindkey "^X*" every',
            "zstyle ':completion:every:*' completer _all_matches _complete",
            "zstyle ':completion:every:*' insert true; LISTMAX=9999",
        ], env)


class Fish:
    """It lists what it would offer, without a terminal."""

    def __init__(self, work, env):
        self.work, self.env = work, env

    def offers(self, line):
        result = run('fish', '--no-config', '-c',
                     'source $argv[1]; complete -C $argv[2]',
                     os.path.join(FOLDER, 'mmunotify.fish'), line, cwd=self.work, env=self.env)
        if result.returncode or result.stderr:
            diag('fish: %s' % result.stderr)
        return {word.split('\t')[0] for word in result.stdout.splitlines()}

    def close(self):
        pass


def offered(shell, line):
    """What is offered for the last word of @line, as whole words."""
    if isinstance(shell, Fish):
        return shell.offers(line)
    got = shell.line(line + ALL)
    before = line[:len(line) - len(line.split(' ')[-1])]
    # A tab's own space, and quotes that were put.
    return set(got[len(before):].split()) if got.startswith(before) else {got}


def completed(shell, line):
    """The line after a tab."""
    if isinstance(shell, Fish):
        found = shell.offers(line)
        words = line.split(' ')
        return ' '.join(words[:-1] + [found.pop()]) if len(found) == 1 else sorted(found)
    # Of a list zsh puts the comma for the next one, and takes it back.
    return shell.line(line + '\t').rstrip(' ,')


def test_shell(shell, kind, commands, words):
    names = [n for n in commands if n]
    equal(sorted(offered(shell, 'mmunotify ') - {'--help', '--version'}), sorted(names),
          '%s: the commands' % kind)
    for name in names:
        options = {n for o in commands[name]['options'] for n in o['names'] if n.startswith('--')}
        if options:
            found = {w.rstrip('=') for w in offered(shell, 'mmunotify %s --' % name)
                     if w.startswith('--') and w != '--'}
            equal(sorted(found), sorted(options), '%s: the options of %s' % (kind, name))
    for line, wanted in (
            ('mmunotify tr', 'mmunotify trace'),
            ('mmunotify trace --no-f', 'mmunotify trace --no-follow'),
            ('mmunotify trace -o FILE --no-f', 'mmunotify trace -o FILE --no-follow'),
            ('mmunotify trace --time=abs', 'mmunotify trace --time=absolute'),
            ('mmunotify trace --time abs', 'mmunotify trace --time absolute'),
            ('mmunotify trace --filter=op=mun', 'mmunotify trace --filter=op=munmap'),
            ('mmunotify trace --filter=op!=mun', 'mmunotify trace --filter=op!=munmap'),
            ('mmunotify trace --filter op=munmap,cla', 'mmunotify trace --filter op=munmap,class='),
            ('mmunotify trace --filter size', 'mmunotify trace --filter size>='),
            ('mmunotify replay --filter=outcome=un', 'mmunotify replay --filter=outcome=unchanged'),
            ('mmunotify replay recor', 'mmunotify replay recording'),
            ('mmunotify replay -o recor', 'mmunotify replay -o recording'),
            ('mmunotify replay --output=recor', 'mmunotify replay --output=recording'),
            ('mmunotify run --with=u', 'mmunotify run --with=ucx'),
            ('mmunotify run --with=ucx,l', 'mmunotify run --with=ucx,libfabric'),
            ('mmunotify soft scr', 'mmunotify soft script.mmun'),
            ('mmunotify trace mmun-other-c', 'mmunotify trace mmun-other-command'),
            ('mmunotify trace --json -- mmun-other-c', 'mmunotify trace --json -- mmun-other-command'),
            ('mmunotify trace -o x cat recor', 'mmunotify trace -o x cat recording'),
            ('mmunotify trace -- mmunotify replay --no',
             'mmunotify trace -- mmunotify replay --no'),
            ('mmunotify trace -- mmunotify replay --qui',
             'mmunotify trace -- mmunotify replay --quiet')):
        got = completed(shell, line)
        if not got or got == []:
            got = line
        # zsh and fish leave out the space or a letter case; a quoted ">" is the same word.
        equal(got.replace('\\', ''), wanted, '%s: %s' % (kind, line)) if isinstance(got, str) else \
            ok(False, '%s: %s' % (kind, line), got)
    for key, takes in words.items():
        if isinstance(takes, list):
            line = 'mmunotify trace --filter %s=' % key
            found = {w.split('=')[-1].replace("'", '') for w in offered(shell, line)}
            equal(sorted(found), sorted(takes), '%s: the words of %s=' % (kind, key))
    if kind != 'fish':
        got = completed(shell, "mmunotify trace --filter 'op=munmap|bro")
        equal(got, "mmunotify trace --filter 'op=munmap|bro", '%s: there is no such word' % kind)
    got = completed(shell, "mmunotify trace --filter 'op=munmap|br")
    ok("op=munmap|brk" in str(got), "%s: a second word of a filter, quoted" % kind, got)


def main():
    listed = run(sys.executable, GENERATOR, '--list', TOOL)
    if not ok(listed.returncode == 0, 'what the command says of itself is read', listed.stderr):
        done()
    said = json.loads(listed.stdout)
    commands = said['commands']
    equal(said['missing'], [], 'the table has a line for each argument')
    with tempfile.TemporaryDirectory(prefix='mmunotify-completion-') as work:
        # LD_PRELOAD cannot name a path with a space, and the build's may have one.
        test_agreement(commands, shutil.copy(PRELOAD, os.path.join(work, 'options.so')))
    test_offers(commands)
    with tempfile.TemporaryDirectory(prefix='mmunotify-completion-') as work:
        os.mkdir(os.path.join(work, 'bin'))
        os.mkdir(os.path.join(work, 'home'))
        os.symlink(TOOL, os.path.join(work, 'bin/mmunotify'))
        os.symlink('/bin/true', os.path.join(work, 'bin/mmun-other-command'))
        for name in ('recording', 'script.mmun', 'unrelated'):
            with open(os.path.join(work, name), 'w', encoding='utf-8'):
                pass
        env = {'PATH': os.path.join(work, 'bin') + ':' + os.environ['PATH'], 'TERM': 'xterm',
               'HOME': os.path.join(work, 'home'), 'LC_ALL': 'C.UTF-8', 'COLUMNS': '500'}
        for kind, make in (('bash', Bash), ('zsh', Zsh), ('fish', Fish)):
            if not shutil.which(kind) or kind == 'bash' and not os.path.exists(BASH_COMPLETION):
                skip('completion in ' + kind, '%s is not installed' %
                     ('bash-completion' if kind == 'bash' else kind))
                continue
            shell = make(work, env)
            test_shell(shell, kind, commands, said['filter'])
            shell.close()
    done()


main()
