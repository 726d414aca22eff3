// Behind a proxy with a path of its own.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { openProxy } from '../proxy.js';
import { launch, startServer, watch } from '../world.js';

let browser;
const folder = mkdtempSync(join(tmpdir(), 'quarterdeck-proxy-'));
before(async () => { browser = await launch(); });
after(async () => { await browser?.close(); rmSync(folder, { recursive: true, force: true }); });

for (const [name, options] of [['takes its path away', { strips: true }], ['leaves its path', { strips: false }], ['takes its path away, over TLS', { strips: true, tls: true }]]) {
  test(`behind a proxy that ${name}: sign in, start, watch, share`, async () => {
    const proxy = await openProxy({ prefix: '/agents', folder, ...options });
    const server = await startServer({ more: ['--public-url', proxy.url] });
    proxy.leadTo(server.url);
    const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, ignoreHTTPSErrors: true });
    const complaints = watch(context, { url: proxy.url });
    const page = await context.newPage();
    await page.goto(await server.run('view-link', '--public-url', proxy.url));
    await page.getByText('No sessions yet.').waitFor();
    assert.ok(page.url().startsWith(`${proxy.url}/agent-view`), page.url());
    const [cookie] = await context.cookies();
    assert.equal(cookie.name, options.tls ? '__Host-quarterdeck' : `quarterdeck-${new URL(proxy.url).port}`);
    assert.equal(cookie.secure, Boolean(options.tls));
    await page.getByRole('link', { name: 'New session' }).first().click();
    await page.getByLabel('Message', { exact: true }).fill('Find the price.\n@wait 300ms\n@answer 19 €');
    await page.getByRole('button', { name: 'Start' }).click();
    await page.locator('.facts .badge').filter({ hasText: 'Completed' }).waitFor();
    const id = page.url().match(/agent-view\/([0-9a-f-]{36})/u)[1];
    assert.equal((await server.call('GET', `/api/v2/sessions/${id}`)).body.agent_view_url, `${proxy.url}/agent-view/${id}`);
    // A link that is opened, not followed, and the proxy's own address.
    await page.goto(`${proxy.url}/agent-view/${id}?event=4`);
    await page.locator('.event').getByText('event 4').waitFor();
    await page.getByRole('button', { name: 'Share…' }).click();
    const link = await page.getByLabel('Link').inputValue();
    assert.ok(link.startsWith(`${proxy.url}/share/`), link);
    const stranger = await browser.newContext({ ignoreHTTPSErrors: true });
    const theirs = await stranger.newPage();
    await theirs.goto(proxy.url + (await server.call('POST', `/api/v2/sessions/${id}/share`)).body.share_url);
    await theirs.getByRole('heading', { name: 'Find the price.' }).waitFor();
    assert.ok(theirs.url().startsWith(`${proxy.url}/share/`), theirs.url());
    await theirs.goto(`${proxy.url}/`);
    await theirs.getByLabel('API key').waitFor();
    await page.goto(`${proxy.url}/agent-view/about`);
    await page.getByRole('link', { name: 'API reference' }).click();
    await page.waitForURL(`${proxy.url}/docs**`);
    assert.deepEqual(complaints.filter((one) => !one.includes('/docs')), []);
    await Promise.all([context.close(), stranger.close()]);
    await Promise.all([proxy.close(), server.remove()]);
  });
}
