// Requests of the page. It is a client of the public API like any other, with a cookie in place of a key.

export { query } from './fold.js';

export const base = document.documentElement.dataset.base ?? '';

/** An answer that is no success. */
export class ApiError extends Error {
  /** @param {number} status @param {any} body */
  constructor(status, body) {
    super(body?.message ?? `the server answered ${status}`);
    this.status = status;
    /** The faults, each with its place. */
    this.detail = Array.isArray(body?.detail) ? body.detail : [];
  }
}

/** The server cannot be reached. */
export class Unreachable extends Error {}

/** What is called when the server no longer knows who we are. */
export const onSignedOut = { call: () => {} };

/**
 * @param {string} method @param {string} path
 * @param {{body?: any, headers?: Record<string, string>, anonymous?: boolean, signal?: AbortSignal}} [options]
 * @returns {Promise<{status: number, body: any, headers: Headers}>}
 */
export async function call(method, path, options = {}) {
  const headers = { ...(options.headers ?? {}) };
  if (options.body !== undefined) headers['content-type'] = 'application/json';
  let response, body;
  try {
    response = await fetch(base + path, {
      method, headers, signal: options.signal, cache: 'no-store',
      credentials: options.anonymous ? 'omit' : 'same-origin',
      body: options.body === undefined ? undefined : JSON.stringify(options.body),
    });
    const text = response.status === 204 ? '' : await response.text();
    try { body = text ? JSON.parse(text) : null; } catch { body = null; }
  } catch (error) {
    if (options.signal?.aborted) throw error;
    throw new Unreachable('the server does not answer');
  }
  // Who says what it has already is told when nothing else is there.
  if (response.ok || response.status === 304) return { status: response.status, body, headers: response.headers };
  if (response.status === 401 && !options.anonymous) onSignedOut.call();
  throw new ApiError(response.status, body);
}

/** @param {string} path @param {object} [options] */
export const get = async (path, options) => (await call('GET', path, options)).body;

// A browser has six connections to a host over all its tabs. Four of them may wait; the other two stay free for clicks.
const SLOTS = 4;

/**
 * Runs `wait` with a right to a long poll, and `look` when all of them are taken.
 * @template T @param {() => Promise<T>} wait @param {() => Promise<T>} look
 */
export async function inSlot(wait, look) {
  // Web Locks exist only in secure contexts; elsewhere the tab that is seen waits, and the others look.
  if (!navigator.locks) return document.hidden ? look() : wait();
  for (let slot = 0; slot < SLOTS; slot++) {
    const outcome = await navigator.locks.request(`quarterdeck-poll-${slot}`, { ifAvailable: true }, async (lock) =>
      lock ? { value: await wait() } : null);
    if (outcome) return outcome.value;
  }
  return look();
}

/**
 * A list that is asked for again and again, and mostly says the same.
 * @returns {(path: string) => Promise<any>}
 */
export function remembered() {
  let path = '', tag = '';
  /** @type {any} */ let body = null;
  return async (asked) => {
    const headers = asked === path && tag ? { 'if-none-match': tag } : undefined;
    const answer = await call('GET', asked, { headers });
    if (answer.status !== 304) {
      path = asked;
      tag = answer.headers.get('etag') ?? '';
      body = answer.body;
    }
    return body;
  };
}

/** Ends when the tab is hidden; ends at once when it is. */
export function whileSeen() {
  const ended = new AbortController();
  const look = () => { if (document.hidden) { ended.abort(); document.removeEventListener('visibilitychange', look); } };
  document.addEventListener('visibilitychange', look);
  look();
  return { signal: ended.signal, done: () => document.removeEventListener('visibilitychange', look) };
}

/** Waits, until the tab is seen at the latest. @param {number} ms @param {AbortSignal} signal */
export async function sleepUnseen(ms, signal) {
  const woken = new AbortController();
  const look = () => { if (!document.hidden) woken.abort(); };
  document.addEventListener('visibilitychange', look);
  look();
  if (!woken.signal.aborted) await sleep(ms, AbortSignal.any([signal, woken.signal]));
  document.removeEventListener('visibilitychange', look);
}

/** @param {number} ms @param {AbortSignal} [signal] */
export const sleep = (ms, signal) => new Promise((resolve) => {
  const timer = setTimeout(resolve, ms);
  signal?.addEventListener('abort', () => { clearTimeout(timer); resolve(undefined); }, { once: true });
});
