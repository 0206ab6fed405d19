// The console renders JSON as text: nothing of it becomes markup, and the policy of the page forbids that, too.
'use strict';

const byId = (id) => document.getElementById(id);

// -- elements ---------------------------------------------------------------------------------------------------------

function make(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === 'class') made.className = value;
    else if (name === 'onclick') made.addEventListener('click', value);
    else made.setAttribute(name, value);
  }
  made.append(...children.filter((it) => it !== null && it !== undefined).map((it) => (it instanceof Node ? it : visible(it))));
  return made;
}

// Clients choose paths, and these may be in tags and errors: what changes the direction of text could disguise them.
const HIDDEN = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/g;
const visible = (text) => String(text).replace(HIDDEN, (it) => `\\u${it.charCodeAt(0).toString(16).padStart(4, '0')}`);

function drawn(tag, attributes = {}, ...children) {
  const made = document.createElementNS('http://www.w3.org/2000/svg', tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

const chips = (texts, kind = '') => texts.map((it) => make('span', { class: `chip ${kind}` }, it));
const code = (text) => make('code', { class: 'break' }, text);

function pairs(rows) {
  const list = make('dl', { class: 'pairs' });
  for (const [name, value] of rows) {
    if (value === null || value === undefined || value === '' || (Array.isArray(value) && !value.length)) continue;
    list.append(make('dt', {}, name), make('dd', {}, ...(Array.isArray(value) ? value : [value])));
  }
  return list;
}

function table(titles, rows, { blocks = true, numbers = [] } = {}) {
  const kind = (place) => (numbers.includes(place) ? 'number' : '');
  return make('table', { class: blocks ? 'blocks' : '' },
    make('thead', {}, make('tr', {}, ...titles.map((it, place) => make('th', { scope: 'col', class: kind(place) }, it)))),
    make('tbody', {}, ...rows.map((row) => make('tr', {}, ...row.map((cell, place) =>
      make('td', { class: kind(place), 'data-title': titles[place] }, make('span', {}, ...(Array.isArray(cell) ? cell : [cell]))))))));
}

// -- numbers ----------------------------------------------------------------------------------------------------------

const counting = new Intl.NumberFormat('en');
const count = (number) => counting.format(Math.round(number));
const many = (number, word) => `${count(number)} ${word}${number === 1 ? '' : 's'}`;
const percent = (ratio) => (ratio === null ? '–' : `${(ratio * 100).toFixed(1)}\u00a0%`);
const clock = (seconds) => new Date(seconds * 1000).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' });

function bytes(number) {
  for (const unit of ['B', 'kB', 'MB', 'GB']) {
    if (number < 1000 || unit === 'GB') return `${number < 10 && unit !== 'B' ? number.toFixed(1) : Math.round(number)} ${unit}`;
    number /= 1000;
  }
}

function span(seconds) {
  const whole = Math.abs(seconds);
  if (whole === 0) return '0 s';
  if (whole < 0.0995) return `${(whole * 1000).toFixed(whole < 0.00995 ? 2 : 0)} ms`;
  if (whole < 10 && whole % 1) return `${whole.toFixed(1)} s`;
  if (whole < 120) return `${Math.round(whole)} s`;
  if (whole < 7200) return `${Math.round(whole / 60)} min`;
  return whole < 172800 ? `${Math.round(whole / 3600)} h` : `${Math.round(whole / 86400)} days`;
}

// -- requests ---------------------------------------------------------------------------------------------------------

async function ask(path, body) {
  const options = body === undefined ? {} : {
    method: 'POST', body: JSON.stringify(body), headers: { 'content-type': 'application/json' },
  };
  const response = await fetch(path, { ...options, cache: 'no-store', credentials: 'same-origin' });
  const text = await response.text();
  let found = null;
  try { found = JSON.parse(text); } catch { /* a page of a proxy, or of a guard */ }
  if (response.ok && found !== null) return found;
  const detail = found && typeof found.detail === 'string' ? found.detail : text.slice(0, 200) || response.statusText;
  throw new Error(`${response.status}: ${detail}`);
}

function showTrouble(text) {
  byId('trouble').textContent = visible(text);
  byId('trouble').hidden = !text;
}

/** Run something for a person, and show what went wrong. */
async function attempt(work) {
  try {
    await work();
    showTrouble(storeTrouble);
  } catch (error) {
    showTrouble(error.message);
  }
}

// -- overview ---------------------------------------------------------------------------------------------------------

const KINDS = [['without_run', 'from an entry'], ['misses', 'endpoint ran'], ['passed', 'bypassed or refused'], ['errors', 'errors']];
let numbers = null;
const ticks = [];

function noteNumbers(found) {
  if (numbers && Boolean(numbers.error) !== Boolean(found.error)) ticks.length = 0; // of one worker, or of all
  numbers = found;
  ticks.push({ time: found.time, requests: found.total.requests, looked: found.total.looked_up, without: found.total.without_run });
  while (ticks.length > 2 && found.time - ticks[0].time > 30) ticks.shift();
  showNumbers();
}

function now() {
  const first = ticks[0], last = ticks[ticks.length - 1];
  const seconds = last.time - first.time;
  if (seconds <= 0) return { rate: null, ratio: null };
  const looked = last.looked - first.looked;
  return { rate: Math.max(0, last.requests - first.requests) / seconds, ratio: looked > 0 ? (last.without - first.without) / looked : null };
}

function figure(name, value, more, kind = '') {
  return make('div', {}, make('dt', {}, name), make('dd', { class: `value ${kind}` }, value), make('dd', { class: 'more' }, more));
}

function showNumbers() {
  const { total, store, minutes, workers, purges } = numbers;
  const sum = (name) => minutes.reduce((so_far, it) => so_far + it[name], 0);
  const looked = sum('requests') - sum('passed');
  const { rate, ratio } = now();
  const held = store.memory || store.lmdb || store.near;
  const failing = store.state === 'failing';
  byId('store').textContent = store.kind + (store.address ? ` at ${store.address}` : '');
  byId('figures').replaceChildren(
    figure('Hit ratio, last hour', percent(looked ? sum('without_run') / looked : null), `since the start ${percent(total.looked_up ? total.hit_ratio : null)}`),
    figure('Hit ratio now', percent(ratio), 'of the last half minute'),
    figure('Requests now', rate === null ? '–' : `${rate < 10 ? rate.toFixed(1) : count(rate)}/s`, `${count(sum('requests'))} in the last hour, ${count(total.requests)} since the start`),
    figure('Endpoint time saved', span(total.seconds_saved), `${many(total.runs, 'run')} took ${span(total.endpoint_seconds)}`),
    held
      ? figure(store.near && !store.memory && !store.lmdb ? 'Near copies' : 'Entries', count(held.entries), `${bytes(held.bytes)}, ${count(held.evicted || 0)} evicted`)
      : figure('Sent from entries', bytes(total.bytes), `${many(total.stored, 'response')} stored`),
    figure('Store', failing ? 'failing' : store.kind ? 'up' : 'none yet', storeText(store, purges), failing ? 'bad' : ''),
  );
  showChart(minutes, numbers.time);
  showReasons(total.reasons);
  byId('workers').replaceChildren(workers.length
    ? table(['Worker', 'Requests', 'Hit ratio', 'Published'], workers.map((it) => [
      code(it.worker), count(it.requests), percent(it.requests ? it.hit_ratio : null), it.age < 1 ? 'now' : `${span(it.age)} ago`]), { numbers: [1, 2, 3] })
    : make('p', { class: 'muted' }, 'Not known while the store fails.'));
  showStoreTrouble(store, numbers.error);
  showRouteCounts();
}

let storeTrouble = '';
const ended = (text) => (/[.!?]$/.test(text) ? text : `${text}.`);

/** Say what is wrong with the store, and take it back when it is over. */
function showStoreTrouble(store, error) {
  const parts = [];
  if (store.state === 'failing') parts.push(`The store has been failing for ${span(store.failing_seconds)}: ${ended(store.error)}`);
  else if (error) parts.push(ended(error));
  if (error) parts.push('These are the numbers of one worker.');
  const text = parts.join(' ');
  if (text || byId('trouble').textContent === visible(storeTrouble)) showTrouble(text);
  storeTrouble = text;
}

function storeText(store, purges) {
  const parts = [];
  const reading = store.command_seconds.reading;
  if (store.state === 'failing') parts.push(`for ${span(store.failing_seconds)}`);
  else if (reading) parts.push(`reads in ${span(reading)}`);
  parts.push(store.pending_invalidations ? `${many(store.pending_invalidations, 'invalidation')} pending` : 'no invalidation pending');
  if (purges.failed || purges.waiting) parts.push(`purges: ${purges.failed} failed, ${purges.waiting} waiting`);
  return parts.join(', ');
}

function showReasons(reasons) {
  const rows = Object.entries(reasons).flatMap(([outcome, counts]) => Object.entries(counts).map(([reason, number]) => [outcome, reason, number]));
  rows.sort((a, b) => b[2] - a[2]);
  byId('reasons').replaceChildren(rows.length
    ? table(['Outcome', 'Reason', 'Responses'], rows.slice(0, 12).map(([outcome, reason, number]) => [outcome, code(reason), count(number)]), { numbers: [2] })
    : make('p', { class: 'muted' }, 'Nothing yet.'));
}

function showChart(minutes, time) {
  const WIDTH = Math.max(byId('chart').clientWidth, 240), HEIGHT = 190, LEFT = 44, BOTTOM = 22, TOP = 8, SLOTS = 60;
  const known = new Map(minutes.map((it) => [it.began_at, it]));
  const last = Math.floor(time / 60) * 60;
  const slots = Array.from({ length: SLOTS }, (_, place) => last - (SLOTS - 1 - place) * 60);
  const most = Math.max(1, ...minutes.map((it) => it.requests));
  const step = niceStep(most / 3), top = Math.ceil(most / step) * step;
  const wide = (WIDTH - LEFT) / SLOTS, gap = wide > 6 ? 1 : 0.5, high = HEIGHT - TOP - BOTTOM;
  const y = (number) => TOP + high * (1 - number / top);
  const svg = drawn('svg', { class: 'chart', width: WIDTH, height: HEIGHT, viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: 'img', 'aria-label': chartText(minutes) });
  for (let line = 0; line <= top; line += step) {
    svg.append(drawn('line', { class: 'grid', x1: LEFT, x2: WIDTH, y1: y(line), y2: y(line) }));
    svg.append(drawn('text', { x: LEFT - 6, y: y(line) + 4, 'text-anchor': 'end' }, short(line)));
  }
  const every = WIDTH < 500 ? 20 : 10;
  slots.forEach((began, place) => {
    const left = LEFT + place * wide, it = known.get(began);
    if ((began / 60) % every === 0) {
      svg.append(drawn('text', { x: Math.min(left + wide / 2, WIDTH - 18), y: HEIGHT - 5, 'text-anchor': 'middle' }, clock(began)));
    }
    if (!it) return;
    let below = 0;
    for (const [kind] of KINDS) {
      if (!it[kind]) continue;
      const upper = y(below + it[kind]);
      svg.append(drawn('rect', { class: kind, x: left + gap, width: wide - 2 * gap, y: upper, height: Math.max(0.75, y(below) - upper) }));
      below += it[kind];
    }
    const said = `${clock(began)}: ${many(it.requests, 'response')}, hit ratio ${percent(it.requests - it.passed ? it.hit_ratio : null)}`;
    svg.append(drawn('rect', { class: 'hover', x: left, width: wide, y: TOP, height: high }, drawn('title', {}, said)));
  });
  byId('chart').replaceChildren(svg);
  if (byId('minutes').closest('details').open) {
    byId('minutes').replaceChildren(...table(['Minute', ...KINDS.map(([, name]) => name), 'hit ratio'],
      [...minutes].reverse().map((it) => [clock(it.began_at), ...KINDS.map(([kind]) => count(it[kind])), percent(it.requests - it.passed ? it.hit_ratio : null)]),
      { blocks: false, numbers: [1, 2, 3, 4, 5] }).childNodes);
  }
}

const short = (number) => (number >= 1e6 ? `${number / 1e6}M` : number >= 1000 ? `${number / 1000}k` : `${number}`);

function niceStep(least) {
  const power = 10 ** Math.floor(Math.log10(Math.max(least, 1)));
  return [1, 2, 5, 10].map((it) => it * power).find((it) => it >= least);
}

function chartText(minutes) {
  const sum = (name) => minutes.reduce((so_far, it) => so_far + it[name], 0);
  return `Last hour: ${KINDS.map(([kind, name]) => `${count(sum(kind))} ${name}`).join(', ')}`;
}

// -- live -------------------------------------------------------------------------------------------------------------

let source = null, heardAt = 0;

function showLive(text, kind) {
  if (byId('live').textContent !== text) byId('live').textContent = text;
  byId('live').className = kind;
}

function listen() {
  if (source) source.close();
  source = new EventSource('events');
  source.onmessage = (event) => {
    heardAt = Date.now();
    showLive('live', 'on');
    noteNumbers(JSON.parse(event.data));
  };
  source.onerror = () => {
    if (source.readyState !== EventSource.CLOSED) return; // it connects anew
    source = null;
    showLive('not live', 'off');
    attempt(async () => noteNumbers(await ask('stats.json')));
    setTimeout(() => { if (!source && !document.hidden) listen(); }, 15000);
  };
}

setInterval(() => { if (heardAt && Date.now() - heardAt > 8000 && !document.hidden) showLive('not live', 'off'); }, 2000);

document.addEventListener('visibilitychange', () => {
  if (document.hidden) {
    if (source) source.close();
    source = null;
    ticks.length = 0;
  } else listen();
});

// -- routes -----------------------------------------------------------------------------------------------------------

let reports = null, stats = [];

async function loadRoutes() {
  [reports, { routes: stats }] = await Promise.all([ask('routes.json'), ask('stats.json')]);
  byId('templates').replaceChildren(...reports.filter((it) => it.cached).map((it) => make('option', { value: it.path })));
  byId('endpoints').replaceChildren(...reports.filter((it) => it.cached).map((it) => make('option', { value: it.endpoint })));
  showRoutes();
}

/** The path of a route has that of its mounts, which is not counted. */
function countsOf(it) {
  const found = stats.filter((other) => other.endpoint === it.endpoint);
  return found.find((other) => it.path === other.route) || found.find((other) => it.path.endsWith(other.route));
}

function showRoutes() {
  const { which, text } = byId('routes-filter').elements;
  const wanted = reports.filter((it) => it.path.includes(text.value) && (which.value === 'all' || (which.value === 'cached' ? it.cached : it.warnings.length)));
  const warnings = reports.filter((it) => it.warnings.length).length;
  byId('routes-count').textContent = `${wanted.length} of ${many(reports.length, 'route')}, ${warnings} with warnings`;
  byId('routes-list').replaceChildren(...wanted.map(routeRow));
}

function routeRow(it) {
  const found = countsOf(it);
  return make('details', {},
    make('summary', {},
      make('span', { class: 'path' }, `${it.methods.join(' ')} ${it.path} `, ...(it.warnings.length ? chips([it.warnings.length > 1 ? `${it.warnings.length} warnings` : 'warning'], 'warn') : [])),
      make('span', { class: 'sub' }, it.cached ? [...terms(it), ...(it.is_of_other_cache ? ['in another cache'] : [])].join(', ') : `not cached: ${it.why_not}`),
      make('span', { class: 'counts', 'data-endpoint': it.endpoint, 'data-path': it.path }, ...routeCounts(found))),
    make('div', { class: 'inside' },
      pairs([
        ['Endpoint', code(it.endpoint)],
        ['Key', it.key.join(', ')],
        ['Not in the key', it.not_in_key.join(', ')],
        ['Reads', chips(it.reads)],
        ['Guards', chips(it.guards)],
        ['Not run on hits', chips(it.not_run_on_hits)],
        ['Shared by', it.shared_by],
        ['Tags', chips(it.tags)],
        ['Namespace', it.namespace],
        ['Conditions', it.conditions.join('; ')],
        ['Invalidates', chips(it.invalidates)],
        ['Responses', found && OUTCOMES.filter((name) => found[name]).map((name) => `${count(found[name])} ${name}`).join(', ')],
        ['Endpoint', found && found.runs ? `${many(found.runs, 'run')}, ${span(found.endpoint_seconds / found.runs)} each; ${span(found.seconds_saved)} saved` : null],
      ]),
      ...it.warnings.map((text) => make('p', { class: 'note warn' }, text)),
      it.cached && !it.is_of_other_cache ? make('p', { class: 'buttons' },
        make('button', { type: 'button', onclick: () => goTo('entries', { route: it.path }) }, 'Its entries'),
        make('button', { type: 'button', onclick: () => goTo('invalidate', { kind: 'endpoints', what: it.endpoint }) }, 'Invalidate…')) : null));
}

const OUTCOMES = ['hits', 'stale', 'collapsed', 'misses', 'revalidated', 'bypasses', 'refused', 'errors'];

function terms(it) {
  return [
    it.ttl === null ? 'kept while the store keeps it' : `fresh for ${span(it.ttl)}`,
    ...Object.entries(it.status_ttl).map(([status, seconds]) => `${status} for ${span(seconds)}`),
    ...(it.stale_while_revalidate ? [`${span(it.stale_while_revalidate)} stale while renewed`] : []),
    ...(it.stale_if_error ? [`${span(it.stale_if_error)} stale on errors`] : []),
  ];
}

function routeCounts(found) {
  if (!found || !found.requests) return [make('span', { class: 'muted' }, 'no requests')];
  return [make('strong', {}, percent(found.looked_up ? found.hit_ratio : null)), make('br'), make('span', { class: 'muted' }, many(found.requests, 'request'))];
}

/** New numbers for the routes that are shown, every few seconds, without closing what is open. */
let routesAt = 0;
function showRouteCounts() {
  if (section() !== 'routes' || !reports || Date.now() - routesAt < 4000) return;
  routesAt = Date.now();
  ask('stats.json').then((found) => {
    stats = found.routes;
    for (const cell of document.querySelectorAll('#routes-list .counts')) {
      cell.replaceChildren(...routeCounts(countsOf({ endpoint: cell.dataset.endpoint, path: cell.dataset.path })));
    }
  }, () => {}); // the events say that there is trouble
}

// -- entries ----------------------------------------------------------------------------------------------------------

let following = null;

async function loadEntries(after = null) {
  const form = byId('entries-filter').elements, wanted = new URLSearchParams();
  for (const name of ['path', 'tag', 'route']) if (form[name].value.trim()) wanted.set(name, form[name].value.trim());
  if (form.dead.checked) wanted.set('dead', 'true');
  if (after) wanted.set('after', after);
  const found = await ask(`entries.json?${wanted}`);
  following = found.next;
  byId('entries-count').textContent = `${found.entries.length === 1 ? '1 entry' : `${found.entries.length} entries`} on this page${following === null ? '' : ', and perhaps more'}`;
  byId('entries-list').replaceChildren(found.entries.length ? make('div', { class: 'panel' }, table(
    ['Path', 'Status', 'Age', 'Fresh for', 'Size', 'Tags', 'Key', ''],
    found.entries.map((it) => [code(it.path || it.route), it.status, span(it.age), freshness(it), bytes(it.size), chips(it.tags), code(it.key),
      make('button', { type: 'button', class: 'small', 'aria-label': `Show the entry of ${it.path || it.route}`, onclick: () => attempt(() => openEntry(it.key, false)) }, 'Show')]),
    { numbers: [2, 4] })) : make('p', { class: 'muted' }, 'No stored entry matches.'));
  byId('entries-next').hidden = following === null;
  byId('entries-first').hidden = after === null;
}

function freshness(it) {
  if (!it.is_alive) return chips(['invalidated'], 'bad');
  return it.ttl_left > 0 ? span(it.ttl_left) : chips([`stale for ${span(it.ttl_left)}`], 'warn');
}

async function openEntry(key, personal) {
  const found = await ask(`entry.json?${new URLSearchParams({ key, ...(personal ? { personal: 'true' } : {}) })}`);
  byId('entry-body').replaceChildren(...entryRows(found.entry), ...content(found, key));
  if (!byId('entry').open) byId('entry').showModal();
}

function entryRows(it) {
  return [pairs([
    ['Path', code(it.path)], ['Route', it.route ? code(it.route) : null], ['Endpoint', it.endpoint ? code(it.endpoint) : null], ['Status', it.status],
    ['Stored', `${new Date(it.stored_at * 1000).toLocaleString()}, ${span(it.age)} ago`], ['Fresh for', freshness(it)],
    ['Size', `${bytes(it.size)}, its body ${bytes(it.body_bytes)}`], ['Coding', it.coding], ['Endpoint took', it.endpoint_seconds ? span(it.endpoint_seconds) : null],
    ['Tags', chips(it.tags)], ['Key', code(it.key)], ['Variant of', it.variant_of ? code(it.variant_of) : null],
  ])];
}

function content(found, key) {
  if (found.body === undefined && !found.entry.is_alive) return [make('p', { class: 'note warn' }, 'It was invalidated, and is not sent to clients any more.')];
  if (found.body === undefined) {
    return [make('p', { class: 'note warn' }, 'This response may be meant for one client, or for clients that the guards accept. Its headers and body are shown only on request.'),
      make('p', { class: 'buttons' }, make('button', { type: 'button', onclick: () => attempt(() => openEntry(key, true)) }, 'Show headers and body all the same'))];
  }
  const headers = found.headers.map(([name, value]) => `${name}: ${value}`).join('\n');
  const cut = found.is_cut ? ' (its beginning)' : '';
  return [make('pre', { tabindex: '0', 'aria-label': 'Headers' }, headers), make('p', { class: 'muted' }, found.is_text ? `Body${cut}` : `Body${cut}, in base64`),
    make('pre', { tabindex: '0', 'aria-label': 'Body' }, found.body)];
}

// -- one URL ----------------------------------------------------------------------------------------------------------

async function lookUp() {
  const form = byId('lookup-form').elements, headers = {};
  for (const line of form.headers.value.split('\n').filter((it) => it.trim())) {
    const colon = line.indexOf(':');
    if (colon < 1) throw new Error(`this is no header: ${line}`);
    headers[line.slice(0, colon).trim()] = line.slice(colon + 1).trim();
  }
  const found = await ask('lookup.json', { url: form.url.value.trim(), method: form.method.value, headers, body: form.body.value });
  const kinds = { hit: 'good', stale: 'warn', miss: 'warn', refused: 'bad', 'no route': 'bad' };
  byId('lookup-result').replaceChildren(make('div', { class: 'panel' },
    make('p', { class: 'fate' }, ...chips([found.fate], kinds[found.fate] || '')), make('p', {}, found.text),
    found.depends_on && found.depends_on.length ? make('p', { class: 'note warn' }, `The result also depends on what the console does not know: ${found.depends_on.join(', ')}.`) : null,
    pairs([
      ['Route', found.report && !found.entry ? code(`${found.report.methods.join(' ')} ${found.report.path}`) : null],
      ['Endpoint', found.report && found.report.endpoint && !found.entry ? code(found.report.endpoint) : null],
      ['Guards first', found.guards ? chips(found.guards) : null],
      ['Not run on hits', found.not_run_on_hits ? chips(found.not_run_on_hits) : null],
      ['Key', found.key && !found.entry ? code(found.key) : null],
      ['Shared by', found.report ? found.report.shared_by : null],
    ]),
    ...(found.entry ? entryRows(found.entry) : []),
    found.entry ? make('p', { class: 'buttons' }, make('button', { type: 'button', onclick: () => attempt(() => openEntry(found.entry.key, false)) }, 'Show the entry')) : null));
}

// -- invalidation -----------------------------------------------------------------------------------------------------

const NAMES = { tags: 'Tag', paths: 'Path', endpoints: 'Endpoint', namespaces: 'Namespace' };

function showKind() {
  const form = byId('invalidate-form').elements, kind = form.kind.value;
  byId('invalidate-what').hidden = kind === 'all';
  byId('invalidate-what').firstElementChild.textContent = NAMES[kind] || '';
  form.what.required = kind !== 'all';
  if (kind === 'endpoints') form.what.setAttribute('list', 'endpoints');
  else form.what.removeAttribute('list');
  byId('invalidate-prefix').hidden = kind !== 'paths';
}

function confirmed(title, text, yes) {
  const dialog = byId('confirm');
  byId('confirm-title').textContent = visible(title);
  byId('confirm-text').textContent = text;
  byId('confirm-yes').textContent = yes;
  dialog.returnValue = 'no';
  dialog.showModal();
  return new Promise((done) => dialog.addEventListener('close', () => done(dialog.returnValue === 'yes'), { once: true }));
}

async function invalidate() {
  const form = byId('invalidate-form').elements, kind = form.kind.value, soft = form.soft.checked;
  const what = form.what.value.trim(), below = kind === 'paths' && form.prefix.checked;
  const named = kind === 'all' ? 'everything' : `${NAMES[kind].toLowerCase()} ${what}${below ? ' and all paths below it' : ''}`;
  const effect = soft ? 'Entries with a stale window become stale, and are renewed. All others are not used any more.' : 'These entries are not used any more. The endpoints run for the next requests.';
  const verb = soft ? 'Make stale' : 'Invalidate';
  if (!await confirmed(`${verb}: ${named}?`, effect, verb)) return;
  const done = await ask('invalidate.json', kind === 'all' ? { all: true, soft } : { [kind]: [what], soft, ...(below ? { prefix: true } : {}) });
  byId('invalidate-result').textContent = `${soft ? 'Made stale' : 'Invalidated'}: ${visible(named)}.${done.pending ? ' The store has not taken it yet. It is retried until it has.' : ''}`;
}

// -- sections ---------------------------------------------------------------------------------------------------------

const SECTIONS = ['overview', 'routes', 'entries', 'lookup', 'invalidate'];
const section = () => (SECTIONS.includes(location.hash.slice(1)) ? location.hash.slice(1) : shown);
let shown = 'overview';

function showSection() {
  shown = section();
  for (const it of document.querySelectorAll('main > section')) it.hidden = it.dataset.name !== shown;
  for (const it of document.querySelectorAll('nav a')) {
    if (it.getAttribute('href') === `#${shown}`) it.setAttribute('aria-current', 'page');
    else it.removeAttribute('aria-current');
  }
  if (shown === 'routes' || ((shown === 'invalidate' || shown === 'entries') && !reports)) attempt(loadRoutes);
  if (shown === 'entries') attempt(loadEntries);
  if (shown === 'overview' && numbers) showNumbers();
}

/** Go to a section with its form filled. */
function goTo(name, values) {
  const form = byId({ entries: 'entries-filter', invalidate: 'invalidate-form' }[name]);
  form.reset();
  for (const [field, value] of Object.entries(values)) form.elements[field].value = value;
  showKind();
  location.hash = name;
}

function onSubmit(id, work) {
  byId(id).addEventListener('submit', (event) => {
    event.preventDefault();
    attempt(work);
  });
}

onSubmit('entries-filter', () => loadEntries());
onSubmit('lookup-form', lookUp);
onSubmit('invalidate-form', invalidate);
onSubmit('routes-filter', async () => showRoutes());
byId('routes-filter').addEventListener('input', () => { if (reports) showRoutes(); });
byId('entries-next').addEventListener('click', () => attempt(() => loadEntries(following)));
byId('entries-first').addEventListener('click', () => attempt(() => loadEntries()));
byId('invalidate-form').addEventListener('change', showKind);
byId('minutes').closest('details').addEventListener('toggle', () => { if (numbers) showNumbers(); });
byId('legend').replaceChildren(...KINDS.map(([kind, name]) => make('li', { class: kind }, name)));
window.addEventListener('hashchange', showSection);
window.addEventListener('resize', () => { if (numbers) showNumbers(); });
showKind();
showSection();
listen();
