/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The tables of totals: by operation, mapping, stack, process, thread, outcome. */
'use strict';

const TABS = [['op', 'Operations'], ['mapping', 'Mappings'], ['stack', 'Stacks'],
  ['process', 'Processes'], ['thread', 'Threads'], ['outcome', 'Outcomes']];
const COLUMNS = [['n', 'Events'], ['time', 'Time'], ['mean', 'Mean'], ['max', 'Longest'], ['bytes', 'Size']];
const ROWS = 25;

const table = { tab: 'op', sort: 'time', descending: true, rows: ROWS, open: new Set() };

function element(name, text, attributes) {
  const node = document.createElement(name);
  if (text !== undefined && text !== null)
    node.textContent = text;
  for (const key in attributes || {})
    node.setAttribute(key, attributes[key]);
  return node;
}

function drawTabs() {
  const tabs = document.getElementById('tabs');
  if (!tabs.firstChild)
    TABS.forEach(([dimension, label], i) => {
      const tab = tabs.appendChild(element('button', label, { type: 'button', role: 'tab', id: 'tab-' + dimension, 'aria-controls': 'panel', title: `${label} (${i + 1})` }));
      tab.onclick = () => chooseTab(dimension);
    });
  for (const tab of tabs.children) {
    const chosen = tab.id === 'tab-' + table.tab;
    tab.setAttribute('aria-selected', chosen);
    tab.tabIndex = chosen ? 0 : -1;
  }
  document.getElementById('panel').setAttribute('aria-labelledby', 'tab-' + table.tab);
}

document.getElementById('tabs').addEventListener('keydown', (event) => {
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (!step)
    return;
  const at = TABS.findIndex((tab) => tab[0] === table.tab);
  chooseTab(TABS[(at + step + TABS.length) % TABS.length][0]);
  document.getElementById('tab-' + table.tab).focus();
  event.preventDefault();
  event.stopPropagation();
});

function chooseTab(dimension) {
  table.tab = dimension;
  table.rows = ROWS;
  drawTable();
}

function nameCell(row) {
  const cell = element('td');
  if (table.tab === 'stack' && row.value && D.stack[row.value].frames.length)
    cell.append(stackList(row.value));
  else if (table.tab === 'process' && row.value)
    cell.append(element('span', row.label), element('div', describeProcess(row.value), { class: 'dim' }));
  else
    cell.append(element('span', row.label, { class: table.tab === 'mapping' ? 'mono' : '' }));
  return cell;
}

function describeProcess(value) {
  const p = D.process[value];
  return [p.exe ? visible(p.exe) : '', p.ppid ? 'parent ' + p.ppid : '',
    `from ${formatPoint(p.begin, 1e6)}` + (p.end ? ` to ${formatPoint(p.end, 1e6)}` : ''),
    p.error ? 'not watched: ' + visible(p.error) : ''].filter(Boolean).join(' · ');
}

function stackList(value) {
  const frames = D.stack[value].frames, few = 4, open = table.open.has(value) || frames.length <= few + 1;
  const list = element('ol', null, { class: 'stack' });
  for (const frame of open ? frames : frames.slice(0, few)) {
    const item = list.appendChild(element('li', frameLabel(frame)));
    item.append(' ', element('span', frameWhere(frame), { class: 'where' }));
  }
  if (!open) {
    const more = element('button', `${frames.length - few} more frames`, { type: 'button', class: 'dim' });
    more.onclick = (event) => {
      table.open.add(value);
      drawTable();
      event.stopPropagation();
    };
    list.appendChild(element('li')).append(more);
  }
  return list;
}

function shareCell(row, sum) {
  const share = sum.time ? row.time / sum.time : 0;
  const cell = element('td', null, { class: 'share n' });
  const bar = cell.appendChild(element('i'));
  bar.style.width = `calc(${(100 * share).toFixed(2)}% - ${(12 * share).toFixed(1)}px)`;
  cell.append(element('span', (100 * share).toFixed(1) + ' %'));
  return cell;
}

function tableRow(row, sum) {
  const chosen = view.filters[table.tab] && view.filters[table.tab].has(row.value);
  const line = element('tr', null, { tabindex: 0, 'aria-selected': !!chosen });
  line.append(nameCell(row), shareCell(row, sum));
  for (const [column] of COLUMNS)
    line.append(numberCell(column, row));
  const choose = () => toggleFilter(table.tab, row.value);
  line.onclick = choose;
  line.onkeydown = (event) => {
    if (event.target === line && (event.key === 'Enter' || event.key === ' ')) {
      event.preventDefault();
      choose();
    }
  };
  return line;
}

function numberCell(column, row) {
  const value = column === 'mean' ? (row.n ? row.time / row.n : 0) : row[column];
  const format = { n: d3.format(','), bytes: formatBytes }[column] || formatTime;
  const cell = element('td', format(value), { class: 'n', 'data-value': value });
  cell.title = column === 'n' ? '' : column === 'bytes' ? d3.format(',')(value) + ' bytes' : d3.format(',.0f')(value) + ' ns';
  return cell;
}

function headRow() {
  const line = element('tr');
  const heads = [['label', TABS.find((tab) => tab[0] === table.tab)[1].replace(/(e?s)$/, (s) => s === 'es' && table.tab === 'process' ? '' : s === 'es' ? 'e' : '')],
    ['share', 'Share of time'], ...COLUMNS];
  for (const [column, label] of heads) {
    const key = column === 'share' ? 'time' : column;
    const sorted = table.sort === key && column !== 'share';
    const head = line.appendChild(element('th', null, { scope: 'col' }));
    if (sorted)
      head.setAttribute('aria-sort', table.descending ? 'descending' : 'ascending');
    const button = head.appendChild(element('button', label + (sorted ? (table.descending ? ' ▾' : ' ▴') : ''), { type: 'button', 'data-column': key }));
    button.onclick = () => {
      table.descending = table.sort === key ? !table.descending : key !== 'label';
      table.sort = key;
      drawTable();
      const again = document.querySelector(`#panel th button[data-column="${key}"]`);
      if (again)
        again.focus();
    };
  }
  return line;
}

function sortRows(rows) {
  const key = { mean: (row) => row.time / row.n, label: (row) => row.label }[table.sort] || ((row) => row[table.sort]);
  const order = table.descending ? d3.descending : d3.ascending;
  return rows.sort((a, b) => order(key(a), key(b)) || d3.ascending(a.label, b.label));
}

function drawTable() {
  drawTabs();
  const panel = document.getElementById('panel'), { rows, missing } = sumsBy(table.tab);
  const sum = total(rows), box = element('table'), body = element('tbody');
  box.appendChild(element('thead')).append(headRow());
  for (const row of sortRows(rows).slice(0, table.rows))
    body.append(tableRow(row, sum));
  box.append(body);
  const foot = box.appendChild(element('tfoot')).appendChild(element('tr', null, { id: 'total' }));
  foot.append(element('td', `${d3.format(',')(rows.length)} in total`), element('td', ''));
  for (const [column] of COLUMNS)
    foot.append(numberCell(column, sum));
  panel.replaceChildren(box);
  if (rows.length > table.rows) {
    const more = panel.appendChild(element('button', `Show ${Math.min(200, rows.length - table.rows)} more of ${d3.format(',')(rows.length - table.rows)}`, { type: 'button' }));
    more.onclick = () => {
      table.rows += 200;
      drawTable();
    };
  }
  if (table.tab === 'stack' && !hasStacks)
    panel.prepend(element('p', 'This recording has no stacks: trace with -k to have them.', { class: 'dim' }));
  document.getElementById('table-note').textContent = (everything() ? 'of the whole trace' : 'of what is shown above') +
    (missing.length ? ' · not filtered by ' + missing.join(', ') + ', which this aggregate does not keep with it' : '');
  return sum;
}
