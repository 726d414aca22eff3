import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { action, creation } from '../../../crates/server/assets/commands.js';
import { reasons } from '../../../crates/server/assets/fold.js';
import { launch, signedIn, startServer } from '../world.js';

let server, browser, context, complaints;
before(async () => {
  [server, browser] = await Promise.all([startServer(), launch()]);
  ({ context, complaints } = await signedIn(browser, server, { permissions: ['clipboard-read', 'clipboard-write'] }));
});
after(async () => { await browser?.close(); await server?.remove(); });

const open = async (path) => { const page = await context.newPage(); await page.goto(server.url + path); return page; };
const STATUSES = ['queued', 'pending', 'running', 'paused', 'idle', 'awaiting_tool_results', 'completed', 'failed', 'timed_out', 'interrupted'];

test('every button says in every status whether it can be used, or why not', () => {
  // What docs/state-machine.md refuses, or accepts without effect.
  const can = { message: 'queued pending running paused idle awaiting_tool_results completed failed timed_out', pause: 'pending running awaiting_tool_results',
    resume: 'paused', force_answer: 'pending running paused awaiting_tool_results', tool_results: 'awaiting_tool_results paused', cancel: 'queued pending running paused idle awaiting_tool_results' };
  for (const status of STATUSES) {
    for (const [name, reason] of Object.entries(reasons(status))) {
      assert.equal(reason === '', can[name].split(' ').includes(status), `${name} in ${status}: ${reason}`);
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

test('what is copied as curl does the same', async () => {
  const run = promisify(execFile);
  const shell = (text) => run('sh', ['-c', text], { env: { PATH: process.env.PATH, HAI_API_BASE_URL: server.url, HAI_API_KEY: server.key } });
  const id = await server.session('@wait 60s\n@answer late', { idle_timeout_s: 600 });
  const status = async () => (await server.call('GET', `/api/v2/sessions/${id}/status`)).body.status;
  await server.until(id, 'running');
  await shell(action('pause', id).curl);
  assert.equal(await status(), 'paused');
  await shell(action('resume', id).curl);
  assert.equal(await status(), 'running');
  await shell(action('message', id, 'It\'s "quoted" $HOME\n@answer ok').curl);
  await shell(action('force_answer', id).curl);
  const { stdout } = await shell(action('events', id, 0).curl);
  assert.ok(JSON.parse(stdout).new_events.length > 3);
  await shell(action('cancel', id).curl);
  assert.equal(await status(), 'interrupted');
  const made = await shell(creation({ agent: 'h/web-surfer-pro', messages: 'It\'s here\n@answer 1' }).curl);
  assert.equal(JSON.parse(made.stdout).request.messages, 'It\'s here\n@answer 1');
});

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
  const token = link.split('/').pop();
  const api = `${server.url}/share/api/v1/trajectories/${token}`;
  assert.equal((await fetch(api, { redirect: 'manual', headers: { accept: 'text/html' } })).headers.get('location'), `/share/${token}`);
  assert.equal((await (await fetch(api)).json()).id, id);
  // The owner who looks as a stranger is one: the cookie stays at home.
  const looking = await open(`/share/${token}`);
  await looking.getByRole('heading', { name: 'Fails for a secret reason' }).waitFor();
  assert.equal(await looking.getByLabel('Message to the agent').count(), 0);
  await page.getByRole('button', { name: 'Stop sharing' }).click();
  await page.getByLabel('Link').waitFor({ state: 'detached' });
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
