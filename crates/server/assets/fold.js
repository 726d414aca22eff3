// Events of a log to rows of the page. Pure: no DOM, no clock.

/** @typedef {{type: string, data: any, timestamp: string}} Event */
/** @typedef {{index: number, icon: string, tone: string, title: string, note: string, step: number, main: boolean,
 *   at: number, link?: string}} Row */

/** Statuses in words, with tone and icon. */
export const STATUS = {
  queued: ['Queued', 'quiet', 'clock'],
  pending: ['Starting', 'quiet', 'clock'],
  running: ['Running', 'live', 'play'],
  paused: ['Paused', 'quiet', 'pause'],
  idle: ['Waits for a message', 'wait', 'wait'],
  awaiting_tool_results: ['Waits for tool results', 'wait', 'wait'],
  completed: ['Completed', 'ok', 'ok'],
  failed: ['Failed', 'bad', 'bad'],
  timed_out: ['Timed out', 'bad', 'bad'],
  interrupted: ['Interrupted', 'quiet', 'stop'],
};

export const ENDED = ['completed', 'failed', 'timed_out', 'interrupted'];
export const hasEnded = (/** @type {string} */ status) => ENDED.includes(status);

/** @param {string} status @param {{outcome?: string | null, error_code?: string | null}} [more] */
export function statusWords(status, more = {}) {
  const [word, tone, icon] = STATUS[/** @type {keyof typeof STATUS} */ (status)] ?? [status, 'quiet', 'unknown'];
  if (status === 'completed' && more.outcome && more.outcome !== 'success') {
    return { word: `${word}: ${more.outcome}`, tone: 'wait', icon };
  }
  return { word: status === 'failed' && more.error_code ? `${word}: ${more.error_code}` : word, tone, icon };
}

/** One line of any text. @param {any} value @param {number} [max] */
export function line(value, max = 300) {
  const text = typeof value === 'string' ? value : value === undefined || value === null ? '' : JSON.stringify(value);
  const cut = text.slice(0, max * 2).replace(/\s+/gu, ' ').trim();
  return cut.length > max ? `${cut.slice(0, max)}…` : cut;
}

/** What a message says, pictures aside. @param {any[]} content */
export const words = (content) => (content ?? []).filter((part) => typeof part === 'string').join('\n');

/** What is called with what, in short. @param {{tool_name: string, args: any}} call */
export function callLine(call) {
  const values = Object.values(call.args && typeof call.args === 'object' ? call.args : {});
  const [first] = values;
  const shown = values.length === 0 ? '' : typeof first === 'string' ? JSON.stringify(line(first, 80)) : line(first, 80);
  return `${call.tool_name}(${shown}${values.length > 1 ? ', …' : ''})`;
}

/** The call without its like: what delegates. @param {any} data */
const childOf = (data) => data?.tool_req?.tool_name === 'delegate' ? data?.result?.session_id : undefined;

/** @param {Event} event */
function agentRow(event) {
  const data = event.data ?? {};
  switch (data.kind) {
    case 'message_event': {
      const who = data.caller_id === 'user' ? 'user' : data.caller_id;
      return { icon: 'message', tone: 'accent', title: `Message from ${who}`, note: line(words(data.content)) };
    }
    case 'policy_event': {
      const calls = data.tool_reqs ?? [];
      const answer = calls.find((/** @type {any} */ call) => call.tool_name === 'answer');
      const title = data.validation_errors?.length ? 'Reply that cannot be used'
        : answer ? 'Decides to answer'
        : calls.length ? calls.map(callLine).join(', ') : 'Says something';
      const note = data.validation_errors?.length ? line(data.validation_errors[0])
        : line(data.content || data.reasoning_content || '');
      return { icon: 'step', tone: data.validation_errors?.length ? 'bad' : '', title, note };
    }
    case 'tool_result': {
      const link = childOf(data);
      const name = data.tool_req?.tool_name ?? 'a call';
      return { icon: 'result', tone: '', title: link ? 'Subagent returned' : `${name} returned`,
        note: link ? line([data.result?.status, line(data.result?.answer)].filter(Boolean).join(': ')) : line(data.result), link };
    }
    case 'answer_event':
      return { icon: 'answer', tone: 'ok', title: 'Answer', note: line(data.answer) };
    case 'error_event': {
      const call = data.tool_req ? `${data.tool_req.tool_name} failed` : `Error (${data.origin ?? 'unknown'})`;
      return { icon: 'bad', tone: 'bad', title: call, note: line(data.error) };
    }
    case 'observation_event':
      return { icon: 'eye', tone: '', title: `Sees ${line(data.metadata?.url ?? data.type, 80)}`, note: line(data.text) };
    case 'flow_event':
      return { icon: 'flow', tone: 'wait', title: `${line(data.flow, 60)} by ${line(data.origin, 40)}`, note: '' };
    default:
      return { icon: 'unknown', tone: 'quiet', title: `Unknown: ${line(data.kind ?? 'AgentEvent', 60)}`, note: line(data) };
  }
}

/** @param {Event} event */
function otherRow(event) {
  const data = event.data ?? {};
  switch (event.type) {
    case 'RequestStartEvent': return { icon: 'clock', tone: 'quiet', title: 'Session created', note: '' };
    case 'RequestStartDispatchedEvent': return { icon: 'clock', tone: 'quiet', title: 'Handed to a worker', note: '' };
    case 'AgentStartedEvent': return { icon: 'play', tone: 'quiet', title: 'Agent started', note: '' };
    case 'RunnerSessionEvent':
      return { icon: 'eye', tone: 'quiet', title: `Environment ready: ${line(data.kind ?? 'unknown', 40)}`, note: '' };
    case 'LiveViewUrlEvent': return { icon: 'eye', tone: 'quiet', title: 'Live view', note: line(data.live_view_url) };
    case 'ActiveStateChangeEvent': {
      if (data.state === 'awaiting_tool_results') {
        const calls = data.pending_tool_calls ?? [];
        return { icon: 'wait', tone: 'wait', title: 'Waits for tool results', note: calls.map(callLine).join(', '), main: true };
      }
      const [title, tone] = data.state === 'idle' ? ['Waits for a message', 'wait'] : ['Goes on', 'quiet'];
      return { icon: data.state === 'idle' ? 'wait' : 'play', tone, title, note: '', main: data.state === 'idle' };
    }
    case 'AgentRunStatusChangeEvent':
      return { icon: data.status === 'paused' ? 'pause' : 'play', tone: 'quiet', main: true,
        title: data.status === 'paused' ? 'Paused' : 'Resumed', note: '' };
    case 'MetricsUpdateEvent': {
      const sum = tokens(data.metrics?.cost_per_model);
      return { icon: 'meter', tone: 'quiet', title: 'Usage', note: `${sum.input} tokens in, ${sum.output} out` };
    }
    case 'FileTransferEvent':
      return { icon: 'file', tone: '', title: `File ${line(data.direction, 20)}`, note: line(data.path), main: true };
    case 'AttachmentEvent': return { icon: 'file', tone: '', title: `File: ${line(data.name, 80)}`, note: line(data.media_type), main: true };
    case 'AgentCompletionEvent':
      return { icon: 'ok', tone: data.reason === 'finished' ? 'ok' : 'quiet', title: `Ended: ${line(data.reason, 60)}`, note: '', main: true };
    case 'AgentErrorEvent':
      return { icon: 'bad', tone: 'bad', title: 'Failed', note: line(data.info?.cause ?? data.error), main: true };
    default: return { icon: 'unknown', tone: 'quiet', title: `Unknown: ${line(event.type, 60)}`, note: line(data), main: true };
  }
}

/**
 * @param {Event} event @param {number} index @param {number} step Steps before it; below 0 where that is not known.
 * @returns {Row}
 */
export function row(event, index, step) {
  const is_agent = event.type === 'AgentEvent';
  const made = is_agent ? agentRow(event) : otherRow(event);
  const is_step = is_agent && event.data?.kind === 'policy_event';
  return { main: is_agent, ...made, index, step: is_step && step >= 0 ? step + 1 : step, at: Date.parse(event.timestamp) };
}

/** In place of events that the server has no more. @param {{from: number, to: number}} gap @param {number} at @returns {Row} */
export const gapRow = ({ from, to }, at) => ({ index: from, icon: 'gone', tone: 'quiet', main: true, step: -1, at, note: 'The server keeps them no more.',
  title: to - from === 1 ? `Event ${from} is gone` : `Events ${from} to ${to - 1} are gone` });

export const isStep = (/** @type {Event} */ event) => event.type === 'AgentEvent' && event.data?.kind === 'policy_event';
export const isError = (/** @type {Row} */ one) => one.tone === 'bad';
/** Where Shift and an arrow stop. */
export const isLandmark = (/** @type {Row} */ one) => one.tone === 'bad' || one.icon === 'message' || one.tone === 'wait';

/** @param {any[] | undefined} models */
export function tokens(models) {
  let input = 0, output = 0;
  for (const model of models ?? []) { input += model.input_tokens ?? 0; output += model.output_tokens ?? 0; }
  return { input, output };
}

/** The tokens that one step took: the log says how many it were in all, before and after. @param {any[]} events @param {number} index */
export function stepTokens(events, index) {
  const all = (/** @type {any} */ event) => tokens(event.data.metrics?.cost_per_model);
  const isUsage = (/** @type {any} */ event) => event?.type === 'MetricsUpdateEvent';
  let after = index + 1;
  while (after < events.length && !isUsage(events[after]) && !(events[after] && isStep(events[after]))) after++;
  if (!isUsage(events[after])) return null;
  let before = index;
  while (before >= 0 && !isUsage(events[before])) before--;
  const [now, then] = [all(events[after]), before >= 0 ? all(events[before]) : { input: 0, output: 0 }];
  return { input: now.input - then.input, output: now.output - then.output };
}

/** Why a command cannot be given now; empty when it can. As docs/state-machine.md says. @param {string} status */
export function reasons(status) {
  const ended = hasEnded(status) ? 'It has ended.' : '';
  const queued = status === 'queued' ? 'It is queued and has not started.' : '';
  return {
    message: status === 'interrupted' ? 'It was cancelled, and takes no more messages.' : '',
    pause: ended || queued || (status === 'paused' ? 'It is paused.' : status === 'idle' ? 'Nothing runs: it waits for a message.' : ''),
    resume: ended || (status === 'paused' ? '' : 'It is not paused.'),
    force_answer: ended || queued || (status === 'idle' ? 'It has answered.' : ''),
    tool_results: status === 'awaiting_tool_results' || status === 'paused' ? '' : 'No call waits for a result.',
    cancel: ended,
  };
}

/** @param {number} ms */
export function duration(ms) {
  if (!(ms >= 0)) return '';
  if (ms < 1000) return `${Math.round(ms)} ms`;
  const s = ms / 1000;
  if (s < 60) return `${s.toFixed(1)} s`;
  const min = Math.floor(s / 60);
  if (min < 60) return `${min} min ${String(Math.floor(s % 60)).padStart(2, '0')} s`;
  const h = Math.floor(min / 60);
  return h < 48 ? `${h} h ${String(min % 60).padStart(2, '0')} min` : `${Math.floor(h / 24)} d ${h % 24} h`;
}

/** @param {number} ms Since then. */
export function ago(ms) {
  if (ms < 5_000) return 'just now';
  if (ms < 60_000) return `${Math.floor(ms / 1000)} s ago`;
  if (ms < 3_600_000) return `${Math.floor(ms / 60_000)} min ago`;
  if (ms < 172_800_000) return `${Math.floor(ms / 3_600_000)} h ago`;
  return `${Math.floor(ms / 86_400_000)} d ago`;
}

/** @param {number} number */
export const short = (number) => number < 10_000 ? number.toLocaleString('en') : `${Math.round(number / 1000).toLocaleString('en')} k`;

/** Everything that an event says, as text: for the log, for find and for Markdown. @param {Event} event */
export function fullText(event) {
  if (!event) return '';
  const data = event.data ?? {};
  if (event.type === 'MetricsUpdateEvent') return otherRow(event).note;
  if (event.type !== 'AgentEvent') {
    return Object.keys(data).length === 0 ? '' : JSON.stringify(data, null, 2);
  }
  const pretty = (/** @type {any} */ value) => typeof value === 'string' ? value : JSON.stringify(value, null, 2);
  const calls = () => (data.tool_reqs ?? []).map((/** @type {any} */ call) => `${call.tool_name} ${JSON.stringify(call.args, null, 2)}`);
  switch (data.kind) {
    case 'message_event': return words(data.content);
    case 'policy_event':
      return [data.reasoning_content && `(thinks) ${data.reasoning_content}`, data.content, ...calls(), ...(data.validation_errors ?? [])]
        .filter(Boolean).join('\n');
    case 'tool_result': return pretty(data.result);
    case 'answer_event': return pretty(data.answer);
    case 'error_event': return pretty(data.error);
    case 'observation_event': return data.text ?? '';
    default: return JSON.stringify(data, null, 2);
  }
}

/** The whole log as Markdown. @param {{id: string}} session @param {Event[]} events */
export function markdown(session, events) {
  const parts = [`# Session ${session.id}`];
  let step = 0;
  events.forEach((event, index) => {
    if (!event) return;
    const one = row(event, index, step);
    if (isStep(event)) step = one.step;
    const text = fullText(event);
    const fence = '`'.repeat(Math.max(3, ...[...text.matchAll(/`+/gu)].map((run) => run[0].length + 1)));
    parts.push(`## ${index}. ${isStep(event) ? `Step ${one.step}: ` : ''}${one.title}`, event.timestamp);
    if (text) parts.push(`${fence}\n${text}\n${fence}`);
  });
  return `${parts.join('\n\n')}\n`;
}

/**
 * The events of a file: what "Download all" writes, the API's answer, or a bare list. Throws what is none.
 * @param {string} text @returns {{session: any, events: Event[]}}
 */
export function readRecording(text) {
  let file;
  try { file = JSON.parse(text); } catch (error) { throw new Error(`This file is not JSON: ${/** @type {Error} */ (error).message}`); }
  const found = Array.isArray(file) ? file : file?.events ?? file?.new_events ?? file?.items;
  if (!Array.isArray(found)) throw new Error('This file holds no events: it must be JSON with a list named “events”, as “Download as a recording” writes it.');
  const events = found.map((event, index) => {
    if (typeof event?.type !== 'string' || Number.isNaN(Date.parse(event.timestamp))) throw new Error(`Event ${index} of this file is none: it needs a “type” and a “timestamp”.`);
    return { type: event.type, data: event.data ?? {}, timestamp: event.timestamp };
  });
  if (!events.length) throw new Error('This file holds no events: its list is empty.');
  return { session: Array.isArray(file) ? {} : file, events };
}

/** The part of an address behind the path. @param {Record<string, any>} fields */
export function query(fields) {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(fields)) {
    if (value !== undefined && value !== null && value !== '') search.append(name, String(value));
  }
  const text = search.toString();
  return text ? `?${text}` : '';
}
