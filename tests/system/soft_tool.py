#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""mmunotify soft: the scenarios word for word, outcomes, bad scripts, formats, statuses.

    soft_tool.py MMUNOTIFY SCENARIOS EXPECTED [--write]

With --write the scenarios' output is written into EXPECTED instead of compared.
"""
import glob
import json
import os
import random
import re
import subprocess
import sys
import time

from tap import done, equal, ok

TOOL, SCENARIOS, EXPECTED = sys.argv[1:4]
WRITE = '--write' in sys.argv[4:]
LICENCE = '# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause\n'
FAILED, SCRIPT, ENVIRONMENT = 1, 2, 3


def run(*args, text=None, stdout=subprocess.PIPE):
    return subprocess.run([TOOL, 'soft', *args], input=text, stdout=stdout,
                          stderr=subprocess.PIPE, text=True, timeout=300, check=False)


def play(script, *args):
    return run(*args, '-', text=script)


def by_thread(output):
    """Each thread's lines in their order; how threads interleave is theirs to choose."""
    lines = {}
    for line in output.splitlines():
        match = re.match(r'\[(\w+)\] ', line)
        lines.setdefault(match.group(1) if match else '', []).append(line)
    return ''.join(line + '\n' for name in sorted(lines) for line in lines[name])


# Which rule or bug a scenario is about.
ABOUT = {
    'fork_cow': 'B23, S11: a device loses the right to write at fork',
    'gru_registers_in_mmap': 'R4: registration inside an mmap handler',
    'interval_retry': 'an interval reader retries for its own range only',
    'ksm': 'merged pages are separated again',
    'kvm_guest': 'a guest follows the memory of its program',
    'mm_lock_against_truncate': 'B5, R1, R2: registration waits for an open section',
    'mm_lock_shared_locks': 'L1, L2: each shared lock once, in order',
    'nonlinear': 'pages change although no VMA does',
    'reclaim_young': 'S9: what a device uses is kept',
    'refused_nonblock': 'B7, B8: a refused section is over for all who saw it',
    'register_under_mmap_lock': 'B6, R4: two forms of registration',
    'releaseless_notifier': 'U9: the checker catches the access after exit',
    'stale_device': 'the checker catches each kind of stale access',
    'unregister_against_exit': 'U3, U5, B2: exit and unregister wait for each other',
}


# What comes or not, as the threads happen to run.
EITHER_WAY = {'mm_lock_against_truncate': r'^\[cutter\] +new on A: .* 0x101000-.*\n'}


def test_scenarios():
    scripts = sorted(glob.glob(os.path.join(SCENARIOS, '*.mmun')))
    equal([os.path.basename(s)[:-5] for s in scripts], sorted(ABOUT), 'every scenario is known')
    for script in scripts:
        name = os.path.basename(script)[:-5]
        path = os.path.join(EXPECTED, name + '.out')
        result = run(script)
        got = LICENCE + re.sub(EITHER_WAY.get(name, r'\Z'), '', by_thread(result.stdout),
                               flags=re.M)
        if WRITE:
            with open(path, 'w', encoding='utf-8') as file:
                file.write(got)
        with open(path, encoding='utf-8') as file:
            wanted = file.read()
        ok((result.returncode, got, result.stderr) == (0, wanted, ''),
           '%s: %s' % (name, ABOUT.get(name, '')), result.stdout + result.stderr)


def test_mm_locks():
    """The two stories of mm_lock, with each way to do it."""
    for name in ('mm_lock_against_truncate', 'mm_lock_shared_locks'):
        with open(os.path.join(SCENARIOS, name + '.mmun'), encoding='utf-8') as file:
            body = file.read().replace('machine mm_lock sort\n', '')
        for way in ('percpu_rwsem', 'sort', 'mark'):
            result = play('machine mm_lock %s\n%s' % (way, body))
            ok(result.returncode == 0, 'L2: %s with mm_lock %s' % (name, way),
               result.stdout + result.stderr)


def test_commands():
    """Each command of the language is played by a scenario or by this script."""
    path = os.path.join(EXPECTED, 'commands.mmun')
    result = run(path)
    equal((result.returncode, result.stderr), (0, ''), 'commands: the script of all the others')
    scripts = [path] + glob.glob(os.path.join(SCENARIOS, '*.mmun'))
    text = ''
    for script in scripts:
        with open(script, encoding='utf-8') as file:
            text += file.read()
    first = set(re.findall(r'(?:^|[;{]|expect [A-Za-z_]+) *\t*([a-z_]+)', text, re.M))
    commands = {line.split()[0] for line in run('--commands').stdout.splitlines()}
    equal(sorted(commands - first), [], 'commands: each is played')


def test_damaged_scripts():
    """A damaged script is refused, fails or works; the tool never crashes or hangs."""
    generator = random.Random(3)
    with open(os.path.join(EXPECTED, 'commands.mmun'), encoding='utf-8') as file:
        words = re.split(r'(\s+)', file.read())
    statuses = set()
    for _ in range(60):
        damaged = list(words)
        for _ in range(generator.randint(1, 3)):
            at = generator.randrange(len(damaged))
            damaged[at] = generator.choice(words + ['{', '}', '"', ';', '=', '#', '\xff'])
        statuses.add(play(''.join(damaged), '--quiet', '--timeout=20').returncode)
    ok(statuses <= {0, FAILED, SCRIPT}, 'damaged scripts: refused or judged', statuses)


BAD = [
    ('task A\n  frobnicate A\n', '2:3', "there is no command 'frobnicate'"),
    ('task A; unmap A x 1p', '1:17', "there is no 'x' yet"),
    ('task A; unmap A 0+x 1p', '1:19', "there is no 'x' yet"),
    ('task A; map A 0x1000z 1p rw', '1:15', "'0x1000z' is no number"),
    ('task A; map A any 1p rq', '1:22', "'rq' is none of: none r w"),
    ('task A; map A any 1p rw shiny', '1:25', "'shiny' has no place here: map TASK"),
    ('task A; map A any 1p rw fixed fixed', '1:31', "'fixed' is said twice"),
    ('task A; write A 0x10 "abc', '1:22', 'no closing quote'),
    ('task A; write A 0x10 "a\\qc"', '1:24', 'an escape is one of'),
    ('start t { task A', '1:17', 'the block of line 1 is not closed'),
    ('start t task', '1:9', 'a block in braces is expected'),
    ('task A }', '1:8', 'this brace closes nothing'),
    ('task A\ntask A', '2:6', "'A' is a task since line 1 already"),
    ('task 9', '1:6', "'9' cannot be a name"),
    ('task EINVAL', '1:6', "'EINVAL' cannot be a name"),
    ('task A; machine', '1:9', 'machine must be the first command'),
    ('task A; expect A starts = 1', '1:16', "'A' is a task (line 1); here a notifier"),
    ('task A; notifier n on A; expect n foo = 1', '1:35', "a notifier has no counter 'foo'"),
    ('task A; expect pagemap A 0', '1:9', 'what is expected of the entry is missing'),
    ('expect', '1:7', 'here an outcome (SIGSEGV, ENOMEM, again...)'),
    ('expect stats foo = 1', '1:14', "'foo' is none of"),
    ('task A; unmap A 1p', '1:19', 'something is missing here: unmap TASK ADDRESS SIZE'),
    ('task A; fork A to B', '1:16', "here 'as' is expected, not 'to'"),
    ('task A; unmap A 99999999999999999999 1p', '1:17', 'does not fit into 64 bits'),
    ('task A; unmap A 1+1+1+1+1+1+1 1p', '1:29', 'a sum has at most 6 terms'),
    ('task A; expect ENOSUCH unmap A 1p 1p', '1:16', "there is no 'ENOSUCH' yet"),
    ('print hello', '1:7', 'a text in double quotes is expected'),
    ('task A\x01', '1:7', 'the byte 0x01 has no place'),
    ('task A \x00', '1:8', 'the byte 0x00 has no place'),
    ('{ task A }', '1:1', "here a command is expected, not '{'"),
    ('parallel { ' * 9, '1:98', 'nested deeper than 8'),
]


def test_bad_scripts():
    for script, place, reason in BAD:
        result = play(script)
        lines = result.stderr.splitlines()
        ok(result.returncode == SCRIPT and result.stdout == '' and
           lines[0].startswith('-:%s: error: ' % place) and reason in lines[0] and
           lines[2] == '  ' + ' ' * (int(place.split(':')[1]) - 1) + '^',
           'bad script: %s' % ascii(script[:40]), (result.returncode, result.stdout, lines))
    result = play('task A\nprint "begun"\nnonsense')
    equal((result.returncode, result.stdout), (SCRIPT, ''),
          'bad script: nothing has run when a later line is wrong')
    result = play('task A\n\tunmap A y 1p')
    equal(result.stderr.splitlines()[1:], ['  \tunmap A y 1p', '  \t        ^'],
          'bad script: the caret stands below the word behind a tab')


MEMORY = 'task A; map A 0x100000 4p rw as b; fill A b 4p 1\n'
FAILING = [
    ('read A 0x5000', 'the command ended with SIGSEGV, which was not expected'),
    ('expect SIGBUS read A 0x5000', 'SIGBUS was expected, but the command ended with SIGSEGV'),
    ('expect EINVAL unmap A b 1p', 'EINVAL was expected, but the command succeeded'),
    ('read A b 2', '0x2 was expected, but 0x1 is there'),
    ('write A b "ab"; read A b "ac"', '"ac" was expected, but "ab" is there'),
    ('exit A; read A b', "task 'A' has exited"),
    ('notifier n on A; expect n starts = 1', 'starts was expected to be 1, but is 0'),
    ('expect stats forks = 1', 'forks was expected to be 1, but is 0'),
    ('expect maps A = 2', 'the number of mappings was expected to be 2, but is 1'),
    ('expect pagemap A b not_present', 'expected to be not present, and is'),
    ('ksm; expect pagemap A b not_ksm; expect pagemap A b ksm', 'expected to be ksm, and is not'),
    ('expect pagemap A b swapped', 'expected to be swapped, and is not'),
    ('notifier n on A; unregister n; unregister n', "'n' is not registered"),
    ('notifier n on A; go n', "'n' is in no blocked callback"),
    ('interval i on A b 1p; block i end', 'an interval notifier has only a start'),
    ('interval i on A b 1p; retry i', "no read of 'i' has begun"),
    ('file F 1p; pread F 1p 0', 'the file has 0 bytes there, not 8'),
    ('start t { exit A }; expect waiting t', "'t' was expected to wait, but has ended"),
    ('start t { read A b 2 }; join t', '0x2 was expected'),
    ('device D on A careless; load D b; unmap A b 1p; load D b', 'ended with freed'),
    ('expect EFAULT map A any 1p rw as c; print "x"', 'EFAULT was expected'),
    ('expect EINVAL map A 0x1 1p rw fixed as c; unmap A c 1p', "'c' has no value yet"),
    ('start t { clone A as C }; file G 1p; close G; truncate G 0', "there is no file 'G' now"),
]


def test_failures():
    for script, reason in FAILING:
        result = play(MEMORY + script)
        ok(result.returncode == FAILED and reason in result.stderr and
           re.match(r'-:2:\d+: failed: ', result.stderr), 'failure: ' + script,
           result.stdout + result.stderr)
        # The sanitizer's own status is that of a failed run; what it says is not.
        equal(result.stderr.count('\n'), 3, 'failure: nothing is left behind: ' + script)
    result = play(MEMORY + 'read A 0x5000; print "after"')
    ok('after' not in result.stdout, 'failure: no command is begun after it', result.stdout)
    result = play('machine memory 4p\ntask A')
    equal(result.returncode, FAILED, 'failure: a machine that cannot be')
    result = play('expect EINVAL machine map_count 0x100000001')
    equal(result.returncode, 0, 'failure: a number of mappings that does not fit')
    results = [play('task A\nparallel { start T { print "x" } } and { expect maps A = 7 }')
               for _ in range(20)]
    equal({(r.returncode, r.stderr.count('\n')) for r in results}, {(FAILED, 3)},
          'failure: while another thread starts one')


STUCK = MEMORY + 'notifier n on A; block n start; start x { unmap A b 1p }\n'


def test_waiting():
    result = play(STUCK)
    ok(result.returncode == FAILED and 'thread x waits here and nothing will wake it' in
       result.stderr, 'waiting: a callback that nobody lets go', result.stderr)
    result = play(STUCK + 'wait n; join x', '--timeout=1')
    ok(result.returncode == FAILED and 'thread x waits here' in result.stderr and
       'the script waits here' in result.stderr, 'waiting: who waits for whom', result.stderr)
    result = play(STUCK + 'wait n; go n; join x; expect SIGSEGV read A b')
    equal(result.returncode, 0, 'waiting: a callback that goes on')
    result = play(MEMORY + 'notifier n on A; device D on A without release; load D b\n'
                  'block n start; start x { unmap A b 1p }; wait n; start u { unregister D }\n'
                  'go n; join x; join u; load D b+1p 1', '--timeout=60')
    equal((result.returncode, result.stderr), (0, ''),
          'R3: a device that leaves inside a section waits for no end')
    result = play(MEMORY + 'parallel { touch A b 1p } and { print "1" } and { print "2" }')
    equal(result.returncode, 0, 'parallel: three blocks')
    result = play('task A\nparallel {\nfork A as C\n} and {\nprint "x"\n}')
    equal(result.returncode, 0, 'parallel: names made in a block')


def test_slow_reader():
    """More output than a pipe holds, and a reader who lets the run wait: a pager."""
    reads = 'read A b\n' * 4000
    for script, what in ((reads, 'the script'), ('start t {\n%s}\n' % reads, 'a thread')):
        with subprocess.Popen([TOOL, 'soft', '--timeout=1', '-'], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run_:
            run_.stdin.write(MEMORY + script)
            run_.stdin.close()
            run_.stdout.readline()
            time.sleep(3)
            lines = run_.stdout.read().count('= 0x1\n')
            equal((run_.wait(), lines, run_.stderr.read()), (0, 4000, ''),
                  'slow reader: %s is not taken for stuck' % what)


def test_output():
    script = MEMORY + 'notifier n on A; unmap A b 1p; maps A; pagemap A b+1p; print "done"'
    lines = play(script, '--json').stdout.splitlines()
    objects = [json.loads(line) for line in lines]
    sections = [o for o in objects if o['type'] in ('start', 'end')]
    equal([(o['type'], o['notifier'], o['task'], o['start'], o['end'], o['class'],
            o['operation'], o['blockable'], o['line']) for o in sections],
          [(t, 'n', 'A', '0x100000', '0x101000', 'unmap', 'munmap', True, 2)
           for t in ('start', 'end')], 'JSON: a section')
    equal([(o['start'], o['end'], o['rights']) for o in objects if o['type'] == 'map'],
          [('0x101000', '0x104000', 'rw-p')], 'JSON: maps')
    equal([o['present'] for o in objects if o['type'] == 'entry'], [True], 'JSON: pagemap')
    failure = [json.loads(line) for line in
               play(MEMORY + 'read A b 2', '--json').stdout.splitlines()][-1]
    equal((failure['type'], failure['line']), ('failure', 2), 'JSON: a failure')
    equal(play(script, '--quiet').stdout,
          '    A 000000101000-000000104000 rw-p 00000000 anon_vma\n'
          '    A 0x101000: present writable young dirty soft_dirty frame 1 refs 1 maps 1\n'
          '    done\n', 'quiet: answers only')
    text = play('task A; map A 0x100000 1p r as b; unmap A b 1p', '-m').stdout
    equal((text.count('A has no mappings'), text.count('r--p')), (2, 1),
          'maps after each command')
    equal(play(script).stdout, play(script).stdout, 'the same script prints the same')


def test_usage():
    for args in ([], ['a', 'b'], ['--unknown'], ['--timeout=0', '-'], ['--timeout=x', '-'],
                 ['-e', 'task A', 'more'], ['-e', 'task A', '-e', 'exit A']):
        result = run(*args)
        equal((result.returncode, result.stdout), (SCRIPT, ''), 'usage: %s' % args)
        ok("'mmunotify soft --help'" in result.stderr, 'usage: %s points to the help' % args)
    result = run('--help')
    ok(result.returncode == 0 and '--maps-after-each' in result.stdout, 'usage: --help')
    equal(run('-e', 'task A; exit A').returncode, 0, 'usage: -e')
    equal(run('-n', '-e', 'task A; exit A; exit A').returncode, 0, 'usage: --check runs nothing')
    equal(run('-n', '-e', 'tusk A').returncode, SCRIPT, 'usage: --check sees mistakes')
    result = run('/nonexistent')
    equal((result.returncode, result.stderr.count('\n')), (ENVIRONMENT, 1),
          'usage: no such file')
    with open('/dev/full', 'w', encoding='ascii') as full:
        for args in (['-e', 'task A'], ['--commands'], ['--help']):
            equal(run(*args, stdout=full).returncode, ENVIRONMENT,
                  'usage: output that cannot be written: %s' % args[0])


def test_man_page():
    """Every command of the language is in the manual, with its arguments."""
    page = os.path.join(SCENARIOS, '../../docs/man/mmunotify-soft.1.scd')
    with open(page, encoding='utf-8') as file:
        words = set(re.findall(r'^\*([a-z_]+)', file.read(), re.M))
    commands = {line.split()[0] for line in run('--commands').stdout.splitlines()}
    equal(sorted(commands - words), [], 'manual: every command is there')


def main():
    test_scenarios()
    test_mm_locks()
    test_commands()
    test_damaged_scripts()
    test_bad_scripts()
    test_failures()
    test_waiting()
    test_slow_reader()
    test_output()
    test_usage()
    test_man_page()
    done()


main()
