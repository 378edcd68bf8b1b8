#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""--folded and --perfetto are what the programs read that they are made for.

    trace_profiles.py MMUNOTIFY WORKLOAD HAVE_LIBDW(0|1) HAVE_DEMANGLER(0|1) CXX...

A folded line is taken apart as flamegraph.pl does it; the trace is checked against the
Trace Event Format, member by member.
"""
import collections
import json
import os
import re
import shutil
import sys

from recording import FILE, Recording
from tap import done, equal, ok, skip
from trace_tool import WORKLOAD, events, objects, path, run, tool

HAVE_LIBDW, HAVE_DEMANGLER = (argument == '1' for argument in sys.argv[3:5])
CXX = sys.argv[5:]


def folded(text):
    """{(frame, ...): weight}, as flamegraph.pl reads it: a second number would be another weight."""
    stacks = {}
    for line in text.splitlines():
        match = re.match(r'^(.*)\s+?(\d+(?:\.\d*)?)$', line)
        if not match or re.match(r'^(.*)\s+?(\d+(?:\.\d*)?)$', match[1]):
            ok(False, 'a folded line', line)
            continue
        frames = tuple(match[1].split(';'))
        if frames in stacks:
            ok(False, 'each stack is one line', line)
        stacks[frames] = int(match[2])
    return stacks


def test_folded(recording):
    lines = events(objects(tool('replay', '-k', '--json', recording).stdout))
    for weight, total in (('events', len(lines)), ('bytes', sum(e['size'] for e in lines)),
                          ('time', sum(e['duration_ns'] for e in lines))):
        stacks = folded(tool('replay', '--folded=' + weight, recording).stdout)
        equal(sum(stacks.values()), total, '--folded=%s adds up' % weight)
    stacks = folded(tool('replay', '--folded', recording).stdout)
    equal({frames[0] for frames in stacks}, {os.path.basename(WORKLOAD)[:15]},
          'the process comes first')
    ops = collections.Counter(event['op'] for event in lines)
    last = collections.Counter()
    for frames, weight in stacks.items():
        last[frames[-1]] += weight
    equal(last, ops, 'the operation last')
    if HAVE_LIBDW:
        ok(all('main' in frames and frames.index('main') < len(frames) - 2 for frames in stacks),
           'from main inwards', list(stacks)[:2])
    live = folded(tool('trace', '--folded', WORKLOAD, 'basic').stderr)
    equal(sum(live.values()), len(lines), 'trace --folded collects stacks without -k')
    bare = path('bare')
    tool('trace', '-o', bare, '--', WORKLOAD, 'basic')
    result = tool('replay', '--folded', bare)
    ok(result.returncode == 0 and 'no event has a stack' in result.stderr and
       all(len(frames) == 2 for frames in folded(result.stdout)),
       'without stacks it says so, and has processes and operations', result.stderr)


def test_folded_names():
    recording = Recording()
    recording.process(9, b'a;b c', b'/x')
    recording.event(9, stack=[(b'/lib/in;ner 7', 1), (b'', 5)])
    recording.event(9, stack=[(b'/lib/in;ner 7', 2), (b'', 6)])
    recording.process(10, b'a;b c', b'/x')
    recording.event(10, stack=[(b'/lib/in;ner 7', 1), (b'', 5)])
    recording.event(9, stack=[(b'/l/deep', depth) for depth in range(24)])
    recording.end(9)
    stacks = folded(tool('replay', '--folded', recording.write(path('odd'))).stdout)
    equal(stacks, {('a:b_c', '[unknown]', '[in:ner 7]', 'munmap'): 3,
                   ('a:b_c', '[truncated]') + 24 * ('[deep]',) + ('munmap',): 1},
          'separators are replaced, equal stacks are one, a cut one says so')


NUMBER = (int, float)
# What each phase must and may have beside "ph" and "name", by the format's document.
MEMBERS = {
    'X': ({'ts': NUMBER, 'dur': NUMBER, 'pid': int, 'tid': int, 'cat': str, 'args': dict},
          {'sf': (int, str)}),
    'M': ({'pid': int, 'args': dict}, {'tid': int}),
    'i': ({'ts': NUMBER, 'pid': int, 'tid': int, 's': str}, {'cat': str, 'args': dict}),
}


def wrong_event(event, frames):
    """None, or what is wrong with an event of the format."""
    must, may = MEMBERS.get(event.get('ph'), (None, None))
    if must is None or not isinstance(event.get('name'), str):
        return 'phase or name'
    members = {**must, **may}
    if set(must) - set(event) or set(event) - set(members) - {'ph', 'name'}:
        return 'members %s' % sorted(event)
    for member, kind in members.items():
        if member in event and (not isinstance(event[member], kind) or
                                isinstance(event[member], bool)):
            return 'kind of %s' % member
    if event['ph'] == 'M' and (event['name'] not in ('process_name', 'thread_name') or
                               not isinstance(event['args'].get('name'), str)):
        return 'metadata'
    if event['ph'] == 'i' and event['s'] not in 'gpt':
        return 'scope'
    if event['ph'] == 'X' and event['dur'] < 0:
        return 'duration'
    if 'sf' in event and str(event['sf']) not in frames:
        return 'stack frame'
    return None


def sound(trace, name):
    """The trace is one of the format."""
    equal(set(trace), {'displayTimeUnit', 'otherData', 'traceEvents', 'stackFrames'},
          '%s: the object' % name)
    frames = trace['stackFrames']
    wrong = [(wrong_event(event, frames), event) for event in trace['traceEvents']
             if wrong_event(event, frames)]
    equal(wrong[:2], [], '%s: each event is one of the format' % name)
    wrong = [key for key, frame in frames.items()
             if not isinstance(frame['name'], str) or not isinstance(frame['category'], str) or
             ('parent' in frame and int(frame['parent']) >= int(key))]
    equal(wrong, [], '%s: stack frames are a tree' % name)
    named = {(e['pid'], e['tid']) for e in trace['traceEvents'] if e['name'] == 'thread_name'}
    equal({(e['pid'], e['tid']) for e in trace['traceEvents'] if e['ph'] == 'X'} - named, set(),
          '%s: every thread has a name' % name)


def test_perfetto(recording, name):
    trace = json.loads(tool('replay', '--perfetto', recording).stdout)
    lines = objects(tool('replay', '-k', '--json', recording).stdout)
    sound(trace, name)
    got = [(e['name'], e['cat'], e['pid'], e['tid'], round(e['ts'] * 1000), round(e['dur'] * 1000),
            e['args']['start'], e['args']['size'], e['args']['outcome'], 'sf' in e)
           for e in trace['traceEvents'] if e['ph'] == 'X']
    equal(got, [(e['op'], e['class'], e['pid'], e['tid'], round(e['time'] * 1e9), e['duration_ns'],
                 e['start'], e['size'], e['outcome'], bool(e['stack'])) for e in events(lines)],
          '%s: with exactly the events of the recording' % name)
    frames = trace['stackFrames']
    depths = []
    for event in (e for e in trace['traceEvents'] if 'sf' in e):
        depth, at = 0, str(event['sf'])
        while at:
            depth, at = depth + 1, frames[at].get('parent')
        depths.append(depth)
    equal(depths, [len(e['stack']) for e in events(lines) if e['stack']],
          '%s: stacks have all their frames' % name)
    equal([e['args']['name'] for e in trace['traceEvents'] if e['name'] == 'process_name'],
          [line['comm'] for line in lines if line['type'] == 'process'],
          '%s: and processes their names' % name)


def test_perfetto_rest(recording):
    quiet = json.loads(tool('replay', '-q', '--perfetto', recording).stdout)
    ok(all(event['ph'] in 'XM' for event in quiet['traceEvents']), '-q leaves the instants out')
    early = json.loads(tool('replay', '--perfetto', '--time=absolute', recording).stdout)
    ok(1.5e15 < min(e['ts'] for e in early['traceEvents'] if e['ph'] == 'X') < 5e15,
       '--time=absolute: microseconds since 1970')
    empty = Recording()
    sound(json.loads(tool('replay', '--perfetto', empty.write(path('empty'))).stdout), 'no events')
    with open(recording, 'rb') as file:
        content = file.read()
    with open(path('cut'), 'wb') as file:
        file.write(content[:len(content) // 2])
    result = tool('replay', '--perfetto', path('cut'))
    ok(result.returncode == 1, 'a damaged recording is said to be')
    sound(json.loads(result.stdout), 'and what is readable is whole')
    odd = Recording(command=b'\xff"\\')
    odd.process(9, b'"\\\xff', b'/x')
    odd.event(9, name=b'/tmp/"\\\n\xfe', kind=FILE, stack=[(b'/l/"\xfd', 3), (b'', 8)], after=-5000)
    trace = json.loads(tool('replay', '--perfetto', odd.write(path('odd'))).stdout)
    sound(trace, 'odd names')
    ok(min(e['ts'] for e in trace['traceEvents'] if e['ph'] == 'X') < 0,
       'what began before the trace is before 0')


SOURCE = r'''
#include <sys/mman.h>
namespace outer {
template <class T> struct Box {
	static void __attribute__((noinline)) drop(void *memory, T size)
	{
		munmap(memory, size);
		asm volatile("");
	}
};
}
int main(void)
{
	outer::Box<unsigned long>::drop(mmap(0, 1 << 20, 3, 34, -1, 0), 1 << 20);
	return 0;
}
'''


def test_names():
    if not (HAVE_LIBDW and HAVE_DEMANGLER):
        return skip('names of C++', 'built without libdw or libiberty')
    with open(path('names.cpp'), 'w', encoding='utf-8') as file:
        file.write(SOURCE)
    if not shutil.which(CXX[0]) or run(*CXX, '-O1', '-o', path('names'), path('names.cpp')).returncode:
        return skip('names of C++', 'there is no C++ compiler')
    stacks = folded(tool('trace', '--folded', '-e', 'munmap', path('names')).stderr)
    ok(any('outer::Box<unsigned long>::drop(void*, unsigned long)' in frames for frames in stacks),
       'names of C++ are as they are written', list(stacks))
    text = tool('trace', '-k', '-e', 'munmap', path('names')).stderr
    return ok('> outer::Box<unsigned long>::drop(void*, unsigned long)+0x' in text, 'in text too', text)


def bomb():
    """A mangled name of 800 bytes whose readable form has more characters than there are atoms."""
    digits = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ'
    name = '_Z1fSt4pairI1xS0_E'
    for index in range(1, 80):
        number = digits[index] if index < 36 else digits[index // 36] + digits[index % 36]
        name += 'S_IS%s_S%s_E' % (number, number)
    return name


HOSTILE = r'''
#include <sys/mman.h>
void inner(void) __asm__("%s");
void outer(void) __asm__("outer12");
__attribute__((noinline)) void inner(void) { munmap(mmap(0, 4096, 3, 34, -1, 0), 4096); asm volatile(""); }
__attribute__((noinline)) void outer(void) { inner(); asm volatile(""); }
int main(void) { outer(); return 0; }
'''


def test_hostile_symbols():
    """Symbols of the program itself are no friends either."""
    if not HAVE_LIBDW:
        return skip('hostile symbols', 'built without libdw')
    with open(path('hostile.cpp'), 'w', encoding='utf-8') as file:
        file.write(HOSTILE % bomb())
    if not shutil.which(CXX[0]) or run(*CXX, '-O1', '-o', path('hostile'), path('hostile.cpp')).returncode:
        return skip('hostile symbols', 'there is no C++ compiler')
    with open(path('hostile'), 'r+b') as file:
        content = file.read()
        file.seek(0)
        file.write(content.replace(b'\0outer12\0', b'\0;\x1b[2J\n9\0'))
    for options in (['-k'], ['--folded'], ['--summary=stack'], ['--json', '-k'], ['--perfetto', '-k']):
        result = tool('trace', '-e', 'munmap', *options, path('hostile'))
        ok(result.returncode == 0 and bomb() in result.stderr,
           '%s: a name that unfolds without end stays as it is' % options[0], result.stderr[:300])
        ok('\x1b' not in result.stderr and '[2J' in result.stderr,
           '%s: a name with a control character is escaped' % options[0], result.stderr[:300])
    stacks = folded(tool('trace', '--folded', '-e', 'munmap', path('hostile')).stderr)
    return ok(any(':\\033[2J\\0129' in frames for frames in stacks),
              'and a semicolon replaced', list(stacks))


def main():
    recording = path('recording')
    tool('trace', '-k', '-o', recording, '--', WORKLOAD, 'basic')
    test_folded(recording)
    test_folded_names()
    test_perfetto(recording, 'basic')
    several = path('several')
    tool('trace', '-k', '-o', several, '--', 'sh', '-c', '%s threads; %s fork' % (WORKLOAD, WORKLOAD))
    test_perfetto(several, 'several processes')
    test_perfetto_rest(recording)
    test_names()
    test_hostile_symbols()
    done()


main()
