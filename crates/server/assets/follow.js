// A session's log, kept up to date: loads what there is, then waits for more, and says how live that is.
import { ApiError, get, inSlot, query, sleep } from './api.js';
import { hasEnded } from './fold.js';

const PAGE = 2000;
const WAIT_SECONDS = 25;

/**
 * @typedef {{events: any[], first: number, whole: boolean, head: any, state: 'loading' | 'live' | 'lost' | 'gone' | 'signed-out',
 *   retryIn: number, caughtUp: number, status: string}} Log
 */

/**
 * Follows a session until `signal` says to stop. Calls `changed` whenever something is new.
 * @param {string} id @param {Log} log @param {{near?: number, anonymous?: boolean, signal: AbortSignal, changed: (fresh: number) => void}} options
 */
export async function followLog(id, log, { near = 0, anonymous = false, signal, changed }) {
  const path = `/api/v2/sessions/${id}/changes`;
  const ask = (/** @type {number} */ from, /** @type {number} */ wait, limit = PAGE) =>
    get(`${path}${query({ from_index: from, limit, wait_for_seconds: wait })}`, { anonymous, signal });
  let failures = 0;
  let lostAt = -1;
  if (near > PAGE) {
    // A link far into a long log: what it names first, then the rest from the beginning.
    try {
      const part = await ask(Math.max(0, near - 200), 0, 400);
      if (part) { take(log, Math.max(0, near - 200), part); log.whole = false; changed(0); }
    } catch { /* the loop below says what is wrong */ }
  }
  let next = 0;
  while (!signal.aborted) {
    try {
      const ended = hasEnded(log.status);
      const caught_up = log.state === 'live';
      const wait = caught_up && !ended ? WAIT_SECONDS : 0;
      const part = wait ? await inSlot(() => ask(next, wait), async () => { await sleep(1000, signal); return ask(next, 0); }) : await ask(next, 0);
      failures = 0;
      const count = part?.new_events?.length ?? 0;
      if (part) { take(log, next, part); next += count; }
      if (lostAt >= 0 && count < PAGE) { log.caughtUp = next - lostAt; lostAt = -1; }
      if (count < PAGE && log.state !== 'live') { log.state = 'live'; log.whole = true; changed(count); continue; }
      if (count) changed(count); else if (part) changed(0);
      // An ended session may be started again by a message: look now and then.
      if (ended && count === 0) await sleep(document.hidden ? 10_000 : 2000, signal);
      // A tab that nobody sees must not hold one of the few long polls.
      if (document.hidden && !ended) await sleep(5000, signal);
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof ApiError && error.status === 404) { log.state = 'gone'; changed(0); return; }
      if (error instanceof ApiError && error.status === 401) {
        log.state = 'signed-out'; changed(0); return;
      }
      if (lostAt < 0) lostAt = next;
      log.state = 'lost';
      failures += 1;
      for (log.retryIn = Math.min(8, 2 ** (failures - 1)); log.retryIn > 0 && !signal.aborted; log.retryIn -= 1) {
        changed(0);
        await sleep(1000, signal);
      }
    }
  }
}

/** @param {Log} log @param {number} from @param {any} part */
function take(log, from, part) {
  const { new_events: events, first_index: first = from, ...head } = part;
  for (let place = 0; place < events.length; place++) log.events[first + place] = events[place];
  log.head = head;
  log.status = head.status;
}

/** @returns {Log} */
export const newLog = () => ({ events: [], first: 0, whole: true, head: null, state: 'loading', retryIn: 0, caughtUp: 0, status: '' });
