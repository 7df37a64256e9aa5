// What moves on masu's pages. Without this file everything still works by reloading.
'use strict';

const root = document.documentElement;

// Theme.
for (const b of document.querySelectorAll('[data-toggle=theme]')) {
  const dark = () => getComputedStyle(root).colorScheme === 'dark';
  b.hidden = false;
  b.setAttribute('aria-pressed', dark());
  b.addEventListener('click', () => {
    root.dataset.theme = dark() ? 'light' : 'dark';
    try { localStorage.setItem('masu-theme', root.dataset.theme); } catch { /* private window */ }
    b.setAttribute('aria-pressed', dark());
  });
}

// A form is sent once, and says that it was.
document.addEventListener('submit', (e) => {
  const b = e.target.querySelector('button:not([type=button])');
  if (e.target.dataset.sent) { e.preventDefault(); return; }
  e.target.dataset.sent = '1';
  if (b) b.setAttribute('aria-busy', 'true');
});
addEventListener('pageshow', () => { for (const f of document.forms) delete f.dataset.sent; });

// Home: cards as they change. The server sends them ready made.
const cards = document.getElementById('cards');
if (cards) {
  const events = new EventSource(cards.dataset.events);
  events.addEventListener('workspace', (e) => {
    const w = JSON.parse(e.data);
    const old = document.getElementById('ws-' + w.id);
    if (!w.html) {
      if (old) old.remove();
    } else {
      const t = document.createElement('template');
      t.innerHTML = w.html;
      const card = t.content.firstElementChild;
      if (!old) cards.prepend(card);
      else if (old.outerHTML !== card.outerHTML && !old.contains(document.activeElement)) old.replaceWith(card);
      else if (old.dataset.phase !== w.phase) old.replaceWith(card);
    }
    document.getElementById('none').hidden = cards.children.length > 0;
  });
  addEventListener('pagehide', () => events.close());
}

// Workspace: the log of its last start, a fold for each step.
const steps = document.getElementById('steps');
if (steps) {
  const folds = new Map();
  const before = document.getElementById('ws').dataset.phase;
  let told = false;

  const clock = (ms) => (ms < 10000 ? (ms / 1000).toFixed(1) : Math.round(ms / 1000)) + ' s';

  const fold = (id, name, at) => {
    let f = folds.get(id);
    if (f) return f;
    const d = document.createElement('details');
    const s = document.createElement('summary');
    const [mark, title, time] = ['i', 'span', 'span'].map((tag) => s.appendChild(document.createElement(tag)));
    mark.className = 'mark-' + 'queued'; mark.setAttribute('aria-hidden', 'true');
    title.textContent = name || id; time.className = 'dim num';
    const pre = document.createElement('pre');
    pre.tabIndex = 0;
    d.append(s, pre);
    steps.append(d);
    f = { d, mark, title, time, pre, at: 0, lines: 0, touched: false };
    s.addEventListener('click', () => { f.touched = true; });
    folds.set(id, f);
    return f;
  };

  const show = (p) => {
    told = true;
    if (p.say) {
      const line = document.createElement('p');
      line.className = 'said';
      line.textContent = p.say;
      steps.append(line);
      return;
    }
    const f = fold(p.step, p.name, p.at);
    if (p.name) f.title.textContent = p.name;
    if (p.state) {
      if (p.state === 'running' && !f.at) f.at = p.at;
      f.mark.className = 'mark-' + p.state;
      f.d.dataset.state = p.state;
      if (p.state === 'cached') f.time.textContent = '✓';
      if (f.at && (p.state === 'done' || p.state === 'failed')) f.time.textContent = clock(p.at - f.at);
      if (!f.touched) f.d.open = p.state === 'failed' || (p.state === 'running' && f.lines > 0);
    }
    if (p.bytes) f.time.textContent = p.bytes;
    if (p.line !== undefined) {
      const stuck = f.pre.scrollTop + f.pre.clientHeight >= f.pre.scrollHeight - 4;
      f.pre.append(p.line.replace(/\x1b\[[0-9;]*[A-Za-z]/g, '') + '\n');
      if (++f.lines > 2000) f.pre.firstChild.remove();
      if (!f.touched && f.d.dataset.state === 'running') f.d.open = true;
      if (stuck) f.pre.scrollTop = f.pre.scrollHeight;
    }
  };

  const log = new EventSource(steps.dataset.log);
  log.addEventListener('open', () => { folds.clear(); steps.replaceChildren(); });
  log.addEventListener('progress', (e) => show(JSON.parse(e.data)));
  log.addEventListener('end', (e) => {
    log.close();
    document.getElementById('log-none').hidden = told;
    if (JSON.parse(e.data).phase !== before) location.reload();
  });
  addEventListener('pagehide', () => log.close());
}
