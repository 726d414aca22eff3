// One session: live and replay under one address.
import { html, nothing } from './vendor/lit-html/lit-html.js';
import { live } from './vendor/lit-html/directives/live.js';
import { ApiError, base, call, get, query } from './api.js';
import { app, drawNow, follow, go, update } from './main.js';
import { badge, button, confirmed, copy, icon, noted, notify, saveAs, sessionPath } from './parts.js';
import { duration, fullText, gapRow, hasEnded, isError, isLandmark, isStep, line, markdown, readRecording, reasons, row as fold, short, tokens } from './fold.js';
import { followLog, newLog } from './follow.js';
import { action } from './commands.js';
import { detailView, pictureAddress } from './detail.js';
import { drawWholeLog, logView, timelineView } from './timeline.js';

const SPEEDS = [0.5, 1, 2, 4, 8, 16];
/** A wait that is skipped is shown for so long. */
const SKIPPED_MS = 300;

/** @param {string} id */
export const sessionPage = (id) => page({ id });
/** @param {string} token */
export const sharedPage = (token) => page({ token });
/** A file of events, that no server is asked for. */
export const recordingPage = () => page({ recorded: true });

/** @param {{id?: string, token?: string, recorded?: boolean}} which */
function page({ id = '', token = '', recorded = false }) {
  // Nothing can be changed of what is shared with a stranger, or lies in a file.
  const shared = token !== '' || recorded;
  const address = new URLSearchParams(location.search);
  const log = newLog();
  const state = {
    id, shared, recorded, log, session: /** @type {any} */ (null), problem: '', fault: '', children: /** @type {any[]} */ ([]),
    rows: /** @type {any[]} */ ([]), shown: /** @type {number[]} */ ([]), steps: 0, folded: 0,
    at: Number(address.get('event') ?? -1), following: !address.has('event'), unseen: 0,
    view: address.get('view') ?? 'steps', find: '', errorsOnly: false,
    raw: address.get('expanded') === 'true', playing: false, speed: 1, skip: true,
    draft: '', result: /** @type {any} */ (null), sharing: /** @type {any} */ (null), busy: '', moreOpen: false,
    scrollTo: -1, childrenFor: -1, loaded: false, marked: -1, errorsOf: -1, errors: 0, marks: /** @type {any} */ (nothing), printedFrom: '', steerOpen: false, files: /** @type {Map<string, any>} */ (new Map()), filesOf: -1,
  };
  const stopping = new AbortController();
  /** What the list said of it: shown until the session itself is there. @type {any} */
  const known = app.known.get(id);
  /** @type {any} */ let player = null;
  /** @type {any} */ let ticker = null;

  /** Folds what is new, and decides what of it is shown. */
  function refold() {
    const { events } = log;
    if (state.folded > 0 && !state.rows[state.folded - 1]) { state.folded = 0; state.steps = 0; }
    let from = state.folded;
    if (!log.whole || from === 0) { state.rows.length = 0; state.steps = stepsGone(); from = 0; state.shown = []; }
    let step = log.whole ? state.steps : -1;
    for (let index = from; index < events.length; index++) {
      const event = events[index];
      if (!event) {
        const gap = log.gaps.find((one) => one.from === index);
        if (gap) { state.rows[index] = gapRow(gap, Date.parse(events[gap.to]?.timestamp)); if (fits(state.rows[index])) state.shown.push(index); }
        continue;
      }
      const one = fold(event, index, step);
      if (isStep(event) && step >= 0) step = one.step;
      state.rows[index] = one;
      if (fits(one)) state.shown.push(index);
    }
    if (log.whole) { state.steps = step; state.folded = events.length; } else state.folded = 0;
  }

  /** Steps among the events that are gone: the session says how many it took in all. */
  function stepsGone() {
    if (!log.gaps.length) return 0;
    const held = log.events.reduce((sum, event) => sum + Number(Boolean(event) && isStep(event)), 0);
    return Math.max(0, (log.head?.metrics?.steps ?? held) - held);
  }

  /** @param {any} one */
  function fits(one) {
    if (state.errorsOnly && !isError(one)) return false;
    if (state.find) {
      const text = `${one.title} ${one.note} ${fullText(log.events[one.index])}`.toLowerCase();
      return text.includes(state.find.toLowerCase());
    }
    return state.view !== 'steps' || one.main;
  }

  function refilter() {
    state.shown = [];
    for (const one of state.rows) if (one && fits(one)) state.shown.push(one.index);
    state.scrollTo = state.at;
    update();
  }

  const last = () => log.events.length - 1;
  const place = () => (state.following ? last() : Math.min(state.at, last()));

  /** @param {number} fresh */
  function changed(fresh) {
    refold();
    const first = !state.loaded;
    state.loaded ||= log.state === 'live';
    if (state.following) { state.at = last(); state.scrollTo = -2; } else if (!first) state.unseen += fresh;
    if (first && !state.following) state.scrollTo = state.at;
    if (state.at < 0 && !state.following) state.at = 0;
    loadChildren();
    update();
  }

  async function loadChildren() {
    if (shared || log.state === 'loading') return;
    const delegated = log.events.reduce((sum, event) => sum + Number(event?.data?.tool_reqs?.some?.((/** @type {any} */ one) => one.tool_name === 'delegate') || event?.data?.tool_req?.tool_name === 'delegate'), 0);
    if (delegated === state.childrenFor) return;
    state.childrenFor = delegated;
    if (delegated === 0) return;
    const found = await get(`/api/v2/sessions${query({ parent_session_id: state.id, owner: 'organization', size: 100, sort: 'created_at' })}`).catch(() => null);
    if (found) { state.children = found.items; update(); }
  }

  async function begin() {
    state.problem = '';
    if (recorded) { state.problem = log.events.length ? '' : 'Open a recording'; update(); return; }
    try {
      if (shared) {
        const found = await get(`/share/api/v1/trajectories/${encodeURIComponent(token)}`, { anonymous: true });
        const { events, ...session } = found;
        state.session = session;
        state.id = session.id;
      } else state.session = await get(`/api/v2/sessions/${state.id}`);
    } catch (error) {
      const status = error instanceof ApiError ? error.status : 0;
      if (status === 401) { log.state = 'signed-out'; app.signedOut = true; }
      state.problem = shared && status ? 'This link does not work any more, or never did.'
        : status === 404 || status === 422 ? 'There is no such session, or it belongs to another organization.'
        : status === 401 ? '' : 'The server does not answer. Reload to try again.';
      update();
      return;
    }
    if (stopping.signal.aborted) return;
    update();
    log.status = state.session.status?.status ?? '';
    await followLog(state.id, log, { near: state.at, anonymous: shared, signal: stopping.signal, changed });
    if (log.state === 'signed-out') app.signedOut = true;
    update();
  }

  /** Shows a file's events in place of a session's. @param {File | undefined} file */
  async function openFile(file) {
    if (!file) return;
    try {
      const { session, events } = readRecording(await file.text());
      Object.assign(log, { events, head: { ...session.status, metrics: session.metrics, started_at: session.started_at ?? events[0].timestamp, finished_at: session.finished_at ?? events.at(-1)?.timestamp,
        answer: session.latest_answer ?? session.answer ?? null, outcome: session.status?.outcome ?? null }, state: 'recorded', status: session.status?.status ?? session.status ?? '' });
      // The newest figures of the log stand in for those of a session.
      log.head.metrics ??= events.findLast((event) => event.type === 'MetricsUpdateEvent')?.data.metrics;
      Object.assign(state, { session: { request: session.request ?? {}, agent_revision: session.agent_revision }, id: session.id ?? file.name, problem: '', folded: 0, at: 0, following: false, scrollTo: 0 });
      refold();
    } catch (error) { state.problem = 'Open a recording'; notify(/** @type {Error} */ (error).message); state.fault = /** @type {Error} */ (error).message; }
    update();
  }

  function filePicker() {
    return html`<div class="empty" @dragover=${(/** @type {DragEvent} */ e) => e.preventDefault()} @drop=${(/** @type {DragEvent} */ e) => { e.preventDefault(); openFile(e.dataTransfer?.files[0]); }}>
      <h1>Open a recording</h1><p>A file that “Download as a recording” wrote, or the API's own answer. It is read in this browser, and sent nowhere.</p>
      ${state.fault ? html`<p class="problem" role="alert">${state.fault}</p>` : nothing}
      <p><label>File<input type="file" accept="application/json,.json" @change=${(/** @type {any} */ e) => openFile(e.target.files[0])}></label></p>
      <p class="soft">Or drop it here.</p></div>`;
  }

  /** @param {number} index @param {boolean} [quiet] Whether it stays where it is shown. */
  function select(index, quiet = false) {
    const end = last();
    state.at = Math.max(0, Math.min(index, end));
    state.following = false;
    if (state.at === end) seenAll();
    if (!quiet) state.scrollTo = state.at;
    // Wherever it was moved to, play goes on from there; the wait for what comes after is another one.
    if (state.playing) { clearTimeout(player); playOn(); }
    remember();
    update();
  }

  function followEnd() {
    state.following = true;
    state.at = last();
    seenAll();
    state.scrollTo = -2;
    stopPlaying();
    remember();
    update();
  }

  function seenAll() {
    state.unseen = 0;
    log.fresh = null;
  }

  let remembering = 0;
  function remember() {
    clearTimeout(remembering);
    // Browsers refuse an address that changes too often.
    remembering = Number(setTimeout(() => { if (!stopping.signal.aborted) history.replaceState(null, '', link()); }, 150));
  }

  function link() {
    if (recorded) return location.pathname;
    const search = new URLSearchParams();
    if (!state.following && state.at >= 0) search.set('event', String(state.at));
    if (state.raw) search.set('expanded', 'true');
    const picture = state.following ? -1 : pictureAt(state.at);
    if (picture >= 0) search.set('screenshot', String(picture));
    if (state.view !== 'steps') search.set('view', state.view);
    const text = search.toString();
    return `${location.pathname}${text ? `?${text}` : ''}`;
  }

  /** The newest event up to this one that shows a picture. @param {number} index */
  function pictureAt(index) {
    for (let at = Math.min(index, last()); at >= 0 && index - at < 200; at--) if (log.events[at]?.data?.image) return at;
    return -1;
  }

  /** @param {number} by */
  function move(by) {
    const { shown } = state;
    const now = place();
    let at = shown.findIndex((index) => index >= now);
    if (at < 0) at = shown.length;
    const exact = shown[at] === now;
    const target = by > 0 ? at + by - (exact ? 0 : 1) : at + by;
    if (shown.length) select(shown[Math.max(0, Math.min(shown.length - 1, target))]);
  }

  /** @param {number} by */
  function landmark(by) {
    for (let index = place() + by; index >= 0 && index <= last(); index += by) {
      if (state.rows[index] && isLandmark(state.rows[index])) { select(index); return; }
    }
    notify(by > 0 ? 'No later error or message' : 'No earlier error or message');
  }

  function togglePlay() {
    if (state.playing) { stopPlaying(); update(); return; }
    if (place() >= last()) select(0);
    state.playing = true;
    playOn();
    update();
  }

  function stopPlaying() {
    state.playing = false;
    clearTimeout(player);
  }

  function playOn() {
    const now = place();
    const next = state.shown.find((index) => index > now);
    if (next === undefined) { stopPlaying(); update(); return; }
    let gap = Math.max(0, (state.rows[next]?.at ?? 0) - (state.rows[now]?.at ?? 0));
    if (state.skip && gap > 1000) gap = SKIPPED_MS * state.speed;
    player = setTimeout(() => select(next), Math.max(60, Math.min(gap / state.speed, 2 ** 30)));
  }

  /** @param {string} name @param {any} [value] @param {string} [done] */
  async function command(name, value, done) {
    const paths = /** @type {Record<string, [string, string]>} */ ({ message: ['POST', '/messages'], pause: ['POST', '/pause'], resume: ['POST', '/resume'], force_answer: ['POST', '/force_answer'],
      cancel: ['DELETE', ''], tool_results: ['POST', '/tool_results'], share: ['POST', '/share'], unshare: ['DELETE', '/share'], feedback: ['POST', '/feedback'] });
    const [method, tail] = paths[name];
    const body = name === 'message' ? { type: 'user_message', message: value } : value;
    state.busy = name;
    update();
    try {
      const answer = await call(method, `/api/v2/sessions/${state.id}${tail}`, { body });
      if (done) notify(done);
      return answer;
    } catch (error) {
      notify(/** @type {Error} */ (error).message);
      return null;
    } finally {
      state.busy = '';
      update();
    }
  }

  async function send() {
    const text = state.draft.trim();
    if (!text) return;
    if (await command('message', text, 'Sent')) { state.draft = ''; followEnd(); }
  }

  async function cancel() {
    const quote = line(firstMessage(), 200) || state.id;
    if (await confirmed('Cancel this session for good?', quote, 'Cancel the session')) await command('cancel', undefined, 'Cancelled');
  }

  async function share() {
    const answer = await command('share');
    if (!answer) return;
    // What is being looked at is what is shared; who follows the end shares the whole.
    const event = state.following || state.at < 0 ? '' : `?event=${state.at}`;
    state.sharing = `${location.origin}${base}/share/${answer.body.share_url.split('/').pop()}${event}`;
    update();
    requestAnimationFrame(() => requestAnimationFrame(() => document.getElementById('share-copy')?.focus()));
  }

  function firstMessage() {
    const found = log.events.find((event) => event?.data?.kind === 'message_event');
    if (found) return found.data.content.filter((/** @type {any} */ part) => typeof part === 'string').join(' ');
    const messages = state.session?.request?.messages ?? known?.first_message;
    return typeof messages === 'string' ? messages : (Array.isArray(messages) ? messages[0] : messages)?.message ?? '';
  }

  const status = () => log.status || state.session?.status?.status || known?.status || '';
  const pending = () => (status() === 'awaiting_tool_results' || status() === 'paused' ? log.head?.pending_tool_calls ?? [] : []);

  function livePill() {
    if (log.state === 'recorded') return html`<span class="live quiet">A recording, read-only</span>`;
    const words = { loading: ['quiet', 'Loading'], lost: ['bad', `Not live: the server does not answer. Trying again (${log.retryIn} s)`],
      gone: ['bad', shared ? 'This link does not work any more' : 'It is gone'], 'signed-out': ['wait', 'Not live: signed out'], live: ['', ''] };
    if (log.state !== 'live') { const [tone, text] = words[log.state]; return html`<span class="live ${tone}" role=${log.state === 'lost' ? 'alert' : nothing}>${text}</span>`; }
    if (log.caughtUp > 0) {
      const count = log.caughtUp;
      setTimeout(() => { if (log.caughtUp === count) { log.caughtUp = 0; update(); } }, 6000);
      const gone = log.gaps.reduce((sum, gap) => sum + gap.to - gap.from, 0);
      return html`<span class="live live-on"><i></i>Live. ${count} ${count === 1 ? 'event' : 'events'} came in meanwhile${gone ? `, ${gone} of all are gone` : ''}</span>`;
    }
    return hasEnded(status()) ? html`<span class="live quiet">Ended</span>` : html`<span class="live live-on"><i></i>Live</span>`;
  }

  function facts() {
    const head = log.head;
    const agent = state.session?.request?.agent;
    const name = (typeof agent === 'string' ? agent : agent?.name) ?? known?.agent;
    const start = Date.parse(head?.started_at ?? state.session?.started_at ?? '');
    const end = Date.parse(head?.finished_at ?? '') || (log.state === 'live' && !hasEnded(status()) ? Date.now() : (state.rows.at(-1)?.at ?? NaN));
    const sum = tokens(head?.metrics?.cost_per_model);
    const most = state.session?.request?.max_steps;
    return html`<p class="facts">${status() ? badge(status(), head ?? {}) : nothing}
      ${name ? html`<span>Agent <b>${name}</b>${state.session?.agent_revision ? ` v${state.session.agent_revision}` : ''}</span>` : nothing}
      <span>Step ${head?.metrics?.steps ?? state.steps}${most ? ` of at most ${most}` : ''}</span>
      ${Number.isFinite(start) ? html`<span>${duration(end - start)}</span>` : nothing}
      <span>${short(sum.input)} in, ${short(sum.output)} out</span>
      <span>${log.events.length.toLocaleString('en')} events</span>
      ${state.session?.request?.group_id ? html`<span>Group ${state.session.request.group_id}</span>` : nothing}</p>`;
  }

  function scrubber() {
    const end = Math.max(0, last());
    const at = Math.max(0, place());
    const one = state.rows[at];
    const text = one ? `event ${at} of ${end}, step ${Math.max(0, one.step)}, ${one.title}` : `event ${at} of ${end}`;
    return html`<div class="scrubber" role="group" aria-label="Replay">
      ${button({ label: icon('first'), title: 'First event (Home)', click: () => select(0), kind: 'square' })}
      ${button({ label: icon('prev'), title: 'Previous (←)', click: () => move(-1), kind: 'square' })}
      ${button({ label: icon(state.playing ? 'pause' : 'play'), title: state.playing ? 'Stop (Space)' : 'Play (Space)', click: togglePlay, kind: 'square primary' })}
      ${button({ label: icon('next'), title: 'Next (→)', click: () => move(1), kind: 'square' })}
      ${button({ label: icon('last'), title: 'Last event', click: () => select(last()), kind: 'square' })}
      <div class="track"><input type="range" min="0" max=${end} step="1" .value=${live(String(at))} aria-label="Event" aria-valuetext=${text}
        @input=${(/** @type {any} */ e) => select(Number(e.target.value))} @keydown=${sliderKey}>${ticks(end)}</div>
      <output class="position">${at} / ${end}</output>
      <label class="speed">Speed<select @change=${(/** @type {any} */ e) => { state.speed = Number(e.target.value); update(); }}>${SPEEDS.map((speed) => html`<option value=${speed} .selected=${speed === state.speed}>${speed}×</option>`)}</select></label>
      <label class="check"><input type="checkbox" .checked=${state.skip} @change=${(/** @type {any} */ e) => { state.skip = e.target.checked; }}>Skip waiting</label>
      ${state.following ? html`<span class="soft following">following</span>` : button({ label: state.unseen ? `${state.unseen} new ↓` : hasEnded(status()) ? 'To the end' : 'Go live', title: 'End', click: followEnd })}
    </div>`;
  }

  /** Errors and messages on the slider, as long as they can be told apart. @param {number} end */
  function ticks(end) {
    // Scrolling draws the page anew, and the marks are the same as long as no event is.
    if (state.marked !== state.rows.length) { state.marks = drawTicks(end); state.marked = state.rows.length; }
    return state.marks;
  }

  /** @param {number} end */
  function drawTicks(end) {
    const marks = [];
    for (const one of state.rows) if (one && isLandmark(one) && marks.push(one) > 200) return nothing;
    return html`<svg class="ticks" viewBox="0 0 1000 8" preserveAspectRatio="none" aria-hidden="true">${marks.map((one) => {
      const mark = document.createElementNS('http://www.w3.org/2000/svg', 'rect');
      mark.setAttribute('x', String((one.index / Math.max(1, end)) * 996));
      mark.setAttribute('width', '4');
      mark.setAttribute('height', '8');
      mark.setAttribute('class', one.tone);
      return mark;
    })}</svg>`;
  }

  /** @param {KeyboardEvent} event */
  function sliderKey(event) {
    if (pageKey(event)) { event.preventDefault(); event.stopPropagation(); }
  }

  function waiting() {
    const calls = pending();
    if (status() !== 'awaiting_tool_results' || shared) return nothing;
    return html`<div class="attention" role="alert">${icon('wait')}<span>The agent waits for you: ${calls.length} ${calls.length === 1 ? 'call' : 'calls'} of ${[...new Set(calls.map((/** @type {any} */ one) => one.tool_name))].join(', ')} ${calls.length === 1 ? 'is' : 'are'} open.</span>
      <span class="grow"></span>${button({ label: 'Answer it', kind: 'primary', click: () => answer(calls[0]) })}</div>
      ${state.result ? resultForm() : nothing}`;
  }

  /** @param {any} pendingCall */
  function answer(pendingCall) {
    state.result = { call: pendingCall, text: '', kind: 'text', problem: '' };
    update();
    requestAnimationFrame(() => requestAnimationFrame(() => document.getElementById('result')?.focus()));
  }

  function resultValue() {
    const { call: made, text, kind } = state.result;
    if (kind === 'error') return { kind: 'error_event', error: text, origin: 'client', tool_req: made };
    return { kind: 'tool_result', tool_req: made, result: kind === 'json' ? JSON.parse(text) : text };
  }

  function resultForm() {
    const form = state.result;
    const sendIt = async (/** @type {Event} */ event) => {
      event.preventDefault();
      let value;
      try { value = resultValue(); } catch (error) { form.problem = `This is not JSON: ${/** @type {Error} */ (error).message}`; update(); return; }
      if (await command('tool_results', value, 'Sent')) { state.result = null; update(); }
    };
    const kind = (/** @type {string} */ name, /** @type {string} */ label) => html`<label class="check"><input type="radio" name="kind" .checked=${form.kind === name} @change=${() => { form.kind = name; form.problem = ''; update(); }}>${label}</label>`;
    return html`<form class="card result" @submit=${sendIt} aria-label="Answer a tool call">
      <h2><code>${form.call.tool_name}</code></h2><pre tabindex="0" aria-label="Arguments">${JSON.stringify(form.call.args, null, 2)}</pre>
      <p>${kind('text', 'Text')} ${kind('json', 'JSON')} ${kind('error', 'As an error')}</p>
      <label for="result">Result</label><textarea id="result" rows="4" .value=${live(form.text)} @input=${(/** @type {any} */ e) => { form.text = e.target.value; }}></textarea>
      ${form.problem ? html`<p class="problem" role="alert">${form.problem}</p>` : nothing}
      <p class="actions"><button class="primary">Send the result</button>
        ${copyMenu(() => { try { return action('tool_results', state.id, resultValue()); } catch { return null; } })}
        ${button({ label: 'Close', click: () => { state.result = null; update(); } })}</p></form>`;
  }

  /** @param {() => {curl: string, python: string, hai: string} | null} make */
  function copyMenu(make) {
    return html`<span class="copies" role="group" aria-label="Copy as">${/** @type {const} */ (['curl', 'python', 'hai']).map((kind) => html`<button type="button" class="plain small" title=${`Copy as ${kind}`} @click=${() => { const made = make(); if (made) copy(made[kind], `as ${kind}`); else notify('Put it in order first'); }}>${kind}</button>`)}</span>`;
  }

  function steering() {
    const why = reasons(status());
    const ended = hasEnded(status());
    return html`<form class=${`steering ${state.steerOpen ? 'open' : ''} ${state.result || ended ? 'aside' : ''}`} aria-label="Steer" @submit=${(/** @type {Event} */ e) => { e.preventDefault(); send(); }}>
      ${ended ? html`<p class="ended">Ended: ${log.head?.error_code ?? status()}${log.head?.outcome ? `, ${log.head.outcome}` : ''}, ${log.events.length} events.${why.message ? '' : ' A message continues it.'}</p>` : nothing}
      <textarea id="message" rows="1" aria-label="Message to the agent" placeholder=${why.message || 'Message to the agent'} .value=${live(state.draft)} ?disabled=${Boolean(why.message)}
        @input=${(/** @type {any} */ e) => { state.draft = e.target.value; }} @keydown=${(/** @type {KeyboardEvent} */ e) => { if (e.key === 'Enter' && (e.ctrlKey || e.metaKey)) { e.preventDefault(); send(); } }}></textarea>
      ${button({ label: html`Send <kbd>Ctrl ⏎</kbd>`, kind: 'primary', reason: why.message, click: send })}
      ${button({ label: 'Steer', kind: 'opens', pressed: state.steerOpen, click: () => { state.steerOpen = !state.steerOpen; update(); } })}
      <div class="buttons">
      ${status() === 'paused' ? button({ label: 'Resume', reason: why.resume, click: () => command('resume', undefined, 'Goes on') })
        : button({ label: 'Pause', reason: why.pause, click: () => command('pause', undefined, 'Paused') })}
      ${button({ label: 'Force answer', reason: why.force_answer, click: () => command('force_answer', undefined, 'It answers at its next step') })}
      ${button({ label: 'Cancel session…', kind: 'danger', reason: why.cancel, click: cancel })}
      <select class="copy-as" aria-label="Copy an action as" @change=${copyChosen}><option value="">Copy as…</option>
        ${['message', 'pause', 'resume', 'force_answer', 'cancel', 'events'].map((name) => ['curl', 'python', 'hai'].map((kind) => html`<option value=${`${name} ${kind}`}>${name.replace('_', ' ')} as ${kind}</option>`))}</select></div>
    </form>`;
  }

  function copyChosen(/** @type {any} */ event) {
    const [name, kind] = event.target.value.split(' ');
    event.target.value = '';
    if (!name) return;
    const value = name === 'message' ? state.draft || 'Go on.' : name === 'events' ? Math.max(0, place()) : name === 'cancel' ? status() : undefined;
    copy(action(name, state.id, value)[/** @type {'curl'} */ (kind)], `${name.replace('_', ' ')} as ${kind}`);
  }

  function shareDialog() {
    if (!state.sharing) return nothing;
    const close = () => { state.sharing = null; update(); };
    return html`<div class="cover" @click=${(/** @type {Event} */ e) => { if (e.target === e.currentTarget) close(); }} @keydown=${(/** @type {KeyboardEvent} */ e) => { if (e.key === 'Escape') { close(); e.stopPropagation(); } }}><div class="card" role="dialog" aria-label="Share" aria-modal="true">
      <h1>Share</h1><p>Anyone with this link sees: messages, pages, answers, files. Not: why it failed, your other sessions.</p>
      <input readonly aria-label="Link" .value=${state.sharing} @focus=${(/** @type {any} */ e) => e.target.select()}>
      <p class="actions"><button id="share-copy" class="primary" type="button" @click=${() => copy(state.sharing, 'the link')}>Copy</button>
        <a class="button" href=${state.sharing} target="_blank" rel="noreferrer">Look as a stranger</a>
        ${button({ label: 'Stop sharing', kind: 'danger', click: async () => { if (await command('unshare', undefined, 'Not shared any more')) close(); } })}
        ${copyMenu(() => action('share', state.id))}<span class="grow"></span>${button({ label: 'Close', click: close })}</p></div></div>`;
  }

  const all = () => JSON.stringify({ ...state.session, status: log.head ? { ...state.session?.status, ...log.head, status: log.status } : state.session?.status, metrics: log.head?.metrics, latest_answer: log.head?.answer ?? null, events: log.events.filter(Boolean) }, null, 1);
  const download = () => saveAs(all(), `session-${state.id}.json`, 'application/json');

  /** With its pictures, so that it can be looked at where this server is not. */
  async function downloadRecording() {
    const recording = { quarterdeck_recording: 1, ...JSON.parse(all()) };
    for (const event of recording.events) {
      const address = event.data?.image ? pictureAddress(event.data.image) : '';
      if (address && !address.startsWith('data:')) event.data.image = await asData(address).catch(() => event.data.image);
    }
    saveAs(JSON.stringify(recording), `recording-${state.id}.json`, 'application/json');
  }

  /** @param {string} address */
  async function asData(address) {
    const blob = await (await fetch(address, { credentials: shared ? 'omit' : 'same-origin' })).blob();
    const text = await new Promise((resolve, reject) => {
      const reader = new FileReader();
      reader.addEventListener('load', () => resolve(reader.result));
      reader.addEventListener('error', reject);
      reader.readAsDataURL(blob);
    });
    return { type: 'base64', media_type: blob.type, source: String(text).split(',')[1] };
  }

  /** @param {boolean} success */
  async function rate(success) {
    const note = success ? '' : await noted('It did not go well', 'What was wrong? May stay empty', 'Store it');
    if (note === null) return;
    if (await command('feedback', { success, message: note || null }, 'Thanks, stored')) update();
  }

  function headBar() {
    const parent = state.session?.request?.parent_session_id;
    return html`<div class="heading crumbs">
      ${token ? nothing : html`<a href=${`${base}/agent-view`} @click=${follow}>Sessions</a><span aria-hidden="true">/</span>`}${recorded ? html`<span class="mono">${state.id}</span>` : nothing}
      ${parent ? html`<a href=${sessionPath(parent)} @click=${follow}>parent</a><span aria-hidden="true">/</span>` : nothing}
      ${shared ? nothing : html`<button class="plain mono" title="Copy id" @click=${() => copy(state.id, 'the id')}>${state.id}</button>`}
      <span class="grow"></span>${livePill()}
      ${shared || !state.session ? nothing : html`
        ${button({ label: html`${icon('share')}Share…`, click: share })}
        ${button({ label: 'Rerun…', click: () => go(`${base}/agent-view/new?from=${state.id}`) })}
        <span class="rate">${button({ label: 'Good', title: 'It went well', click: () => rate(true) })}${button({ label: 'Bad', title: 'It did not go well', click: () => rate(false) })}</span>`}
      ${state.session ? html`<select class="more" aria-label="More" @change=${(/** @type {any} */ e) => { const chosen = e.target.value; e.target.value = ''; if (chosen === 'json') download(); else if (chosen === 'recording') downloadRecording(); else if (chosen === 'markdown') copy(markdown({ id: state.id }, log.events), 'the log as Markdown'); else if (chosen) copy(action('get', state.id)[/** @type {'curl'} */ (chosen)], `as ${chosen}`); }}>
        <option value="">More</option><option value="json">Download all as JSON</option><option value="recording">Download as a recording, with its pictures</option><option value="markdown">Copy the log as Markdown</option>${shared ? nothing : html`<option value="curl">Copy as curl</option><option value="python">Copy as Python</option><option value="hai">Copy as hai</option>`}</select>` : nothing}
    </div>`;
  }

  const errors = () => { if (state.errorsOf !== state.rows.length) { state.errorsOf = state.rows.length; state.errors = state.rows.filter((one) => one && isError(one)).length; } return state.errors; };

  function tabs() {
    const tab = (/** @type {string} */ name, /** @type {string} */ label) => html`<button role="tab" aria-selected=${state.view === name} @click=${() => { state.view = name; remember(); refilter(); }}>${label}</button>`;
    return html`<div class="tabs"><div role="tablist" aria-label="Views">${tab('steps', 'Steps')}${tab('all', 'All events')}${tab('log', 'Log')}</div><span class="grow"></span>
      <input id="find" type="search" placeholder="Find" aria-label="Find in this session" .value=${live(state.find)} @input=${(/** @type {any} */ e) => { state.find = e.target.value; refilter(); }}>
      <label class="check"><input type="checkbox" .checked=${state.errorsOnly} @change=${(/** @type {any} */ e) => { state.errorsOnly = e.target.checked; refilter(); }}>Errors only${errors() ? ` (${errors()})` : ''}</label></div>`;
  }

  /** @param {KeyboardEvent} event */
  function pageKey(event) {
    const actions = /** @type {Record<string, () => void>} */ ({
      j: () => move(1), ArrowDown: () => move(1), k: () => move(-1), ArrowUp: () => move(-1),
      ArrowRight: () => (event.shiftKey ? landmark(1) : select(place() + 1)), ArrowLeft: () => (event.shiftKey ? landmark(-1) : select(place() - 1)),
      PageDown: () => move(10), PageUp: () => move(-10), Home: () => select(0), End: followEnd, ' ': togglePlay,
      '<': () => speed(-1), '>': () => speed(1), r: () => { state.raw = !state.raw; remember(); }, e: () => { state.raw = !state.raw; remember(); },
      l: () => copy(new URL(eventLink(), location.href).href, 'the link'), c: () => copy(action('events', state.id, Math.max(0, place())).curl, 'as curl'),
      E: () => { state.view = state.view === 'log' ? 'steps' : 'log'; remember(); refilter(); },
      m: () => document.getElementById('message')?.focus(), '/': () => document.getElementById('find')?.focus(),
      p: () => { const name = status() === 'paused' ? 'resume' : 'pause'; const why = reasons(status())[/** @type {'pause'} */ (name)]; if (why) notify(why); else command(name, undefined, name === 'pause' ? 'Paused' : 'Goes on'); },
    });
    if (shared && ['m', 'p', 'c'].includes(event.key)) return false;
    if (recorded && event.key === 'l') return false;
    if (state.view === 'log' && ['PageDown', 'PageUp', ' '].includes(event.key)) return false;
    const run = actions[event.key];
    if (!run) return false;
    run();
    update();
    return true;
  }

  function eventLink() {
    state.at = Math.max(0, place());
    const search = new URLSearchParams({ event: String(state.at) });
    if (state.raw) search.set('expanded', 'true');
    return `${location.pathname}?${search}`;
  }

  /** @param {number} by */
  function speed(by) {
    state.speed = SPEEDS[Math.max(0, Math.min(SPEEDS.length - 1, SPEEDS.indexOf(state.speed) + by))];
    notify(`${state.speed}×`);
  }

  /** Who follows the end is told of what the agent did last, not of what it cost. @param {number} at */
  function told(at) {
    if (!state.following || state.view !== 'steps' || state.rows[at]?.main) return at;
    return state.rows.findLast((one) => one?.main)?.index ?? at;
  }

  /** Paper has no window to scroll: it gets the whole log. */
  function printed() {
    state.printedFrom = state.view;
    if (state.view !== 'log') { state.view = 'log'; refilter(); }
    drawNow();
    drawWholeLog(state);
  }

  function printedAll() {
    if (state.printedFrom && state.printedFrom !== state.view) { state.view = state.printedFrom; refilter(); }
    state.printedFrom = '';
  }

  return {
    get title() {
      // What was true before the connection was lost may not be true any more.
      const mark = recorded ? '' : log.state === 'lost' ? '(not live) ' : status() === 'awaiting_tool_results' || status() === 'idle' ? '(!) ' : '';
      return `${mark}${line(firstMessage(), 60) || 'Session'}`;
    },
    start() {
      addEventListener('beforeprint', printed);
      addEventListener('afterprint', printedAll);
      begin();
      // Durations grow while nothing happens; they stand still when the connection is lost.
      ticker = setInterval(() => { if (!document.hidden && log.state === 'live' && !hasEnded(status())) update(); }, 1000);
    },
    stop() { stopping.abort(); stopPlaying(); clearInterval(ticker); removeEventListener('beforeprint', printed); removeEventListener('afterprint', printedAll); },
    resume: begin,
    key: pageKey,
    commands: () => [
      ...(shared ? [] : [
        { label: 'Send a message', hint: 'm', run: () => requestAnimationFrame(() => document.getElementById('message')?.focus()) },
        { label: status() === 'paused' ? 'Resume' : 'Pause', hint: 'p', run: () => command(status() === 'paused' ? 'resume' : 'pause') },
        { label: 'Force answer', hint: '', run: () => command('force_answer') }, { label: 'Cancel session…', hint: '', run: cancel },
        { label: 'It went well', hint: '', run: () => rate(true) }, { label: 'It did not go well…', hint: '', run: () => rate(false) },
        { label: 'Share…', hint: '', run: share }, { label: 'Rerun with edits…', hint: '', run: () => go(`${base}/agent-view/new?from=${state.id}`) }]),
      { label: 'Play', hint: 'Space', run: togglePlay }, { label: 'Next error or message', hint: 'Shift →', run: () => landmark(1) },
      { label: 'Copy the log as Markdown', hint: '', run: () => copy(markdown({ id: state.id }, log.events), 'the log as Markdown') },
      { label: 'Download all as JSON', hint: '', run: download }, { label: 'Download as a recording, with its pictures', hint: '', run: downloadRecording },
    ],
    view() {
      if (recorded && state.problem) return html`<div class="page">${filePicker()}</div>`;
      if (state.problem) return html`<div class="page"><div class="empty"><h1>${state.problem}</h1>${shared ? nothing : html`<p><a href=${`${base}/agent-view`} @click=${follow}>All sessions</a></p>`}</div></div>`;
      const at = place();
      const scroll = state.scrollTo;
      state.scrollTo = -1;
      return html`<div class="page session">
        ${headBar()}
        <h1 class="task" dir="auto">${line(firstMessage(), 300) || 'No message yet'}</h1>
        ${facts()}${waiting()}${scrubber()}
        <div class="panes">
          <section class="left" aria-label="Events">${tabs()}
            ${log.state === 'loading' && !state.rows.length ? html`<p class="loading">Loading…</p>`
              : state.view === 'log' ? logView(state, at) : timelineView(state, at, scroll, select)}</section>
          <aside class="right" aria-label="Details">${detailView(state, told(at), { pictureAt, select, copy: () => copy(action('events', state.id, Math.max(0, at)).curl, 'as curl'), rateEvent, link: () => copy(new URL(eventLink(), location.href).href, 'the link') })}</aside>
        </div>
        ${shared || !state.session ? nothing : steering()}${shareDialog()}
      </div>`;
    },
  };

  /** @param {number} index @param {boolean} success */
  async function rateEvent(index, success) {
    try {
      await call('PUT', `/api/v2/sessions/${state.id}/events/${index}/feedback`, { body: { success } });
      notify('Thanks, stored');
    } catch (error) { notify(/** @type {Error} */ (error).message); }
  }
}
