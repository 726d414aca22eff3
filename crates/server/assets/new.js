// A new session, or one again with edits.
import { html, nothing } from './vendor/lit-html/lit-html.js';
import { live } from './vendor/lit-html/directives/live.js';
import { ApiError, base, call, get } from './api.js';
import { app, go, update } from './main.js';
import { button, copy, sessionPath } from './parts.js';
import { creation } from './commands.js';

export function newPage() {
  const from = new URLSearchParams(location.search).get('from');
  const form = {
    agent: new URLSearchParams(location.search).get('agent') ?? 'h/web-surfer-pro', message: '', inline: '', steps: '', time: '', idle: '', group: '', format: '', overrides: '',
    files: /** @type {any[]} */ ([]),
  };
  /** What else the session had that is run again, as it was. @type {any} */
  let rest = {};
  /** @type {any[]} */ let agents = [];
  let problem = '';
  let note = '';
  /** @type {any[]} */ let faults = [];
  let kind = /** @type {'curl' | 'python' | 'hai'} */ ('curl');
  let sending = false;
  // Made with the form: a click twice makes one session.
  let key = crypto.getRandomValues(new Uint32Array(4)).join('-');

  async function start() {
    requestAnimationFrame(() => requestAnimationFrame(() => document.getElementById('new-message')?.focus()));
    get('/api/v2/agents?size=200&sort=agent_name').then((found) => { agents = found.items; update(); }).catch(() => {});
    if (!from) return;
    try {
      const { request } = await get(`/api/v2/sessions/${from}`);
      if (typeof request.agent === 'string') form.agent = request.agent;
      else { form.agent = ''; form.inline = JSON.stringify(request.agent, null, 2); }
      const { agent, messages, max_steps, max_time_s, idle_timeout_s, group_id, answer_format, overrides, parent_session_id, ...others } = request;
      rest = Object.fromEntries(Object.entries(others).filter(([, value]) => value !== null && value !== undefined));
      const [first, ...later] = Array.isArray(messages) ? messages : [messages];
      form.message = typeof first === 'string' ? first : first?.message ?? '';
      if (later.length || first?.files?.length || first?.images?.length) note = 'Only the text of its first message is here: add files and say the rest again.';
      const text = (/** @type {any} */ value) => value === null || value === undefined ? '' : String(value);
      form.steps = text(request.max_steps);
      form.time = text(request.max_time_s);
      form.idle = text(request.idle_timeout_s);
      form.group = text(request.group_id);
      if (request.answer_format) form.format = JSON.stringify(request.answer_format, null, 2);
      if (request.overrides && Object.keys(request.overrides).length) form.overrides = JSON.stringify(request.overrides, null, 2);
    } catch (error) { problem = /** @type {Error} */ (error).message; }
    update();
  }

  /** The request that the form says; throws what is no JSON. */
  function request() {
    const json = (/** @type {string} */ text, /** @type {string} */ name) => {
      try { return JSON.parse(text); } catch (error) { throw new Error(`${name} is not JSON: ${/** @type {Error} */ (error).message}`); }
    };
    const made = /** @type {any} */ ({ ...rest, agent: form.inline.trim() ? json(form.inline, 'The agent') : form.agent.trim() });
    if (form.files.length) made.messages = { type: 'user_message', message: form.message, files: form.files };
    else if (form.message.trim()) made.messages = form.message;
    if (form.steps) made.max_steps = Number(form.steps);
    if (form.time) made.max_time_s = Number(form.time);
    if (form.idle) made.idle_timeout_s = Number(form.idle);
    if (form.group) made.group_id = form.group;
    if (form.format.trim()) made.answer_format = json(form.format, 'The answer format');
    if (form.overrides.trim()) made.overrides = json(form.overrides, 'Overrides');
    return made;
  }

  async function submit() {
    if (sending) return;
    problem = '';
    faults = [];
    sending = true;
    update();
    try {
      const made = await call('POST', '/api/v2/sessions', { body: request(), headers: { 'idempotency-key': key } });
      go(sessionPath(made.body.id));
      return;
    } catch (error) {
      problem = /** @type {Error} */ (error).message;
      if (error instanceof ApiError) { faults = error.detail; key = crypto.getRandomValues(new Uint32Array(4)).join('-'); }
    }
    sending = false;
    update();
  }

  /** @param {FileList} list */
  async function attach(list) {
    for (const file of list) {
      const bytes = new Uint8Array(await file.arrayBuffer());
      let text = '';
      for (let at = 0; at < bytes.length; at += 32_768) text += String.fromCharCode(...bytes.subarray(at, at + 32_768));
      form.files.push({ name: file.name, source: btoa(text), type: 'base64', ...(file.type ? { media_type: file.type } : {}) });
    }
    update();
  }

  function preview() {
    try {
      const made = request();
      const shown = made.messages?.files ? { ...made, messages: { ...made.messages, files: made.messages.files.map((/** @type {any} */ file) => ({ ...file, source: '…' })) } } : made;
      return creation(shown)[kind];
    } catch (error) { return /** @type {Error} */ (error).message; }
  }

  /** @param {keyof typeof form} name @param {string} label @param {string} [type] */
  const field = (name, label, type = 'text') => html`<label>${label}<input type=${type} min="0" .value=${live(String(form[name]))} @input=${(/** @type {any} */ e) => { /** @type {any} */ (form)[name] = e.target.value; update(); }}></label>`;
  /** @param {keyof typeof form} name @param {string} label @param {number} rows @param {string} [hint] */
  const area = (name, label, rows, hint = '') => html`<label>${label}<textarea id=${`new-${name}`} rows=${rows} placeholder=${hint} spellcheck=${name === 'message'} .value=${live(String(form[name]))} @input=${(/** @type {any} */ e) => { /** @type {any} */ (form)[name] = e.target.value; update(); }}></textarea></label>`;

  return {
    resume() { update(); },
    title: from ? 'Rerun' : 'New session',
    start,
    view: () => html`<div class="page"><h1>${from ? 'Run it again, with edits' : 'New session'}</h1><div class="two">
      <form class="fields" @submit=${(/** @type {Event} */ e) => { e.preventDefault(); submit(); }} @keydown=${(/** @type {KeyboardEvent} */ e) => { if (e.key === 'Enter' && (e.ctrlKey || e.metaKey)) { e.preventDefault(); submit(); } }}>
        <label>Agent<input id="new-agent" list="agents" .value=${live(form.agent)} ?disabled=${Boolean(form.inline.trim())} @input=${(/** @type {any} */ e) => { form.agent = e.target.value; update(); }}></label>
        <datalist id="agents">${agents.map((one) => html`<option value=${one.name}>${one.description}</option>`)}</datalist>
        ${area('message', 'Message', 6, app.me?.model?.includes('scripted') ? 'Find the price.\n@answer 42' : 'What the agent is to do')}
        ${note ? html`<p class="soft">${note}</p>` : nothing}
        <label>Files<input type="file" multiple @change=${(/** @type {any} */ e) => attach(e.target.files)}></label>
        ${form.files.length ? html`<p class="soft">${form.files.map((file) => file.name).join(', ')} ${button({ label: 'Remove', kind: 'plain', click: () => { form.files = []; update(); } })}</p>` : nothing}
        <div class="two">${field('steps', 'At most so many steps', 'number')}${field('time', 'At most so many seconds', 'number')}${field('idle', 'Wait for a next message (seconds)', 'number')}${field('group', 'Group')}</div>
        <details ?open=${Boolean(form.inline || form.format || form.overrides)}><summary>Agent in full, answer format, overrides</summary><div class="fields">
          ${area('inline', 'Agent, as JSON; in place of the name', 6)}${area('format', 'Answer format, a JSON schema', 4)}${area('overrides', 'Overrides, as JSON', 3, '{"agent.instructions": "Be brief."}')}</div></details>
        ${problem ? html`<div class="problem" role="alert"><p>${problem}</p>${faults.length > 1 ? html`<ul>${faults.map((fault) => html`<li><code>${(fault.loc ?? []).slice(1).join('.')}</code>: ${fault.msg}</li>`)}</ul>` : nothing}</div>` : nothing}
        <p class="actions"><button class="primary" ?disabled=${sending}>Start <kbd>Ctrl ⏎</kbd></button><a class="button" href=${`${base}/agent-view`}>Leave it</a></p>
      </form>
      <section class="fields"><div class="tabs"><div role="group" aria-label="The same as">${/** @type {const} */ (['curl', 'python', 'hai']).map((one) => button({ label: one, pressed: kind === one, click: () => { kind = one; update(); } }))}</div><span class="grow"></span>${button({ label: 'Copy', click: () => copy(preview(), `as ${kind}`) })}</div>
        <pre class="command" tabindex="0" aria-label="The same as a command">${preview()}</pre></section></div></div>`,
  };
}
