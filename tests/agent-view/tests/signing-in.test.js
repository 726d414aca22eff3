import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { KEY, launch, signedIn, startServer, watch } from '../world.js';

let server, browser;
before(async () => { [server, browser] = await Promise.all([startServer(), launch()]); });
after(async () => { await browser?.close(); await server?.remove(); });

test('a session is opened by its address; signing in keeps what the address says', async () => {
  const id = await server.session('@answer 42', { task: 'What is it?' });
  await server.until(id, 'completed');
  const { body } = await server.call('GET', `/api/v2/sessions/${id}`);
  assert.equal(body.agent_view_url, `${server.url}/agent-view/${id}`);
  const context = await browser.newContext();
  const complaints = watch(context, server);
  const page = await context.newPage();
  await page.goto(`${body.agent_view_url}?event=4&expanded=true`);
  await page.getByLabel('API key').fill('hk-wrong');
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByRole('alert').filter({ hasText: 'does not sign you in' }).waitFor();
  await page.getByLabel('API key').fill(KEY);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByRole('heading', { name: 'What is it?' }).waitFor();
  assert.match(page.url(), /event=4&expanded=true/u);
  await page.locator('.event').getByText('event 4').waitFor();
  await page.locator('pre.raw').filter({ hasText: 'message_event' }).first().waitFor();
  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.getByLabel('API key').waitFor();
  assert.equal((await context.request.get(`${server.url}/agent-view/me`)).status(), 401);
  assert.deepEqual(complaints, []);
  await context.close();
});

test('a link signs in once, and is in no log', async () => {
  const { context } = await signedIn(browser, server);
  const made = await context.request.post(`${server.url}/agent-view/link`, { headers: { 'sec-fetch-site': 'same-origin' } });
  const { url } = await made.json();
  const [first, second] = [await browser.newContext(), await browser.newContext()];
  const page = await first.newPage();
  await page.goto(url);
  await page.getByRole('heading', { name: 'Sessions' }).waitFor();
  assert.ok(!page.url().includes('once'), page.url());
  const other = await second.newPage();
  await other.goto(url);
  await other.getByRole('alert').filter({ hasText: 'used or out of date' }).waitFor();
  assert.ok(!server.log().includes(url.split('once=')[1]));
  await Promise.all([context.close(), first.close(), second.close()]);
});

test('a cookie pays only for what pages of this server ask', async () => {
  const { context } = await signedIn(browser, server);
  const [cookie] = await context.cookies();
  assert.equal(cookie.name, `quarterdeck-${new URL(server.url).port}`);
  assert.ok(cookie.httpOnly && cookie.sameSite === 'Strict');
  const id = await server.session('@wait 60s\n@answer late');
  const other = await startServer({ key: 'hk-other-server-0000000000000000000' });
  const page = await context.newPage();
  await page.goto(`${other.url}/healthz`);
  // The other server has another port, so this is the same site to the browser, and the cookie comes along.
  await page.evaluate(async (url) => { await fetch(url, { method: 'POST', mode: 'no-cors', credentials: 'include' }).catch(() => {}); }, `${server.url}/api/v2/sessions/${id}/pause`);
  const status = (await server.call('GET', `/api/v2/sessions/${id}/status`)).body.status;
  assert.equal(status, 'running');
  for (const site of ['same-site', 'cross-site']) {
    const response = await fetch(`${server.url}/api/v2/sessions/${id}/pause`, { method: 'POST', headers: { cookie: `${cookie.name}=${cookie.value}`, 'sec-fetch-site': site } });
    assert.equal(response.status, 403, site);
  }
  const theirs = await signedIn(browser, other);
  await theirs.context.close();
  assert.equal((await context.request.get(`${server.url}/agent-view/me`)).status(), 200, 'both are signed in at once');
  await context.close();
  await other.remove();
});

test('the server\'s address leads browsers to the page, and nobody else', async () => {
  const browsers = await fetch(`${server.url}/`, { redirect: 'manual', headers: { accept: 'text/html,*/*' } });
  assert.deepEqual([browsers.status, browsers.headers.get('location')], [303, '/agent-view']);
  assert.equal((await fetch(`${server.url}/`)).status, 404);
});

test('the page has a strict policy, and is small', async () => {
  const { context, complaints } = await signedIn(browser, server);
  const page = await context.newPage();
  let files = 0, bytes = 0;
  page.on('response', async (response) => {
    if (!/\/agent-view(\/assets\/|$)/u.test(response.url())) return;
    files += 1;
    bytes += (await response.body().catch(() => '')).length;
  });
  const response = await page.goto(`${server.url}/agent-view`);
  const policy = response.headers()['content-security-policy'];
  for (const part of ['default-src \'none\'', 'script-src \'self\'', 'style-src \'self\'', 'frame-ancestors \'none\'', 'require-trusted-types-for \'script\'', 'trusted-types lit-html']) assert.ok(policy.includes(part), part);
  assert.ok(!policy.includes('unsafe'));
  await page.getByRole('heading', { name: 'Sessions' }).waitFor();
  assert.ok(files <= 16 && bytes < 120_000, `${files} files, ${bytes} bytes`);
  assert.deepEqual(complaints, []);
  await context.close();
});
