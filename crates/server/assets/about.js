// The server, and what can be done about this browser's sign-in.
import { html, nothing } from './vendor/lit-html/lit-html.js';
import { call, get } from './api.js';
import { app, open, setDensity, setTheme, update } from './main.js';
import { button, copy, notify } from './parts.js';

export function aboutPage() {
  /** @type {any} */ let quota = null;
  let link = '';
  return {
    title: 'About',
    async resume() { quota ??= await get('/api/v2/sessions/quota').catch(() => null); update(); },
    async start() { quota = await get('/api/v2/sessions/quota').catch(() => null); update(); },
    view() {
      const me = app.me ?? {};
      const rows = [['Version', me.version], ['Model', me.model ?? 'not said'], ['Store', me.store], ['Address', me.public_url],
        ['Signed in with', `${me.key_prefix}…, ${me.user} of ${me.organization}`], ['Sessions at once', quota ? `${quota.active} of ${quota.limit}` : '…']];
      return html`<div class="page"><h1>About this server</h1>
        <section class="card"><dl class="about">${rows.map(([name, value]) => html`<dt>${name}</dt><dd>${value}</dd>`)}</dl>
          <p class="actions"><a class="button" href="../docs">API reference</a>${button({ label: 'Keyboard shortcuts', click: () => open('help') })}</p></section>
        <section class="card"><h2>Another browser</h2><p>A link signs another browser in with the same key: once, within ten minutes.</p>
          ${link ? html`<input readonly aria-label="Link" .value=${link} @focus=${(/** @type {any} */ e) => e.target.select()}>` : nothing}
          <p class="actions">${button({ label: 'Make a link', click: async () => {
            try { link = (await call('POST', '/agent-view/link')).body.url; } catch (error) { notify(/** @type {Error} */ (error).message); }
            update();
          } })}${link ? button({ label: 'Copy', kind: 'primary', click: () => copy(link, 'the link') }) : nothing}
          ${button({ label: 'Sign out everywhere', kind: 'danger', click: async () => { await call('POST', '/agent-view/sign-out?everywhere=true').catch(() => {}); app.me = null; app.signedOut = true; update(); } })}</p></section>
        <section class="card"><h2>Theme</h2><p class="actions">${['system', 'light', 'dark'].map((theme) => button({ label: theme, pressed: app.theme === theme, click: () => setTheme(theme) }))}</p></section>
        <section class="card"><h2>Rows</h2><p class="actions">${['comfortable', 'compact'].map((density) => button({ label: density, pressed: app.density === density, click: () => setDensity(density) }))}</p></section>
        <section class="card"><h2>Keys</h2><p>API keys are made and revoked on the server: <code>quarterdeck keys</code>. No page does it, or every cookie would be worth a key that outlives it.</p></section>
      </div>`;
    },
  };
}
