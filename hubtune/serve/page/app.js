// The page of `hubtune serve`: photos in, classes out. No build step, no library.
'use strict';

const texts = document.getElementById('texts').dataset;
const at = id => document.getElementById(id);
const language = document.documentElement.lang;
const BARS = 5;
const AT_ONCE = 2;
const MOST_TRIES = 60;
const SURE = 0.5;
const CLASSES = 12;

const fill = (text, values) => text.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
const percent = share => new Intl.NumberFormat(language, { style: 'percent', maximumFractionDigits: 1 }).format(share);
const sleep = seconds => new Promise(resolve => setTimeout(resolve, 1000 * seconds));

let token = null;
let models = [];
let items = [];
let current = null;
let queue = [];
let working = 0;

// The token: from the address that was printed, or from the field. It stays in this tab.
function findToken() {
  const printed = new URLSearchParams(location.hash.slice(1)).get('token');
  if (printed) {
    history.replaceState(null, '', location.pathname + location.search);
    sessionStorage.setItem('hubtune-token', printed);
  }
  return sessionStorage.getItem('hubtune-token');
}

function askForToken(message) {
  at('token-form').hidden = false;
  at('token-error').textContent = message || '';
  at('token').focus();
  return new Promise(resolve => at('token-form').addEventListener('submit', event => {
    event.preventDefault();
    token = at('token').value.trim();
    sessionStorage.setItem('hubtune-token', token);
    at('token-form').hidden = true;
    resolve();
  }, { once: true }));
}

let asking = null;
function renewToken(message) {
  asking = asking || askForToken(message).finally(() => { asking = null; });
  return asking;
}

class Refusal extends Error {}

function reasonOf(code, message) {
  const known = texts[code.replace(/_(\w)/g, (_, letter) => letter.toUpperCase())];
  return known || fill(texts.error, { reason: message });
}

// Send a request; a busy server is asked again, and a missing token asked for.
async function request(path, body) {
  for (let tries = 0; tries < MOST_TRIES; tries += 1) {
    let answer;
    try {
      answer = await fetch(path, {
        method: body ? 'POST' : 'GET', body, cache: 'no-store',
        headers: {
          ...(token ? { Authorization: `Bearer ${token}` } : {}),
          ...(body ? { 'Content-Type': 'application/octet-stream' } : {}),
        },
      });
    } catch {
      throw new Refusal(texts.unreachable);
    }
    if (answer.ok) return answer.json();
    if (answer.status === 503) {
      await sleep(Number(answer.headers.get('Retry-After')) || 1);
      continue;
    }
    const found = await answer.json().catch(() => ({ code: 'error', message: String(answer.status) }));
    if (answer.status !== 401 && answer.status !== 429) throw new Refusal(reasonOf(found.code, found.message));
    await renewToken(found.code === 'no_token' ? '' : reasonOf(found.code, found.message));
  }
  throw new Refusal(texts.unreachable);
}

async function start() {
  token = findToken();
  if (!token && document.documentElement.dataset.token === 'needed') await renewToken('');
  try {
    models = (await request('/models')).models;
  } catch (error) {
    at('status').textContent = error.message;
    return;
  }
  for (const model of models) at('model').add(new Option(model.name, model.name));
  at('model-choice').hidden = models.length < 2;
  showModel();
}

const chosenModel = () => models.find(model => model.name === at('model').value) || models[0];

function showModel() {
  const { labels, rejects } = chosenModel();
  const names = labels.slice(0, CLASSES);
  if (labels.length > names.length) names.push(fill(texts.more, { count: labels.length - names.length }));
  at('classes').textContent = fill(texts.oneOf, { classes: names.join(' · ') });
  at('reject-choice').hidden = !rejects;
}

const address = (item, explain) => {
  const parameters = new URLSearchParams();
  if (item.reject) parameters.set('reject', '1');
  if (explain) parameters.set('explain', '1');
  return `/models/${encodeURIComponent(item.model)}/predict?${parameters}`;
};

function addFiles(files) {
  const added = [...files];
  if (!added.length || !models.length) return;
  const model = chosenModel();
  for (const file of added) {
    const item = {
      file, model: model.name, reject: model.rejects && at('reject').checked,
      name: file.name && file.name !== 'image.png' ? file.name : texts.pasted, preview: URL.createObjectURL(file),
      row: null, reason: null, heat: null, shown: false,
    };
    items.push(item);
    queue.push(item);
    addRow(item);
  }
  const first = items[items.length - added.length];
  show(first);
  at('list').hidden = items.length < 2;
  document.body.classList.add('busy');
  while (working < AT_ONCE && queue.length) work();
}

async function work() {
  working += 1;
  while (queue.length) {
    const item = queue.shift();
    at('status').textContent = fill(texts.working, item);
    try {
      item.row = await request(address(item, false), item.file);
    } catch (error) {
      item.reason = error.message;
    }
    if (!items.includes(item)) continue;
    showRow(item);
    if (item === current) show(item);
    announce(item);
  }
  working -= 1;
}

function announce(item) {
  const done = items.filter(each => each.row || each.reason).length;
  if (items.length > 1) {
    at('status').textContent = fill(texts.progress, { done, total: items.length });
  } else if (item.reason) {
    at('status').textContent = fill(texts.failed, item);
  } else {
    const [label, score] = best(item.row);
    at('status').textContent = item.row.rejected
      ? fill(texts.failed, { name: item.name, reason: texts.stranger })
      : item.row.labels
        ? fill(texts.failed, { name: item.name, reason: given(item.row) })
        : fill(texts.announced, { name: item.name, label, share: percent(score) });
  }
}

const ordered = row => Object.entries(row.scores).sort((one, other) => other[1] - one[1]);
const best = row => ordered(row)[0];
// The labels of a multi-label model.
const given = row => row.labels.map(each => each.label).join(' · ') || texts.noLabel;

function show(item) {
  current = item;
  at('result').hidden = false;
  at('result').classList.toggle('rejected', Boolean(item.row && item.row.rejected));
  at('photo').hidden = false;
  at('photo').src = item.shown && item.heat ? item.heat : item.preview;
  at('photo').alt = item.shown && item.heat ? fill(texts.heatAlt, item) : item.name;
  at('photo-name').textContent = item.name;
  at('bars').replaceChildren();
  at('sureness').textContent = '';
  at('explain').hidden = !item.row;
  at('explain').setAttribute('aria-pressed', String(item.shown));
  at('explain').textContent = item.shown ? texts.hide : texts.show;
  at('explain-hint').hidden = !item.shown;
  for (const other of items) if (other.line) other.line.classList.toggle('current', other === item);
  if (item.reason) {
    at('answer').textContent = '—';
    at('sureness').textContent = item.reason;
    return;
  }
  if (!item.row) {
    at('answer').textContent = '…';
    return;
  }
  const [label, score] = best(item.row);
  at('answer').textContent = item.row.rejected ? texts.stranger : item.row.labels ? given(item.row) : label;
  if (item.row.labels) {
    at('sureness').textContent = item.row.known === false && !item.row.rejected ? texts.unlike : '';
  } else if (item.row.rejected) {
    at('sureness').textContent = fill(texts.nearest, { label: item.row.nearest });
  } else {
    at('sureness').textContent = fill(score < SURE ? texts.unsure : texts.sure, { share: percent(score) });
    if (item.row.known === false) at('sureness').textContent += ` ${texts.unlike}`;
  }
  const names = item.row.rejected ? [] : item.row.labels ? item.row.labels.map(each => each.label) : [label];
  for (const [name, value] of ordered(item.row).slice(0, BARS)) at('bars').append(bar(name, value, names.includes(name)));
}

function element(name, className, text) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

function bar(name, value, isGiven) {
  const line = element('li', isGiven ? 'given' : '');
  const track = element('span', 'track');
  const part = element('span', 'fill');
  part.style.width = `${100 * value}%`;
  track.setAttribute('aria-hidden', 'true');
  track.append(part);
  line.append(element('span', 'name', name), element('span', 'value', percent(value)), track);
  return line;
}

function addRow(item) {
  const line = item.line = element('tr');
  const image = element('img');
  image.alt = '';
  image.src = item.preview;
  image.addEventListener('error', () => { image.hidden = true; });
  const button = element('button', '', item.name);
  button.type = 'button';
  button.addEventListener('click', () => {
    show(item);
    at('result').scrollIntoView({ block: 'nearest', behavior: 'smooth' });
  });
  const cells = ['', '', '', 'number'].map(className => element('td', className));
  cells[0].append(image);
  cells[1].append(button);
  cells[2].textContent = '…';
  line.append(...cells);
  at('rows').append(line);
}

function showRow(item) {
  const [, , label, score] = item.line.cells;
  if (item.reason) {
    label.textContent = item.reason;
    label.className = 'error';
  } else if (item.row.rejected) {
    label.textContent = texts.stranger;
  } else if (item.row.labels) {
    label.textContent = given(item.row);
  } else {
    label.textContent = item.row.label;
    score.textContent = percent(item.row.score);
  }
}

async function explain() {
  const item = current;
  if (item.shown || item.heat) {
    item.shown = !item.shown;
    show(item);
    return;
  }
  at('status').textContent = texts.wait;
  at('explain').disabled = true;
  try {
    item.heat = (await request(address(item, true), item.file)).heat_map.image;
    item.shown = true;
    at('status').textContent = '';
    if (item === current) show(item);
  } catch (error) {
    at('status').textContent = error.message;
  }
  at('explain').disabled = false;
  at('explain').focus();
}

// A spreadsheet must not take a file's or a class's name for a formula.
function cell(value) {
  const text = value === null || value === undefined ? '' : String(value);
  const safe = typeof value !== 'number' && /^'*[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

function download() {
  const lines = [[texts.columnFile, 'label', 'score', 'known', 'similarity', 'nearest', 'error']];
  for (const { name, row, reason } of items) {
    const labels = row && row.labels && row.labels.map(each => each.label).join(';');
    const scores = row && row.labels && row.labels.map(each => each.score).join(';');
    lines.push(row
      ? [name, labels ?? row.label, scores ?? row.score, row.known, row.similarity, row.nearest, row.error]
      : [name, '', '', '', '', '', reason]);
  }
  const content = lines.map(line => line.map(cell).join(',')).join('\r\n');
  const link = element('a');
  // With a mark of UTF-8, by which Excel knows Chinese names.
  link.href = URL.createObjectURL(new Blob(['\ufeff', content, '\r\n'], { type: 'text/csv' }));
  link.download = 'hubtune.csv';
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

function clear() {
  for (const item of items) URL.revokeObjectURL(item.preview);
  items = [];
  queue = [];
  current = null;
  at('rows').replaceChildren();
  at('list').hidden = at('result').hidden = true;
  at('status').textContent = '';
  document.body.classList.remove('busy');
  at('choose').focus();
}

for (const id of ['choose', 'camera']) {
  at(id).addEventListener('change', event => {
    addFiles(event.target.files);
    event.target.value = '';  // so that the same photo can be chosen again
  });
}
at('explain').addEventListener('click', explain);
at('download').addEventListener('click', download);
at('clear').addEventListener('click', clear);
at('model').addEventListener('change', showModel);
at('photo').addEventListener('error', () => { at('photo').hidden = true; });
document.addEventListener('paste', event => {
  if (event.clipboardData.files.length) {
    event.preventDefault();
    addFiles(event.clipboardData.files);
  }
});
document.addEventListener('dragover', event => {
  event.preventDefault();
  document.body.classList.add('dragging');
});
document.addEventListener('dragleave', event => {
  if (!event.relatedTarget) document.body.classList.remove('dragging');
});
document.addEventListener('drop', event => {
  event.preventDefault();
  document.body.classList.remove('dragging');
  addFiles(event.dataTransfer.files);
});
start();
