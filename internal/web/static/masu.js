// What moves on masu's pages. Without this file everything works by forms and reloading.
'use strict';

const root = document.documentElement;

for (const b of document.querySelectorAll('[data-toggle=theme]')) {
  const dark = () => getComputedStyle(root).colorScheme === 'dark';
  const tell = () => b.setAttribute('aria-pressed', dark());
  tell();
  b.addEventListener('click', () => {
    root.dataset.theme = dark() ? 'light' : 'dark';
    try { localStorage.setItem('masu-theme', root.dataset.theme); } catch { /* a private window forgets it */ }
    tell();
  });
}

for (const b of document.querySelectorAll('[data-copy]')) {
  b.addEventListener('click', async () => {
    await navigator.clipboard.writeText(b.previousElementSibling.textContent);
    b.classList.add('done');
    setTimeout(() => b.classList.remove('done'), 1500);
  });
}

// On to the sign-in service, where nothing was done yet that one could go back to.
const sso = document.getElementById('sso');
if (sso) location.replace(sso.href);

// A form is sent once, and shows that it was.
document.addEventListener('submit', (e) => {
  if (e.target.dataset.sent) { e.preventDefault(); return; }
  e.target.dataset.sent = '1';
  e.target.querySelector('button')?.setAttribute('aria-busy', 'true');
});
addEventListener('pageshow', () => {
  for (const f of document.forms) {
    delete f.dataset.sent;
    f.querySelector('[aria-busy]')?.removeAttribute('aria-busy');
  }
});

// How long something lasts, in the words of the page.
const lasted = (ms) => {
  const say = (form, a, b) => document.body.dataset[form].replace('%[1]d', a).replace('%[2]d', b);
  const s = Math.max(0, Math.floor(ms / 1000)), m = Math.floor(s / 60), h = Math.floor(m / 60);
  if (s < 60) return say('seconds', s);
  if (m < 60) return say('minutes', m);
  return h < 48 ? say('hours', h, m % 60) : say('days', Math.floor(h / 24));
};
// What is left, to the second in the last hour.
const left = (ms) => {
  const s = Math.max(0, Math.floor(ms / 1000));
  return s < 3600 ? Math.floor(s / 60) + ':' + String(s % 60).padStart(2, '0') : lasted(ms);
};
// What ends at a time that the server says counts down to it.
const countDown = () => {
  for (const t of document.querySelectorAll('[data-ends]')) t.textContent = (t.dataset.say || '{left}').replace('{left}', left(t.dataset.ends - Date.now()));
};
countDown();
setInterval(countDown, 1000);
setInterval(() => {
  for (const t of document.querySelectorAll('time[data-since]')) t.textContent = lasted(Date.now() - t.dataset.since);
}, 5000);

// replace puts what the server has rendered in the place of an element, and the focus back where it was.
const replace = (old, html) => {
  const t = document.createElement('template');
  t.innerHTML = html;
  const now = t.content.firstElementChild;
  const at = old.contains(document.activeElement) ? [...old.querySelectorAll('a,button')].indexOf(document.activeElement) : -1;
  if (old.outerHTML === now.outerHTML) return;
  old.replaceWith(now);
  if (at >= 0) now.querySelectorAll('a,button')[at]?.focus();
};

// follow listens to a stream while the page is seen: a browser opens six
// connections to a server, and a hidden tab must not hold one.
const follow = (address, told) => {
  let events = null;
  const open = () => {
    if (events || document.hidden) return;
    events = new EventSource(address);
    for (const [name, f] of Object.entries(told)) events.addEventListener(name, (e) => f(JSON.parse(e.data)));
    events.addEventListener('error', () => {
      if (events?.readyState === EventSource.CLOSED) location.reload(); // signed out
    });
  };
  const close = () => { events?.close(); events = null; };
  document.addEventListener('visibilitychange', () => (document.hidden ? close() : open()));
  addEventListener('pagehide', close);
  addEventListener('pageshow', open);
  open();
  return close;
};

// Home: the cards as they change.
const cards = document.getElementById('cards');
if (cards) {
  const count = () => { document.getElementById('none').hidden = cards.children.length > 0; };
  follow(cards.dataset.events, {
    list: (ids) => {
      for (const c of [...cards.children]) if (!ids.includes(c.id.slice(3))) c.remove();
      count();
    },
    workspace: (w) => {
      const old = document.getElementById('ws-' + w.id);
      if (old && w.html) replace(old, w.html);
      else if (old) old.remove();
      else if (w.html) cards.insertAdjacentHTML('afterbegin', w.html);
      count();
    },
  });
}

// Parts that the server measures anew while somebody looks: the board, graphs,
// what was installed by hand. One in which somebody works is left alone.
// They may come with a card that has just been put into the page.
const due = new WeakMap(), last = new WeakMap(), asked = new WeakMap();
const measure = async (part) => {
  const mine = (asked.get(part) ?? 0) + 1;
  asked.set(part, mine);
  const answer = await fetch(part.dataset.part).catch(() => null);
  if (!answer?.ok || answer.redirected) return;
  const html = await answer.text();
  if (asked.get(part) !== mine) return; // a newer answer comes
  if (html !== last.get(part)) { // what is the same keeps its selection, and is not read out again
    const had = part.contains(document.activeElement) ? document.activeElement.textContent : '';
    part.innerHTML = html;
    if (had) [...part.querySelectorAll('a,button')].find((e) => e.textContent === had)?.focus();
  }
  last.set(part, html);
  countDown();
};
const measureAll = () => {
  if (document.hidden) return;
  for (const part of document.querySelectorAll('[data-part]')) {
    if ((due.get(part) ?? 0) > performance.now() || part.contains(document.activeElement)) continue;
    if ([...part.querySelectorAll('input')].some((i) => i.checked !== i.defaultChecked)) continue;
    due.set(part, performance.now() + part.dataset.every * 1000);
    measure(part);
  }
};
measureAll();
setInterval(measureAll, 1000);
document.addEventListener('visibilitychange', measureAll);

// The bar over an app: what moves comes as it changes, and nothing that is
// pressed there takes the app away. Its warnings stand in the tab's title too.
const bar = document.getElementById('bar');
if (bar) {
  const now = bar.querySelector('[data-part]'), said = bar.querySelector('.bar-said'), frame = document.getElementById('app'), title = document.title;
  const count = () => {
    for (const t of now.querySelectorAll('[data-until]')) t.textContent = lasted(t.dataset.until - Date.now());
    countDown();
    const ends = now.querySelector('[data-ends]');
    document.title = (ends ? '(' + ends.textContent + ') ' : '') + title;
  };
  count();
  setInterval(count, 1000);
  follow(bar.dataset.events, { state: () => measure(now).then(count) });
  bar.addEventListener('submit', async (e) => {
    if ('leave' in e.target.dataset) return; // the app begins anew: its page tells how that goes
    e.preventDefault();
    e.stopPropagation();
    const form = e.target, button = e.submitter;
    if (form.dataset.sent) return;
    form.dataset.sent = '1';
    button.setAttribute('aria-busy', 'true');
    const answer = await fetch(form.action, { method: 'POST', body: new URLSearchParams(new FormData(form)) }).catch(() => null);
    const why = answer?.ok ? '' : answer && new DOMParser().parseFromString(await answer.text(), 'text/html').querySelector('h1')?.textContent;
    said.textContent = answer?.ok ? '' : why || bar.dataset.failed;
    said.hidden = said.textContent === '';
    delete form.dataset.sent;
    button.removeAttribute('aria-busy');
    document.getElementById('bar-menu').hidePopover?.();
    await measure(now);
    count();
    frame.focus();
  });
  const toApp = () => { if (document.activeElement === document.body) frame.focus(); };
  frame.addEventListener('load', toApp);
  toApp();
  document.querySelector('.skip').addEventListener('click', (e) => { e.preventDefault(); frame.focus(); });
}

// New workspace: what would be started, as it is filled in.
const draft = document.getElementById('new');
if (draft) {
  let timer = 0, asked = 0;
  const ask = async () => {
    const mine = ++asked;
    const answer = await fetch(draft.dataset.preview, { method: 'POST', body: new URLSearchParams(new FormData(draft)) }).catch(() => null);
    if (answer?.ok && mine === asked) document.getElementById('plan').innerHTML = await answer.text();
  };
  draft.addEventListener('input', () => { clearTimeout(timer); timer = setTimeout(ask, 300); });
}

// Workspace: how it stands, and the log of its last start with a fold for each step.
const workspace = document.getElementById('workspace');
if (workspace) {
  const log = document.getElementById('steps');
  const words = log.dataset;
  let folds = new Map();

  const make = (tag, to, name) => {
    const e = to.appendChild(document.createElement(tag));
    if (name) e.className = name;
    return e;
  };

  const fold = (id) => {
    let f = folds.get(id);
    if (f) return f;
    const d = make('details', log), s = make('summary', d);
    f = { d, mark: make('i', s), title: make('span', s, 'name'), word: make('span', s, 'vh'), time: make('span', s, 'dim'), at: 0, touched: false };
    f.mark.setAttribute('aria-hidden', 'true');
    f.title.textContent = id;
    f.pre = make('pre', d, 'term');
    f.pre.tabIndex = 0;
    s.addEventListener('click', () => { f.touched = true; });
    folds.set(id, f);
    return f;
  };

  const step = (p) => {
    const f = fold(p.step);
    if (p.name) f.title.textContent = p.name;
    if (p.line !== undefined) {
      const below = f.pre.scrollTop + f.pre.clientHeight >= f.pre.scrollHeight - 8;
      f.pre.append(p.line + '\n');
      if (f.pre.childNodes.length > 2000) f.pre.firstChild.remove();
      if (below) f.pre.scrollTop = f.pre.scrollHeight;
    }
    if (p.bytes) f.time.textContent = p.bytes;
    if (!p.state || p.state === f.d.dataset.state && p.line === undefined) return;
    f.d.dataset.state = p.state;
    f.word.textContent = words[p.state] || '';
    if (p.state === 'running') f.at ||= p.at;
    if (p.state === 'cached') f.time.textContent = words.cached;
    if (f.at && (p.state === 'done' || p.state === 'failed')) f.time.textContent = lasted(p.at - f.at);
    if (!f.touched) f.d.open = p.state === 'failed' || p.state === 'running' && f.pre.childNodes.length > 0;
    if (p.state === 'failed') f.pre.scrollTop = f.pre.scrollHeight;
  };

  setInterval(() => {
    for (const f of folds.values()) if (f.at && f.d.dataset.state === 'running' && !f.time.textContent.includes('/')) f.time.textContent = lasted(Date.now() - f.at);
  }, 1000);

  const close = follow(workspace.dataset.events, {
    state: (w) => {
      if (!w.html) location.assign('/');
      else if (w.phase === 'running' && workspace.dataset.next) {
        close();
        location.assign(workspace.dataset.next);
      } else {
        replace(document.getElementById('state'), w.html);
        for (const e of document.querySelectorAll('[data-while]')) e.hidden = !e.dataset.while.split(' ').includes(w.phase);
        for (const e of document.querySelectorAll('[data-live]')) measure(e);
      }
    },
    begin: () => { folds = new Map(); log.replaceChildren(); },
    progress: (p) => {
      if (p.say) make('p', log, 'said').textContent = p.say;
      else if (p.step) step(p);
    },
    end: () => { document.getElementById('log-none').hidden = log.childNodes.length > 0; },
  });
}

// Timetable: hours are taken by dragging over the lanes, or by arrow keys; what
// is taken stands in the form, which does the same without this.
const lanes = document.getElementById('lanes'), wish = document.querySelector('form[action="/gpus/reserve"]');
if (lanes && wish) {
  const DAY = 1440, all = [...lanes.querySelectorAll('.lane')];
  const days = [...new Set(all.map((l) => l.dataset.day))], rows = [...new Set(all.map((l) => l.dataset.gpu))];
  const said = document.getElementById('week-said'), how = document.getElementById('week-how');
  const clock = (m) => String(Math.floor(m % DAY / 60)).padStart(2, '0') + ':' + String(m % 60).padStart(2, '0');
  let from = null, to = null; // a corner each: minutes since the first midnight, and the row
  how.hidden = false;
  lanes.classList.add('picking');
  lanes.tabIndex = 0;
  lanes.setAttribute('role', 'application');
  lanes.setAttribute('aria-labelledby', 'week-h');
  lanes.setAttribute('aria-describedby', 'week-how');

  // show marks what is taken, says it, and fills the form in. It is a day at most.
  const show = () => {
    for (const old of lanes.querySelectorAll('.take')) old.remove();
    let begin = Math.min(from.at, to.at), end = Math.max(from.at + from.step, to.at + to.step);
    if (end - begin > DAY) [begin, end] = from.at <= to.at ? [begin, begin + DAY] : [end - DAY, end];
    const top = Math.min(from.row, to.row), count = Math.abs(from.row - to.row) + 1, day = Math.floor(begin / DAY);
    for (const l of all) {
      const row = rows.indexOf(l.dataset.gpu), midnight = days.indexOf(l.dataset.day) * DAY;
      const x = Math.max(begin, midnight) - midnight, most = Math.min(end, midnight + DAY) - midnight;
      if (row < top || row >= top + count || most <= x) continue;
      const mark = document.createElementNS('http://www.w3.org/2000/svg', 'rect');
      for (const [name, value] of Object.entries({ class: 'take', x: x / DAY * 100 + '%', width: (most - x) / DAY * 100 + '%', y: '5%', height: '90%' })) mark.setAttribute(name, value);
      l.append(mark);
    }
    const field = wish.elements;
    field.count.value = count;
    field.day.value = days[day];
    field.from.value = clock(begin);
    field.until.value = clock(end);
    const name = all.find((l) => l.dataset.day === days[day]).dataset.name;
    said.textContent = said.dataset.say.replace('{day}', name).replace('{from}', clock(begin)).replace('{until}', end % DAY ? clock(end) : '24:00').replace('{count}', count);
  };

  // at is where a pointer is; the nearest time of the lane it began in, where it has left all.
  const at = (e, near) => {
    const lane = document.elementFromPoint(e.clientX, e.clientY)?.closest?.('#lanes .lane') || near;
    if (!lane) return null;
    const box = lane.getBoundingClientRect(), step = box.width < 240 ? 60 : 30;
    const part = Math.min(Math.max((e.clientX - box.left) / box.width, 0), 0.9999);
    return { lane, step, row: rows.indexOf(lane.dataset.gpu), at: days.indexOf(lane.dataset.day) * DAY + Math.floor(part * DAY / step) * step };
  };
  let held = null;
  lanes.addEventListener('pointerdown', (e) => {
    held = e.button === 0 && e.isPrimary ? at(e) : null;
    if (!held) return;
    from = to = held;
    if (e.pointerType === 'mouse') e.preventDefault(); // no text is to be marked
    lanes.focus({ preventScroll: true });
    show();
  });
  addEventListener('pointermove', (e) => {
    if (!held || !e.isPrimary) return;
    to = at(e, to.lane) || to;
    show();
  });
  const drop = () => {
    if (held) wish.scrollIntoView({ block: 'nearest' });
    held = null;
  };
  addEventListener('pointerup', drop);
  addEventListener('pointercancel', () => { held = null; });

  lanes.addEventListener('keydown', (e) => {
    const by = { ArrowLeft: [-60, 0], ArrowRight: [60, 0], ArrowUp: [0, -1], ArrowDown: [0, 1], PageUp: [-DAY, 0], PageDown: [DAY, 0] }[e.key];
    if (e.key === 'Enter' && from) wish.querySelector('button').focus();
    if (!by) return;
    e.preventDefault();
    const now = new Date(), first = Math.max(0, days.indexOf(new Date(now - now.getTimezoneOffset() * 60000).toISOString().slice(0, 10)));
    const last = to || { at: first * DAY + now.getHours() * 60, row: 0 };
    const most = days.length * DAY - 60;
    to = { step: 60, at: Math.min(Math.max(last.at + by[0], 0), most), row: Math.min(Math.max(last.row + by[1], 0), rows.length - 1) };
    if (!e.shiftKey || !from) from = to;
    show();
  });
}
