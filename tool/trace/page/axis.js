/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Colours, and the two axes that are not plain: a lane for each thread, and addresses.
 *
 * Of an address space of 2^47 bytes a program uses some islands.  They are drawn as bands,
 * each as high as the logarithm of its size asks, the emptiness between them a few pixels;
 * inside a band the axis is linear.  Bands are made anew for the time and the addresses
 * shown, so that zooming takes apart what stood together.
 */
'use strict';

/* Okabe and Ito's colours, which are made for colour-blind people too. */
const HUES = {
  light: { blue: '#0072b2', orange: '#d55e00', amber: '#e69f00', green: '#009e73', pink: '#cc79a7', sky: '#56b4e9', violet: '#7b57c2', brown: '#8c6239', grey: '#8a929c', pale: '#c3c8cf', yellow: '#cdbb00' },
  dark: { blue: '#4aa3e8', orange: '#ff7a33', amber: '#ffc04d', green: '#2fc79a', pink: '#eb9ccb', sky: '#9fdcff', violet: '#b095f0', brown: '#c79a6b', grey: '#8b95a1', pale: '#5a636e', yellow: '#f0e442' },
};
const ASSIGNED = {
  class: { unmap: 'orange', clear: 'blue', protect: 'amber', 'protect-page': 'pink', 'soft-dirty': 'sky', release: 'grey', migrate: 'green', exclusive: 'violet' },
  kind: { anonymous: 'blue', heap: 'orange', stack: 'green', 'thread-stack': 'yellow', file: 'pink', memfd: 'violet', sysv: 'brown', 'shared-anonymous': 'sky', special: 'grey', all: 'amber', nothing: 'pale' },
  outcome: { ok: 'blue', unchanged: 'pale' },
};
const IN_ORDER = ['blue', 'orange', 'green', 'amber', 'pink', 'sky', 'violet', 'brown', 'yellow'];
const AFTERWARDS = 'grey';

let colourBy = 'class';
let hues = HUES.light;
let colourNames = [];

/* The colours of all values of the dimension, those that took longest first. */
function chooseColours() {
  const assigned = ASSIGNED[colourBy] || {};
  const cube = CUBES.find((c) => c.dimensions.has(colourBy)) || CUBES[0];
  const times = new Map();
  for (let i = 0; i < cube.cells; i++) {
    const value = cube.dimensions.has(colourBy) ? cube.by[colourBy][cube.c[i]] : 0;
    times.set(value, (times.get(value) || 0) + cube.time[i]);
  }
  let next = colourBy === 'outcome' ? 1 : 0;
  const order = [...times.keys()].sort((a, b) => times.get(b) - times.get(a));
  colourNames = [];
  for (const value of order) {
    const label = LABELS[colourBy][value];
    const hue = assigned[label] || (ASSIGNED[colourBy] && colourBy !== 'outcome' ? AFTERWARDS : IN_ORDER[next++]) || AFTERWARDS;
    colourNames.push({ value, label, hue });
  }
}

/* For a cube: the place of each combination in colourNames. */
function colourIndex(cube) {
  const place = new Map(colourNames.map((colour, i) => [colour.value, i]));
  if (!cube.dimensions.has(colourBy))
    return new Uint16Array(cube.combinations).fill(colourNames.length);
  return Uint16Array.from(cube.by[colourBy], (value) => place.get(value));
}

const colourAt = (index) => hues[index < colourNames.length ? colourNames[index].hue : AFTERWARDS];
const colourOf = (cube, i) => colourAt(colourIndex(cube)[cube.c[i]]);

/* [[lo, hi], ...] of what a cube touches in the time and addresses shown, in order and apart. */
function touched(cube, pass) {
  const used = new Uint8Array(cube.lo.length);
  const [from, to] = shownCells(cube);
  for (let i = from; i < to; i++)
    if (pass(i) && !coversAll(cube, i))
      used[cube.r[i]] = 1;
  const islands = [];
  /* Ranges stand in order of their start. */
  for (let r = 0; r < cube.lo.length; r++) {
    const lo = view.a0 === null ? cube.lo[r] : Math.max(cube.lo[r], view.a0);
    const hi = view.a0 === null ? cube.hi[r] : Math.min(cube.hi[r], view.a1);
    const last = islands[islands.length - 1];
    if (!used[r] || hi <= lo)
      continue;
    if (last && lo <= last[1])
      last[1] = Math.max(last[1], hi);
    else
      islands.push([lo, hi]);
  }
  return islands;
}

/* A fork write-protects all of the parent: a line, not a range. */
function coversAll(cube, i) {
  const r = cube.r[i];
  return cube.hi[r] - cube.lo[r] > 2 ** 45;
}

const GAP = 6;
/* Less is not worth a break in the axis. */
const MIN_GAP = 64 * 4096;

/* {bands: [{lo, hi, top, bottom}], scale} for @height pixels, low addresses at the bottom. */
function addressAxis(cube, pass, height) {
  let islands = touched(cube, pass);
  if (!islands.length)
    islands = [[view.a0 === null ? 0 : view.a0, view.a0 === null ? 4096 : view.a1]];
  const most = Math.max(2, Math.floor(height / 26));
  const gaps = islands.slice(1).map((island, i) => island[0] - islands[i][1]);
  const least = Math.max(MIN_GAP, gaps.slice().sort((a, b) => b - a)[most - 1] || 0);
  const bands = [{ lo: islands[0][0], hi: islands[0][1] }];
  gaps.forEach((gap, i) => {
    if (gap > least)
      bands.push({ lo: islands[i + 1][0], hi: islands[i + 1][1] });
    else
      bands[bands.length - 1].hi = islands[i + 1][1];
  });
  const weights = bands.map((band) => 2 + Math.max(0, Math.log2((band.hi - band.lo) / 4096)));
  const unit = (height - GAP * (bands.length - 1)) / d3.sum(weights);
  const domain = [], range = [];
  let y = height;
  bands.forEach((band, i) => {
    band.bottom = y;
    band.top = y -= weights[i] * unit;
    y -= GAP;
    domain.push(band.lo, band.hi);
    range.push(band.bottom, band.top);
  });
  return { bands, scale: d3.scaleLinear().domain(domain).range(range).clamp(true) };
}

/* The mapping that most cells of a band belong to, and how many others. */
function nameBands(cube, bands, pass) {
  const counts = bands.map(() => new Map());
  const [from, to] = shownCells(cube);
  for (let i = from; i < to; i++) {
    if (!pass(i) || coversAll(cube, i) || !cube.dimensions.has('mapping'))
      continue;
    const r = cube.r[i], mapping = cube.by.mapping[cube.c[i]];
    const at = d3.bisector((band) => band.hi).right(bands, cube.lo[r]);
    if (at < bands.length && cube.hi[r] > bands[at].lo)
      counts[at].set(mapping, (counts[at].get(mapping) || 0) + cube.n[i]);
  }
  bands.forEach((band, i) => {
    const order = [...counts[i].keys()].sort((a, b) => counts[i].get(b) - counts[i].get(a));
    band.label = order.length ? basename(LABELS.mapping[order[0]]) : '';
    band.others = order.length - 1;
  });
}

/* The dimension that lanes stand for, and its values: those that took longest in the time shown. */
function laneAxis(cube, most) {
  const dimension = ['thread', 'process'].find((d) => cube.dimensions.has(d));
  if (!dimension)
    return { dimension: null, values: [0], left: 0 };
  const times = new Map();
  const pass = matcher(cube);
  for (let i = 0; i < cube.cells; i++) {
    const value = cube.by[dimension][cube.c[i]];
    const worth = (pass(i) === 2 ? 1e3 : 1) * (cube.t[i] >= view.t0 && cube.t[i] < view.t1 ? 1e6 : 1);
    if (pass(i))
      times.set(value, (times.get(value) || 0) + cube.time[i] * worth);
  }
  const all = [...times.keys()].sort((a, b) => times.get(b) - times.get(a));
  const values = all.slice(0, most);
  const process = (value) => dimension === 'thread' && value ? D.thread[value].process : value;
  /* Threads of one process together, in the order in which processes began. */
  values.sort((a, b) => process(a) - process(b) || a - b);
  return { dimension, values, left: all.length - values.length };
}
