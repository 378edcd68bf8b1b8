#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Pages of --html in a real browser: what they show is what was recorded.

    page.py MMUNOTIFY WORKLOAD RECORDER
"""
import collections
import json
import os
import sys
import traceback

import browser as browsers
from tap import diag, done, equal, ok, skip_all
from trace_tool import TOOL, WORKLOAD, events, objects, path, run, tool

RECORDER = os.path.abspath(sys.argv[3])
SUMS = '''[...document.querySelectorAll('#panel tbody tr, #total')].map((row) => [row.id === 'total' ? 'total' :
  row.cells[0].innerText.split('\\n')[0], ...[...row.cells].slice(2).map((cell) => Number(cell.dataset.value))])'''


def make(name, recording):
    page = path(name + '.html')
    result = tool('replay', '--html', page, recording)
    equal((result.returncode, result.stdout, result.stderr), (0, '', ''), '%s: a page is made' % name)
    return page


def recorded(name, kind):
    recording = path(name)
    made = run(RECORDER, kind, recording)
    if made.returncode:
        raise RuntimeError(made.stderr)
    return recording


def shown(tab):
    """{name: (events, time, mean, longest, bytes)} of a table, with 'total'."""
    TAB.click('#tab-' + tab)
    return {row[0]: tuple(row[1:]) for row in TAB.value(SUMS)}


def plain(rows):
    return {name: (row[0], row[1], row[3], row[4]) for name, row in rows.items()}


def summed(lines, key):
    """The same from the events of replay --json."""
    rows = collections.defaultdict(lambda: [0, 0, 0, 0])
    for event in lines:
        for name in (key(event), 'total'):
            row = rows[name]
            row[0] += 1
            row[1] += event['duration_ns']
            row[2] = max(row[2], event['duration_ns'])
            row[3] += 0 if event['range'] == 'all' else event['size']
    return {name: tuple(row) for name, row in rows.items()}


def quiet(what):
    equal(TAB.noise, [], '%s: no error, no message, no request' % what)
    TAB.noise.clear()


def test_numbers(lines, summary):
    """Every table is the program's events, and what --summary counts."""
    equal(plain(shown('op')), summed(lines, lambda e: e['op']), 'operations: as in --json')
    equal(plain(shown('outcome')), summed(lines, lambda e: e['outcome']), 'outcomes: as in --json')
    threads = summed(lines, lambda e: (e['pid'], e['tid']))
    equal(sorted(plain(shown('thread')).values()), sorted(threads.values()), 'threads: as in --json')
    total = plain(shown('mapping'))['total']
    rows = summary['tables'][0]['rows']
    equal(total, (sum(r['events'] for r in rows), sum(r['time_ns'] for r in rows),
                  max(r['max_ns'] for r in rows), sum(r['bytes'] for r in rows)),
          'mappings: their sum is that of --summary')
    equal({r['operation']: r['events'] for r in rows},
          {name: row[0] for name, row in shown('op').items() if name != 'total'},
          'operations: as in --summary')
    quiet('tables')


def test_hover(lines):
    """The pointer on a cell: what the event was."""
    event = max((e for e in lines if e['range'] != 'all' and e['size'] < 1 << 30),
                key=lambda e: e['size'])
    point = TAB.value('''(() => {
      const i = d3.range(map.cube.cells).find((i) => map.cube.lo[map.cube.r[i]] === %d &&
        map.cube.hi[map.cube.r[i]] === %d && map.cube.time[i] === %d);
      map.node.scrollIntoView({block: 'center'});
      const box = map.node.getBoundingClientRect(), at = map.point(i);
      return [box.left + at[0], box.top + at[1]];
    })()''' % (int(event['start'], 16), int(event['end'], 16), event['duration_ns']))
    TAB.settle()
    TAB.mouse('mouseMoved', *point)
    TAB.settle()
    text = TAB.value('document.getElementById("tip").innerText')
    ok(not TAB.value('document.getElementById("tip").hidden'), 'hover: something is said')
    for word in (event['op'], event['start'], event['end'], event['class'], event['outcome']):
        ok(word in text, 'hover: with %s' % word.split('0x')[0], text)
    TAB.mouse('mouseMoved', 3, 3)
    TAB.settle()
    ok(TAB.value('document.getElementById("tip").hidden'), 'hover: and not elsewhere')
    quiet('hover')


def test_zoom(lines):
    """Drag in the overview, back, keys; tables follow."""
    x, y = TAB.place('#overview')
    TAB.drag(x - 150, y - 10, x + 150, y - 10)
    t0, t1 = TAB.value('[view.t0, view.t1]')
    ok(0 < t0 < t1 < TAB.value('DURATION'), 'zoom: a part of the time is shown', (t0, t1))
    within = [e for e in lines if t0 <= e['since'] < t1]
    equal(plain(shown('op')), summed(within, lambda e: e['op']) or {'total': (0, 0, 0, 0)},
          'zoom: tables count what is shown')
    x, y = TAB.place('#lanes')
    TAB.click_at(x, y, count=2)
    equal(TAB.value('[view.t0, view.t1 === DURATION]'), [0, True], 'zoom: double click goes back')
    TAB.value('map.node.focus({preventScroll: true})')
    TAB.key('+')
    middle = TAB.value('[view.t0, view.t1]')
    TAB.key('ArrowRight')
    moved = TAB.value('[view.t0, view.t1]')
    ok(0 < middle[0] < moved[0] and middle[1] < moved[1], 'keys: + and arrow', (middle, moved))
    TAB.key(']')
    ok(TAB.value('view.a0 !== null || map.bands.length === 1'), 'keys: ] zooms in addresses')
    for _ in range(40):
        TAB.key('[')
        if TAB.value('view.a0 === null'):
            break
    ok(TAB.value('view.a0 === null'), 'keys: [ comes back to all addresses')
    TAB.key('0')
    ok(TAB.value('everything()'), 'keys: 0 shows everything')
    TAB.value('map.node.focus({preventScroll: true})')
    TAB.key('n')
    TAB.key('n')
    said = TAB.value('document.getElementById("live").textContent')
    ok('took' in said and 'range' in said, 'keys: n says what the next cell is', said)
    x, y = TAB.place('#map')
    TAB.drag(x - 100, y - 120, x + 200, y + 60)
    equal(TAB.value('[view.a0 !== null, view.t0 > 0]'), [True, True],
          'drag in the address space: an area')
    TAB.key('Escape')
    ok(TAB.value('everything()'), 'keys: Escape shows everything')
    quiet('zoom')


def test_filters(lines):
    op = collections.Counter(e['op'] for e in lines).most_common(1)[0][0]
    some = [e for e in lines if e['op'] == op]
    shown('op')
    row = TAB.value('1 + [...document.querySelectorAll("#panel tbody tr")].findIndex((row) => '
                    'row.cells[0].innerText === %s)' % json.dumps(op))
    TAB.click('#panel tbody tr:nth-child(%d)' % row)
    equal(plain(shown('outcome')), summed(some, lambda e: e['outcome']), 'a click on a row filters')
    TAB.click('.chip')
    ok(TAB.value('everything()'), 'a click on the chip ends that')
    TAB.key('/')
    equal(TAB.value('document.activeElement.id'), 'search', 'keys: / searches')
    TAB.type('op:' + op)
    equal(plain(shown('op')), summed(some, lambda e: e['op']), 'search finds an operation')
    ok(TAB.value('document.getElementById("found").textContent').startswith('%d of' % len(some)),
       'search: says how many')
    where = some[0]
    TAB.value('(() => { search.value = ""; search.focus(); })()')
    TAB.type(where['start'])
    at = int(where['start'], 16)
    hits = [e for e in lines if int(e['start'], 16) <= at < int(e['end'], 16)]
    equal(plain(shown('op')), summed(hits, lambda e: e['op']), 'search finds an address')
    TAB.value('(() => { search.value = ""; search.focus(); })()')
    TAB.type('nothing-has-this-name')
    equal(shown('op')['total'][0], 0, 'search finds nothing where nothing is')
    TAB.click('#reset')
    quiet('filters')


def test_table():
    rows = list(shown('mapping').items())
    times = [row[1][1] for row in rows if row[0] != 'total']
    equal(times, sorted(times, reverse=True), 'table: longest first')
    for column, at in (('n', 0), ('bytes', 4)):
        TAB.click('#panel th button[data-column=%s]' % column)
        values = [row[1][at] for row in shown('mapping').items() if row[0] != 'total']
        equal(values, sorted(values, reverse=True), 'table: sorts by %s' % column)
    TAB.click('#panel th button[data-column=bytes]')
    values = [row[1][4] for row in shown('mapping').items() if row[0] != 'total']
    equal(values, sorted(values), 'table: and the other way')
    equal(TAB.value('document.querySelector("#panel th[aria-sort]").getAttribute("aria-sort")'),
          'ascending', 'table: says so to readers')
    TAB.value('document.activeElement.blur()')
    TAB.key('3')
    equal(TAB.value('table.tab'), 'stack', 'keys: 3 is the stacks')
    TAB.value('document.querySelector("#tab-stack").focus()')
    TAB.key('ArrowRight')
    equal(TAB.value('[table.tab, document.activeElement.id]'), ['process', 'tab-process'],
          'keys: arrows move among tabs')
    TAB.value('document.querySelector("#panel tbody tr").focus()')
    TAB.key('Enter')
    ok(TAB.value('Object.keys(view.filters).length === 1'), 'keys: Enter on a row filters')
    TAB.value('document.activeElement.blur()')
    TAB.key('0')
    quiet('table')


def test_colours():
    def ground():
        return TAB.value('getComputedStyle(document.body).backgroundColor')
    light = ground()
    TAB.media(prefers_color_scheme='dark')
    TAB.settle()
    dark = ground()
    ok(light != dark, 'dark where the browser is', (light, dark))
    TAB.click('#theme')
    equal(ground(), light, 'the switch makes it light')
    TAB.value('document.activeElement.blur()')
    TAB.key('d')
    equal(ground(), dark, 'and d dark again')
    TAB.media(prefers_color_scheme='light')
    for by in ('kind', 'op', 'outcome', 'class'):
        TAB.value('(() => { const c = document.getElementById("colour"); c.value = "%s";'
                  'c.onchange(); })()' % by)
        TAB.settle()
        ok(TAB.value('document.querySelectorAll("#legend button").length') > 0,
           'colour by %s' % by)
    quiet('colours')


def test_access():
    """Roles and names; nothing wider than the window."""
    tree = TAB.call('Accessibility.getFullAXTree')['nodes']
    roles = collections.Counter(node['role']['value'] for node in tree if not node['ignored'])
    for role in ('main', 'banner', 'searchbox', 'tablist', 'tab', 'tabpanel', 'table', 'row',
                 'columnheader', 'status'):
        ok(roles[role], 'reader: has a %s' % role, roles)
    nameless = [node['role']['value'] for node in tree if not node['ignored'] and
                node['role']['value'] in ('button', 'searchbox', 'combobox', 'tab', 'application')
                and not node.get('name', {}).get('value')]
    equal(nameless, [], 'reader: whatever can be used has a name')
    TAB.value('document.activeElement.blur()')
    TAB.key('?')
    ok(TAB.value('document.getElementById("help").open'), 'keys: ? is help')
    TAB.key('Escape')
    for width in (360, 800, 2400):
        TAB.resize(width, 900)
        TAB.settle()
        TAB.settle()
        wide = TAB.value('''[...document.querySelectorAll('body *')].filter((node) =>
          !node.closest('#panel, .hidden, .skip, svg') && node.getBoundingClientRect().right > innerWidth + 1)
          .map((node) => node.tagName + '#' + node.id + '.' + node.className)''')
        equal(wide, [], 'at %d pixels nothing hangs over' % width)
    TAB.resize(1400, 1000)
    TAB.settle()
    quiet('access')


def test_real():
    recording = path('real.mmun')
    result = run(TOOL, 'trace', '-k', '-o', recording, '--', WORKLOAD, 'basic')
    equal(result.returncode, 0, 'a program is recorded')
    lines = objects(tool('replay', '--json', recording).stdout)
    summary = json.loads(tool('replay', '--summary', '--json', recording).stdout)
    for line in events(lines):
        line['since'] = round(line['time'] * 1e9)
    lines = events(lines)
    TAB.open(make('real', recording))
    quiet('a real recording')
    ok(TAB.value('CUBES.length === 1 && CUBES[0].exact'), 'every event is there by itself')
    test_numbers(lines, summary)
    ok(any('main' in row for row in shown('stack')) or
       'main' in TAB.value('JSON.stringify(LABELS.stack)'), 'stacks have functions')
    test_hover(lines)
    test_zoom(lines)
    test_filters(lines)
    test_table()
    test_colours()
    test_access()


def test_live():
    page = path('live.html')
    result = run(TOOL, 'trace', '--html', page, '--', WORKLOAD, 'basic')
    equal((result.returncode, result.stderr), (0, ''), 'trace --html')
    TAB.open(page)
    ok(TAB.value('D.head.n') > 10 and TAB.value('hasStacks'), '... has events, and stacks')
    quiet('trace --html')


def test_hostile():
    TAB.open(make('hostile', recorded('hostile.mmun', 'hostile')))
    for tab in ('op', 'mapping', 'stack', 'process', 'thread', 'outcome'):
        shown(tab)
    equal(TAB.value('String(window.broken)'), 'undefined', 'no name is run')
    equal(TAB.value('document.querySelectorAll("img, script:not([type])").length'), 6,
          'and none becomes an element')
    ok(TAB.value('LABELS.process.some((p) => p.startsWith("</script><script>window.broken=1"))'),
       'they are shown as they are')
    ok(TAB.value('!LABELS.process.concat(LABELS.mapping).some((p) => /[\\u0000-\\u001f\\u202e]/.test(p))'),
       'but for what nobody can see')
    equal(TAB.value('D.head.n'), shown('op')['total'][0], 'and counted')
    quiet('hostile names')


def test_many(kind, nr, folds):
    recording = recorded('many.mmun', kind)
    page = make('a large recording of %s' % kind, recording)
    summary = json.loads(tool('replay', '--summary', '--json', recording).stdout)
    ok(os.path.getsize(page) < 4 << 20, '... of less than 4 MiB', os.path.getsize(page))
    TAB.open(page)
    quiet('a large recording')
    ok(('were put together' if folds else 'gathered into cells') in
       TAB.value('document.getElementById("made").innerText'), '... says what it gathered')
    total = tuple(sum(row[key] for row in summary['tables'][0]['rows']) for key in
                  ('events', 'time_ns', 'bytes'))
    equal(total[0], nr, '... of all its events')
    for tab in ('op', 'mapping', 'stack', 'process', 'thread', 'outcome'):
        row = shown(tab)['total']
        equal((row[0], row[1], row[4]), total, '... sums by %s are those of --summary' % tab)
    equal({r['operation']: (r['events'], r['time_ns'], r['max_ns'], r['bytes'])
           for r in summary['tables'][0]['rows']},
          {name: row for name, row in plain(shown('op')).items() if name != 'total'},
          '... each operation too')
    equal(TAB.value('''CUBES.every((cube) => d3.sum(cube.n) === D.head.n &&
                    d3.sum(cube.time) === D.head.time && d3.sum(cube.bytes) === D.head.bytes)'''),
          True, '... so are those of all cells')
    equal(TAB.value('D.process[0].folded > 0'), folds, '... the least are put together')
    x, y = TAB.place('#overview')
    TAB.drag(x - 200, y - 10, x + 100, y - 10)
    ok(0 < shown('op')['total'][0] < nr, '... a part can be looked at')
    TAB.key('0')
    quiet('a large recording, used')


def test_files():
    recording = recorded('some.mmun', '100')
    with open(recording, 'rb') as file:
        before = file.read()
    result = tool('replay', '--html', recording, recording)
    ok(result.returncode == 2 and recording in result.stderr, 'not over the recording itself',
       result)
    with open(recording, 'rb') as file:
        equal(file.read(), before, '... which stays as it was')
    result = tool('replay', '--html', '/dev/full', recording)
    equal((result.returncode, result.stderr),
          (2, 'mmunotify replay: /dev/full: cannot be written: No space left on device\n'),
          'a full disk is called that')
    missing = path('missing/page.html')
    result = tool('replay', '--html', missing, recording)
    ok(result.returncode == 2 and missing in result.stderr, 'no folder for it', result)
    page = path('old.html')
    with open(page, 'w', encoding='utf-8') as file:
        file.write('old')
    with open(path('cut.mmun'), 'wb') as file:
        file.write(before[:len(before) // 2])
    result = tool('replay', '--html', page, path('cut.mmun'))
    equal(result.returncode, 1, 'of a damaged recording what can be read')
    TAB.open(page)
    ok('ends before' in TAB.value('document.getElementById("warning").innerText'),
       '... and the page says so')
    quiet('a damaged recording')
    page = path('empty.html')
    tool('replay', '--html', page, '--filter', 'op=none', recording)
    TAB.open(page)
    equal(TAB.value('[D.head.n, document.querySelector("#map").innerText.includes("no events")]'),
          [0, True], 'a page of nothing says so')
    TAB.value('map.node.focus({preventScroll: true})')
    for key in '123456n+][-0':
        TAB.key(key)
    quiet('a page of nothing, used')
    result = run('sh', '-c', 'ulimit -f 100; exec "$@"', 'sh', TOOL, 'replay', '--html', page,
                 recording)
    ok(result.returncode == 2 and page in result.stderr and 'too large' in result.stderr,
       'a file that may not be so long is an error', result)
    ok(not os.path.exists(page), '... and half a page is removed')
    result = tool('replay', '--html', '-', recording)
    ok(result.stdout.startswith('<!DOCTYPE html>') and result.stdout.endswith('</html>\n'),
       '- is standard output')
    result = tool('replay', '--html', page, '--json', recording)
    equal((result.returncode, result.stdout), (2, ''), '--html does not go with --json')


if not browsers.find():
    skip_all('no Chromium (Debian: chromium)')
TAB = browsers.Browser()
try:
    for test in (test_real, test_live, test_hostile, lambda: test_many('120000', 120000, False),
                 lambda: test_many('many', 30000, True), test_files):
        test()
except Exception:  # pylint: disable=broad-except
    diag(traceback.format_exc())
    ok(False, 'nothing unexpected')
finally:
    TAB.close()
done()
