/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The charts: an overview to choose a time in, the lanes, the address space.
 *
 * Cells are drawn on canvases, axes and labels as SVG over them.  A chart is an object
 * with draw(), which draws all of it from what is looked at, and at(x, y), the cells there.
 */
'use strict';

const FAINT = 0.1;
const AXIS = 24;

const gutter = () => window.innerWidth < 700 ? 96 : 190;

/* The SVG and the canvas of a chart, in @height pixels; both are made once. */
function prepare(chart, height) {
  const node = chart.node;
  if (!chart.canvas) {
    /* Lines and labels under the cells, what the pointer does over them. */
    chart.axis = d3.select(node).append('svg').attr('aria-hidden', 'true').attr('class', 'axes');
    chart.canvas = node.appendChild(document.createElement('canvas'));
    chart.over = d3.select(node).append('svg').attr('aria-hidden', 'true').attr('class', 'over');
  }
  const scale = window.devicePixelRatio || 1;
  chart.width = Math.max(160, node.clientWidth);
  chart.height = height;
  chart.left = gutter();
  chart.right = chart.width - 14;
  chart.inner = height - AXIS;
  node.style.height = height + 'px';
  chart.canvas.width = Math.round(chart.width * scale);
  chart.canvas.height = Math.round(height * scale);
  chart.canvas.style.width = chart.width + 'px';
  chart.canvas.style.height = height + 'px';
  for (const svg of [chart.axis, chart.over])
    svg.attr('width', chart.width).attr('height', height);
  chart.x = d3.scaleLinear().domain([view.t0, view.t1]).range([chart.left, chart.right]);
  const draw = chart.canvas.getContext('2d');
  draw.setTransform(scale, 0, 0, scale, 0, 0);
  draw.clearRect(0, 0, chart.width, height);
  chart.axis.selectAll('*').remove();
  return draw;
}

/* Ticks in the unit that the window asks for; relative to the start of the trace. */
function timeAxis(chart, x, lines) {
  const [t0, t1] = x.domain();
  const [unit, scale] = TIME_UNITS.find((u) => t1 >= u[1] && t1 - t0 >= u[1] / 4) || TIME_UNITS[TIME_UNITS.length - 1];
  const ticks = x.copy().domain([t0 / scale, t1 / scale]);
  let many = 12;
  const label = (v) => ticks.tickFormat(many)(v) + ' ' + unit;
  while (many > 1 && ticks.ticks(many).length * (textWidth(label(ticks.domain()[1])) + 24) > chart.right - chart.left)
    many--;
  if (lines)
    chart.axis.append('g').attr('class', 'grid').selectAll('line').data(ticks.ticks(many)).join('line')
      .attr('x1', (v) => ticks(v)).attr('x2', (v) => ticks(v)).attr('y1', 0).attr('y2', chart.inner);
  const drawn = chart.axis.append('g').attr('transform', `translate(0,${chart.inner})`)
    .call(d3.axisBottom(ticks).ticks(many).tickSizeOuter(0).tickFormat(label));
  /* The last label must not leave the chart. */
  drawn.selectAll('.tick').filter((v) => ticks(v) + textWidth(label(v)) / 2 > chart.width).select('text').text('');
}

const measure = document.createElement('canvas').getContext('2d');
measure.font = '11.5px system-ui, "Noto Sans", "DejaVu Sans", sans-serif';
const textWidth = (text) => measure.measureText(text).width;

/* Cut with an ellipsis to @pixels; the middle of a name says least. */
function fit(text, pixels) {
  const cut = (n) => text.slice(0, Math.ceil(n / 2)) + '…' + text.slice(text.length - Math.floor(n / 2));
  if (textWidth(text) <= pixels)
    return text;
  let n = Math.min(text.length - 1, 200);
  while (n > 2 && textWidth(cut(n)) > pixels)
    n--;
  return cut(n);
}

/* A cell's time: of one event its duration, of many the bin. */
function endOf(cube, i) {
  if (cube.n[i] === 1 && cube.exact)
    return cube.t[i] + cube.time[i];
  return cube.t[i] + Math.max(cube.bin, cube.max[i]);
}

/* Cells that can be seen: those that begin in the window, and those that last into it. */
function shownCells(cube) {
  const longest = cube.longest || (cube.longest = Math.max(cube.bin, d3.max(cube.max) || 0));
  return timeSlice(cube, view.t0 - longest, view.t1 >= DURATION ? Infinity : view.t1);
}

/* In place of an empty chart. */
function noteEmpty(chart, drawn) {
  if (!drawn)
    chart.axis.append('text').attr('x', (chart.left + chart.right) / 2).attr('y', chart.inner / 2).attr('text-anchor', 'middle').text('no events');
}

function noteMissing(id, cube, text) {
  const missing = lacks(cube, wanted([])).filter((d) => d !== 'address');
  document.getElementById(id).textContent = text + (missing.length
    ? ' · not filtered by ' + missing.join(', ') + ', which this aggregate does not keep' : '');
}

const overview = {
  node: document.getElementById('overview'),

  draw() {
    const draw = prepare(this, 92);
    const cube = cubeNamed('lanes'), colours = colourIndex(cube), pass = matcher(cube);
    const x = d3.scaleLinear().domain([0, DURATION]).range([this.left, this.right]);
    const wide = 3, columns = Math.ceil((this.right - this.left) / wide), series = colourNames.length + 1;
    const counts = new Float64Array(columns * series), all = new Float64Array(columns);
    const add = (column, i, share) => {
      counts[column * series + colours[cube.c[i]]] += cube.n[i] * share;
      all[column] += cube.n[i] * share;
    };
    for (let i = 0; i < cube.cells; i++) {
      if (pass(i) !== 2)
        continue;
      /* A bin wider than a column is in all that it covers. */
      const first = cube.t[i] / DURATION * columns, last = first + cube.bin / DURATION * columns;
      for (let column = Math.min(columns - 1, Math.floor(first)); column < last && column < columns; column++)
        add(column, i, cube.exact ? 1 : (Math.min(column + 1, last) - Math.max(column, first)) / (last - first));
    }
    const most = d3.max(all) || 1;
    /* Roots: one event among thousands is seen still. */
    const y = d3.scaleSqrt().domain([0, most]).range([0, this.inner - 8]);
    for (let column = 0; column < columns; column++) {
      let bottom = this.inner;
      const high = y(all[column]);
      for (let s = 0; s < series; s++) {
        const part = all[column] ? high * counts[column * series + s] / all[column] : 0;
        draw.fillStyle = colourAt(s);
        draw.fillRect(this.left + column * wide, bottom - part, wide - 0.5, part);
        bottom -= part;
      }
    }
    timeAxis(this, x, false);
    noteEmpty(this, d3.max(all));
    this.axis.append('text').attr('x', this.left - 8).attr('y', 14).attr('text-anchor', 'end')
      .text(d3.max(all) < 1.5 ? '1 event' : formatCount(Math.round(most)) + ' events');
    this.axis.append('text').attr('x', this.left - 8).attr('y', 29).attr('text-anchor', 'end')
      .text('in ' + formatTime(DURATION / columns));
    this.brush(x);
  },

  brush(x) {
    const brush = d3.brushX().extent([[this.left, 0], [this.right, this.inner]]);
    const all = view.t0 <= 0 && view.t1 >= DURATION;
    brush.on('end', (given) => {
      /* Until version 6 of D3 the event was a variable. */
      const event = d3.event || given;
      /* Only what a person did. */
      if (!event.sourceEvent)
        return;
      if (!event.selection)
        look({ t0: 0, t1: DURATION });
      else
        look({ t0: x.invert(event.selection[0]), t1: x.invert(event.selection[1]) });
    });
    this.over.selectAll('*').remove();
    this.over.call(brush).call(brush.move, all ? null : [view.t0, view.t1].map(x));
    this.over.select('.overlay').attr('cursor', 'crosshair');
  },
};

const LANE = 22;

const lanes = {
  node: document.getElementById('lanes'),
  most: 16,

  draw() {
    const cube = this.cube = cubeNamed('lanes');
    const axis = this.lanes = laneAxis(cube, this.most);
    const draw = prepare(this, Math.max(1, axis.values.length) * LANE + AXIS);
    const pass = matcher(cube);
    this.place = new Map(axis.values.map((value, i) => [value, i]));
    this.labels();
    this.lives(draw);
    /* By time spent in each column of pixels, apart for what the search finds. */
    const columns = Math.ceil(this.right - this.left), series = colourNames.length + 1;
    const size = axis.values.length * columns * series;
    const found = new Float32Array(size), faint = new Float32Array(size);
    this.spread(cube, pass, columns, series, found, faint);
    draw.globalAlpha = FAINT * 2.5;
    this.bars(draw, columns, series, faint);
    draw.globalAlpha = 1;
    this.bars(draw, columns, series, found);
    timeAxis(this, this.x, true);
    noteEmpty(this, axis.values.length);
    const more = document.getElementById('lanes-more');
    more.hidden = !axis.left && this.most <= 16;
    more.textContent = axis.left ? `Show ${formatCount(Math.min(axis.left, 200))} more that took less time` : 'Show fewer';
    noteMissing('lanes-note', cube, 'height: share of the time inside sections' + (cube.exact ? '' : ' · time in steps of ' + formatTime(cube.bin)));
  },

  laneOf(i) {
    const { dimension } = this.lanes;
    return dimension ? this.place.get(this.cube.by[dimension][this.cube.c[i]]) : 0;
  },

  labels() {
    const { dimension, values } = this.lanes;
    values.forEach((value, i) => {
      const label = dimension ? LABELS[dimension][value] : 'all threads';
      this.axis.append('text').attr('x', this.left - 8).attr('y', i * LANE + 15)
        .attr('text-anchor', 'end').attr('class', 'strong').text(fit(label, this.left - 12))
        .append('title').text(label);
    });
    this.axis.append('g').attr('class', 'grid').selectAll('line').data(d3.range(values.length + 1))
      .join('line').attr('x1', 0).attr('x2', this.right).attr('y1', (i) => i * LANE).attr('y2', (i) => i * LANE);
  },

  /* When each process was there. */
  lives(draw) {
    draw.fillStyle = getComputedStyle(document.documentElement).getPropertyValue('--grid');
    this.lanes.values.forEach((value, i) => {
      const number = this.lanes.dimension === 'thread' && value ? D.thread[value].process : value;
      const process = D.process[number];
      if (!number)
        return;
      const from = Math.max(this.left, this.x(process.begin));
      const to = Math.min(this.right, this.x(process.end || DURATION));
      draw.fillRect(from, i * LANE + LANE - 5, Math.max(0, to - from), 2);
    });
  },

  spread(cube, pass, columns, series, found, faint) {
    const colours = colourIndex(cube), perPixel = (view.t1 - view.t0) / columns;
    const [from, to] = shownCells(cube);
    for (let i = from; i < to; i++) {
      const lane = this.laneOf(i), ok = pass(i);
      if (!ok || lane === undefined)
        continue;
      const into = ok === 2 ? found : faint, at = lane * columns * series + colours[cube.c[i]];
      const end = Math.max(endOf(cube, i), cube.t[i] + 1);
      const first = Math.max(0, (cube.t[i] - view.t0) / perPixel);
      const last = Math.min(columns, Math.max(first + 1e-6, (end - view.t0) / perPixel));
      const each = cube.time[i] / (end - cube.t[i]);
      /* Above nothing, so that something that took no time is seen too. */
      for (let column = Math.floor(first); column < last; column++)
        into[at + column * series] += 1e-6 +
          each * (Math.min(column + 1, last) - Math.max(column, first));
    }
  },

  bars(draw, columns, series, busy) {
    for (let lane = 0; lane < this.lanes.values.length; lane++) {
      for (let column = 0; column < columns; column++) {
        const at = (lane * columns + column) * series;
        let sum = 0;
        for (let s = 0; s < series; s++)
          sum += busy[at + s];
        if (!sum)
          continue;
        const high = 4 + (LANE - 7) * Math.min(1, sum) ** 0.4;
        let bottom = (lane + 1) * LANE - 2;
        for (let s = 0; s < series; s++) {
          if (!busy[at + s])
            continue;
          const part = high * busy[at + s] / sum;
          draw.fillStyle = colourAt(s);
          draw.fillRect(this.left + column, bottom - part, 1, part);
          bottom -= part;
        }
      }
    }
  },

  at(x, y) {
    const lane = Math.floor(y / LANE), near = (view.t1 - view.t0) / (this.right - this.left) * 2.5;
    const t = this.x.invert(x), pass = matcher(this.cube), cells = [];
    const [from, to] = shownCells(this.cube);
    for (let i = from; i < to; i++)
      if (pass(i) && this.cube.t[i] - near <= t && endOf(this.cube, i) + near >= t && this.laneOf(i) === lane)
        cells.push(i);
    /* The nearest one last. */
    const away = (i) => Math.max(0, this.cube.t[i] - t, t - endOf(this.cube, i));
    return cells.sort((a, b) => away(b) - away(a));
  },

  /* Where a cell is drawn. */
  point(i) {
    const lane = this.laneOf(i);
    return lane === undefined ? null : [this.x((Math.max(view.t0, this.cube.t[i]) + Math.min(view.t1, endOf(this.cube, i))) / 2), lane * LANE + LANE / 2];
  },
};

const map = {
  node: document.getElementById('map'),

  draw() {
    const cube = this.cube = CUBES[0];
    const draw = prepare(this, window.innerHeight < 700 ? 340 : 460);
    const pass = matcher(cube);
    Object.assign(this, addressAxis(cube, pass, this.inner));
    nameBands(cube, this.bands, pass);
    this.boxes = this.layOut(pass);
    this.labels();
    timeAxis(this, this.x, true);
    const colours = colourIndex(cube);
    const many = Math.max(2, d3.quantile(this.boxes.map((box) => cube.n[box.i]).sort(d3.ascending), 0.98) || 0);
    /* What is small above what is large; the more events the denser. */
    for (const box of this.boxes) {
      const dense = Math.min(1, Math.log(cube.n[box.i]) / Math.log(many));
      draw.globalAlpha = box.pass === 1 ? FAINT : box.all ? 0.35 : cube.exact ? 0.65 + 0.3 * dense : 0.2 + 0.7 * dense;
      draw.fillStyle = colourAt(colours[cube.c[box.i]]);
      draw.fillRect(box.x, box.y, box.w, box.h);
    }
    draw.globalAlpha = 1;
    noteEmpty(this, this.boxes.length);
    const processes = cube.dimensions.has('process') ? new Set(this.boxes.map((box) => cube.by.process[cube.c[box.i]])).size : 0;
    noteMissing('map-note', cube, (processes > 1 ? `${processes} processes, one over the other · ` : '') + 'unused addresses left out' + (cube.exact ? ''
      : ` · steps of ${formatTime(cube.bin)} and ${cube.steps}`));
  },

  layOut(pass) {
    const boxes = [], cube = this.cube;
    const [from, to] = shownCells(cube);
    for (let i = from; i < to; i++) {
      const ok = pass(i), r = cube.r[i], all = coversAll(cube, i);
      if (!ok || !inAddresses(cube, i) || !cube.dimensions.has('address'))
        continue;
      /* Whole pixels, so that cells side by side leave no seam. */
      const x = Math.round(Math.max(this.left, this.x(cube.t[i])));
      const right = Math.round(Math.min(this.right, this.x(endOf(cube, i))));
      const top = all ? 0 : Math.round(this.scale(cube.hi[r])), bottom = all ? this.inner : Math.round(this.scale(cube.lo[r]));
      const w = Math.max(all ? 1 : 3, right - x), h = Math.max(3, bottom - top);
      boxes.push({ i, all, pass: ok, x, y: Math.min(top, this.inner - h), w, h });
    }
    return boxes.sort((a, b) => a.pass - b.pass || b.h - a.h || b.w - a.w || a.i - b.i);
  },

  labels() {
    const room = this.left - 12;
    this.bands.forEach((band, i) => {
      const middle = (band.top + band.bottom) / 2, high = band.bottom - band.top;
      const more = band.others > 0 ? ' +' + band.others : '';
      const name = fit(band.label, room - textWidth(more)) + more;
      const size = formatBytes(band.hi - band.lo);
      const group = this.axis.append('g');
      group.append('title').text(`${formatAddress(band.lo)} – ${formatAddress(band.hi)}, ${size}`);
      if (high >= 30) {
        group.append('text').attr('class', 'strong').attr('x', room + 4).attr('y', middle - 2).attr('text-anchor', 'end').text(name);
        group.append('text').attr('x', room + 4).attr('y', middle + 12).attr('text-anchor', 'end')
          .text(room > 150 ? `${formatAddress(band.lo)} · ${size}` : size);
      } else if (high >= 12) {
        group.append('text').attr('class', 'strong').attr('x', room + 4).attr('y', middle + 4).attr('text-anchor', 'end').text(name);
      }
      group.append('line').attr('class', 'band').attr('x1', this.left - 3).attr('x2', this.left - 3).attr('y1', band.top).attr('y2', band.bottom);
      if (i)
        this.axis.insert('rect', ':first-child').attr('class', 'gap').attr('x', this.left).attr('width', this.right - this.left)
          .attr('y', band.bottom).attr('height', GAP);
    });
  },

  at(x, y) {
    const hit = (box, by) => x >= box.x - by && x <= box.x + box.w + by && y >= box.y - by && y <= box.y + box.h + by;
    let boxes = this.boxes.filter((box) => hit(box, 0));
    if (!boxes.length)
      boxes = this.boxes.filter((box) => hit(box, 3));
    const narrow = boxes.filter((box) => !box.all);
    boxes = narrow.length ? narrow : boxes;
    /* The one on top, and those that share its place. */
    const top = boxes[boxes.length - 1];
    return top ? boxes.filter((box) => box.h <= top.h + 1).map((box) => box.i) : [];
  },

  point(i) {
    const box = this.boxes.find((b) => b.i === i);
    return box ? [box.x + box.w / 2, box.y + box.h / 2] : null;
  },
};

const CHARTS = { lanes, map };
