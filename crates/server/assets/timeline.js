// The two ways to look at a log: rows of which only those in sight exist, and the whole text in chunks.
import { html, nothing, render } from './vendor/lit-html/lit-html.js';
import { repeat } from './vendor/lit-html/directives/repeat.js';
import { app, update } from './main.js';
import { icon } from './parts.js';
import { duration, fullText } from './fold.js';

const rowHeight = () => (app.density === 'compact' ? 26 : 32);
/** Rows above and below what is in sight. */
const SPARE = 12;
/** Events in a section of the log: each has `content-visibility`, which costs too much on single events. */
const CHUNK = 50;
const LONG = 20_000;
/** How long drawing the log may take in one frame. */
const SLICE_MS = 20;

let top = 0;
let height = 600;

/**
 * @param {any} state @param {number} at @param {number} scroll The event to bring into sight; -2 for the end, -1 for none.
 * @param {(index: number, quiet?: boolean) => void} select
 */
export function timelineView(state, at, scroll, select) {
  const { shown, rows } = state;
  const row = rowHeight();
  if (scroll !== -1) requestAnimationFrame(() => bring(scroll, shown));
  const from = Math.max(0, Math.floor(top / row) - SPARE);
  const to = Math.min(shown.length, Math.ceil((top + height) / row) + SPARE);
  const begun = state.rows.find((/** @type {any} */ one) => one)?.at ?? 0;
  const window = shown.slice(from, to).map((/** @type {number} */ index, /** @type {number} */ place) => ({ one: rows[index], place: from + place }));
  if (shown.length === 0) return html`<p class="none">${state.find || state.errorsOnly ? 'Nothing here fits.' : 'Nothing has happened yet.'}</p>`;
  return html`<div id="timeline" class="timeline" @scroll=${scrolled}><ul role="list" .style=${`height:${shown.length * row}px`}>
    ${repeat(window, (/** @type {any} */ { one }) => one.index, (/** @type {any} */ { one, place }) => html`
      <li aria-setsize=${shown.length} aria-posinset=${place + 1} .style=${`transform:translateY(${place * row}px)`} class=${`${one.index === at ? 'at' : ''} ${isFresh(state, one.index) ? 'fresh' : ''}`}>
        <button tabindex=${one.index === at ? 0 : -1} aria-current=${one.index === at ? 'step' : nothing} @click=${() => select(one.index, true)}>
          <span class="index">${one.index}</span><span class="tone ${one.tone}">${icon(one.icon)}</span>
          <span class="what" dir="auto">${one.icon === 'step' && one.step > 0 ? html`<b>Step ${one.step}</b> · ` : nothing}${one.title}${one.note ? html`<span class="soft"> ${one.note}</span>` : nothing}</span>
          ${isFresh(state, one.index) ? html`<span class="fresh-mark">new</span>` : nothing}<span class="time">${clock(one.at - begun)}</span></button></li>`)}
  </ul></div>`;
}

/** @param {number} ms */
function clock(ms) {
  return ms < 60_000 ? `${(ms / 1000).toFixed(1)} s` : duration(ms);
}

/** Whether it came while nobody could see it. @param {any} state @param {number} index */
const isFresh = (state, index) => state.log.fresh && index >= state.log.fresh.from && index < state.log.fresh.to;

/** @param {Event} event */
function scrolled(event) {
  const element = /** @type {HTMLElement} */ (event.currentTarget);
  top = element.scrollTop;
  height = element.clientHeight;
  update();
}

/** @param {number} index @param {number[]} shown */
function bring(index, shown) {
  const element = document.getElementById('timeline');
  if (!element) return;
  height = element.clientHeight;
  const row = rowHeight();
  let place = index === -2 ? shown.length - 1 : shown.findIndex((one) => one >= index);
  if (place < 0) place = shown.length - 1;
  const wanted = place * row;
  if (wanted < element.scrollTop) element.scrollTop = Math.max(0, wanted - row * 2);
  else if (wanted + row > element.scrollTop + height) element.scrollTop = wanted + row * 3 - height;
  if (element.scrollTop !== top) { top = element.scrollTop; update(); }
}

/** Sections of the log that are drawn, by the first event of each. @type {Map<number, {element: HTMLElement, count: number, key: any}>} */
let chunks = new Map();
/** @type {any} */ let chunksOf = null;

/** @param {any} state @param {number} at */
export function logView(state, at) {
  requestAnimationFrame(() => drawLog(state, at));
  return html`<div class="log-tools"><label class="check"><input type="checkbox" @change=${(/** @type {any} */ e) => {
    document.getElementById('log')?.setAttribute('aria-live', e.target.checked ? 'polite' : 'off');
  }}>Announce steps</label></div><div id="log" class="log" role="log" aria-live="off" tabindex="0" aria-label="Log"></div>`;
}

/** Draws the rest of the log at once, for a printer. @param {any} state */
export const drawWholeLog = (state) => drawLog(state, -1, Infinity);

/** @param {any} state @param {number} at @param {number} [slice_ms] */
function drawLog(state, at, slice_ms = SLICE_MS) {
  const place = document.getElementById('log');
  if (!place) return;
  const key = `${state.id} ${state.find} ${state.errorsOnly}`;
  if (chunksOf !== key || !place.firstChild) {
    place.replaceChildren();
    chunks = new Map();
    chunksOf = key;
  }
  const { shown } = state;
  const begun = performance.now();
  const atEnd = place.scrollHeight - place.scrollTop - place.clientHeight < 40;
  for (let from = 0; from < shown.length; from += CHUNK) {
    const part = shown.slice(from, from + CHUNK);
    let chunk = chunks.get(from);
    if (chunk && chunk.count === part.length && chunk.key === part[0]) continue;
    // The rest in the next frame: a long log must not hold the page up.
    if (performance.now() - begun > slice_ms) { requestAnimationFrame(() => drawLog(state, at)); return; }
    if (!chunk) {
      const element = document.createElement('section');
      place.append(element);
      chunk = { element, count: 0, key: null };
      chunks.set(from, chunk);
    }
    chunk.count = part.length;
    chunk.key = part[0];
    // The height that the browser takes for a section that it has not drawn yet.
    chunk.element.style.setProperty('contain-intrinsic-size', `auto ${part.length * 60}px`);
    render(part.map((/** @type {number} */ index) => entry(state, index)), chunk.element);
  }
  const mark = `${key} ${state.following}`;
  if (place.dataset.mark !== mark && at > 0 && !state.following) document.getElementById(`event-${at}`)?.scrollIntoView({ block: 'center' });
  else if (state.following && atEnd) place.scrollTop = place.scrollHeight;
  place.dataset.mark = mark;
}

/** @param {any} state @param {number} index */
function entry(state, index) {
  const one = state.rows[index];
  const text = fullText(state.log.events[index]);
  return html`<article id=${`event-${index}`}><h2><span class="index">${index}</span>${isFresh(state, index) ? html`<span class="fresh-mark">new</span>` : nothing}<span class="tone ${one.tone}">${icon(one.icon)}</span><span>${one.icon === 'step' && one.step > 0 ? `Step ${one.step} · ` : ''}${one.title}</span></h2>
    ${text ? html`<pre dir="auto">${text.slice(0, LONG)}${text.length > LONG ? `\n… ${text.length - LONG} more characters; see the event` : ''}</pre>` : nothing}</article>`;
}
