// The catalogs: agents with their revisions, environments, skills.
import { html, nothing } from './vendor/lit-html/lit-html.js';
import { live } from './vendor/lit-html/directives/live.js';
import { ApiError, base, call, get, query } from './api.js';
import { follow, go, update } from './main.js';
import { button, confirmed, copy, notify, when } from './parts.js';
import { curl } from './commands.js';

const KINDS = /** @type {Record<string, {one: string, key: string, blank: any}>} */ ({
  agents: { one: 'agent', key: 'name', blank: { name: 'my-agent', description: 'What it is for.', environments: ['h/web'], tools: [] } },
  environments: { one: 'environment', key: 'id', blank: { id: 'notes', kind: 'memory', namespace: 'notes' } },
  skills: { one: 'skill', key: 'name', blank: { name: 'my-skill', description: 'When it is of use.', body: 'What to do.' } },
});

/** @param {string} kind @param {string} name */
export const catalogPage = (kind, name) => (name ? entryPage(kind, name) : listPage(kind));

/** @param {string} kind */
function listPage(kind) {
  const { one, key } = KINDS[kind];
  /** @type {any} */ let listing = null;
  let problem = '';
  let search = new URLSearchParams(location.search).get('search') ?? '';
  async function load() {
    try { listing = await get(`/api/v2/${kind}${query({ search, size: 200, include: kind === 'agents' ? 'revision' : '', sort: key === 'id' ? 'id' : kind === 'agents' ? 'agent_name' : 'name' })}`); problem = ''; } catch (error) { problem = /** @type {Error} */ (error).message; }
    update();
  }
  return {
    title: kind[0].toUpperCase() + kind.slice(1),
    start: load,
    resume: load,
    key(/** @type {KeyboardEvent} */ event) {
      if (event.key !== '/') return false;
      document.getElementById('find')?.focus();
      return true;
    },
    view: () => html`<div class="page"><div class="heading"><h1>${kind[0].toUpperCase() + kind.slice(1)}</h1>${listing ? html`<span class="soft">${listing.total}</span>` : nothing}<span class="grow"></span>
        <input id="find" type="search" placeholder="Search" aria-label=${`Search ${kind}`} .value=${search} @input=${(/** @type {any} */ e) => { search = e.target.value; load(); }}>
        <a class="button primary" href=${`${base}/agent-view/${kind}/new`} @click=${follow}>New ${one}</a></div>
      ${problem ? html`<p class="problem" role="alert">${problem}</p>` : nothing}
      ${!listing ? html`<p class="loading">Loading…</p>` : listing.items.length === 0 ? html`<div class="empty"><h2>${search ? 'Nothing fits.' : `No ${kind} yet.`}</h2></div>` : html`
      <div class="scroll" tabindex="0" role="region" aria-label=${kind}><table class="catalog"><thead><tr><th>Name</th><th>${kind === 'environments' ? 'Kind' : 'Description'}</th>${kind === 'agents' ? html`<th class="number">Revision</th>` : nothing}<th>Built in</th></tr></thead><tbody>
        ${listing.items.map((/** @type {any} */ item) => html`<tr><td><a href=${`${base}/agent-view/${kind}/${item[key]}`} @click=${follow}>${item[key]}</a></td><td>${item.description ?? item.kind}</td>${kind === 'agents' ? html`<td class="number">${item.revision}</td>` : nothing}<td class="soft">${String(item[key]).startsWith('h/') ? 'yes' : ''}</td></tr>`)}</tbody></table></div>`}</div>`,
  };
}

/** @param {string} kind @param {string} name */
function entryPage(kind, name) {
  const { one, key, blank } = KINDS[kind];
  const isNew = name === 'new';
  const path = `/api/v2/${kind}/${name}`;
  /** @type {any} */ let item = isNew ? blank : null;
  let text = isNew ? JSON.stringify(blank, null, 2) : '';
  let tag = '';
  let problem = '';
  /** @type {any[]} */ let faults = [];
  /** @type {any[]} */ let revisions = [];
  /** @type {any} */ let difference = null;
  let message = '';
  const builtIn = name.startsWith('h/');

  async function load() {
    if (isNew) return;
    try {
      const found = await call('GET', path);
      item = found.body;
      tag = found.headers.get('etag') ?? '';
      text = JSON.stringify(item, null, 2);
      if (kind === 'agents' && !builtIn) revisions = (await get(`${path}/revisions?size=50`)).items;
    } catch (error) { problem = error instanceof ApiError && error.status === 404 ? `There is no such ${one}.` : /** @type {Error} */ (error).message; }
    update();
  }

  async function save() {
    problem = '';
    faults = [];
    let body;
    try { body = JSON.parse(text); } catch (error) { problem = `This is not JSON: ${/** @type {Error} */ (error).message}`; update(); return; }
    const why = kind === 'agents' ? query({ message }) : '';
    try {
      if (isNew) { await call('POST', `/api/v2/${kind}${why}`, { body }); go(`${base}/agent-view/${kind}/${body[key]}`); return; }
      await call('PUT', `${path}${why}`, { body, headers: tag ? { 'if-match': tag } : {} });
      notify('Saved');
      message = '';
      await load();
    } catch (error) {
      problem = /** @type {Error} */ (error).message;
      if (error instanceof ApiError) {
        faults = error.detail;
        if (error.status === 412) {
          // Somebody else saved meanwhile: both versions are shown, and yours stays in the field.
          const theirs = await call('GET', path);
          tag = theirs.headers.get('etag') ?? '';
          difference = { title: 'Theirs → yours', lines: compareText(JSON.stringify(theirs.body, null, 2), text) };
          problem = 'It has changed since you opened it. Below is what your version would change; saving again replaces theirs.';
        }
      }
      update();
    }
  }

  async function remove() {
    if (!await confirmed(`Delete this ${one}?`, `${name}${kind === 'agents' ? ', with all its revisions' : ''}`, 'Delete')) return;
    try { await call('DELETE', path, { headers: tag ? { 'if-match': tag } : {} }); go(`${base}/agent-view/${kind}`); } catch (error) { problem = /** @type {Error} */ (error).message; update(); }
  }

  /** @param {number} number */
  async function show(number) {
    const old = await get(`${path}?revision=${number}`).catch(() => null);
    if (old) { difference = { title: `Revision ${number} → now`, lines: compareText(JSON.stringify(old, null, 2), JSON.stringify(item, null, 2)) }; update(); }
  }

  /** @param {number} number */
  async function restore(number) {
    try { await call('POST', `${path}/revisions/${number}/restore`, { headers: tag ? { 'if-match': tag } : {} }); notify(`Revision ${number} is the newest again`); difference = null; await load(); } catch (error) { problem = /** @type {Error} */ (error).message; update(); }
  }

  return {
    title: isNew ? `New ${one}` : name,
    start: load,
    resume() { if (!item) load(); },
    view: () => html`<div class="page"><div class="heading crumbs"><a href=${`${base}/agent-view/${kind}`} @click=${follow}>${kind[0].toUpperCase() + kind.slice(1)}</a><span aria-hidden="true">/</span></div>
      <div class="heading"><h1>${isNew ? `New ${one}` : name}</h1>${builtIn ? html`<span class="badge">Built in: read-only</span>` : nothing}<span class="grow"></span>
        ${kind === 'agents' && !isNew ? html`<a class="button primary" href=${`${base}/agent-view/new?agent=${encodeURIComponent(name)}`} @click=${follow}>Start a session with it</a>` : nothing}
        ${isNew ? nothing : button({ label: 'Copy as curl', click: () => copy(curl('GET', path), 'as curl') })}</div>
      ${item?.description && !isNew ? html`<p>${item.description}</p>` : nothing}
      ${problem ? html`<div class="problem" role="alert"><p>${problem}</p>${faults.length > 1 ? html`<ul>${faults.map((fault) => html`<li><code>${(fault.loc ?? []).slice(1).join('.')}</code>: ${fault.msg}</li>`)}</ul>` : nothing}</div>` : nothing}
      ${item ? html`<div class=${revisions.length || difference ? 'two' : ''}><form class="fields" @submit=${(/** @type {Event} */ e) => { e.preventDefault(); save(); }}>
        <label>${one[0].toUpperCase() + one.slice(1)}, as JSON<textarea class="code" rows="24" spellcheck="false" ?readonly=${builtIn} .value=${live(text)} @input=${(/** @type {any} */ e) => { text = e.target.value; }}></textarea></label>
        ${builtIn ? nothing : html`${kind === 'agents' ? html`<label>Why; kept with the revision<input maxlength="500" .value=${live(message)} @input=${(/** @type {any} */ e) => { message = e.target.value; }}></label>` : nothing}
        <p class="actions"><button class="primary">Save</button>${isNew ? nothing : button({ label: 'Delete…', kind: 'danger', click: remove })}</p>`}</form>
        ${revisions.length || difference ? html`<section class="fields">
          ${difference ? html`<section class="card"><h2>${difference.title}</h2><pre class="diff">${difference.lines.map((/** @type {any} */ part) => html`<span class=${part.kind}>${part.kind === 'add' ? '+ ' : part.kind === 'del' ? '- ' : '  '}${part.text}</span>`)}</pre></section>` : nothing}
          ${revisions.length ? html`<section class="card"><h2>Revisions</h2><table><tbody>${revisions.map((one, place) => html`<tr><td>${one.number}</td><td class="soft">${when(one.created_at)}</td><td>${one.message ?? ''}</td><td>${place === 0 ? html`<span class="soft">now</span>` : html`${button({ label: 'Show difference', kind: 'small', click: () => show(one.number) })} ${button({ label: 'Restore', kind: 'small', click: () => restore(one.number) })}`}</td></tr>`)}</tbody></table></section>` : nothing}</section>` : nothing}</div>` : problem ? nothing : html`<p class="loading">Loading…</p>`}</div>`,
  };
}

/** Lines that one text has and the other has not: the longest common subsequence, for texts of up to 2,000 lines. @param {string} before @param {string} after */
export function compareText(before, after) {
  const [a, b] = [before.split('\n').slice(0, 2000), after.split('\n').slice(0, 2000)];
  const width = b.length + 1;
  const longest = new Uint16Array((a.length + 1) * width);
  for (let i = a.length - 1; i >= 0; i--) for (let j = b.length - 1; j >= 0; j--) {
    longest[i * width + j] = a[i] === b[j] ? longest[(i + 1) * width + j + 1] + 1 : Math.max(longest[(i + 1) * width + j], longest[i * width + j + 1]);
  }
  const lines = [];
  let i = 0, j = 0;
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) { lines.push({ kind: '', text: a[i] }); i++; j++; } else if (j < b.length && (i === a.length || longest[i * width + j + 1] > longest[(i + 1) * width + j])) lines.push({ kind: 'add', text: b[j++] });
    else lines.push({ kind: 'del', text: a[i++] });
  }
  return lines;
}
