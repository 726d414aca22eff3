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
  let waiting = 0, most = 0;
  for (const page of pages) {
    page.on('request', (request) => { if (request.url().includes('wait_for_seconds=25')) { waiting += 1; most = Math.max(most, waiting); } });
    for (const end of ['requestfinished', 'requestfailed']) page.on(end, (request) => { if (request.url().includes('wait_for_seconds=25')) waiting = Math.max(0, waiting - 1); });
  }
  await Promise.all(ids.map((id) => server.call('POST', `/api/v2/sessions/${id}/messages`, { type: 'user_message', message: 'And now?\n@answer two' })));
  await Promise.all(pages.map((page) => page.locator('.card').filter({ hasText: 'two' }).first().waitFor()));
  const answer = pages[11].waitForResponse((response) => response.url().endsWith('/messages'));
  await pages[11].getByLabel('Message to the agent').fill('Again\n@wait 600s\n@answer late');
  await pages[11].getByRole('button', { name: /Send/u }).click();
  assert.equal((await answer).status(), 202);
  // However many of them wait, a click finds a connection.
  await pages[11].locator('.facts .badge').filter({ hasText: 'Running' }).waitFor();
  const paused = pages[11].waitForResponse((response) => response.url().endsWith('/pause'));
  await pages[11].getByRole('button', { name: 'Pause', exact: true }).click();
  assert.equal((await paused).status(), 202);
  await pages[11].locator('.facts .badge').filter({ hasText: 'Paused' }).waitFor();
  assert.ok(most <= 4, `${most} long polls at once`);
  await Promise.all(pages.map((page) => page.close()));
});

test('a list of sessions with large pictures is small, and asked again it says nothing', async () => {
  const picture = Buffer.alloc(5_000_000, 7).toString('base64');
  for (let made = 0; made < 6; made++) {
    const { status, body } = await server.call('POST', '/api/v2/sessions', { agent: agentOf('looker'), group_id: 'pictures', messages: { type: 'user_message', message: `${'What is this? '.repeat(100)}\n@answer a picture`, images: [`data:image/png;base64,${picture}`] } });
    assert.equal(status, 201, JSON.stringify(body).slice(0, 300));
  }
  const path = '/api/v2/sessions?include=summary&owner=organization&group_id=pictures&size=50';
  const list = await server.call('GET', path);
  assert.equal(list.body.total, 6);
  // 50 of these are below 300 kB.
  assert.ok(JSON.stringify(list.body).length / 6 < 6000, `${JSON.stringify(list.body).length} bytes`);
  await Promise.all(list.body.items.map((one) => server.until(one.id, 'completed')));
  const page = await context.newPage();
  const answers = [];
  page.on('response', (response) => { if (response.url().includes('group_id=pictures') && response.url().includes('/api/')) answers.push(response.status()); });
  await page.goto(`${server.url}/agent-view?group_id=pictures`);
  await page.locator('tbody tr').nth(5).waitFor();
  await eventually('nothing new is told as 304', () => answers, (seen) => seen.includes(304));
  assert.equal(await page.locator('tbody tr').count(), 6);
  await page.close();
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
  await page.getByLabel(/^Errors only/u).check();
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
  const hostile = '<script>document.title="owned"</script></textarea><img src=x onerror=alert(1)>\u202egnihtemos\u0007 \u001b[31m\u0000';
  const said = hostile.replaceAll('\u0000', '');
  const name = 'x"><svg onload=alert(1)>\u202etxt.html';
  const agent = { ...agentOf('tester'), description: hostile, instructions: `Be brief.\n@say ${said}\n@call lookup_stock ${JSON.stringify({ sku: said, '<i>key</i>': 1 })}\n@answer ${said}` };
  const messages = { type: 'user_message', message: hostile, files: [{ type: 'base64', name, media_type: 'text/html', source: Buffer.from('<script>alert(1)</script>').toString('base64') }] };
  // Half of a pair is no text, and comes no further than the door.
  assert.equal((await server.call('POST', '/api/v2/sessions', { agent, messages: 'half \ud800' })).status, 422);
  const { status, body: made } = await server.call('POST', '/api/v2/sessions', { agent, messages, group_id: '<u>group</u>' });
  assert.equal(status, 201, JSON.stringify(made));
  const { id } = made;
  const { pending_tool_calls: [call] } = await server.until(id, 'awaiting_tool_results');
  await server.call('POST', `/api/v2/sessions/${id}/tool_results`, { kind: 'tool_result', tool_req: call, result: hostile + 'x'.repeat(1_000_000) });
  await server.until(id, 'completed');
  const page = await open('/agent-view');
  await page.getByRole('link', { name: /document\.title="owned"/u }).first().waitFor();
  assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), 'the list');
  await page.goto(`${server.url}/agent-view/${id}?view=all`);
  await page.getByText('Ended', { exact: true }).waitFor();
  await page.locator('.card').filter({ hasText: 'Files (1)' }).getByText('<svg onload=alert(1)>').waitFor();
  const position = page.locator('.position');
  for (let step = 0; step < 14; step++) {
    const before = await position.textContent();
    await page.keyboard.press('ArrowLeft');
    await eventually('it goes back', () => position.textContent(), (now) => now !== before || now.startsWith('0 /'));
  }
  await page.getByRole('tab', { name: 'Log' }).click();
  await page.locator('.log').getByText('document.title="owned"').first().waitFor();
  assert.match(await page.title(), /^<script>document\.title/u);
  for (const width of [1440, 320]) {
    await page.setViewportSize({ width, height: 900 });
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), `${width} px`);
  }
  assert.equal(await page.locator('main script, main img[src=x], main svg[onload]').count(), 0);
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

test('events that the server has no more leave a row, and what came while away is marked', async () => {
  const id = await server.session('@answer one', { idle_timeout_s: 3600 });
  await server.until(id, 'idle');
  const say = async (text) => { await server.call('POST', `/api/v2/sessions/${id}/messages`, { type: 'user_message', message: `${text}\n@answer ok` }); await server.until(id, 'idle'); };
  await say('two');
  const page = await context.newPage();
  // A server that keeps less: it begins at the sixth event, and says so.
  await page.route(/\/changes\?from_index=0&/u, async (route) => {
    const answer = await route.fetch();
    const body = await answer.json();
    body.new_events.splice(0, 5);
    await route.fulfill({ response: answer, json: { ...body, first_index: 5 } });
  });
  await page.addInitScript(() => {
    let hidden = false;
    Object.defineProperty(document, 'hidden', { get: () => hidden });
    window.hide = (value) => { hidden = value; document.dispatchEvent(new Event('visibilitychange')); };
  });
  await page.goto(`${server.url}/agent-view/${id}`);
  await rows(page).getByText('Events 0 to 4 are gone').waitFor();
  await page.locator('.live-on').waitFor();
  const total = (await server.call('GET', `/api/v2/sessions/${id}/events?size=1`)).body.total;
  const last = async () => Number((await page.getByRole('slider', { name: 'Event' }).getAttribute('aria-valuetext')).match(/of (\d+)/u)[1]);
  assert.equal(await last(), total - 1);
  // Steps are numbered as the session counts them, although the first ones are not there.
  const { steps } = (await server.call('GET', `/api/v2/sessions/${id}/status`)).body;
  await rows(page).filter({ hasText: `Step ${steps}` }).first().waitFor();
  await page.evaluate(() => window.hide(true));
  // A tab that nobody sees asks only where the session stands, and shows that in its title.
  await page.waitForRequest((request) => request.url().endsWith(`/${id}/status`));
  await say('three');
  await page.evaluate(() => window.hide(false));
  await page.getByText(/events came in meanwhile/u).waitFor();
  await rows(page).filter({ hasText: 'three' }).locator('.fresh-mark').waitFor();
  assert.equal(await rows(page).filter({ hasText: 'two' }).locator('.fresh-mark').count(), 0);
  await page.keyboard.press('Home');
  await page.keyboard.press('End');
  await eventually('what was seen is new no more', () => page.locator('.fresh-mark').count(), (count) => count === 0);
  await page.close();
});

test('paper gets the whole log, whatever the screen shows', async () => {
  const id = await server.session(`@times 60\n@call memory_set ${JSON.stringify({ key: 'a', value: 'long '.repeat(40) })}\n@answer done`, { tools: [], environments: [{ id: 'notes', kind: 'memory', namespace: 'print' }] });
  await server.until(id, 'completed');
  const page = await open(`/agent-view/${id}`);
  await page.getByText('Ended', { exact: true }).waitFor();
  const { total } = (await server.call('GET', `/api/v2/sessions/${id}/events?size=1`)).body;
  await page.evaluate(() => addEventListener('beforeprint', () => { window.printed = document.querySelectorAll('.log article').length; }));
  const paper = await page.pdf();
  assert.equal(await page.evaluate(() => window.printed), total);
  const sheets = paper.toString('latin1').match(/\/Type\s*\/Page\b/gu).length;
  assert.ok(sheets > 5, `${sheets} pages`);
  await page.locator('#timeline').waitFor();
  await page.close();
});

test('copied as Markdown, the log is the log', async () => {
  const id = await server.session('@say The ```needle``` is here.\n@answer done');
  await server.until(id, 'completed');
  const page = await open(`/agent-view/${id}?view=log`);
  const { new_events: events } = (await server.call('GET', `/api/v2/sessions/${id}/changes?from_index=0&limit=2000`)).body;
  await eventually('the whole log', () => page.locator('.log article').count(), (count) => count === events.length);
  await context.grantPermissions(['clipboard-read', 'clipboard-write']);
  await page.getByLabel('More').selectOption('markdown');
  const text = await eventually('it is copied', () => page.evaluate(() => navigator.clipboard.readText()), (one) => one.startsWith(`# Session ${id}`));
  const shown = await page.locator('.log article').evaluateAll((all) => all.map((one) => [one.querySelector('h2 > span:last-child').textContent, one.querySelector('pre')?.textContent ?? '']));
  for (const [place, [heading, body]] of shown.entries()) {
    const part = text.split(/^## /mu)[place + 1];
    const title = heading.replace(/^Step \d+ · /u, '');
    assert.ok(part.startsWith(`${place}. `) && part.split('\n')[0].endsWith(title), `${part.split('\n')[0]} and ${heading}`);
    assert.ok(part.includes(body), body);
  }
  await page.close();
});

test('nothing was complained of', () => assert.deepEqual(complaints, []));
