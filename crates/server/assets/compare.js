// Two sessions side by side, aligned by step.
import { html, nothing } from './vendor/lit-html/lit-html.js';
import { base, get } from './api.js';
import { follow, update } from './main.js';
import { badge, sessionPath } from './parts.js';
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
  return {
    title: 'Compare',
    async start() {
      try { sides = await Promise.all([load(left), load(right)]); } catch (error) { problem = /** @type {Error} */ (error).message; }
      update();
    },
    view() {
      if (problem) return html`<div class="page"><p class="problem" role="alert">${problem}</p></div>`;
      if (!sides.length) return html`<p class="loading">Loading…</p>`;
      const count = Math.max(...sides.map((side) => side.steps.length));
      const rows = Array.from({ length: count }, (_, place) => sides.map((side) => side.steps[place]));
      const differs = (/** @type {any[]} */ pair) => pair[0]?.key !== pair[1]?.key;
      const first = rows.findIndex(differs);
      const answers = sides.map((side) => side.session.latest_answer);
      const same = JSON.stringify(answers[0]) === JSON.stringify(answers[1]);
      return html`<div class="page"><div class="heading"><h1>Compare</h1><span class="soft">${first < 0 ? 'Every step is the same.' : `The first difference is at step ${first + 1}.`}${same ? ' The answers are the same.' : ' The answers differ.'}</span></div>
        <div class="compare"><div class="head">Step</div>${sides.map((side) => html`<div class="head"><a href=${sessionPath(side.session.id)} @click=${follow}>${line(typeof side.session.request.messages === 'string' ? side.session.request.messages : side.session.id, 80)}</a> ${badge(side.session.status.status, side.session.status)}</div>`)}
        ${rows.map((pair, place) => html`<div class=${differs(pair) ? 'differs' : ''}>${place + 1}${place === first ? html` <b>differs</b>` : nothing}</div>${pair.map((one, side) => html`<div class=${differs(pair) ? 'differs' : ''}>${one ? html`<a href=${`${base}/agent-view/${sides[side].session.id}?event=${one.index}`} @click=${follow}>${one.does}</a>${one.gets.map((/** @type {string} */ got) => html`<div class="soft">${got}</div>`)}` : html`<span class="soft">—</span>`}</div>`)}`)}
        <div class="head">Answer</div>${answers.map((answer) => html`<div class=${same ? '' : 'differs'}>${line(answer, 600) || html`<span class="soft">none</span>`}</div>`)}</div></div>`;
    },
  };
}
