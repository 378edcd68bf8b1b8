/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The page around charts and tables: what is looked at, pointer and keys, colours, texts. */
'use strict';

const byId = (id) => document.getElementById(id);

/* One drawing for any number of changes before the next frame. */
let pending = 0;
function redraw() {
  if (!pending)
    pending = requestAnimationFrame(() => {
      pending = 0;
      drawAll();
    });
}

function drawAll() {
  hideTip();
  drawLegend();
  drawChips();
  overview.draw();
  lanes.draw();
  map.draw();
  drawTable();
  const found = total(sumsBy('op').rows);
  byId('found').textContent = everything() ? '' : `${formatCount(found.n)} of ${formatCount(D.head.n)} events · ${formatBytes(found.bytes)} · ${formatTime(found.time)}`;
  byId('window').textContent = view.t0 <= 0 && view.t1 >= DURATION ? `all of ${formatTime(DURATION)}`
    : `${formatPoint(view.t0, (view.t1 - view.t0) / 100)} – ${formatPoint(view.t1, (view.t1 - view.t0) / 100)} (${formatTime(view.t1 - view.t0)})`;
  byId('reset').disabled = everything();
}

/* Looks elsewhere; @keep: without a step back. */
function look(to, keep) {
  const shortest = 10;
  if (!keep)
    view.history.push({ t0: view.t0, t1: view.t1, a0: view.a0, a1: view.a1 });
  if (view.history.length > 100)
    view.history.shift();
  Object.assign(view, to);
  if (view.t1 - view.t0 < shortest) {
    const middle = (view.t0 + view.t1) / 2;
    view.t0 = middle - shortest / 2;
    view.t1 = middle + shortest / 2;
  }
  const length = Math.min(DURATION, view.t1 - view.t0);
  view.t0 = Math.max(0, Math.min(view.t0, DURATION - length));
  view.t1 = view.t0 + length;
  redraw();
}

function back() {
  const last = view.history.pop();
  if (last)
    look(last, true);
}

function showAll() {
  view.filters = {};
  view.terms = [];
  byId('search').value = '';
  look({ t0: 0, t1: DURATION, a0: null, a1: null });
}

function zoomTime(factor, at) {
  const middle = at === undefined ? (view.t0 + view.t1) / 2 : at;
  look({ t0: middle - (middle - view.t0) * factor, t1: middle + (view.t1 - middle) * factor }, true);
}

/* Addresses are zoomed as they are drawn: by pixels, not by bytes. */
function showPixels(top, bottom) {
  const lo = map.scale.invert(bottom), hi = map.scale.invert(top);
  if (hi - lo < 1)
    return;
  look({ a0: Math.floor(lo / 4096) * 4096, a1: Math.ceil(hi / 4096) * 4096 }, true);
}

/* The addresses around those shown in which more ranges lie, or all. */
function widerAddresses() {
  const { lo, hi } = map.cube, within = (r, a0, a1) => hi[r] > a0 && lo[r] < a1;
  let { a0, a1 } = view;
  while (a1 - a0 < 2 ** 45) {
    const half = (a1 - a0) / 2;
    [a0, a1] = [Math.max(0, a0 - half), a1 + half];
    if (lo.some((_, r) => within(r, a0, a1) && !within(r, view.a0, view.a1)))
      return { a0, a1 };
  }
  return { a0: null, a1: null };
}

function zoomAddresses(factor, at) {
  const middle = at === undefined ? map.inner / 2 : at;
  if (factor > 1 && view.a0 !== null)
    look(widerAddresses(), true);
  else if (factor < 1)
    showPixels(middle - middle * factor, middle + (map.inner - middle) * factor);
}

function moveAddresses(pixels) {
  if (view.a0 === null)
    return;
  const size = view.a1 - view.a0, by = size * pixels / map.inner;
  look({ a0: Math.max(0, view.a0 + by), a1: Math.max(size, view.a1 + by) }, true);
}

function toggleFilter(dimension, value) {
  const set = view.filters[dimension] || (view.filters[dimension] = new Set());
  if (!set.delete(value))
    set.add(value);
  if (!set.size)
    delete view.filters[dimension];
  redraw();
}

function drawLegend() {
  const legend = byId('legend');
  legend.replaceChildren(...colourNames.map((colour) => {
    const chosen = view.filters[colourBy] && view.filters[colourBy].has(colour.value);
    const button = element('button', null, { type: 'button', 'aria-pressed': !!chosen, title: 'Only this' });
    const patch = button.appendChild(element('i'));
    patch.style.background = hues[colour.hue];
    button.append(colour.label);
    button.onclick = () => toggleFilter(colourBy, colour.value);
    return button;
  }));
}

function drawChips() {
  const chips = [];
  for (const dimension in view.filters)
    for (const value of view.filters[dimension]) {
      const label = LABELS[dimension][value];
      const chip = element('button', `${dimension}: ${label} ✕`, { type: 'button', class: 'chip', title: `${label}: remove this filter` });
      chip.onclick = () => toggleFilter(dimension, value);
      chips.push(chip);
    }
  if (view.a0 !== null) {
    const chip = element('button', `${formatAddress(view.a0)} – ${formatAddress(view.a1)} ✕`, { type: 'button', class: 'chip', title: 'All addresses again' });
    chip.onclick = () => look({ a0: null, a1: null });
    chips.push(chip);
  }
  byId('chips').replaceChildren(...chips);
}

const uniform = (cube, cells, dimension) => new Set(cells.map((i) => cube.by[dimension][cube.c[i]])).size;

/* "3 × munmap, 1 × brk" */
function countOps(cube, cells) {
  const counts = new Map();
  for (const i of cells)
    counts.set(cube.by.op[cube.c[i]], (counts.get(cube.by.op[cube.c[i]]) || 0) + cube.n[i]);
  const ops = [...counts].sort((a, b) => b[1] - a[1]);
  return ops.slice(0, 4).map(([op, n]) => `${formatCount(n)} × ${LABELS.op[op]}`).join(', ') + (ops.length > 4 ? ', …' : '');
}

/* What a person reads about @cells of a chart: {title, colour, lines: [[key, value], ...]}. */
function describe(chart, cells) {
  const { cube } = chart;
  /* Of events by themselves the one that is meant, and that there are others. */
  const others = cube.exact ? cells.slice(0, -1) : [], meant = cube.exact ? cells.slice(-1) : cells;
  const sum = noSum(), first = meant[meant.length - 1], c = cube.c[first];
  for (const i of meant)
    addCell(sum, cube, i);
  const lines = [];
  if (cube.dimensions.has('address') && meant.length === 1) {
    const r = cube.r[first];
    lines.push(['range', `${formatAddress(cube.lo[r])} – ${formatAddress(cube.hi[r])} (${formatBytes(cube.hi[r] - cube.lo[r])})`]);
  }
  for (const dimension of ['mapping', cube.dimensions.has('thread') ? 'thread' : 'process', 'outcome', 'stack']) {
    if (!cube.dimensions.has(dimension) || (dimension === 'stack' && !hasStacks))
      continue;
    const different = uniform(cube, meant, dimension);
    const label = dimension === 'stack' ? stackLabel(cube.by.stack[c], 7) : LABELS[dimension][cube.by[dimension][c]];
    lines.push([dimension === 'stack' ? 'from' : dimension, different === 1 ? label : `${different} different`]);
  }
  const [t0, t1] = [d3.min(meant, (i) => cube.t[i]), d3.max(meant, (i) => cube.t[i] + (cube.exact ? 0 : cube.bin))];
  lines.push(['at', t0 === t1 ? formatPoint(t0, 100) : `${formatPoint(t0, (t1 - t0) / 10)} – ${formatPoint(t1, (t1 - t0) / 10)}`]);
  lines.push(['took', sum.n === 1 ? formatTime(sum.time)
    : `${formatTime(sum.time)} together, ${formatTime(sum.time / sum.n)} on average, ${formatTime(sum.max)} at most`]);
  if (sum.n > 1)
    lines.push(['size', formatBytes(sum.bytes)]);
  if (others.length)
    lines.push(['also here', countOps(cube, others)]);
  const kinds = cube.dimensions.has('class') && uniform(cube, meant, 'class') === 1 ? ' · ' + LABELS.class[cube.by.class[c]] : '';
  return { title: (sum.n === 1 ? LABELS.op[cube.by.op[c]] : countOps(cube, meant)) + kinds, colour: colourOf(cube, first), lines };
}

function showTip(chart, cells, x, y) {
  const tip = byId('tip');
  if (!cells.length)
    return hideTip();
  const { title, colour, lines } = describe(chart, cells);
  const head = element('h3'), rows = element('table');
  const patch = head.appendChild(element('i'));
  patch.style.background = colour;
  head.append(element('span', title));
  for (const [key, value] of lines) {
    const row = rows.appendChild(element('tr'));
    row.append(element('td', key), element('td', value));
  }
  tip.replaceChildren(head, rows);
  tip.hidden = false;
  const box = tip.getBoundingClientRect();
  const left = x + 16 + box.width > window.innerWidth ? x - 16 - box.width : x + 16;
  const top = y + 16 + box.height > window.innerHeight ? y - 12 - box.height : y + 16;
  tip.style.left = Math.max(4, left) + 'px';
  tip.style.top = Math.max(4, top) + 'px';
  return lines.reduce((text, line) => `${text}, ${line[0]} ${line[1]}`, title);
}

function hideTip() {
  byId('tip').hidden = true;
  for (const name in CHARTS)
    if (CHARTS[name].over)
      CHARTS[name].over.selectAll('.cross').remove();
}

/* A line through both charts where the pointer is. */
function showCross(x) {
  for (const name in CHARTS) {
    const chart = CHARTS[name];
    chart.over.selectAll('.cross').data([x]).join('line').attr('class', 'cross')
      .attr('x1', x).attr('x2', x).attr('y1', 0).attr('y2', chart.inner);
  }
}

function listen(name) {
  const chart = CHARTS[name], node = chart.node;
  let from = null;
  const place = (event) => {
    const box = node.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  const inside = (x) => Math.max(chart.left, Math.min(chart.right, x));
  /* The area dragged over; small in height means time alone. */
  const area = (to) => {
    const high = name === 'map' && Math.abs(to[1] - from[1]) > 18;
    return { x0: Math.min(from[0], to[0]), x1: Math.max(from[0], to[0]), high,
      y0: high ? Math.max(0, Math.min(from[1], to[1])) : 0, y1: high ? Math.min(chart.inner, Math.max(from[1], to[1])) : chart.inner };
  };
  node.addEventListener('pointerdown', (event) => {
    const [x, y] = place(event);
    if (event.button || event.pointerType === 'touch' || x < chart.left || x > chart.right || y > chart.inner)
      return;
    from = [x, y];
    node.setPointerCapture(event.pointerId);
  });
  node.addEventListener('pointermove', (event) => {
    const [x, y] = place(event);
    if (from) {
      const box = area([inside(x), y]);
      hideTip();
      chart.over.selectAll('.selection').data([box]).join('rect').attr('class', 'selection')
        .attr('x', box.x0).attr('width', box.x1 - box.x0).attr('y', box.y0).attr('height', box.y1 - box.y0);
      return;
    }
    if (x < chart.left || x > chart.right || y > chart.inner)
      return hideTip();
    showCross(x);
    showTip(chart, chart.at(x, y), event.clientX, event.clientY);
  });
  node.addEventListener('pointerup', (event) => {
    if (!from)
      return;
    const [x, y] = place(event), box = area([inside(x), y]);
    from = null;
    chart.over.selectAll('.selection').remove();
    if (box.x1 - box.x0 < 4 && !box.high)
      return;
    const to = box.x1 - box.x0 < 4 ? {} : { t0: chart.x.invert(box.x0), t1: chart.x.invert(box.x1) };
    if (box.high)
      Object.assign(to, { a0: Math.floor(chart.scale.invert(box.y1) / 4096) * 4096, a1: Math.ceil(chart.scale.invert(box.y0) / 4096) * 4096 });
    look(to);
  });
  node.addEventListener('pointercancel', () => {
    from = null;
    chart.over.selectAll('.selection').remove();
  });
  node.addEventListener('pointerleave', () => from || hideTip());
  node.addEventListener('dblclick', back);
  node.addEventListener('wheel', (event) => wheel(event, chart, place(event)), { passive: false });
  node.addEventListener('keydown', (event) => chartKey(event, chart));
}

function wheel(event, chart, [x, y]) {
  if (!event.ctrlKey && !event.metaKey && !event.shiftKey && Math.abs(event.deltaX) <= Math.abs(event.deltaY))
    return;
  const by = Math.abs(event.deltaY) > Math.abs(event.deltaX) ? event.deltaY : event.deltaX;
  const factor = Math.exp(Math.max(-120, Math.min(120, by)) / 300);
  event.preventDefault();
  if ((event.ctrlKey || event.metaKey) && event.shiftKey) {
    zoomAddresses(factor, chart === map ? y : undefined);
  } else if (event.ctrlKey || event.metaKey) {
    zoomTime(factor, chart.x.invert(x));
  } else {
    const step = (view.t1 - view.t0) * by / 1000;
    look({ t0: view.t0 + step, t1: view.t1 + step }, true);
  }
}

/* Goes to the next cell of @chart in time, or the one before, and says what it is. */
function stepCell(chart, step) {
  const { cube } = chart, pass = matcher(cube);
  const [from, to] = timeSlice(cube, view.t0, Infinity);
  let i = chart.current === undefined ? (step > 0 ? from - 1 : to) : chart.current;
  do {
    i += step;
  } while (i >= 0 && i < cube.cells && (pass(i) !== 2 || (chart === map && !inAddresses(cube, i)) || (chart === lanes && chart.laneOf(i) === undefined)));
  if (i < 0 || i >= cube.cells)
    return;
  chart.current = i;
  if (cube.t[i] < view.t0 || cube.t[i] >= view.t1) {
    const half = (view.t1 - view.t0) / 2;
    look({ t0: cube.t[i] - half, t1: cube.t[i] + half }, true);
    cancelAnimationFrame(pending);
    pending = 0;
    drawAll();
  }
  const point = chart.point(i), box = chart.node.getBoundingClientRect();
  if (!point)
    return;
  showCross(point[0]);
  byId('live').textContent = showTip(chart, [i], box.left + point[0], box.top + point[1]);
}

function chartKey(event, chart) {
  const step = (view.t1 - view.t0) / 8;
  const actions = {
    ArrowLeft: () => look({ t0: view.t0 - step, t1: view.t1 - step }, true),
    ArrowRight: () => look({ t0: view.t0 + step, t1: view.t1 + step }, true),
    ArrowUp: () => moveAddresses(map.inner / 8),
    ArrowDown: () => moveAddresses(-map.inner / 8),
    '+': () => zoomTime(0.5), '=': () => zoomTime(0.5), '-': () => zoomTime(2),
    ']': () => zoomAddresses(0.5), '[': () => zoomAddresses(2),
    n: () => stepCell(chart, 1), p: () => stepCell(chart, -1),
    Backspace: back, Home: () => look({ t0: 0, t1: DURATION, a0: null, a1: null }),
  };
  if (event.ctrlKey || event.metaKey || event.altKey || !actions[event.key])
    return;
  event.preventDefault();
  actions[event.key]();
}

function pageKey(event) {
  const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName);
  if (event.ctrlKey || event.metaKey || event.altKey || byId('help').open)
    return;
  if (event.key === 'Escape') {
    if (typing)
      byId('search').blur();
    else
      showAll();
    return;
  }
  if (typing)
    return;
  const actions = {
    '/': () => byId('search').focus(), '?': () => byId('help').showModal(),
    d: switchTheme, 0: showAll,
  };
  const tab = TABS[event.key - 1];
  if (actions[event.key])
    actions[event.key]();
  else if (tab)
    chooseTab(tab[0]);
  else
    return;
  event.preventDefault();
}

const prefersDark = window.matchMedia('(prefers-color-scheme: dark)');
let theme = null;

function applyTheme() {
  const dark = theme ? theme === 'dark' : prefersDark.matches;
  document.documentElement.dataset.theme = dark ? 'dark' : 'light';
  hues = dark ? HUES.dark : HUES.light;
  byId('theme').textContent = dark ? 'Light' : 'Dark';
  byId('theme').setAttribute('aria-label', dark ? 'Switch to light colours' : 'Switch to dark colours');
}

function switchTheme() {
  theme = document.documentElement.dataset.theme === 'dark' ? 'light' : 'dark';
  applyTheme();
  redraw();
}

function fillHead() {
  const head = D.head, command = visible(head.command || '');
  document.title = `${command} – mmunotify trace`;
  byId('command').textContent = command;
  const when = new Date(head.began_ms);
  byId('about').textContent = [isNaN(when) ? '' : when.toLocaleString('en-GB', { dateStyle: 'long', timeStyle: 'medium' }),
    head.status || '', head.filtered ? 'only what --filter let through' : '', 'mmunotify ' + visible(head.version || '')].filter(Boolean).join(' · ');
  const warnings = [head.lost ? visible(head.lost) : '', head.status ? '' : 'The recording ends before the command did; this is what it holds.'].filter(Boolean);
  for (const one of head.unfollowed)
    warnings.push(`Not traced: ${visible(one.exe || (one.reason ? 'a program' : 'other programs'))}${one.times > 1 ? ` (${one.times} times)` : ''}${one.reason ? ', ' + visible(one.reason) : ''}.`);
  byId('warning').hidden = !warnings.length;
  byId('warning').textContent = warnings.join(' ');
  const used = (names) => names.filter((name, i) => i && name.n).length + (names[0].folded || 0);
  const tiles = [[formatCount(head.n), head.n === 1 ? 'event' : 'events'], [formatTime(DURATION), 'duration'],
    [formatBytes(head.bytes), 'memory changed'], [formatTime(head.time), 'inside sections'],
    [formatTime(head.n ? head.time / head.n : 0), 'mean section'], [formatTime(head.max), 'longest section'],
    [formatCount(head.processes), 'programs, forks'], [formatCount(used(D.thread)), 'threads']];
  byId('tiles').replaceChildren(...tiles.map(([value, label]) => {
    const tile = element('div', null, { class: 'tile' });
    tile.append(element('b', value), element('span', label));
    return tile;
  }));
}

function fillMade() {
  const made = byId('made'), exact = CUBES[0].exact;
  made.append(element('p', exact
    ? `Every one of the ${formatCount(D.head.n)} events is on this page by itself.`
    : `${d3.format(',')(D.head.n)} events were gathered into cells, as listed here. Sums of events, sizes and times are exact; when and where is as fine as the steps say. A cell covers all that its events covered.`));
  const uses = { map: 'address space', lanes: 'threads, overview', stacks: 'stacks' };
  const box = element('table'), head = box.appendChild(element('tr'));
  head.append(...['For', 'Cells', 'Step in time', 'Step in addresses', 'Kept apart by'].map((text) => element('th', text)));
  for (const cube of CUBES) {
    const line = box.appendChild(element('tr'));
    const kept = DIMENSIONS.filter((d) => cube.dimensions.has(d) && d !== 'kind').join(', ');
    line.append(...[exact ? 'everything' : uses[cube.name], d3.format(',')(cube.cells), cube.exact ? 'none' : formatTime(cube.bin),
      !cube.dimensions.has('address') ? 'not kept' : cube.exact ? 'none' : cube.steps, kept].map((text) => element('td', text)));
  }
  made.append(box);
  for (const dimension of ['process', 'thread', 'mapping', 'stack'])
    if (D[dimension][0].folded)
      made.append(element('p', `${d3.format(',')(D[dimension][0].folded)} entries of least time in the table by ${dimension} were put together as “${LABELS[dimension][0]}”.`));
  made.append(element('p', 'A section is the time from before the change of memory until after it. Sizes count each change anew; a fork, which write-protects all of a process, counts as none.'));
}

function begin() {
  applyTheme();
  chooseColours();
  fillHead();
  fillMade();
  drawAll();
  for (const name in CHARTS)
    listen(name);
  byId('theme').onclick = switchTheme;
  byId('help-open').onclick = () => byId('help').showModal();
  byId('reset').onclick = showAll;
  byId('lanes-more').onclick = () => {
    lanes.most = lanes.lanes.left ? Math.min(400, lanes.most + 200) : 16;
    redraw();
  };
  byId('search').oninput = () => {
    view.terms = parseSearch(byId('search').value);
    redraw();
  };
  byId('colour').onchange = () => {
    colourBy = byId('colour').value;
    chooseColours();
    redraw();
  };
  prefersDark.addEventListener('change', () => {
    applyTheme();
    redraw();
  });
  window.addEventListener('keydown', pageKey);
  window.addEventListener('scroll', hideTip, { passive: true });
  let width = window.innerWidth;
  new ResizeObserver(() => {
    if (document.body.clientWidth !== width) {
      width = document.body.clientWidth;
      redraw();
    }
  }).observe(document.body);
}

begin();
