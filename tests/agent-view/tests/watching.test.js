import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { agentOf, eventually, launch, signedIn, startServer } from '../world.js';

let server, browser, context, complaints;
before(async () => {
  [server, browser] = await Promise.all([startServer(), launch()]);
  ({ context, complaints } = await signedIn(browser, server));
});
after(async () => { await browser?.close(); await server?.remove(); });

const open = async (path) => { const page = await context.newPage(); await page.goto(server.url + path); return page; };
const rows = (page) => page.locator('#timeline li');

test('a session started from the form is watched to its end, without a reload', async () => {
  const page = await open('/agent-view/new');
  await page.getByLabel('Message', { exact: true }).fill('Find the price.\n@wait 300ms\n@answer 19 €');
  await page.getByRole('button', { name: 'Start' }).click();
  await page.getByRole('heading', { name: /Find the price/u }).waitFor();
  await page.locator('.facts .badge').filter({ hasText: 'Completed' }).waitFor();
  await rows(page).filter({ hasText: 'Answer' }).last().waitFor();
  await page.locator('.card').filter({ hasText: 'Answer' }).filter({ hasText: '19 €' }).first().waitFor();
  await page.close();
});

test('the list is live, and its filters stand in the address', async () => {
  const page = await open('/agent-view?group_id=the-group');
  await page.getByText('No session fits these filters.').waitFor();
  const id = await server.session('@wait 60s\n@answer late', { task: 'Listed soon', group_id: 'the-group' });
  await page.getByRole('link', { name: 'Listed soon' }).waitFor();
  await page.locator('tbody .badge').filter({ hasText: 'Running' }).waitFor();
  await server.call('DELETE', `/api/v2/sessions/${id}`);
  await page.locator('tbody .badge').filter({ hasText: 'Interrupted' }).waitFor();
  await page.getByLabel('Status').selectOption('completed');
  await page.getByText('No session fits these filters.').waitFor();
  assert.match(page.url(), /group_id=the-group&status=completed/u);
  await page.close();
});

test('a server that is killed is said to be away, and nothing is lost when it comes back', async () => {
  const own = await startServer();
  const { context: other } = await signedIn(browser, own);
  const id = await own.session('@answer first', { idle_timeout_s: 3600 });
  await own.until(id, 'idle');
  const page = await other.newPage();
  await page.goto(`${own.url}/agent-view/${id}?view=log`);
  await page.locator('.live-on').waitFor();
  await own.stop('SIGKILL');
  await page.getByRole('alert').filter({ hasText: 'Not live: the server does not answer. Trying again' }).waitFor();
  assert.match(await page.title(), /not live/u);
  const again = await startServer({ listen: new URL(own.url).host, folder: own.folder });
  const said = again.call('POST', `/api/v2/sessions/${id}/messages`, { type: 'user_message', message: 'Go on.\n@call memory_set {"key": "a", "value": 1}\n@answer second' });
  assert.equal((await said).status, 202);
  await page.locator('.log article').filter({ hasText: 'second' }).first().waitFor();
  await again.until(id, 'idle');
  const { body } = await again.call('GET', `/api/v2/sessions/${id}/changes?from_index=0&limit=2000`);
  const wanted = body.new_events.map((_, index) => String(index));
  await eventually('the page has every event once', () => page.locator('.log article .index').allTextContents(), (seen) => seen.join() === wanted.join());
  await other.close();
  await again.remove();
});

test('twelve tabs are live at once, and the twelfth takes a click', async () => {
  const ids = await Promise.all(Array.from({ length: 12 }, () => server.session('@answer one', { idle_timeout_s: 600 })));
  const pages = [];
  for (const id of ids) { await server.until(id, 'idle'); pages.push(await open(`/agent-view/${id}`)); }
  for (const page of pages) await page.locator('.facts .badge').filter({ hasText: 'Waits for a message' }).waitFor();
  await Promise.all(ids.map((id) => server.call('POST', `/api/v2/sessions/${id}/messages`, { type: 'user_message', message: 'And now?\n@answer two' })));
  await Promise.all(pages.map((page) => page.locator('.card').filter({ hasText: 'two' }).first().waitFor()));
  const answer = pages[11].waitForResponse((response) => response.url().endsWith('/messages'));
  await pages[11].getByLabel('Message to the agent').fill('Again');
  await pages[11].getByRole('button', { name: /Send/u }).click();
  assert.equal((await answer).status(), 202);
  await Promise.all(pages.map((page) => page.close()));
});

test('replay: the slider, the keys and play', async () => {
  const id = await server.session('@say First.\n@call lookup_stock {"sku": "a"}\n@wait 1500ms\n@answer done');
  const { pending_tool_calls: [call] } = await server.until(id, 'awaiting_tool_results');
  await server.call('POST', `/api/v2/sessions/${id}/tool_results`, { kind: 'error_event', error: 'no such shop', origin: 'client', tool_req: call });
  await server.until(id, 'completed');
  const page = await open(`/agent-view/${id}?event=0`);
  const slider = page.getByRole('slider', { name: 'Event' });
  await page.getByText('Ended', { exact: true }).waitFor();
  const says = () => slider.getAttribute('aria-valuetext');
  const sees = (pattern) => eventually(`the slider says ${pattern}`, says, (text) => pattern.test(text));
  const press = async (key, pattern) => { await page.keyboard.press(key); return sees(pattern); };
  await sees(/^event 0 of \d+, step 0, Session created$/u);
  await slider.focus();
  await press('ArrowRight', /^event 1 of /u);
  await press('ArrowRight', /^event 2 of /u);
  await press('ArrowLeft', /^event 1 of /u);
  await press('Shift+ArrowRight', /Message from user$/u);
  await press('Shift+ArrowRight', /Waits for tool results$/u);
  await press('Shift+ArrowRight', /lookup_stock failed$/u);
  await press('Shift+ArrowLeft', /Waits for tool results$/u);
  await press('PageUp', /^event [0-4] of /u);
  await press('Home', /^event 0 of /u);
  const end = (await press('End', /^event (\d+) of \1,/u)).match(/of (\d+)/u)[1];
  await press('PageUp', new RegExp(`^event (?!${end} )\\d+ of `, 'u'));
  await press('Home', /^event 0 of /u);
  await press('Space', /^event (?!0 )\d+ of /u);
  // Usable while it plays: it goes on from where it is put.
  await page.keyboard.press('Home');
  await page.getByLabel('Speed').selectOption('16');
  await eventually('play arrives at the end', () => page.locator('.position').textContent(), (text) => text.startsWith(`${end} /`));
  await page.goto(`${server.url}/agent-view/${id}`);
  await page.getByLabel('Errors only').check();
  await eventually('one row is left', () => rows(page).count(), (count) => count === 1);
  await rows(page).getByText('lookup_stock failed').click();
  await page.locator('.event').getByText('no such shop').waitFor();
  await page.close();
});

test('subagents are listed and lead to their sessions and back', async () => {
  const child = { ...agentOf('page-reader'), instructions: '@answer 19 €' };
  const id = await server.session('@call delegate {"agent": "page-reader", "task": "Read it."}\n@answer done', { subagents: [child] });
  await server.until(id, 'completed');
  const page = await open(`/agent-view/${id}`);
  await page.getByRole('link', { name: 'page-reader' }).click();
  await page.getByRole('heading', { name: 'Read it.' }).waitFor();
  await page.getByRole('link', { name: 'parent' }).click();
  await page.getByRole('heading', { name: 'Do it' }).waitFor();
  await page.close();
});

test('hostile text is text', async () => {
  const hostile = '<script>document.title="owned"</script></textarea><img src=x onerror=alert(1)>\u202egnihtemos\u0007 \u001b[31m';
  const id = await server.session(`@say ${hostile}\n@call lookup_stock ${JSON.stringify({ sku: hostile })}\n@answer done`, { task: hostile });
  const { pending_tool_calls: [call] } = await server.until(id, 'awaiting_tool_results');
  await server.call('POST', `/api/v2/sessions/${id}/tool_results`, { kind: 'tool_result', tool_req: call, result: hostile + 'x'.repeat(1_000_000) });
  await server.until(id, 'completed');
  const page = await open(`/agent-view/${id}?view=all`);
  await page.getByText('Ended', { exact: true }).waitFor();
  const position = page.locator('.position');
  for (let step = 0; step < 12; step++) {
    const before = await position.textContent();
    await page.keyboard.press('ArrowLeft');
    await eventually('it goes back', () => position.textContent(), (now) => now !== before || now.startsWith('0 /'));
  }
  await page.getByRole('tab', { name: 'Log' }).click();
  await page.locator('.log').getByText('document.title="owned"').first().waitFor();
  assert.match(await page.title(), /^<script>document\.title/u);
  assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth));
  await page.close();
});

test('the log is whole: find reaches it, and Markdown holds it', async () => {
  const id = await server.session('@say The needle is here.\n@call lookup_stock {"sku": "a"}\n@answer done');
  await server.until(id, 'awaiting_tool_results');
  const page = await open(`/agent-view/${id}?view=log`);
  await page.locator('.log article').filter({ hasText: 'The needle is here.' }).waitFor();
  await page.getByLabel('Find in this session').fill('needle');
  await page.waitForFunction(() => document.querySelectorAll('.log article').length === 1);
  await page.close();
});

test('nothing was complained of', () => assert.deepEqual(complaints, []));
