#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Writes the completion of mmunotify(1) for a shell, from what the command says of itself.

    generate.py bash|zsh|fish MMUNOTIFY
    generate.py --list MMUNOTIFY

Commands are read from `mmunotify help`, options and operands from each command's
--help, the words of a filter from the refusals of a wrong one; what to offer for an
argument is in the table `arguments` beside this file.  --list prints as JSON what was read, and what the
table lacks.

Tests: tests/system/completion.py.
"""
import json
import os
import re
import subprocess
import sys

TABLE = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'arguments')
# What the table does not say; the test fails for it, not the build.
MISSING = []
OPTION_LINE = re.compile(r'^ {2,8}(-\S.*?)(?:  +(\S.*))?$')
FORM = re.compile(r'^(-\w|--[\w-]+)(?:(\[?)[ =]([A-Z]+)\]?)?$')


def ask(tool, *args):
    result = subprocess.run([tool, *args], capture_output=True, text=True, check=False, timeout=60)
    return result.returncode, result.stdout, result.stderr


class Option:
    """Its spellings, what it takes (None, 'required' or 'optional'), and what for."""

    def __init__(self, forms, text):
        self.names, self.takes, self.argument, self.text = [], None, None, text or ''
        for form in forms.split(', '):
            match = FORM.match(form)
            if not match:
                raise SystemExit("completion: '%s' is no option as help writes it" % forms)
            self.names.append(match.group(1))
            if match.group(3):
                self.takes = 'optional' if match.group(2) else 'required'
                self.argument = match.group(3)
        self.offer = None

    def short(self):
        return [name for name in self.names if not name.startswith('--')]

    def long(self):
        return [name for name in self.names if name.startswith('--')]

    def brief(self):
        """What is said of it, as far as one line of a menu has room."""
        return re.split(r' \(|[;:,] ', self.text)[0].rstrip(' ;:,.')

    def describe(self):
        return {'names': self.names, 'takes': self.takes, 'argument': self.argument,
                'text': self.text, 'offer': self.offer}


def parse_options(text):
    found = []
    for line in text.splitlines():
        match = OPTION_LINE.match(line)
        if match:
            found.append(Option(*match.groups()))
        elif found and re.match(r'^ {10,}\S', line):
            found[-1].text = (found[-1].text + ' ' + line.strip()).strip()
        elif found and not line.strip():
            break
    return found


class Command:
    """One command of the tool: its options, and the argument that is no option's."""

    def __init__(self, name, summary):
        self.name, self.summary, self.options, self.operand, self.offer = name, summary, [], None, None

    def read(self, text):
        self.options = parse_options(text)
        usage = re.match(r'Usage: mmunotify \S+ (.*)', text)
        operand = re.search(r'(?<![\w=-])([A-Z]{3,})\b', (usage.group(1) if usage else '')
                            .replace('[OPTION...]', ''))
        self.operand = operand.group(1) if operand else None


def read_table():
    table = {}
    with open(TABLE, encoding='utf-8') as file:
        for line in file:
            words = line.split()
            if words and not words[0].startswith('#'):
                table[tuple(words[:2])] = words[2:]
    return table


def look_up(table, command, names, argument):
    for key in [(command, n) for n in names] + [('*', n) for n in names] + \
            [(command, argument), ('*', argument)]:
        if key in table:
            return table[key]
    MISSING.append('tool/completion/arguments has no line for %s of mmunotify %s' %
                   (names[0] + '=' + argument if names else argument, command))
    return ['@nothing']


def read_commands(tool):
    """From the help texts.  The tool itself is the command without a name, the first one."""
    status, text, errors = ask(tool, 'help')
    if status:
        raise SystemExit('completion: %s help: %s' % (tool, errors))
    table = read_table()
    top = Command('', '')
    commands = [top]
    for name, summary in re.findall(r'^  ([a-z][\w-]*) +(\S.*)$', text, re.M):
        commands.append(Command(name, re.split(r': ', summary)[0]))
    top.options = parse_options(text)
    for command in commands[1:]:
        if command.name == 'help':
            continue
        status, text, errors = ask(tool, command.name, '--help')
        if status:
            raise SystemExit('completion: %s %s --help: %s' % (tool, command.name, errors))
        command.read(text)
        for option in command.options:
            if option.argument:
                option.offer = look_up(table, command.name, option.names[::-1], option.argument)
        if command.operand:
            command.offer = look_up(table, command.name, [], command.operand)
    return commands


def read_filter(tool):
    """Each key of --filter: ('words' with the words, or 'number', or 'text')."""
    def refused(expression):
        return ask(tool, 'replay', '--filter=' + expression, '/dev/null')[2]

    keys = re.search(r'is none of ([\w, ]+)', refused('?')).group(1).split(', ')
    found = {}
    for key in keys:
        words = re.search(r"there is no \S+ '\?', only ([\w, -]+)", refused(key + '=?'))
        ordered = 'one of' in refused(key + '?')
        found[key] = words.group(1).split(', ') if words else 'number' if ordered else 'text'
    return found


def filter_keys(keys):
    return ' '.join(key + ('>=' if takes == 'number' else '=') for key, takes in keys.items())


HEADER = '''# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# %s completion for mmunotify(1), written by tool/completion/generate.py
'''


def quote(text):
    """For all three shells within ' '; only what cannot stand there is replaced."""
    return "'" + text.replace('\\', '').replace("'", '’') + "'"


# ---- bash

BASH = r'''
# $1: the words of a list that is written with "|" or "," between them ($2), after $3.
_mmunotify_joined()
{
	local last=${value##*"$2"}

	mapfile -t COMPREPLY < <(compgen -P "$3${value%"$last"}" -W "$1" -- "$last")
	compopt -o nospace
}

_mmunotify_filter()
{
	local term=${value##*,}
	local before=${value%"$term"} words

	case $term in
@FILTER@
	*)
		mapfile -t COMPREPLY < <(compgen -P "$before" -W '@KEYS@' -- "$term")
		compopt -o nospace
		return ;;
	esac
	before=$before${term%%=*}=
	value=${term#*=}
	_mmunotify_joined "$words" '|' "$before"
}

# Offer for $value what $1 says: @ and a kind, or words.
_mmunotify_offer()
{
	local pattern

	case $1 in
	@files*)
		compopt -o filenames
		pattern=${1#@files}
		pattern=${pattern# }
		if [ -n "$pattern" ]; then
			mapfile -t COMPREPLY < <(compgen -f -X "!$pattern" -- "$value"; compgen -d -- "$value")
		else
			mapfile -t COMPREPLY < <(compgen -f -- "$value")
		fi ;;
	@processes)
		mapfile -t COMPREPLY < <(cd /proc && compgen -W "$(printf '%s ' [0-9]*)" -- "$value") ;;
	@filter) _mmunotify_filter ;;
	@list*) _mmunotify_joined "${1#@list }" , '' ;;
	@nothing) ;;
	*) mapfile -t COMPREPLY < <(compgen -W "$1" -- "$value") ;;
	esac
}

# What option $2 of command $1 takes: "none", or "required" or "optional" and what to offer.
_mmunotify_takes()
{
	case $1:$2 in
@TAKES@
	*) echo none ;;
	esac
}

_mmunotify()
{
	local cur prev words cword command options operand takes value unbroken i quoted=
	# A word is what the tool sees as one: "=" and ":" are parts of it.
	_get_comp_words_by_ref -n =: cur prev words cword || return

	command=${words[1]}
	[ "$cword" = 1 ] && command=
	case $command in
@COMMANDS@
	esac

	# The first word that is no option's: there a command to run begins.
	for ((i = 2; i < cword; i++)); do
		case ${words[i]} in
		--)
			((i++))
			break ;;
		--*=*) ;;
		-?*)
			value=${words[i]}
			[[ $value = --* ]] || value=-${value: -1}
			takes=$(_mmunotify_takes "$command" "$value")
			[[ $takes = required* ]] && ((i++)) ;;
		*) break ;;
		esac
	done
	if [ "$operand" = @command ] && { [ "$i" -lt "$cword" ] || [ "${words[cword - 1]}" = -- ]; }; then
		_command_offset "$i"
		return
	fi

	# The argument of the option before, or within the word.
	value=$cur takes=none
	if [[ $cur = --*=* ]]; then
		takes=$(_mmunotify_takes "$command" "${cur%%=*}")
		value=${cur#*=}
	elif [ "$i" -gt "$cword" ]; then
		[[ $prev = --* ]] || prev=-${prev: -1}
		takes=$(_mmunotify_takes "$command" "$prev")
	fi
	if [ "$takes" != none ]; then
		case $value in [\'\"]*) quoted=yes value=${value:1} ;; esac
		unbroken=$value
		_mmunotify_offer "${takes#* }"
		# What is inserted replaces the word since its last break, unless it is quoted.
		if [ -z "$quoted" ] && [[ $COMP_WORDBREAKS = *=* ]] && [[ $unbroken = *=* ]]; then
			COMPREPLY=("${COMPREPLY[@]#"${unbroken%"${unbroken##*=}"}"}")
		fi
		return
	fi
	case $cur in
	-*)
		mapfile -t COMPREPLY < <(compgen -W "$options" -- "$cur")
		[ "${#COMPREPLY[@]}" = 1 ] && [[ ${COMPREPLY[0]} = *= ]] && compopt -o nospace ;;
	*)
		value=$cur
		if [ "$operand" = @command ]; then
			_command_offset "$cword"
		elif [ -n "$operand" ]; then
			_mmunotify_offer "$operand"
		fi ;;
	esac
}

complete -F _mmunotify mmunotify
'''


def bash(commands, keys):
    names = [c.name for c in commands[1:]]
    takes, cases = [], []
    for command in commands:
        for option in command.options:
            if option.takes:
                pattern = ' | '.join('%s:%s' % (command.name, n) for n in option.names)
                takes.append("\t%s) echo '%s %s' ;;" % (pattern, option.takes, ' '.join(option.offer)))
        words = [n + ('=' if o.takes == 'required' and n.startswith('--') else '')
                 for o in command.options for n in o.names[::-1]]
        operand = ' '.join(command.offer or [])
        if command.name in ('', 'help'):
            operand = ' '.join(names)
        label = "''" if not command.name else command.name
        cases.append("\t%s) options='%s' operand='%s' ;;" % (label, ' '.join(words), operand))
    filters = ["\t%s=* | '%s!='*) words='%s' ;;" % (key, key, ' '.join(words))
               for key, words in keys.items() if isinstance(words, list)]
    filters += ["\t%s[=!\\<\\>]*) return ;;" % key
                for key, takes_what in keys.items() if not isinstance(takes_what, list)]
    text = HEADER % 'bash' + BASH
    for mark, lines in (('@FILTER@', filters), ('@TAKES@', takes), ('@COMMANDS@', cases)):
        text = text.replace(mark, '\n'.join(lines))
    return text.replace('@KEYS@', filter_keys(keys))


# ---- zsh

ZSH_FILTER = r'''
_mmunotify_filter()
{
	compset -P '*,'
@FILTER@
	compadd -S '' -- @KEYS@
}

# The command that is to be run, and what it completes itself.
_mmunotify_run()
{
	if [[ $words[1] = -- ]]; then
		shift words
		((CURRENT--))
	fi
	_normal
}
'''


def zsh_text(text):
    return re.sub(r'([\[\]:])', r'\\\1', text.replace('\\', '').replace("'", '’'))


def zsh_offer(argument, offer):
    kind = offer[0]
    actions = {
        '@files': '_files' + ''.join(' -g "%s"' % g for g in offer[1:]),
        '@processes': '_pids',
        '@filter': '_mmunotify_filter',
        '@nothing': ' ',
        '@list': '_values -s , %s %s' % (argument, ' '.join(offer[1:])),
    }
    return actions.get(kind, '(%s)' % ' '.join(offer))


def zsh_option(option):
    marks = {None: ('', ''), 'required': ('+', '='), 'optional': ('-', '=-')}[option.takes]
    names = [n + marks[n.startswith('--')] for n in option.names]
    argument = ''
    if option.takes:
        argument = '%s:%s:%s' % (':' if option.takes == 'optional' else '', option.argument,
                                 zsh_offer(option.argument, option.offer))
    spelled = names[0] if len(names) == 1 else '{%s}' % ','.join(names)
    excluded = "'(- *)'" if '--help' in option.names else "'(%s)'" % ' '.join(option.names)
    return "%s%s'[%s]%s'" % (excluded, spelled, zsh_text(option.brief()), argument)


def zsh(commands, keys):
    text = '#compdef mmunotify\n' + HEADER % 'zsh'
    lines = []
    for key, takes in keys.items():
        if isinstance(takes, list):
            lines.append("\tif compset -P '%s(!|)='; then\n\t\tcompset -P '*\\|'\n\t\tcompadd -- %s\n"
                         '\t\treturn\n\tfi' % (key, ' '.join(takes)))
    text += ZSH_FILTER.replace('@FILTER@', '\n'.join(lines)) \
        .replace('@KEYS@', ' '.join("'%s'" % k for k in filter_keys(keys).split()))
    text += '\n_mmunotify_commands()\n{\n\tlocal -a commands\n\n\tcommands=(\n'
    text += ''.join("\t\t'%s:%s'\n" % (c.name, zsh_text(c.summary)) for c in commands[1:])
    text += "\t)\n\t_describe -t commands 'command' commands\n}\n"
    text += '''
_mmunotify()
{
	local curcontext=$curcontext state line ret=1
	typeset -A opt_args

	_arguments -C \\
%s
		'1:command:_mmunotify_commands' '*::argument:->arguments' && ret=0
	[[ $state = arguments ]] || return ret
	curcontext="${curcontext%%:*}-$words[1]:"
	case $words[1] in
''' % '\n'.join('\t\t%s \\' % zsh_option(o) for o in commands[0].options)
    for command in commands[1:]:
        specs = [zsh_option(o) for o in command.options]
        if command.name == 'help':
            specs = ["'1:command:_mmunotify_commands'"]
        elif command.offer == ['@command']:
            specs += ["'(-)1:command: _command_names -e'", "'*::argument:_mmunotify_run'"]
        elif command.offer:
            specs.append("'*:%s:%s'" % (command.operand, zsh_offer(command.operand, command.offer)))
        text += "\t%s)\n\t\t_arguments -s -S%s \\\n\t\t\t%s && ret=0 ;;\n" % (
            command.name, " -A '-*'" if command.offer == ['@command'] else '',
            ' \\\n\t\t\t'.join(specs))
    return text + '\tesac\n\treturn ret\n}\n\n_mmunotify "$@"\n'


# ---- fish

FISH = r'''
# Where the words before the cursor have arrived: "command NAME" right after that name, or in
# its options and operands; "rest" and words when those are of a command that is to be run.
function __mmunotify_where
	set -l words (commandline -opc)
	set -e words[1]
	set -l command $words[1]
	set -e words[1]
	while set -q words[1]
		switch $words[1]
			case --
				set -e words[1]
				break
			case '--*=*'
			case '-?*'
				if contains -- $command:$words[1] @TAKING@
					set -e words[1]
				end
			case '*'
				break
		end
		set -e words[1]
	end
	echo command $command
	string escape -- $words
end

function __mmunotify_in
	set -l where (__mmunotify_where)
	test "$where[1]" = "command $argv[1]"
	and not set -q where[2]
end

# A command to be run, and then whatever that completes.
function __mmunotify_run
	set -l where (__mmunotify_where)
	set -e where[1]
	complete -C (string join ' ' -- $where (commandline -ct))
end

function __mmunotify_running
	set -l where (__mmunotify_where)
	test "$where[1]" = "command $argv[1]"
	and begin
		set -q where[2]
		or not string match -q -- '-*' (commandline -ct)
	end
end

# Words of a list that is written with $argv[1] between them, after what is there already.
function __mmunotify_joined
	set -l word (commandline -ct | string replace -r '^--[\w-]+=' '' | string trim -c '\'"')
	set -l before (string match -r "^.*[$argv[1]]" -- $word)
	printf '%s\n' "$before"$argv[2..-1]
end

function __mmunotify_filter
	set -l word (commandline -ct | string replace -r '^--[\w-]+=' '' | string trim -c '\'"')
	set -l before (string match -r '^.*,' -- $word)
	set -l term (string replace -r '^.*,' '' -- $word)
	set -l words
	switch $term
@FILTER@
		case '*'
			printf '%s\n' "$before"@KEYS@
			return
	end
	set -l head (string match -r '^.*[=|]' -- $term)
	printf '%s\n' "$before$head"$words
end

complete -c mmunotify -f
'''


def fish_offer(offer):
    kind = offer[0]
    if kind == '@files':
        return ' -k -a "(__fish_complete_suffix %s)"' % offer[1].lstrip('*') if offer[1:] else ' -F'
    actions = {
        '@processes': '(__fish_complete_pids)',
        '@filter': '(__mmunotify_filter)',
        '@list': '(__mmunotify_joined , %s)' % ' '.join(offer[1:]),
    }
    if kind == '@nothing':
        return ' -f'
    return " -f -a '%s'" % actions.get(kind, ' '.join(offer))


def fish(commands, keys):
    lines = []
    taking = []
    for command in commands:
        at = '__mmunotify_in %s' % (command.name or "''")
        head = "complete -c mmunotify -n %s" % quote(at if command.name else '__fish_use_subcommand')
        for option in command.options:
            line = head + ''.join(' -s ' + n[1:] for n in option.short())
            line += ''.join(' -l ' + n[2:] for n in option.long())
            if option.takes == 'required':
                line += ' -r'
                taking += ['%s:%s' % (command.name, n) for n in option.names]
            if option.offer:
                line += fish_offer(option.offer)
            lines.append(line + ' -d ' + quote(option.brief()))
        if command.offer == ['@command']:
            lines.append("complete -c mmunotify -n '__mmunotify_running %s' -a '(__mmunotify_run)'" %
                         command.name)
        elif command.offer:
            lines.append(head + fish_offer(command.offer))
        elif command.name == 'help':
            lines.append(head + " -a '%s'" % ' '.join(c.name for c in commands[1:] if c is not command))
    for command in commands[1:]:
        lines.append('complete -c mmunotify -n __fish_use_subcommand -a %s -d %s' %
                     (command.name, quote(command.summary)))
    filters = ["\t\tcase '%s=*' '%s!=*'\n\t\t\tset words %s" % (key, key, ' '.join(words))
               for key, words in keys.items() if isinstance(words, list)]
    words = "{'%s'}" % "','".join(filter_keys(keys).split())
    return (HEADER % 'fish' + FISH.replace('@FILTER@', '\n'.join(filters)).replace('@KEYS@', words)
            .replace('@TAKING@', ' '.join(taking)) + '\n'.join(lines) + '\n')


def main():
    shell, tool = sys.argv[1:]
    commands = read_commands(tool)
    if shell == '--list':
        print(json.dumps({'commands': {c.name: {
            'summary': c.summary, 'operand': c.operand, 'offer': c.offer,
            'options': [o.describe() for o in c.options]} for c in commands},
            'filter': read_filter(tool), 'missing': MISSING}, indent=1))
    else:
        print({'bash': bash, 'zsh': zsh, 'fish': fish}[shell](commands, read_filter(tool)), end='')


if __name__ == '__main__':
    main()
