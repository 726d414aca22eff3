// The pane beside the events: what the selected one shows, the answer so far, files, subagents.
import { html, nothing } from './vendor/lit-html/lit-html.js';
import { base } from './api.js';
import { follow } from './main.js';
import { badge, button, icon, saveAs, sessionPath } from './parts.js';
import { duration, hasEnded, isStep, line, short, stepTokens, tokens, words } from './fold.js';

const LONG = 20_000;
/** Values that are shown in full, by event. */
const whole = new Set();

/** @param {any} value */
const pretty = (value) => typeof value === 'string' ? value : JSON.stringify(value, null, 2);

/** @param {string} text @param {string} key @param {string} [kind] */
function long(text, key, kind = 'text') {
  if (text.length <= LONG || whole.has(key)) return html`<pre class=${kind} dir="auto" tabindex="0">${text}</pre>`;
  return html`<pre class=${kind} dir="auto" tabindex="0">${text.slice(0, LONG)}</pre><p class="soft">The first ${LONG.toLocaleString('en')} of ${text.length.toLocaleString('en')} characters.
    <button class="plain" @click=${() => saveAs(text, `${key.replaceAll(' ', '-')}.txt`)}>Download</button>
    <button class="plain" @click=${(/** @type {any} */ e) => { whole.add(key); e.target.closest('p').previousElementSibling.textContent = text; e.target.closest('p').hidden = true; }}>Show all</button></p>`;
}

/** Where a picture of an event lies. @param {any} image */
export function pictureAddress(image) {
  if (!image?.source) return '';
  if (image.type === 'base64') return `data:${image.media_type ?? 'image/png'};base64,${image.source}`;
  // Only what this server keeps: other hosts are not asked for anything.
  const at = String(image.source).indexOf('/api/v2/sessions/');
  return at >= 0 ? base + String(image.source).slice(at) : '';
}

/** The shape of pictures here: what one has that is gone, and what most browsers have before any is there. */
let ratio = '16 / 10';

/** @param {any} image @param {string} label */
function picture(image, label, point = /** @type {any} */ (null)) {
  const address = pictureAddress(image);
  if (!address) return html`<p class="gone">A picture of another host, not shown: ${line(image?.source, 120)}</p>`;
  return html`<figure class="picture"><img src=${address} alt=${label} @load=${mark(point)} @error=${(/** @type {any} */ e) => {
    const figure = e.target.closest('figure');
    figure.classList.add('lost');
    figure.style.aspectRatio = ratio;
  }}><i class="pointer"></i><figcaption>The picture was deleted, or cannot be read.</figcaption></figure>`;
}

/** Where the agent clicked, over the picture. @param {any} point */
const mark = (point) => (/** @type {any} */ event) => {
  const image = event.target;
  const pointer = image.parentElement.querySelector('.pointer');
  ratio = `${image.naturalWidth} / ${image.naturalHeight}`;
  image.parentElement.classList.remove('lost');
  image.parentElement.style.aspectRatio = '';
  pointer.classList.toggle('shown', Boolean(point));
  if (point) {
    pointer.style.left = `${(point.x / image.naturalWidth) * 100}%`;
    pointer.style.top = `${(point.y / image.naturalHeight) * 100}%`;
  }
};

/** Where the agent acts on a picture, and at which event. @param {any[]} events @param {number} index */
function pointAfter(events, index) {
  for (let at = index + 1; at < events.length; at++) {
    const data = events[at]?.data;
    if (data?.kind === 'observation_event') return null;
    for (const { tool_name: tool, args } of data?.tool_reqs ?? []) {
      if (Number.isFinite(args?.x) && Number.isFinite(args?.y)) return { x: args.x, y: args.y, tool, at };
    }
  }
  return null;
}

/** What the agent saw, where it acted on that, and what it saw before and after. @param {any} state @param {number} shot @param {any} does */
function sight(state, shot, does) {
  const events = state.log.events;
  const point = pointAfter(events, shot);
  const where = events[shot].data.metadata?.url;
  return html`${picture(events[shot].data.image, `What the agent saw at event ${shot}`, point)}
    <p class="soft seen">${point ? html`<span>${point.tool} at (${Math.round(point.x)}, ${Math.round(point.y)})</span><button class="plain small" @click=${() => does.select(point.at)}>event ${point.at}</button>` : nothing}
      ${where ? html`<span class="cut">${line(where, 200)}</span>` : nothing}</p>${film(state, shot, does)}`;
}

/** @param {any} state @param {number} at @param {any} does */
export function detailView(state, at, does) {
  const event = state.log.events[at];
  const one = state.rows[at];
  const shot = event ? does.pictureAt(at) : -1;
  return html`
    ${shot >= 0 ? sight(state, shot, does) : nothing}
    ${event && one ? html`<section class="card event"><h2><span class="tone ${one.tone}">${icon(one.icon)}</span><span class="grow">${one.icon === 'step' && one.step > 0 ? `Step ${one.step} · ` : ''}${one.icon === 'step' ? 'Decides' : one.title}</span><span class="soft">event ${at}</span></h2>
      <p class="soft"><time datetime=${event.timestamp}>${new Date(event.timestamp).toLocaleString()}</time></p>
      ${body(state, event, at)}
      ${isStep(event) ? spent(state, at) : nothing}
      ${one.link && !state.shared ? html`<p><a class="button" href=${sessionPath(one.link)} @click=${follow}>Open the subagent's session</a></p>` : nothing}
      ${state.raw ? html`<h3>Raw</h3>${long(JSON.stringify(event, null, 2), `raw ${state.id} ${at}`, 'raw')}` : nothing}
      <p class="actions">${button({ label: 'Raw', pressed: state.raw, title: 'r', click: () => rawKey() })}
        ${state.recorded ? nothing : button({ label: 'Copy link', title: 'l', click: does.link })}
        ${state.shared ? nothing : html`${button({ label: 'Copy as curl', title: 'c', click: does.copy })}<span class="grow"></span>${button({ label: 'Good', kind: 'plain', title: 'This event is good', click: () => does.rateEvent(at, true) })}${button({ label: 'Bad', kind: 'plain', title: 'This event is bad', click: () => does.rateEvent(at, false) })}`}</p></section>` : nothing}
    ${answer(state)}${failure(state)}${children(state)}${files(state)}${usage(state)}`;
}

const rawKey = () => document.dispatchEvent(new KeyboardEvent('keydown', { key: 'r', bubbles: true }));

/** @param {any} state @param {number} at */
function spent(state, at) {
  const took = stepTokens(state.log.events, at);
  return took ? html`<p class="soft">This step took ${short(took.input)} tokens in, ${short(took.output)} out.</p>` : nothing;
}

/** @param {any} state @param {any} event @param {number} at */
function body(state, event, at) {
  const data = event.data ?? {};
  const key = (/** @type {string} */ part) => `${state.id} ${at} ${part}`;
  if (event.type !== 'AgentEvent') {
    if (event.type === 'MetricsUpdateEvent') return html`<p>${state.rows[at]?.note} so far.</p>`;
    if (event.type === 'AgentErrorEvent') return long(pretty(data.info?.cause ?? data.error), key('error'), 'text bad');
    return Object.keys(data).length ? long(JSON.stringify(data, null, 2), key('data'), 'raw') : nothing;
  }
  switch (data.kind) {
    case 'message_event': return html`${long(words(data.content), key('text'))}${(data.content ?? []).filter((/** @type {any} */ part) => part?.source).map((/** @type {any} */ image) => picture(image, 'A picture of the message'))}`;
    case 'policy_event': return html`
      ${data.reasoning_content ? html`<h3>Thinks</h3>${long(data.reasoning_content, key('thinks'), 'text soft')}` : nothing}
      ${data.content ? html`<h3>Says</h3>${long(data.content, key('says'))}` : nothing}
      ${(data.tool_reqs ?? []).map((/** @type {any} */ call, /** @type {number} */ place) => html`<h3><code>${call.tool_name}</code></h3>${long(JSON.stringify(call.args, null, 2), key(`call ${place}`), 'raw')}`)}
      ${(data.validation_errors ?? []).map((/** @type {string} */ fault, /** @type {number} */ place) => long(fault, key(`fault ${place}`), 'text bad'))}`;
    case 'tool_result': return html`<h3>Result of <code>${data.tool_req?.tool_name}</code></h3>${long(pretty(data.result), key('result'), typeof data.result === 'string' ? 'text' : 'raw')}${data.truncated ? html`<p class="soft">The server cut it.</p>` : nothing}`;
    case 'answer_event': return html`${long(pretty(data.answer), key('answer'), typeof data.answer === 'string' ? 'text' : 'raw')}${data.outcome ? html`<p class="soft">Outcome: ${data.outcome}</p>` : nothing}`;
    case 'error_event': return html`${long(pretty(data.error), key('error'), 'text bad')}<p class="soft">Origin: ${data.origin}</p>`;
    case 'observation_event': return html`${data.text ? long(data.text, key('text')) : nothing}${Object.keys(data.metadata ?? {}).length ? long(JSON.stringify(data.metadata, null, 2), key('metadata'), 'raw') : nothing}`;
    default: return long(JSON.stringify(data, null, 2), key('data'), 'raw');
  }
}

/** @param {any} state @param {number} shot @param {any} does */
function film(state, shot, does) {
  const shots = [];
  for (let at = Math.max(0, shot - 60); at < Math.min(state.log.events.length, shot + 60); at++) if (state.log.events[at]?.data?.image) shots.push(at);
  const here = shots.indexOf(shot);
  const near = shots.slice(Math.max(0, here - 5), here + 6);
  if (near.length < 2) return nothing;
  return html`<div class="film" role="group" aria-label="Screenshots">${near.map((at) => html`<button aria-label=${`Screenshot at event ${at}`} aria-current=${at === shot ? 'true' : nothing} @click=${() => does.select(at)}><img loading="lazy" alt="" src=${pictureAddress(state.log.events[at].data.image)}></button>`)}</div>`;
}

/** @param {any} state */
function answer(state) {
  const head = state.log.head;
  if (!head || head.answer === null || head.answer === undefined) return nothing;
  return html`<section class="card"><h2>${hasEnded(state.log.status) ? 'Answer' : 'Answer so far'}</h2>${long(pretty(head.answer), `${state.id} answer`, typeof head.answer === 'string' ? 'text' : 'raw')}</section>`;
}

/** @param {any} state */
function failure(state) {
  const { head, status } = state.log;
  if (!head?.error && !['failed', 'timed_out'].includes(status)) return nothing;
  const help = /** @type {Record<string, string>} */ ({
    timeout: 'Give it more time with max_time_s, or send a message to let it go on.',
    answer_validation: 'The answer never fitted answer_format: look at the last steps, and loosen the format or say it more clearly.',
    no_answer: 'It never answered: raise max_steps, or send a message that asks for the answer.',
    environment_error: 'One of its environments could not be had: see what it needs, and try again.',
    internal: 'The last events say more; the server\'s log has the rest.',
  });
  return html`<section class="card failure"><h2><span class="tone bad">${icon('bad')}</span>Why it ended</h2><p>${head?.error ?? 'It ended by an error.'}</p>
    <p class="soft">After step ${head?.metrics?.steps ?? state.steps}${tries(state.log.events)}. ${help[head?.error_code] ?? ''} A message continues it.</p></section>`;
}

/** Errors since the last step, each a try of the next one. @param {any[]} events */
function tries(events) {
  let count = 0;
  for (let at = events.length - 1; at >= 0 && !(events[at] && isStep(events[at])); at--) if (events[at]?.data?.kind === 'error_event') count += 1;
  return count ? `; the next one failed ${count === 1 ? 'once' : `${count} times`}` : '';
}

/** @param {any} state */
function children(state) {
  if (!state.children.length) return nothing;
  return html`<section class="card"><h2>Subagents</h2><ul class="plain-list">${state.children.map((/** @type {any} */ child) => html`<li><a href=${sessionPath(child.id)} @click=${follow}>${child.agent}</a> ${badge(child.status)}<div class="soft cut">${line(child.first_message?.message, 120)}</div></li>`)}</ul></section>`;
}

/** @param {any} state */
function files(state) {
  if (state.filesOf !== state.log.events.length) { state.files = findFiles(state); state.filesOf = state.log.events.length; }
  const found = state.files;
  if (!found.size) return nothing;
  return html`<section class="card"><h2>Files (${found.size})</h2><ul class="plain-list">${[...found].map(([address, file]) => html`<li><a href=${base + address} download=${file.name}>${file.name}</a>${file.size >= 0 ? html` <span class="soft">${short(file.size)} bytes</span>` : nothing}</li>`)}</ul></section>`;
}

/** Files of the messages and of the log, by address. @param {any} state */
function findFiles(state) {
  const found = new Map();
  const add = (/** @type {any} */ address, /** @type {string} */ name, /** @type {any} */ size) => {
    const at = String(address ?? '').indexOf('/api/v2/sessions/');
    if (at >= 0) found.set(String(address).slice(at), { name, size });
  };
  const messages = state.session?.request?.messages;
  for (const message of Array.isArray(messages) ? messages : [messages]) for (const file of message?.files ?? []) add(file.source, file.name, file.size_bytes);
  for (const event of state.log.events) if (event?.type === 'AttachmentEvent') add(event.data.url, event.data.name, event.data.size_bytes);
  return found;
}

/** @param {any} state */
function usage(state) {
  const models = state.log.head?.metrics?.cost_per_model ?? [];
  if (!models.length) return nothing;
  const begin = Date.parse(state.log.head?.started_at ?? '');
  const end = Date.parse(state.log.head?.finished_at ?? '');
  return html`<section class="card"><h2>Usage</h2><table class="usage"><thead><tr><th>Model</th><th class="number">In</th><th class="number">Cached</th><th class="number">Out</th></tr></thead><tbody>
    ${models.map((/** @type {any} */ one) => html`<tr><td>${one.name}</td><td class="number">${short(one.input_tokens)}</td><td class="number">${short(one.cached_tokens)}</td><td class="number">${short(one.output_tokens)}</td></tr>`)}</tbody></table>
    <p class="soft">${short(tokens(models).input + tokens(models).output)} tokens${end > begin ? ` in ${duration(end - begin)}` : ''}. Cost unknown.</p></section>`;
}
