// Two sessions side by side, aligned by step.
import { html, nothing } from './vendor/lit-html/lit-html.js';
import { live } from './vendor/lit-html/directives/live.js';
import { base, get } from './api.js';
import { follow, update } from './main.js';
import { badge, button, icon, notify, sessionPath } from './parts.js';
import { callLine, isStep, line } from './fold.js';

/** Steps and what each does and gets. @param {any[]} events */
export function steps(events) {
  const found = [];
  for (let index = 0; index < events.length; index++) {
    const event = events[index];
    if (isStep(event)) {
      const calls = (event.data.tool_reqs ?? []).map(callLine).join(', ');
      const full = JSON.stringify((event.data.tool_reqs ?? []).map((/** @type {any} */ one) => [one.tool_name, one.args]));
      found.push({ index, does: calls || line(event.data.content), says: line(event.data.content), gets: /** @type {string[]} */ ([]), key: full });
    } else if (found.length && ['tool_result', 'error_event'].includes(event.data?.kind)) {
      const got = line(event.data.result ?? event.data.error, 200);
      const last = found[found.length - 1];
      last.gets.push(got);
      // A subagent's session has another id each time, and is no difference.
      last.key += JSON.stringify(event.data.result ?? event.data.error).replace(/"session_id":"[^"]*"/u, '');
    }
  }
  return found;
}

/** @param {string} left @param {string} right */
export function comparePage(left, right) {
  /** @type {any[]} */ let sides = [];
  let problem = '';
  let at = 0;
  /** @type {boolean[]} */ let differing = [];
  async function load(/** @type {string} */ id) {
    const session = await get(`/api/v2/sessions/${id}`);
    const events = [];
    for (;;) {
      const part = await get(`/api/v2/sessions/${id}/changes?from_index=${events.length}&limit=2000`);
      if (!part?.new_events.length) break;
      events.push(...part.new_events);
    }
    return { session, steps: steps(events) };
  }
  /** @param {number} place */
  function select(place) {
    at = Math.max(0, Math.min(differing.length - 1, place));
    update();
    requestAnimationFrame(() => requestAnimationFrame(() => document.querySelector('.compare .at')?.scrollIntoView({ block: 'nearest' })));
  }

  /** @param {number} by */
  function nextDifference(by) {
    for (let place = at + by; place >= 0 && place < differing.length; place += by) if (differing[place]) { select(place); return; }
    notify(by > 0 ? 'No later difference' : 'No earlier difference');
  }

  function scrubber() {
    const end = Math.max(0, differing.length - 1);
    return html`<div class="scrubber" role="group" aria-label="Steps of both">
      ${button({ label: icon('prev'), title: 'Previous step (←)', click: () => select(at - 1), kind: 'square' })}
      ${button({ label: icon('next'), title: 'Next step (→)', click: () => select(at + 1), kind: 'square' })}
      <div class="track"><input type="range" min="0" max=${end} .value=${live(String(at))} aria-label="Step" aria-valuetext=${`step ${at + 1} of ${end + 1}, ${differing[at] ? 'differs' : 'the same'}`}
        @input=${(/** @type {any} */ e) => select(Number(e.target.value))} @keydown=${(/** @type {KeyboardEvent} */ e) => { if (key(e)) { e.preventDefault(); e.stopPropagation(); } }}></div>
      <output class="position">${at + 1} / ${end + 1}</output>
      ${button({ label: 'Next difference', title: 'Shift →', click: () => nextDifference(1) })}</div>`;
  }

  /** @param {KeyboardEvent} event */
  function key(event) {
    const by = { ArrowRight: 1, j: 1, ArrowDown: 1, ArrowLeft: -1, k: -1, ArrowUp: -1 }[event.key];
    if (by && event.shiftKey) nextDifference(by);
    else if (by) select(at + by);
    else if (event.key === 'Home') select(0);
    else if (event.key === 'End') select(differing.length - 1);
    else return false;
    return true;
  }

  return {
    title: 'Compare',
    key,
    resume() { if (!sides.length) this.start(); },
    async start() {
      try {
        sides = await Promise.all([load(left), load(right)]);
        differing = Array.from({ length: Math.max(...sides.map((side) => side.steps.length)) }, (_, place) => sides[0].steps[place]?.key !== sides[1].steps[place]?.key);
        at = Math.max(0, differing.indexOf(true));
      } catch (error) { problem = /** @type {Error} */ (error).message; }
      update();
    },
    view() {
      if (problem) return html`<div class="page"><p class="problem" role="alert">${problem}</p></div>`;
      if (!sides.length) return html`<p class="loading">Loading…</p>`;
      const rows = differing.map((_, place) => sides.map((side) => side.steps[place]));
      const first = differing.indexOf(true);
      const tone = (/** @type {number} */ place) => `${differing[place] ? 'differs' : ''} ${place === at ? 'at' : ''}`;
      const answers = sides.map((side) => side.session.latest_answer);
      const same = JSON.stringify(answers[0]) === JSON.stringify(answers[1]);
      return html`<div class="page"><div class="heading"><h1>Compare</h1><span class="soft">${first < 0 ? 'Every step is the same.' : `The first difference is at step ${first + 1}.`}${same ? ' The answers are the same.' : ' The answers differ.'}</span></div>
        ${rows.length > 1 ? scrubber() : nothing}
        <div class="compare"><div class="head">Step</div>${sides.map((side) => html`<div class="head"><a href=${sessionPath(side.session.id)} @click=${follow}>${line(typeof side.session.request.messages === 'string' ? side.session.request.messages : side.session.id, 80)}</a> ${badge(side.session.status.status, side.session.status)}</div>`)}
        ${rows.map((pair, place) => html`<div class=${tone(place)}>${place + 1}${place === first ? html` <b>differs</b>` : nothing}</div>${pair.map((one, side) => html`<div class=${tone(place)}>${one ? html`<a href=${`${base}/agent-view/${sides[side].session.id}?event=${one.index}`} @click=${follow}>${one.does}</a>${one.gets.map((/** @type {string} */ got) => html`<div class="soft">${got}</div>`)}` : html`<span class="soft">—</span>`}</div>`)}`)}
        <div class="head">Answer</div>${answers.map((answer) => html`<div class=${same ? '' : 'differs'}>${line(answer, 600) || html`<span class="soft">none</span>`}</div>`)}</div></div>`;
    },
  };
}
