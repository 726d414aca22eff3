// Each action of the page as a command that does the same: curl, Python, hai.
import { query } from './fold.js';

/** For a shell, in single quotes. @param {string} text */
const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

/** A literal of Python, that JSON is but for three words. @param {any} value @returns {string} */
function python(value) {
  if (value === null || value === undefined) return 'None';
  if (value === true) return 'True';
  if (value === false) return 'False';
  if (Array.isArray(value)) return `[${value.map(python).join(', ')}]`;
  if (typeof value === 'object') return `{${Object.entries(value).map(([name, one]) => `${JSON.stringify(name)}: ${python(one)}`).join(', ')}}`;
  return JSON.stringify(value);
}

/** @param {string} method @param {string} path @param {any} [body] @param {Record<string, string>} [headers] */
export function curl(method, path, body, headers = {}) {
  const lines = [`curl -sS -X ${method} "$HAI_API_BASE_URL"${quoted(path)}`, `-H "Authorization: Bearer $HAI_API_KEY"`];
  for (const [name, value] of Object.entries(headers)) lines.push(`-H ${quoted(`${name}: ${value}`)}`);
  if (body !== undefined) lines.push(`-H 'Content-Type: application/json'`, `-d ${quoted(JSON.stringify(body))}`);
  return lines.join(' \\\n  ');
}

/** @param {string} statement */
const client = (statement) => `import os
from hai_agents import Client

client = Client(base_url=os.environ["HAI_API_BASE_URL"], api_key=os.environ["HAI_API_KEY"])
print(${statement})
`;

/**
 * An action with its three commands. Where hai has none, curl stands in its place.
 * @param {string} name @param {string} id @param {any} [value] What is sent; of a cancel, the status that it ends.
 */
export function action(name, id, value) {
  const path = `/api/v2/sessions/${id}`;
  const said = python(id);
  switch (name) {
    case 'message': {
      const body = { type: 'user_message', message: value };
      return made('POST', `${path}/messages`, body, `client.sessions.send_session_messages(${said}, request=${python(body)})`,
        `hai sessions send ${id} ${quoted(value)}`);
    }
    case 'pause': return made('POST', `${path}/pause`, undefined, `client.sessions.pause_session(${said})`);
    case 'resume': return made('POST', `${path}/resume`, undefined, `client.sessions.resume_session(${said})`);
    case 'force_answer': return made('POST', `${path}/force_answer`, undefined, `client.sessions.force_session_answer(${said})`);
    // hai takes a session that waits for a message for one that has ended, and leaves it.
    case 'cancel': return made('DELETE', path, undefined, `client.sessions.cancel_session(${said})`, value === 'idle' ? undefined : `hai sessions cancel --yes ${id}`);
    case 'tool_results':
      return made('POST', `${path}/tool_results`, value, `client.sessions.send_session_tool_results(${said}, request=${python(value)})`);
    case 'share': return made('POST', `${path}/share`, undefined, `client.sessions.share_session(${said})`, `hai sessions share ${id}`);
    case 'unshare': return made('DELETE', `${path}/share`, undefined, `client.sessions.unshare_session(${said})`, `hai sessions unshare ${id}`);
    case 'feedback':
      return made('POST', `${path}/feedback`, value,
        `client.sessions.submit_session_feedback(${said}, success=${python(value.success)}, message=${python(value.message)})`);
    case 'rate':
      return made('PUT', `${path}/events/${value.index}/feedback`, { success: value.success },
        `client.sessions.submit_event_feedback(${said}, ${python(value.index)}, success=${python(value.success)})`);
    case 'events': return made('GET', `${path}/changes${query({ from_index: value })}`, undefined,
      `client.sessions.get_session_changes(${said}, from_index=${python(value)})`, `hai sessions events ${id} --from-index ${value}`);
    default: return made('GET', path, undefined, `client.sessions.get_session(${said})`, `hai sessions get ${id}`);
  }
}

/** The creation of a session. @param {any} request */
export function creation(request) {
  const fields = Object.entries(request).map(([name, value]) => `${name}=${python(value)}`).join(', ');
  const plain = typeof request.agent === 'string' && typeof request.messages === 'string'
    && Object.keys(request).every((name) => ['agent', 'messages'].includes(name));
  return made('POST', '/api/v2/sessions', request, `client.sessions.create_session(${fields}).id`,
    plain ? `hai run ${quoted(request.messages)} --agent ${quoted(request.agent)}` : undefined);
}

/** @param {string} method @param {string} path @param {any} body @param {string} statement @param {string} [hai] */
function made(method, path, body, statement, hai) {
  const first = curl(method, path, body);
  return { curl: first, python: client(statement), hai: hai ?? `# hai has no command for this; with curl:\n${first}` };
}
