import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { gzipSync } from 'node:zlib';
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
  await other.getByRole('alert').filter({ hasText: 'This link was used before, or is older than ten minutes.' }).waitFor();
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
  await server.until(id, 'running');
  // Another port is the same site to the browser, and the cookie comes along; another name of the host is another site.
  for (const origin of [other.url, other.url.replace('127.0.0.1', 'localhost')]) {
    await page.goto(`${origin}/healthz`);
    await page.evaluate(async (url) => { await fetch(url, { method: 'POST', mode: 'no-cors', credentials: 'include' }).catch(() => {}); }, `${server.url}/api/v2/sessions/${id}/pause`);
    assert.equal((await server.call('GET', `/api/v2/sessions/${id}/status`)).body.status, 'running', origin);
  }
  for (const site of ['same-site', 'cross-site']) {
    const response = await fetch(`${server.url}/api/v2/sessions/${id}/pause`, { method: 'POST', headers: { cookie: `${cookie.name}=${cookie.value}`, 'sec-fetch-site': site } });
    assert.equal(response.status, 403, site);
  }
  // One browser, two servers on one host: neither takes the other's cookie away.
  const signed = await context.request.post(`${other.url}/agent-view/sign-in`, { data: { key: other.key }, headers: { 'sec-fetch-site': 'same-origin' } });
  assert.equal(signed.status(), 204);
  for (const one of [server, other]) assert.equal((await context.request.get(`${one.url}/agent-view/me`)).status(), 200, one.url);
  await context.close();
  await other.remove();
});

test('view-link makes a link that signs in once, with the key that it names', async () => {
  const listen = new URL(server.url).host;
  const link = await server.run('view-link', '--listen', listen);
  assert.match(link, new RegExp(`^${server.url}/agent-view#once=[0-9a-f]{64}$`, 'u'));
  const [first, second] = [await browser.newContext(), await browser.newContext()];
  const page = await first.newPage();
  await page.goto(link);
  await page.getByRole('heading', { name: 'Sessions' }).waitFor();
  const other = await second.newPage();
  await other.goto(link);
  await other.getByRole('alert').filter({ hasText: 'quarterdeck view-link' }).waitFor();
  // A key signs in where the link did not.
  await other.getByLabel('API key').fill(KEY);
  await other.getByRole('button', { name: 'Sign in' }).click();
  await other.getByRole('heading', { name: 'Sessions' }).waitFor();
  await assert.rejects(server.run('view-link', '--listen', listen, '--key', '00000000-0000-7000-8000-000000000000'), /there is no active key/u);
  assert.ok(!server.log().includes(link.split('once=')[1]));
  await Promise.all([first.close(), second.close()]);
});

test('a key that is revoked while a page is open ends its sign-in; another one goes on where it was', async () => {
  const own = await startServer();
  await own.run('keys', 'create', '--org', 'default');
  const id = await own.session('@answer 42', { task: 'What is it?', idle_timeout_s: 3600 });
  await own.until(id, 'idle');
  const second = (await own.run('keys', 'create', '--org', 'default')).split('\n').at(-1);
  const { context } = await signedIn(browser, own);
  const page = await context.newPage();
  await page.goto(`${own.url}/agent-view/${id}?event=4`);
  await page.locator('.live-on').waitFor();
  await page.getByLabel('Message to the agent').fill('Half a sentence');
  const list = (await own.run('keys', 'list')).split('\n');
  const mine = list.find((line) => line.includes(KEY.slice(0, 9))).split(' ')[0];
  await own.run('keys', 'revoke', mine);
  // The page learns it from its next request.
  await page.getByRole('button', { name: 'Good' }).first().click();
  await page.getByLabel('API key').fill(second);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByLabel('API key').waitFor({ state: 'detached' });
  await page.locator('.live-on').waitFor();
  assert.equal(await page.getByLabel('Message to the agent').inputValue(), 'Half a sentence');
  assert.match(page.url(), /event=4/u);
  await context.close();
  await own.remove();
});

test('an address has ten tries a minute to sign in, and is told when it has more', async () => {
  const own = await startServer();
  const context = await browser.newContext();
  const page = await context.newPage();
  await page.goto(`${own.url}/agent-view`);
  const wrong = () => fetch(`${own.url}/agent-view/sign-in`, { method: 'POST', headers: { 'sec-fetch-site': 'same-origin' }, body: JSON.stringify({ key: 'hk-wrong' }) });
  const answers = [];
  for (let tries = 0; tries < 11; tries++) answers.push(await wrong());
  // The minute may end meanwhile, on a slow machine; then there are ten more.
  for (let more = 0; more < 12 && answers.at(-1).status === 401; more++) answers.push(await wrong());
  assert.equal(answers.at(-1).status, 429);
  assert.ok(answers.length > 10 && answers.slice(0, 10).every((one) => one.status === 401));
  assert.ok(Number(answers.at(-1).headers.get('retry-after')) <= 61);
  await page.getByLabel('API key').fill(KEY);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByRole('alert').filter({ hasText: /too many tries to sign in from your address; try again in \d+ s/u }).waitFor();
  await context.close();
  await own.remove();
});

test('the server\'s address leads browsers to the page, and nobody else', async () => {
  const browsers = await fetch(`${server.url}/`, { redirect: 'manual', headers: { accept: 'text/html,*/*' } });
  assert.deepEqual([browsers.status, browsers.headers.get('location')], [303, '/agent-view']);
  assert.equal((await fetch(`${server.url}/`)).status, 404);
});

test('the page has a strict policy, and is small', async () => {
  const { context, complaints } = await signedIn(browser, server);
  const page = await context.newPage();
  const first = new Set();
  page.on('response', (response) => { if (/\/agent-view(\/assets\/|$)/u.test(response.url())) first.add(response.url()); });
  const response = await page.goto(`${server.url}/agent-view`);
  const headers = response.headers();
  assert.equal(headers['content-security-policy'], "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types lit-html");
  for (const [name, value] of [['x-content-type-options', 'nosniff'], ['referrer-policy', 'no-referrer'], ['cross-origin-opener-policy', 'same-origin'], ['cross-origin-resource-policy', 'same-origin'], ['cache-control', 'no-cache']]) assert.equal(headers[name], value, name);
  await page.getByRole('heading', { name: 'Sessions' }).waitFor();
  // All files by their names, as the page finds them: from one to the next.
  const all = new Set(first);
  for (const url of all) {
    if (!url.endsWith('.js')) continue;
    const text = await (await fetch(url)).text();
    for (const [, name] of text.matchAll(/(?:from|import)\s*\(?["'](\.{1,2}\/[^"']+)["']/gu)) all.add(new URL(name, url).href);
  }
  const wire = async (url) => {
    const answer = await fetch(url, { headers: { 'accept-encoding': 'gzip' } });
    const body = Buffer.from(await answer.arrayBuffer());
    // What is small is sent as it is.
    if (url.endsWith('.svg') || body.length < 1024) return body.length;
    assert.equal(answer.headers.get('content-encoding'), 'gzip', url);
    return gzipSync(body).length;
  };
  const sum = async (urls) => (await Promise.all([...urls].map(wire))).reduce((total, bytes) => total + bytes, 0);
  const [before, whole] = [await sum(first), await sum(all)];
  console.log(`measured: first load: ${first.size} files, ${before} bytes; all: ${all.size} files, ${whole} bytes, compressed`);
  assert.ok(first.size <= 15 && before <= 60_000, `${first.size} files, ${before} bytes`);
  assert.ok(whole <= 150_000, `${whole} bytes`);
  assert.deepEqual(complaints, []);
  await context.close();
});
