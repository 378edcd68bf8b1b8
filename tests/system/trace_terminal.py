#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What people see: on terminals of any width, with and without colour, in any locale; and
that no name of a program can write to the terminal.

    trace_terminal.py MMUNOTIFY WORKLOAD
"""
import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import termios

from recording import FILE, MMAP_FIXED, Recording
from tap import done, equal, ok
from trace_tool import TOOL, WORKLOAD, objects, path, tool

HOSTILE = (b'/tmp/\x1b[2J\x07a\r\nb', b'/tmp/\xc2\x9b31mred', b'/tmp/\xe2\x80\xaetxt.exe',
           b'/tmp/\xff\xfe', b'/tmp/\x7f', b'/lib/' + b'x' * 900 + b'\x1b]0;t\x07')


def on_terminal(*args, width=80, env=None):
    """What TOOL ARGS prints on a terminal of @width columns."""
    environment = {**os.environ, 'TERM': 'xterm', 'LC_ALL': 'C.UTF-8', **(env or {})}
    for name in ('COLUMNS', 'NO_COLOR'):
        if name not in (env or {}):
            environment.pop(name, None)
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack('HHHH', 24, width, 0, 0))
    with subprocess.Popen([TOOL, *args], stdin=its, stdout=its, stderr=its, env=environment):
        os.close(its)
        out = b''
        while True:
            try:
                data = os.read(ours, 65536)
            except OSError:
                break
            if not data:
                break
            out += data
    os.close(ours)
    return out.decode('utf-8', 'surrogateescape').replace('\r\n', '\n')


def plain(text):
    return re.sub(r'\x1b\[[0-9;]*m', '', text)


def hostile_recording():
    recording = Recording(command=b'\x1b[31m\xc2\x9b')
    recording.process(70, b'sh\x1b[2J', HOSTILE[0])
    for name in HOSTILE:
        recording.event(70, name=name, kind=FILE, stack=[(name, 0x1234)])
    recording.event(70, op=MMAP_FIXED, name='/tmp/grün'.encode(), kind=FILE)
    recording.end(70)
    return recording.write(path('hostile'))


def test_columns(recording):
    piped = tool('replay', recording).stdout
    ok('operation' not in piped.splitlines()[0], 'no header in a pipe')
    wide = on_terminal('replay', recording, width=250, env={'NO_COLOR': '1'})
    ok(re.match(r' +time process/thread +operation +class +addresses +size +took outcome +mapping\n',
                wide), 'a header on a terminal', wide.splitlines()[0])
    equal([line.rstrip() for line in wide.splitlines()[1:]],
          [line.rstrip() for line in piped.splitlines()],
          'a wide terminal shows what goes into a pipe')
    for width in (132, 100, 80, 60, 40, 30, 22):
        lines = on_terminal('replay', recording, width=width, env={'NO_COLOR': '1'}).splitlines()
        ok(len(lines) == len(piped.splitlines()) + 1 and all(len(line) <= width for line in lines),
           'lines fit into %d columns' % width, [line for line in lines if len(line) > width])
    at_80 = on_terminal('replay', recording, width=80, env={'NO_COLOR': '1'}).splitlines()
    ok(all(word in at_80[0] for word in ('time', 'process', 'operation', 'size', 'outcome',
                                         'mapping')), 'what matters is there in 80', at_80[0])
    for width in (1, 3, 10):
        lines = on_terminal('replay', recording, width=width).splitlines()
        equal(len(lines), len(at_80), 'a terminal of %d columns does no harm' % width)
    columns = on_terminal('replay', recording, width=200, env={'COLUMNS': '60', 'NO_COLOR': '1'})
    ok(max(map(len, columns.splitlines())) <= 60, 'COLUMNS overrules the terminal')
    for width in (100, 60, 30):
        lines = on_terminal('replay', '--summary', recording, width=width,
                            env={'NO_COLOR': '1'}).splitlines()
        ok(len(lines) > 10 and all(len(line) <= width for line in lines),
           'tables fit into %d columns' % width, [line for line in lines if len(line) > width])


def test_colour(recording):
    def coloured(text):
        return '\x1b[' in text

    shown = on_terminal('replay', recording)
    ok(coloured(shown), 'colour on a terminal')
    equal(plain(shown), on_terminal('replay', '--color=never', recording),
          'and --color=never is the same without')
    ok(not coloured(on_terminal('replay', recording, env={'NO_COLOR': '1'})), 'NO_COLOR')
    ok(coloured(on_terminal('replay', recording, env={'NO_COLOR': ''})), 'an empty one is none')
    ok(not coloured(on_terminal('replay', recording, env={'TERM': 'dumb'})), 'TERM=dumb')
    ok(coloured(on_terminal('replay', '--color', recording, env={'NO_COLOR': '1'})),
       '--color overrules it')
    ok(not coloured(tool('replay', recording).stdout), 'no colour in a pipe')
    forced = tool('replay', '--color=always', recording).stdout
    ok(coloured(forced), 'but with --color=always')
    equal(plain(forced), tool('replay', recording).stdout, 'and the text is the same')
    output = path('coloured')
    on_terminal('replay', '-o', output, recording)
    with open(output, encoding='utf-8') as file:
        equal(file.read(), tool('replay', recording).stdout, 'a file is no terminal')
    live = on_terminal('trace', WORKLOAD, 'basic')
    ok(coloured(live) and 'operation' in plain(live), 'trace has both on its terminal')


def test_hostile():
    recording = hostile_recording()
    for options in ([], ['-k'], ['--summary'], ['-k', '--summary=mapping,process,thread,stack'],
                    ['--folded'], ['--json'], ['--json', '--summary', '-k'], ['--perfetto']):
        for locale in ('C.UTF-8', 'C', 'no_SUCH.locale'):
            result = subprocess.run([TOOL, 'replay', *options, recording], capture_output=True,
                                    check=False, env={**os.environ, 'LC_ALL': locale})
            text = result.stdout.decode('utf-8', 'surrogateescape')
            bad = re.findall('[\x00-\x09\x0b-\x1f\x7f-\x9f\udc80-\udcff]', text)
            if 'json' not in ''.join(options) and options != ['--perfetto']:
                bad += re.findall('[\u202a-\u202e]', text)
            ok(result.returncode == 0 and text and not bad,
               'no control character: %s, %s' % (' '.join(options) or '--text', locale), bad[:5])
    shown = tool('replay', recording, env={**os.environ, 'LC_ALL': 'C.UTF-8'}).stdout
    ok('grün' in shown and '\\033[2J' in shown, 'in UTF-8 letters stay, the rest is octal')
    shown = tool('replay', recording, env={**os.environ, 'LC_ALL': 'C'}).stdout
    ok('gr\\303\\274n' in shown and shown.isascii(), 'without it there is ASCII only')
    lines = objects(tool('replay', '--json', recording).stdout)
    equal(lines[2]['name'].encode(), HOSTILE[0], 'JSON has the name as it is')
    for width in (80, 30):
        lines = on_terminal('replay', recording, width=width, env={'NO_COLOR': '1'})
        ok(all(len(line) <= width for line in lines.splitlines()),
           'long names fit into %d columns' % width)
    json.loads(tool('replay', '--perfetto', recording).stdout)


def test_nowhere(recording):
    """Output that cannot be written, in each format."""
    for options in ([], ['--summary'], ['--json'], ['--folded'], ['--perfetto'],
                    ['--json', '--summary']):
        with open('/dev/full', 'w', encoding='utf-8') as full:
            result = subprocess.run([TOOL, 'replay', *options, recording], stdout=full, check=False,
                                    stderr=subprocess.PIPE, text=True)
        ok(result.returncode == 2 and 'cannot be written' in result.stderr,
           'a full disk is an error: %s' % (' '.join(options) or '--text'), result.stderr)
        result = subprocess.run([TOOL, 'replay', *options, recording], check=False, text=True,
                                stderr=subprocess.PIPE, preexec_fn=lambda: os.close(1))
        ok(result.returncode == 2 and 'cannot be written' in result.stderr,
           'so is a closed output', '%d %s' % (result.returncode, result.stderr))


def main():
    recording = path('recording')
    tool('trace', '-k', '-o', recording, '--', WORKLOAD, 'basic')
    test_columns(recording)
    test_colour(recording)
    test_hostile()
    test_nowhere(recording)
    done()


main()
