// A session's log, kept up to date: loads what there is, then waits for more, and says how live that is.
import { ApiError, get, inSlot, query, sleep, sleepUnseen, whileSeen } from './api.js';
import { hasEnded } from './fold.js';

const PAGE = 2000;
const WAIT_SECONDS = 25;
/** How often a tab that nobody sees looks where the session stands. */
const UNSEEN_MS = 10_000;

/**
 * `gaps` are events that the server has no more, `fresh` those that came while nobody could see them.
 * @typedef {{events: any[], whole: boolean, head: any, state: 'loading' | 'live' | 'lost' | 'gone' | 'signed-out' | 'recorded',
 *   retryIn: number, caughtUp: number, status: string, gaps: {from: number, to: number}[], fresh: {from: number, to: number} | null}} Log
 */

/** @returns {Log} */
export const newLog = () => ({ events: [], whole: true, head: null, state: 'loading', retryIn: 0, caughtUp: 0, status: '', gaps: [], fresh: null });

/**
 * Follows a session until `signal` says to stop. Calls `changed` whenever something is new.
 * @param {string} id @param {Log} log @param {{near?: number, anonymous?: boolean, signal: AbortSignal, changed: (fresh: number) => void}} options
 */
export async function followLog(id, log, { near = 0, anonymous = false, signal, changed }) {
  const path = `/api/v2/sessions/${id}/changes`;
  const ask = (/** @type {number} */ from, /** @type {number} */ wait, limit = PAGE, until = signal) =>
    get(`${path}${query({ from_index: from, limit, wait_for_seconds: wait })}`, { anonymous, signal: until });
  let failures = 0;
  log.gaps = [];
  /** The first event that was not seen since nobody could. */
  let awayFrom = -1;
  if (near > PAGE) {
    // A link far into a long log: what it names first, then the rest from the beginning.
    try {
      const part = await ask(Math.max(0, near - 200), 0, 400);
      if (part) { put(log, Math.max(0, near - 200), part); log.whole = false; changed(0); await painted(); }
    } catch { /* the loop below says what is wrong */ }
  }
  let next = 0;
  const caughtUp = () => {
    if (awayFrom < 0) return;
    log.caughtUp = next - awayFrom;
    if (log.caughtUp) log.fresh = { from: awayFrom, to: next };
    awayFrom = -1;
  };
  while (!signal.aborted) {
    const seen = whileSeen();
    try {
      const ended = hasEnded(log.status);
      const isLive = log.state === 'live';
      if (isLive && document.hidden) {
        // Only where it stands, for the tab's title: the long polls are for tabs that are seen.
        if (awayFrom < 0) awayFrom = next;
        const { status } = await get(`/api/v2/sessions/${id}/status`, { anonymous, signal });
        failures = 0;
        if (status !== log.status) { log.status = status; changed(0); }
        await sleepUnseen(UNSEEN_MS, signal);
        continue;
      }
      const wait = isLive && !ended && awayFrom < 0 ? WAIT_SECONDS : 0;
      const part = wait
        ? await inSlot(() => ask(next, wait, PAGE, AbortSignal.any([signal, seen.signal])), async () => { await sleep(1000, signal); return ask(next, 0); })
        : await ask(next, 0);
      failures = 0;
      const count = part?.new_events?.length ?? 0;
      if (part) next = take(log, next, part);
      if (count < PAGE) caughtUp();
      if (count < PAGE && !isLive) { log.state = 'live'; log.whole = true; changed(count); continue; }
      if (part) changed(count);
      // An ended session may be started again by a message: look now and then.
      if (ended && count === 0) await sleep(2000, AbortSignal.any([signal, seen.signal]));
    } catch (error) {
      if (signal.aborted) return;
      if (seen.signal.aborted && error instanceof DOMException) continue;
      if (error instanceof ApiError && error.status === 404) { log.state = 'gone'; changed(0); return; }
      if (error instanceof ApiError && error.status === 401) { log.state = 'signed-out'; changed(0); return; }
      if (awayFrom < 0) awayFrom = next;
      log.state = 'lost';
      failures += 1;
      for (log.retryIn = Math.min(8, 2 ** (failures - 1)); log.retryIn > 0 && !signal.aborted; log.retryIn -= 1) {
        changed(0);
        await sleep(1000, signal);
      }
    } finally {
      seen.done();
    }
  }
}

/** Once what is drawn next is on the screen; a tab that nobody sees has no screen. */
const painted = () => new Promise((resolve) => {
  if (document.hidden) resolve(undefined); else requestAnimationFrame(() => setTimeout(resolve));
});

/** Takes a part in, and says what comes next. @param {Log} log @param {number} from @param {any} part */
export function take(log, from, part) {
  const first = Math.max(from, part.first_index ?? from);
  // The server says that it begins later than it was asked to: what lies between is gone.
  if (first > from && part.new_events.length) log.gaps.push({ from, to: first });
  put(log, from, part);
  return part.new_events.length ? first + part.new_events.length : from;
}

/** @param {Log} log @param {number} from @param {any} part */
function put(log, from, part) {
  const { new_events: events, first_index: first = from, ...head } = part;
  for (let place = 0; place < events.length; place++) log.events[first + place] = events[place];
  log.head = head;
  log.status = head.status;
}
