// The list of sessions: filters in the address, live.
import { html, nothing } from './vendor/lit-html/lit-html.js';
import { repeat } from './vendor/lit-html/directives/repeat.js';
import { ApiError, base, query, remembered } from './api.js';
import { app, follow, go, update } from './main.js';
import { badge, copy, sessionPath, when } from './parts.js';
import { STATUS, duration, hasEnded, line, short } from './fold.js';
import { curl } from './commands.js';

const SIZE = 50;
const INTERVAL_MS = 2000;

export function sessionsPage() {
  /** @type {any} */ let listing = null;
  /** @type {any} */ let quota = null;
  const [getList, getQuota, getQueued] = [remembered(), remembered(), remembered()];
  let queued = 0;
  let problem = '';
  let at = 0;
  /** @type {Set<string>} */ const marked = new Set();
  /** @type {any} */ let timer = null;
  let stopped = false;
  const address = () => new URLSearchParams(location.search);

  function path() {
    const search = address();
    const day = (/** @type {string} */ name, end = '') => search.get(name) ? new Date(`${search.get(name)}T00:00${end}`).toISOString() : '';
    return `/api/v2/sessions${query({
      owner: 'organization', search: search.get('search'), status: search.get('status'), agent: search.get('agent'),
      group_id: search.get('group_id'), created_after: day('from'), created_before: search.get('to') ? new Date(Date.parse(day('to')) + 86_400_000).toISOString() : '',
      include: 'summary', page: search.get('page') ?? 1, size: SIZE,
    })}`;
  }

  async function load() {
    clearTimeout(timer);
    try {
      [listing, quota] = await Promise.all([getList(path()), getQuota('/api/v2/sessions/quota')]);
      // Sessions queue up only when every slot is taken.
      queued = quota.available > 0 ? 0 : (await getQueued('/api/v2/sessions?owner=organization&status=queued&size=1')).total;
      for (const one of listing.items) app.known.set(one.id, one);
      problem = '';
    } catch (error) {
      problem = error instanceof ApiError ? error.message : 'Not live: the server does not answer. Trying again.';
      if (error instanceof ApiError && error.status === 401) return;
    }
    if (stopped) return;
    update();
    // A hidden tab asks nothing; being seen again loads at once.
    if (!document.hidden) timer = setTimeout(load, INTERVAL_MS);
  }

  /** @param {string} name @param {string} value */
  function filter(name, value) {
    const search = address();
    if (value) search.set(name, value); else search.delete(name);
    if (name !== 'page') search.delete('page');
    const text = search.toString();
    history.replaceState(null, '', `${location.pathname}${text ? `?${text}` : ''}`);
    load();
  }

  const seen = () => { if (!document.hidden) load(); };

  /** @param {any} one @param {number} place */
  function row(one, place) {
    const text = line(one.first_message?.message ?? '', 200) || 'No message yet';
    const took = one.started_at ? Date.parse(one.finished_at ?? (hasEnded(one.status) ? one.started_at : new Date().toISOString())) - Date.parse(one.started_at) : NaN;
    return html`<tr class=${place === at ? 'at' : ''} @click=${(/** @type {MouseEvent} */ e) => {
      if (!(/** @type {HTMLElement} */ (e.target)).closest('a, input')) go(sessionPath(one.id));
    }}>
      <td class="mark"><input type="checkbox" aria-label=${`Mark session ${one.id} to compare`} .checked=${marked.has(one.id)} @change=${() => mark(one.id)}></td>
      <td>${badge(one.status, one)}</td>
      <td class="wide"><a href=${sessionPath(one.id)} @click=${follow}>${text}</a></td>
      <td class="soft">${when(one.created_at)}</td>
      <td class="agent">${one.agent}${one.agent_revision ? html`<span class="soft">:${one.agent_revision}</span>` : nothing}</td>
      <td class="number steps">${one.steps}</td>
      <td class="number">${duration(took)}</td>
      <td class="number tokens">${short(one.tokens.input + one.tokens.output)}</td>
      <td class="group">${one.group_id ? html`<a href=${`${base}/agent-view?group_id=${encodeURIComponent(one.group_id)}`} @click=${follow}>${one.group_id}</a>` : nothing}</td>
    </tr>`;
  }

  /** @param {string} id */
  function mark(id) {
    if (!marked.delete(id)) marked.add(id);
    update();
  }

  function empty() {
    if (address().toString()) return html`<div class="empty"><h2>No session fits these filters.</h2><p><button @click=${() => go(`${base}/agent-view`)}>Show all</button></p></div>`;
    const url = app.me?.public_url ?? location.origin + base;
    const lines = `export HAI_API_BASE_URL=${url}\nexport HAI_API_KEY=hk-…\n\n${curl('POST', '/api/v2/sessions', { agent: 'h/web-surfer-pro', messages: 'Find the price.' })}`;
    return html`<div class="empty"><h2>No sessions yet.</h2><p>Start one here, or from a shell:</p>
      <pre tabindex="0">${lines}</pre><p class="actions"><button @click=${() => copy(lines, 'the commands')}>Copy</button>
      <a class="button primary" href=${`${base}/agent-view/new`} @click=${follow}>New session</a></p></div>`;
  }

  function filters() {
    const search = address();
    const changed = (/** @type {string} */ name) => (/** @type {any} */ e) => filter(name, e.target.value);
    const text = (/** @type {string} */ name, /** @type {string} */ label, type = 'text') => html`
      <label>${label}<input type=${type} .value=${search.get(name) ?? ''} @change=${changed(name)}></label>`;
    return html`<form class="filters" role="search" @submit=${(/** @type {Event} */ e) => e.preventDefault()}>
      <label class="search-field">Search<input id="find" type="search" placeholder="Messages and answers" .value=${search.get('search') ?? ''} @input=${changed('search')}></label>
      <label>Status<select .value=${search.get('status') ?? ''} @change=${changed('status')}><option value="">any</option>
        ${Object.entries(STATUS).map(([value, [word]]) => html`<option value=${value} .selected=${search.get('status') === value}>${word}</option>`)}</select></label>
      ${text('agent', 'Agent')}${text('group_id', 'Group')}${text('from', 'From', 'date')}${text('to', 'To', 'date')}
    </form>`;
  }

  return {
    title: 'Sessions',
    start() { document.addEventListener('visibilitychange', seen); load(); },
    resume: load,
    stop() { stopped = true; clearTimeout(timer); document.removeEventListener('visibilitychange', seen); },
    view() {
      const page = Number(address().get('page') ?? 1);
      const pages = listing ? Math.max(1, Math.ceil(listing.total / SIZE)) : 1;
      const [first, second] = [...marked];
      return html`<div class="page">
        <div class="heading"><h1>Sessions</h1>
          ${quota && listing ? html`<span class="soft">${quota.active} of ${quota.limit} at work${quota.available > 0 ? '' : ` · ${queued} queued`} · ${listing.total.toLocaleString('en')} ${address().toString() ? 'found' : 'in all'}</span>` : nothing}
          <span class="grow"></span>
          ${marked.size === 2 ? html`<button @click=${() => go(`${sessionPath(first)}/compare/${second}`)}>Compare</button>` : marked.size ? html`<span class="soft">Mark ${marked.size > 2 ? 'just two' : 'one more'} to compare</span>` : nothing}
          <a class="button" href=${`${base}/agent-view/recording`} @click=${follow}>Open a recording…</a>
          <button @click=${() => copy(curl('GET', path()), 'as curl')}>Copy as curl</button>
          <a class="button primary" href=${`${base}/agent-view/new`} @click=${follow}>New session</a></div>
        ${filters()}
        ${problem ? html`<p class="problem" role="alert">${problem}</p>` : nothing}
        ${!listing ? html`<p class="loading">Loading…</p>` : listing.items.length === 0 ? empty() : html`
        <div class="scroll" tabindex="0" role="region" aria-label="Sessions"><table class="list">
          <thead><tr><th class="mark"><span class="hidden">Mark</span></th><th>Status</th><th>First message</th><th>Created</th><th>Agent</th><th class="number">Steps</th><th class="number">Duration</th><th class="number">Tokens</th><th>Group</th></tr></thead>
          <tbody>${repeat(listing.items, (/** @type {any} */ one) => one.id, row)}</tbody></table></div>
        <p class="actions pager"><button aria-disabled=${page <= 1} @click=${() => page > 1 && filter('page', String(page - 1))}>Newer</button>
          <span class="soft">Page ${page} of ${pages}</span>
          <button aria-disabled=${page >= pages} @click=${() => page < pages && filter('page', String(page + 1))}>Older</button></p>`}
      </div>`;
    },
    key(/** @type {KeyboardEvent} */ event) {
      const items = listing?.items ?? [];
      const move = { j: 1, ArrowDown: 1, k: -1, ArrowUp: -1 }[event.key];
      if (move) at = Math.max(0, Math.min(items.length - 1, at + move));
      else if (event.key === 'Enter' && items[at]) go(sessionPath(items[at].id));
      else if (event.key === ' ' && items[at]) mark(items[at].id);
      else if (event.key === '/') document.getElementById('find')?.focus();
      else return false;
      update();
      return true;
    },
    commands: () => Object.entries(STATUS).map(([value, [word]]) => ({ label: `Show sessions: ${word}`, hint: '', run: () => filter('status', value) })),
  };
}

