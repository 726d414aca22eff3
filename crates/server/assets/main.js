// The page: which view the address names, signing in, keys.
import { html, nothing, render } from './vendor/lit-html/lit-html.js';
import { ApiError, Unreachable, base, call, get, onSignedOut } from './api.js';
import { icon, notify } from './parts.js';

/** @typedef {{title: string, view: () => any, start?: () => void, stop?: () => void, key?: (event: KeyboardEvent) => boolean,
 *   resume?: () => void, commands?: () => {label: string, hint?: string, run: () => void}[]}} Page */

export const app = {
  /** @type {any} */ me: null,
  /** @type {Page | null} */ page: null,
  signedOut: false,
  signInError: '',
  /** @type {null | 'palette' | 'help'} */ open: null,
  paletteText: '',
  paletteAt: 0,
  keysOn: localStorage.getItem('quarterdeck-keys') !== 'off',
  theme: localStorage.getItem('quarterdeck-theme') ?? 'system',
  density: localStorage.getItem('quarterdeck-density') ?? 'comfortable',
  /** Rows of the list, by session: what a session's page shows until it knows more. */
  known: new Map(),
};

const root = /** @type {HTMLElement} */ (document.getElementById('app'));
let scheduled = false;

/** Draws the page in the next frame. */
export function update() {
  if (scheduled) return;
  scheduled = true;
  // A hidden tab has no frames, and its title must be right all the same.
  if (document.hidden) setTimeout(draw, 50); else requestAnimationFrame(draw);
}

/** Draws the page before anything else happens. */
export const drawNow = () => draw();

function draw() {
  scheduled = false;
  document.title = app.page ? `${app.page.title} · Quarterdeck` : 'Quarterdeck';
  render(shell(), root);
}

onSignedOut.call = () => { app.signedOut = true; update(); };

/** Goes to an address of the page without loading it anew. @param {string} path @param {boolean} [replace] */
export function go(path, replace = false) {
  const url = new URL(path, location.href);
  if (replace) history.replaceState(null, '', url); else history.pushState(null, '', url);
  route();
}

async function route() {
  const path = location.pathname.slice(base.length);
  const rest = path.replace(/^\/agent-view\/?/u, '').split('/').map(decodeURIComponent);
  app.page?.stop?.();
  app.page = null;
  app.open = null;
  let page;
  if (path.startsWith('/share/')) {
    page = (await import('./session.js')).sharedPage(path.slice('/share/'.length));
  } else if (rest[0] === '') page = (await import('./sessions.js')).sessionsPage();
  else if (rest[0] === 'new') page = (await import('./new.js')).newPage();
  else if (rest[0] === 'recording') page = (await import('./session.js')).recordingPage();
  else if (rest[0] === 'about') page = (await import('./about.js')).aboutPage();
  else if (['agents', 'environments', 'skills'].includes(rest[0])) {
    page = (await import('./catalog.js')).catalogPage(rest[0], rest.slice(1).join('/'));
  } else if (rest[1] === 'compare') page = (await import('./compare.js')).comparePage(rest[0], rest[2]);
  else page = (await import('./session.js')).sessionPage(rest[0]);
  app.page = page;
  page.start?.();
  update();
}

const is_share = () => location.pathname.startsWith(`${base}/share/`);

function shell() {
  return html`
    <a class="skip" href="#content">To the content</a>
    <header class="top">
      <a class="brand" href=${`${base}/agent-view`} @click=${follow}>${logo()}Quarterdeck</a>
      ${is_share() ? html`<span class="soft">Shared by its owner. Read-only.</span>` : html`
        <nav aria-label="Pages">
          ${[['', 'Sessions'], ['agents', 'Agents'], ['environments', 'Environments'], ['skills', 'Skills'], ['about', 'About']].map(([path, name]) => html`
            <a href=${`${base}/agent-view${path && `/${path}`}`} aria-current=${is_here(path) ? 'page' : nothing} @click=${follow}>${name}</a>`)}
        </nav>
        <span class="grow"></span>
        <button class="search" @click=${() => open('palette')}>Search and commands <kbd>Ctrl K</kbd></button>
        ${app.me ? html`<button class="plain" @click=${signOut}>Sign out</button>` : nothing}`}
    </header>
    <main id="content" tabindex="-1">${app.page ? app.page.view() : html`<p class="loading">Loading…</p>`}</main>
    ${app.signedOut && !is_share() ? signInView() : nothing}
    ${app.open === 'palette' ? paletteView() : nothing}
    ${app.open === 'help' ? helpView() : nothing}`;
}

const logo = () => html`<svg class="logo" viewBox="0 0 32 32" aria-hidden="true"><circle cx="15" cy="14" r="9" fill="none" stroke="currentColor" stroke-width="4"/><path d="M18 18l8 9" stroke="currentColor" stroke-width="4" stroke-linecap="round"/></svg>`;

function is_here(/** @type {string} */ path) {
  const here = location.pathname.slice(base.length).replace(/^\/agent-view\/?/u, '').split('/')[0];
  const named = ['agents', 'environments', 'skills', 'about'];
  return path ? here === path : !named.includes(here);
}

/** A click on a link of the page. @param {MouseEvent} event */
export function follow(event) {
  if (event.ctrlKey || event.metaKey || event.shiftKey || event.button !== 0) return;
  event.preventDefault();
  const link = /** @type {HTMLAnchorElement} */ (event.currentTarget);
  go(link.href);
}

function signInView() {
  return html`<div class="cover"><form class="card signin" aria-labelledby="signin" @submit=${signIn}>
    <h1 id="signin">${logo()}Sign in</h1>
    <p>With an API key of this server, such as <code>hk-…</code>. The link that the server prints when it starts signs you in as well.</p>
    <label for="key">API key</label>
    <input id="key" name="key" type="password" autocomplete="current-password" spellcheck="false" required autofocus>
    ${app.signInError ? html`<p class="problem" role="alert">${app.signInError}</p>` : nothing}
    <p class="actions"><button class="primary">Sign in</button></p>
  </form></div>`;
}

/** @param {SubmitEvent} event */
async function signIn(event) {
  event.preventDefault();
  const form = /** @type {HTMLFormElement} */ (event.target);
  await enter({ key: String(new FormData(form).get('key')) });
}

/** @param {{key: string} | {link: string}} proof */
async function enter(proof) {
  app.signInError = '';
  try {
    await call('POST', '/agent-view/sign-in', { body: proof });
    app.signedOut = false;
    await whoAmI();
    // What was being looked at or written stays, and goes on.
    if (app.page) app.page.resume?.(); else await route();
  } catch (error) {
    app.signedOut = true;
    app.signInError = error instanceof Unreachable ? 'The server does not answer.'
      : 'link' in proof && error instanceof ApiError && error.status === 401 ? 'This link was used before, or is older than ten minutes. For another: quarterdeck view-link on the server, or About in a browser that is signed in. A key signs you in, too.'
      : /** @type {Error} */ (error).message;
  }
  update();
}

async function signOut() {
  await call('POST', '/agent-view/sign-out').catch(() => {});
  app.me = null;
  app.signedOut = true;
  app.page?.stop?.();
  app.page = null;
  update();
}

async function whoAmI() {
  try { app.me = await get('/agent-view/me'); } catch (error) {
    if (!(error instanceof ApiError)) notify('The server does not answer.');
  }
}

/** @param {'palette' | 'help'} what */
export function open(what) {
  app.open = what;
  app.paletteText = '';
  app.paletteAt = 0;
  // At once: what is typed next is meant for it.
  draw();
  document.getElementById('palette')?.focus();
}

function commands() {
  const places = [['Sessions', '', 'g s'], ['New session', '/new', 'n'], ['Agents', '/agents', 'g a'], ['Environments', '/environments', ''], ['Skills', '/skills', ''], ['About this server', '/about', '']];
  const all = [
    ...(app.page?.commands?.() ?? []),
    ...places.map(([label, path, hint]) => ({ label, hint, run: () => go(`${base}/agent-view${path}`) })),
    { label: 'Open a recording…', hint: '', run: () => go(`${base}/agent-view/recording`) },
    { label: `Rows: ${app.density === 'compact' ? 'comfortable' : 'compact'}`, hint: '', run: () => setDensity(app.density === 'compact' ? 'comfortable' : 'compact') },
    { label: 'Keyboard shortcuts', hint: '?', run: () => open('help') },
    ...['system', 'light', 'dark'].map((theme) => ({ label: `Theme: ${theme}`, hint: '', run: () => setTheme(theme) })),
    { label: 'Sign out', hint: '', run: signOut },
  ];
  const text = app.paletteText.trim().toLowerCase();
  const found = all.filter((one) => one.label.toLowerCase().includes(text));
  if (/^[0-9a-f-]{36}$/u.test(text)) found.unshift({ label: `Open session ${text}`, hint: '', run: () => go(`${base}/agent-view/${text}`) });
  else if (text) found.push({ label: `Search sessions for “${app.paletteText.trim()}”`, hint: '', run: () => go(`${base}/agent-view?search=${encodeURIComponent(app.paletteText.trim())}`) });
  return found;
}

function paletteView() {
  const found = commands();
  const at = Math.min(app.paletteAt, found.length - 1);
  return html`<div class="cover" @click=${(/** @type {Event} */ e) => { if (e.target === e.currentTarget) close(); }}>
    <div class="card palette" role="dialog" aria-label="Search and commands" aria-modal="true">
      <input id="palette" role="combobox" aria-expanded="true" aria-controls="palette-list" aria-label="Search and commands" autocomplete="off"
        aria-activedescendant=${`palette-${at}`} placeholder="A command, a session's id, or text to search for" .value=${app.paletteText}
        @input=${(/** @type {any} */ e) => { app.paletteText = e.target.value; app.paletteAt = 0; update(); }}
        @keydown=${paletteKey}>
      <ul id="palette-list" role="listbox" aria-label="Commands">${found.map((one, place) => html`
        <li id=${`palette-${place}`} role="option" aria-selected=${place === at} @click=${() => runCommand(one)}>${one.label}<kbd>${one.hint}</kbd></li>`)}</ul>
    </div></div>`;
}

/** @param {{run: () => void} | undefined} command */
function runCommand(command) {
  close();
  command?.run();
}

/** Keys can be faster than frames: what is typed and chosen counts, not what was drawn last. @param {KeyboardEvent} event */
function paletteKey(event) {
  const found = commands();
  const at = Math.min(app.paletteAt, found.length - 1);
  if (event.key === 'ArrowDown') app.paletteAt = Math.min(at + 1, found.length - 1);
  else if (event.key === 'ArrowUp') app.paletteAt = Math.max(at - 1, 0);
  else if (event.key === 'Enter') runCommand(found[at]);
  else if (event.key === 'Escape') { close(); event.stopPropagation(); } else return;
  event.preventDefault();
  update();
}

const KEYS = [
  ['Ctrl K', 'search and commands'], ['/', 'find'], ['g s', 'sessions'], ['g a', 'agents'], ['n', 'new session'],
  ['j k', 'next, previous step'], ['← →', 'one event back, on'], ['Shift ← →', 'previous, next error or message'],
  ['PgUp PgDn', 'ten steps'], ['Home', 'first event'], ['End', 'newest, and follow'], ['Space', 'play, stop'], ['< >', 'slower, faster'],
  ['e', 'expand one'], ['E', 'expand all, and back'], ['r', 'raw event'], ['l', 'copy link to this event'], ['c', 'copy as curl'], ['m', 'to the message box'], ['p', 'pause or resume'], ['?', 'this help'], ['Esc', 'close, leave the box'],
];

function helpView() {
  return html`<div class="cover" @click=${(/** @type {Event} */ e) => { if (e.target === e.currentTarget) close(); }}>
    <div class="card" role="dialog" aria-label="Keyboard shortcuts" aria-modal="true">
      <h1>Keyboard</h1>
      <dl class="keys">${KEYS.map(([key, what]) => html`<div><dt><kbd>${key}</kbd></dt><dd>${what}</dd></div>`)}</dl>
      <p class="actions"><label><input type="checkbox" .checked=${app.keysOn} @change=${(/** @type {any} */ e) => { app.keysOn = e.target.checked; localStorage.setItem('quarterdeck-keys', app.keysOn ? 'on' : 'off'); update(); }}> Single keys are on</label>
      <span class="grow"></span><button autofocus @click=${close}>Close</button></p>
    </div></div>`;
}

function close() {
  app.open = null;
  // At once: what is typed next is meant for the page.
  draw();
}

/** @param {string} theme */
export function setTheme(theme) {
  app.theme = theme;
  localStorage.setItem('quarterdeck-theme', theme);
  if (theme === 'system') delete document.documentElement.dataset.theme; else document.documentElement.dataset.theme = theme;
  update();
}

/** @param {string} density */
export function setDensity(density) {
  app.density = density;
  localStorage.setItem('quarterdeck-density', density);
  document.documentElement.dataset.density = density;
  update();
}

let prefix = '';
document.addEventListener('keydown', (event) => {
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === 'k') { event.preventDefault(); open('palette'); return; }
  if (event.key === 'Escape' && app.open) { close(); return; }
  const target = /** @type {HTMLElement} */ (event.target);
  const types = target.matches('input:not([type=range]):not([type=checkbox]), textarea, select, [contenteditable]');
  if (types && event.key === 'Escape') { target.blur(); return; }
  if (types || app.open || app.signedOut || document.querySelector('dialog[open]')) return;
  if (event.altKey || event.metaKey || (event.ctrlKey && event.key !== 'Enter')) return;
  if (!app.keysOn && event.key.length === 1) return;
  if (prefix === 'g') {
    prefix = '';
    const place = { s: '', a: '/agents', e: '/environments' }[event.key];
    if (place !== undefined) { event.preventDefault(); go(`${base}/agent-view${place}`); return; }
  }
  if (event.key === 'g') { prefix = 'g'; setTimeout(() => { prefix = ''; }, 1000); return; }
  if (event.key === '?') { event.preventDefault(); open('help'); return; }
  // A button or link under the focus takes Enter and Space for itself.
  if ((event.key === ' ' || event.key === 'Enter') && target.matches('button, a, summary, input, [role=button]')) return;
  if (app.page?.key?.(event)) { event.preventDefault(); return; }
  if (event.key === 'n' && !is_share()) { event.preventDefault(); go(`${base}/agent-view/new`); }
});
addEventListener('popstate', route);

async function start() {
  setTheme(app.theme);
  setDensity(app.density);
  const link = new URLSearchParams(location.hash.slice(1)).get('once');
  if (link) {
    // Before anything else: the secret must not stay in the history.
    history.replaceState(null, '', location.pathname + location.search);
    await enter({ link });
    return;
  }
  if (!is_share()) await whoAmI();
  if (app.signedOut) update(); else await route();
}

export { icon };
start();
