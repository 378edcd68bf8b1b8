/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the page shows, without drawing: cells, names, filters, search, sums.
 *
 * A cube is a list of cells {begin t, combination c of dimensions, range r, sums}; its
 * sums are exact, its places as coarse as "bin" and "steps" say.  Every name is text
 * from a stranger: it is only ever set as textContent.
 */
'use strict';

const D = JSON.parse(document.getElementById('data').textContent);
const DIMENSIONS = ['op', 'mapping', 'stack', 'process', 'thread', 'outcome', 'class', 'kind'];

/* What would change how text runs, or is not seen at all. */
function visible(text) {
  return String(text).replace(
    /[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g,
    (c) => '\\u' + c.charCodeAt(0).toString(16).padStart(4, '0'));
}

const basename = (path) => path.replace(/ \(deleted\)$/, '').replace(/^.*\/(?=.)/, '');

/* Numbers for people. */
const formatCount = (n) => n < 1e6 ? d3.format(',')(n) : d3.format('.3~s')(n).replace('G', 'B');

function formatBytes(bytes) {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB', 'EiB'];
  let unit = 0;
  while (bytes >= 1024 && unit < units.length - 1) {
    bytes /= 1024;
    unit++;
  }
  return (bytes >= 100 || Number.isInteger(bytes) ? Math.round(bytes) : bytes.toFixed(1)) + ' ' +
    units[unit];
}

const TIME_UNITS = [['d', 864e11], ['h', 36e11], ['min', 6e10], ['s', 1e9], ['ms', 1e6], ['µs', 1e3], ['ns', 1]];

function formatTime(ns) {
  if (!ns)
    return '0';
  /* 90 s reads better than 1.5 min. */
  const [unit, scale] = TIME_UNITS.find((u) => ns >= u[1] * (u[1] > 1e9 ? 3 : 1)) || TIME_UNITS[6];
  const value = ns / scale;
  return (value >= 100 || unit === 'ns' ? d3.format(',.0f')(value) : value.toPrecision(3)) + ' ' + unit;
}

/* A point in time, as exact as @step needs. */
function formatPoint(ns, step) {
  const digits = Math.max(0, Math.min(9, Math.ceil(9 - Math.log10(Math.max(step, 1)))));
  return (ns / 1e9).toFixed(digits) + ' s';
}

const formatAddress = (address) => '0x' + address.toString(16);

function processLabel(i) {
  const p = D.process[i];
  if (!i)
    return 'other processes';
  return visible((p.comm || (p.exe ? basename(p.exe) : 'process')) + ' ' + p.pid);
}

function threadLabel(i) {
  const t = D.thread[i];
  if (!i)
    return 'other threads';
  const p = D.process[t.process];
  return processLabel(t.process) + (p.pid === t.tid ? '' : ' / ' + t.tid);
}

function frameLabel(i) {
  const f = D.frame[i];
  return visible(f.function || (f.module ? basename(f.module) + '+' + f.offset : f.offset));
}

function frameWhere(i) {
  const f = D.frame[i];
  const source = f.file ? basename(f.file) + ':' + f.line : '';
  return visible([source, f.function && f.module ? basename(f.module) : ''].filter(Boolean).join(' · '));
}

function stackLabel(i, most = 100) {
  if (!i)
    return 'other stacks';
  const frames = D.stack[i].frames;
  return frames.length ? frames.slice(0, most).map(frameLabel).join(' ← ') + (frames.length > most ? ' ← …' : '')
    : 'no stack recorded';
}

const KINDS = [...new Set(D.mapping.map((m) => m.kind || 'other'))];
const kindOf = D.mapping.map((m) => KINDS.indexOf(m.kind || 'other'));

const LABELS = {
  op: D.op.map(visible),
  class: D.class.map(visible),
  outcome: D.outcome.map((o, i) => i ? visible(o.name) : 'other outcomes'),
  kind: KINDS,
  process: D.process.map((_, i) => processLabel(i)),
  thread: D.thread.map((_, i) => threadLabel(i)),
  mapping: D.mapping.map((m, i) => i ? visible(m.name) : 'other mappings'),
  stack: D.stack.map((_, i) => stackLabel(i)),
};
/* Searched, but longer than what is shown. */
const TEXTS = Object.assign({}, LABELS, {
  stack: D.stack.map((s, i) => i ? s.frames.map((f) => frameLabel(f) + ' ' + frameWhere(f)).join(' ') : ''),
  process: D.process.map((p, i) => LABELS.process[i] + ' ' + visible(p.exe || '')),
});
for (const dimension of DIMENSIONS)
  TEXTS[dimension] = TEXTS[dimension].map((text) => text.toLowerCase());

const hasStacks = D.stack.some((s) => s.frames && s.frames.length);

function decode(raw) {
  const cells = raw.t.length;
  const cube = {
    name: raw.name, exact: raw.exact, bin: raw.bin, steps: raw.steps.map(formatBytes).filter((step, i, all) => step !== all[i - 1]).join(' to '), cells,
    dimensions: new Set(raw.dimensions), by: raw.combinations,
    t: new Float64Array(cells), c: Uint32Array.from(raw.c), r: Uint32Array.from(raw.r),
    n: Float64Array.from(raw.n), bytes: Float64Array.from(raw.bytes),
    time: Float64Array.from(raw.time), max: Float64Array.from(raw.max),
    lo: new Float64Array(raw.ranges.length / 2), hi: new Float64Array(raw.ranges.length / 2),
  };
  let bin = 0, start = 0;
  for (let i = 0; i < cells; i++) {
    bin += raw.t[i];
    cube.t[i] = bin * raw.bin;
    if (cube.n[i] === 1)
      cube.max[i] = cube.time[i];
  }
  for (let i = 0; i < cube.lo.length; i++) {
    start += raw.ranges[2 * i];
    cube.lo[i] = start;
    cube.hi[i] = start + raw.ranges[2 * i + 1];
  }
  if (cube.dimensions.has('mapping')) {
    cube.dimensions.add('kind');
    cube.by.kind = cube.by.mapping.map((m) => kindOf[m]);
  }
  cube.combinations = cube.by.op.length;
  return cube;
}

const CUBES = D.cubes.map(decode);
const cubeNamed = (name) => CUBES.find((cube) => cube.name === name) || CUBES[0];
const DURATION = Math.max(1, D.head.duration);

/* What is looked at. */
const view = {
  t0: 0, t1: DURATION,
  /* Addresses, or null: all. */
  a0: null, a1: null,
  /* {dimension: Set of numbers}; a dimension without a filter has no entry. */
  filters: {},
  terms: [],
  history: [],
};

/* A term is {text, dimension?}, or {address}. */
function parseSearch(text) {
  return text.trim().toLowerCase().split(/\s+/).filter(Boolean).map((word) => {
    const named = word.match(/^([a-z]+)[:=](.+)$/);
    if (/^0x[0-9a-f]+$/.test(word))
      return { address: Number(word) };
    if (named && DIMENSIONS.includes(named[1]))
      return { text: named[2], dimension: named[1] };
    return { text: word };
  }).map((term) => {
    if (term.address !== undefined)
      return term;
    term.found = {};
    for (const dimension of term.dimension ? [term.dimension] : DIMENSIONS) {
      const flags = TEXTS[dimension].map((label) => label.includes(term.text));
      if (flags.some(Boolean))
        term.found[dimension] = flags;
    }
    return term;
  });
}

/* What a cube must have so that all filters can be applied to it. */
function wanted(extra) {
  const need = new Set(extra);
  for (const dimension in view.filters)
    need.add(dimension);
  for (const term of view.terms) {
    if (term.address !== undefined)
      need.add('address');
    for (const dimension in term.found)
      need.add(dimension);
  }
  if (view.a0 !== null)
    need.add('address');
  return need;
}

const lacks = (cube, need) => [...need].filter((dimension) => !cube.dimensions.has(dimension));

/* The cube that has @dimension and most of what is filtered by; the finer of equal ones. */
function cubeFor(dimension) {
  const need = wanted([dimension]);
  const able = CUBES.filter((cube) => cube.dimensions.has(dimension));
  const order = (a, b) => lacks(a, need).length - lacks(b, need).length || a.bin - b.bin;
  return able.length ? able.sort(order)[0] : null;
}

/* A function of a cell's number: 2 passes, 1 only the search does not find it, 0 neither. */
function matcher(cube) {
  const combination = new Uint8Array(cube.combinations).fill(2);
  for (const dimension in view.filters) {
    if (!cube.dimensions.has(dimension))
      continue;
    for (let c = 0; c < cube.combinations; c++)
      if (!view.filters[dimension].has(cube.by[dimension][c]))
        combination[c] = 0;
  }
  const addresses = [];
  for (const term of view.terms) {
    if (term.address !== undefined) {
      if (cube.dimensions.has('address'))
        addresses.push(term.address);
      continue;
    }
    const dimensions = Object.keys(term.found).filter((d) => cube.dimensions.has(d));
    /* Found only where this cube does not look: it cannot say. */
    if (!dimensions.length && Object.keys(term.found).length)
      continue;
    for (let c = 0; c < cube.combinations; c++)
      if (combination[c] === 2 && !dimensions.some((d) => term.found[d][cube.by[d][c]]))
        combination[c] = 1;
  }
  if (!addresses.length)
    return (i) => combination[cube.c[i]];
  return (i) => {
    const pass = combination[cube.c[i]];
    const r = cube.r[i];
    return pass === 2 && !addresses.every((a) => a >= cube.lo[r] && a < cube.hi[r]) ? 1 : pass;
  };
}

/* The cells that begin in the time shown: [first, behind the last]. */
function timeSlice(cube, t0, t1) {
  const bisect = d3.bisector((t) => t);
  return [bisect.left(cube.t, t0), bisect.left(cube.t, t1)];
}

const everything = () => view.t0 <= 0 && view.t1 >= DURATION && view.a0 === null &&
  !view.terms.length && !Object.keys(view.filters).length;

const noSum = () => ({ n: 0, bytes: 0, time: 0, max: 0 });

function addCell(sum, cube, i) {
  sum.n += cube.n[i];
  sum.bytes += cube.bytes[i];
  sum.time += cube.time[i];
  sum.max = Math.max(sum.max, cube.max[i]);
}

/* Is a cell's range in the addresses shown?  What covers all of memory is everywhere. */
function inAddresses(cube, i) {
  const r = cube.r[i];
  return view.a0 === null || !cube.dimensions.has('address') ||
    (cube.hi[r] > view.a0 && cube.lo[r] < view.a1);
}

/* {rows: [{value, label, n, bytes, time, max}], missing: [...]} of what is shown. */
function sumsBy(dimension) {
  const names = D[dimension];
  const rows = new Map();
  if (everything() && names && names[0] && names[0].n !== undefined) {
    names.forEach((name, value) => {
      if (name.n)
        rows.set(value, { value, n: name.n, bytes: name.bytes, time: name.time, max: name.max });
    });
    return { rows: finish(rows, dimension), missing: [] };
  }
  const cube = cubeFor(dimension);
  if (!cube)
    return { rows: [], missing: [dimension] };
  const pass = matcher(cube);
  const [from, to] = timeSlice(cube, view.t0, view.t1 >= DURATION ? Infinity : view.t1);
  for (let i = from; i < to; i++) {
    if (pass(i) !== 2 || !inAddresses(cube, i))
      continue;
    const value = cube.by[dimension][cube.c[i]];
    if (!rows.has(value))
      rows.set(value, Object.assign({ value }, noSum()));
    addCell(rows.get(value), cube, i);
  }
  return { rows: finish(rows, dimension), missing: lacks(cube, wanted([dimension])), cube };
}

function finish(rows, dimension) {
  return [...rows.values()].map((row) => Object.assign(row, { label: LABELS[dimension][row.value] }));
}

function total(rows) {
  const sum = noSum();
  for (const row of rows) {
    sum.n += row.n;
    sum.bytes += row.bytes;
    sum.time += row.time;
    sum.max = Math.max(sum.max, row.max);
  }
  return sum;
}
