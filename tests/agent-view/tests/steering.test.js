import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { action, creation } from '../../../crates/server/assets/commands.js';
import { reasons } from '../../../crates/server/assets/fold.js';
import { eventually, launch, signedIn, startServer } from '../world.js';

/** Where Python with the SDK is, and `hai`. */
const PROGRAMS = process.env.QUARTERDECK_TEST_PYTHON_PROGRAMS;

let server, browser, context, complaints;
before(async () => {
  [server, browser] = await Promise.all([startServer(), launch()]);
  ({ context, complaints } = await signedIn(browser, server, { permissions: ['clipboard-read', 'clipboard-write'] }));
});
after(async () => { await browser?.close(); await server?.remove(); });

const open = async (path) => { const page = await context.newPage(); await page.goto(server.url + path); return page; };
const STATUSES = ['queued', 'pending', 'running', 'paused', 'idle', 'awaiting_tool_results', 'completed', 'failed', 'timed_out', 'interrupted'];

/** What docs/state-machine.md says of each command in each status, which is generated from the machine itself. */
function machine() {
  const text = readFileSync(new URL('../../../docs/state-machine.md', import.meta.url), 'utf8');
  const table = /** @type {Record<string, Record<string, {accepted: boolean, changes: boolean}>>} */ ({});
  for (const [, command, rows] of text.matchAll(/^### (message|pause|resume|force_answer|tool_results[^\n]*|cancel)\n\n((?:\|.*\n)+)/gmu)) {
    const name = command.split(/[^a-z_]/u)[0];
    table[name] ??= {};
    for (const row of rows.split('\n').slice(2).filter(Boolean)) {
      const [states, becomes, http, events] = row.split('|').slice(1).map((cell) => cell.trim());
      for (const state of states.split(';').map((one) => one.trim().split(' ')[0])) {
        table[name][state] ??= { accepted: false, changes: false };
        const cell = table[name][state];
        cell.accepted ||= http.startsWith('2');
        cell.changes ||= http.startsWith('2') && (becomes !== '—' || events !== 'none');
      }
    }
  }
  return table;
}

test('every button says in every status whether it can be used, or why not', () => {
  const table = machine();
  assert.deepEqual(Object.keys(table).sort(), ['cancel', 'force_answer', 'message', 'pause', 'resume', 'tool_results']);
  for (const status of STATUSES) {
    for (const [name, reason] of Object.entries(reasons(status))) {
      const cell = table[name][status];
      assert.ok(cell, `${name} in ${status} stands in no table`);
      // A message waits, and a forced answer is recorded, where nothing else changes yet.
      const has_effect = cell.changes || (cell.accepted && (name === 'message' || (name === 'force_answer' && status === 'pending')));
      assert.equal(reason === '', has_effect, `${name} in ${status}: ${reason}`);
    }
  }
});

test('pause, resume, force an answer, and go on with a message', async () => {
  const id = await server.session('@wait 60s\n@answer late', { idle_timeout_s: 600 });
  const page = await open(`/agent-view/${id}`);
  const badge = (word) => page.locator('.facts .badge').filter({ hasText: word }).waitFor();
  const click = (name) => page.getByRole('button', { name, exact: true }).click();
  await badge('Running');
  await click('Pause');
  await badge('Paused');
  await click('Resume');
  await badge('Running');
  await page.keyboard.press('p');
  await badge('Paused');
  await page.getByLabel('Message to the agent').fill('Go on.\n@answer early');
  await page.getByRole('button', { name: /^Send/u }).click();
  await badge('Waits for a message');
  assert.match(await page.title(), /^\(!\)/u);
  const pause = page.getByRole('button', { name: 'Pause', exact: true });
  assert.equal(await pause.getAttribute('aria-disabled'), 'true');
  assert.equal(await pause.getAttribute('title'), 'Nothing runs: it waits for a message.');
  await click('Cancel session…');
  await page.getByRole('dialog').getByText('Do it').waitFor();
  await page.getByRole('button', { name: 'Cancel the session' }).click();
  await badge('Interrupted');
  assert.ok(await page.getByLabel('Message to the agent').isDisabled());
  await page.close();
});

test('tool results by hand: two in a row, over a reload, and never elsewhere', async () => {
  const id = await server.session('@call lookup_stock {"sku": "a"}\n@call lookup_stock {"sku": "b"}\n@answer done');
  const other = await server.session('@wait 60s\n@answer late');
  const page = await open(`/agent-view/${id}`);
  await page.getByRole('alert').filter({ hasText: 'The agent waits for you: 1 call of lookup_stock is open.' }).waitFor();
  assert.match(await page.title(), /^\(!\)/u);
  await page.getByRole('button', { name: 'Answer it' }).click();
  await page.getByLabel('JSON', { exact: true }).check();
  await page.getByLabel('Result', { exact: true }).fill('{"left": ');
  await page.getByRole('button', { name: 'Send the result' }).click();
  await page.getByText('This is not JSON').waitFor();
  await page.getByLabel('Result', { exact: true }).fill('{"left": 3}');
  await page.getByRole('button', { name: 'Send the result' }).click();
  await page.locator('#timeline').getByText('{"left":3}').waitFor();
  await page.reload();
  await page.getByRole('button', { name: 'Answer it' }).click();
  await page.getByLabel('As an error').check();
  await page.getByLabel('Result', { exact: true }).fill('no such shelf');
  await page.getByRole('button', { name: 'Send the result' }).click();
  await page.locator('.facts .badge').filter({ hasText: 'Completed' }).waitFor();
  await page.locator('#timeline').getByText('no such shelf').waitFor();
  await page.goto(`${server.url}/agent-view/${other}`);
  await page.locator('.live-on').waitFor();
  assert.equal(await page.getByText('The agent waits for you').count(), 0);
  await page.close();
});

const run = promisify(execFile);
const environment = () => ({ PATH: `${PROGRAMS}:${process.env.PATH}`, HOME: server.folder, PYTHONDONTWRITEBYTECODE: '1', HAI_API_BASE_URL: server.url, HAI_API_KEY: server.key });
/** Does what was copied, as its reader would: in a shell, or in Python. */
const pasted = async (kind, text) => (await (kind === 'python' ? run('python', ['-c', text], { env: environment() }) : run('sh', ['-c', text], { env: environment() }))).stdout;

for (const kind of ['curl', 'python', 'hai']) {
  test(`what is copied as ${kind} does the same`, async () => {
    const said = 'It\'s "quoted" $HOME `id`\n@answer ok';
    const paste = (name, id, value) => pasted(kind, action(name, id, value)[kind]);
    const look = async (id) => (await server.call('GET', `/api/v2/sessions/${id}`)).body;
    const kinds = async (id) => (await server.call('GET', `/api/v2/sessions/${id}/changes?from_index=0&limit=2000`)).body.new_events.map((event) => event.data?.kind);
    const id = await server.session('@wait 600s\n@answer late', { idle_timeout_s: 600 });
    await server.until(id, 'running');
    await paste('pause', id);
    await server.until(id, 'paused');
    await paste('resume', id);
    await server.until(id, 'running');
    await paste('message', id, said);
    await paste('force_answer', id);
    await server.until(id, 'idle');
    const events = (await server.call('GET', `/api/v2/sessions/${id}/changes?from_index=0&limit=2000`)).body.new_events;
    assert.ok(events.some((event) => event.data?.content?.includes?.(said)), 'the message is what was written');
    assert.match(await paste('events', id, 2), /message_event/u);
    assert.match(await paste('get', id), new RegExp(id, 'u'));
    await paste('share', id);
    const shared = (await server.call('POST', `/api/v2/sessions/${id}/share`)).body.share_url;
    assert.equal((await fetch(server.url + shared)).status, 200);
    await paste('unshare', id);
    assert.equal((await fetch(server.url + shared)).status, 404);
    await paste('feedback', id, { success: false, message: 'It\'s too slow' });
    await paste('rate', id, { index: 4, success: true });
    await paste('cancel', id, 'idle');
    await server.until(id, 'interrupted');
    const runs = await server.session('@wait 600s\n@answer late');
    await server.until(runs, 'running');
    await paste('cancel', runs, 'running');
    await server.until(runs, 'interrupted');
    const asks = await server.session('@call lookup_stock {"sku": "a"}\n@answer done');
    const { pending_tool_calls: [call] } = await server.until(asks, 'awaiting_tool_results');
    await paste('tool_results', asks, { kind: 'tool_result', tool_req: call, result: { left: 3, note: 'it\'s' } });
    await server.until(asks, 'completed');
    assert.ok((await kinds(asks)).includes('tool_result'));
    const made = await pasted(kind, creation({ agent: 'h/web-surfer-pro', messages: 'It\'s here\n@answer 1' })[kind]);
    const created = made.match(/[0-9a-f]{8}-[0-9a-f-]{27}/u)[0];
    assert.equal((await look(created)).request.messages, 'It\'s here\n@answer 1');
  });
}

test('a button copies what it does', async () => {
  const id = await server.session('@answer 1');
  await server.until(id, 'completed');
  const page = await open(`/agent-view/${id}`);
  await page.getByLabel('Copy an action as').selectOption('pause curl');
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), action('pause', id).curl);
  await page.getByLabel('More').selectOption('markdown');
  await page.waitForFunction(async () => (await navigator.clipboard.readText()).startsWith('# Session'));
  await page.close();
});

test('feedback on the session and on an event is stored', async () => {
  const id = await server.session('@answer 1');
  await server.until(id, 'completed');
  const page = await open(`/agent-view/${id}?event=4`);
  const answers = Promise.all([page.waitForResponse((one) => one.url().endsWith('/feedback') && one.request().method() === 'POST'), page.waitForResponse((one) => one.url().endsWith('/events/4/feedback'))]);
  await page.getByTitle('It went well').click();
  await page.getByTitle('This event is good').click();
  assert.deepEqual((await answers).map((one) => one.status()), [204, 204]);
  await page.getByTitle('It did not go well').click();
  await page.getByLabel('What was wrong? May stay empty').fill('It took the wrong shop');
  const sent = page.waitForRequest((one) => one.url().endsWith('/feedback') && one.method() === 'POST');
  await page.getByRole('button', { name: 'Store it' }).click();
  assert.deepEqual((await sent).postDataJSON(), { success: false, message: 'It took the wrong shop' });
  await page.close();
});

test('shared: a stranger sees it without a cookie, until it is not shared any more', async () => {
  const id = await server.session('@fail 401', { task: 'Fails for a secret reason' });
  await server.until(id, 'failed');
  const page = await open(`/agent-view/${id}`);
  await page.getByRole('button', { name: 'Share…' }).click();
  const link = await page.getByLabel('Link').inputValue();
  const stranger = await browser.newContext();
  const theirs = await stranger.newPage();
  const cookies = [];
  theirs.on('request', async (request) => { cookies.push((await request.allHeaders()).cookie); });
  await theirs.goto(link);
  await theirs.getByRole('heading', { name: 'Fails for a secret reason' }).waitFor();
  await theirs.getByText('Shared by its owner. Read-only.').waitFor();
  assert.equal(await theirs.getByRole('button', { name: 'Pause' }).count() + await theirs.getByLabel('Message to the agent').count(), 0);
  assert.deepEqual(cookies.filter(Boolean), []);
  // The contract's link shows browsers the page, and programs what it always did.
  const token = new URL(link).pathname.split('/').pop();
  const api = `${server.url}/share/api/v1/trajectories/${token}`;
  assert.equal((await fetch(api, { redirect: 'manual', headers: { accept: 'text/html' } })).headers.get('location'), `/share/${token}`);
  assert.equal((await (await fetch(api)).json()).id, id);
  // The owner who looks as a stranger is one: the cookie stays at home.
  const looking = await open(`/share/${token}`);
  await looking.getByRole('heading', { name: 'Fails for a secret reason' }).waitFor();
  assert.equal(await looking.getByLabel('Message to the agent').count(), 0);
  // Both see the same, and neither sees why it failed.
  const seen = (one) => one.locator('main').textContent();
  await eventually('the owner sees what a stranger sees', () => Promise.all([seen(theirs), seen(looking)]), ([one, other]) => one === other);
  const owners = await page.locator('.failure').textContent();
  assert.ok(owners.includes((await server.call('GET', `/api/v2/sessions/${id}`)).body.status.error));
  await page.getByRole('button', { name: 'Stop sharing' }).click();
  await page.getByLabel('Link').waitFor({ state: 'detached' });
  // What is shown stays, and says that it will not come back.
  await theirs.locator('.live').filter({ hasText: 'This link does not work any more' }).waitFor();
  await theirs.getByRole('heading', { name: 'Fails for a secret reason' }).waitFor();
  await theirs.reload();
  await theirs.getByText('This link does not work any more').waitFor();
  await Promise.all([page.close(), looking.close(), stranger.close()]);
});

test('compare marks the first step that differs', async () => {
  const both = '@say Same.\n@call memory_set {"key": "a", "value": 1}\n';
  const environments = [{ id: 'notes', kind: 'memory', namespace: 'compare' }];
  const left = await server.session(`${both}@call memory_set {"key": "b", "value": 1}\n@answer one`, { tools: [], environments });
  const right = await server.session(`${both}@call memory_set {"key": "c", "value": 1}\n@answer two`, { tools: [], environments });
  await Promise.all([server.until(left, 'completed'), server.until(right, 'completed')]);
  const page = await open(`/agent-view/${left}/compare/${right}`);
  await page.getByText('The first difference is at step 2. The answers differ.').waitFor();
  await page.locator('.compare .at').filter({ hasText: 'differs' }).getByText('2').waitFor();
  const slider = page.getByRole('slider', { name: 'Step' });
  assert.equal(await slider.getAttribute('aria-valuetext'), 'step 2 of 3, differs');
  await slider.focus();
  await page.keyboard.press('ArrowLeft');
  await eventually('the first step is the same', () => slider.getAttribute('aria-valuetext'), (text) => text === 'step 1 of 3, the same');
  await page.getByRole('button', { name: 'Next difference' }).click();
  await eventually('the difference again', () => slider.getAttribute('aria-valuetext'), (text) => text === 'step 2 of 3, differs');
  await page.close();
});

test('an agent is made, changed, compared with before, restored and deleted', async () => {
  const page = await open('/agent-view/agents/new');
  const field = page.getByLabel('Agent, as JSON');
  const text = (description) => JSON.stringify({ name: 'shelf-reader', description, environments: ['h/web'] }, null, 2);
  await field.fill(JSON.stringify({ name: 'shelf-reader', environments: [] }));
  await page.getByRole('button', { name: 'Save' }).click();
  await page.getByRole('alert').getByText('description').first().waitFor();
  await field.fill(text('Reads shelves.'));
  await page.getByRole('button', { name: 'Save' }).click();
  await page.getByRole('heading', { name: 'shelf-reader' }).waitFor();
  await field.fill(text('Reads tall shelves.'));
  await page.getByRole('button', { name: 'Save' }).click();
  await page.getByText('Reads tall shelves.').first().waitFor();
  // Somebody else is faster.
  await server.call('PUT', '/api/v2/agents/shelf-reader', JSON.parse(text('Reads theirs.')));
  await field.fill(text('Reads mine.'));
  await page.getByRole('button', { name: 'Save' }).click();
  await page.getByText('It has changed since you opened it.').waitFor();
  await page.locator('.diff .del').filter({ hasText: 'Reads theirs.' }).waitFor();
  await page.getByRole('button', { name: 'Restore' }).last().click();
  await page.getByText('Reads shelves.').first().waitFor();
  await page.getByRole('button', { name: 'Delete…' }).click();
  await page.getByRole('button', { name: 'Delete', exact: true }).click();
  await page.getByRole('heading', { name: 'Agents' }).waitFor();
  assert.equal((await server.call('GET', '/api/v2/agents/shelf-reader')).status, 404);
  await page.close();
});

test('nothing was complained of', () => assert.deepEqual(complaints, []));
