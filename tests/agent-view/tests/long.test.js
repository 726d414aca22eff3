// A log of 10,000 events, and what it costs.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch, signedIn, startServer } from '../world.js';

let server, browser, id, total;
before(async () => {
  [server, browser] = await Promise.all([startServer(), launch()]);
  id = await server.session('@answer done', { idle_timeout_s: 3600 });
  for (let part = 0; part < 11; part++) {
    await server.until(id, 'idle');
    const messages = Array.from({ length: 950 }, (_, place) => ({ type: 'user_message', message: `Note ${part * 950 + place} of many, with a few words` }));
    await server.call('POST', `/api/v2/sessions/${id}/messages`, { type: 'batch', messages });
    await server.untilEvents(id, (part + 1) * 950);
  }
  await server.until(id, 'idle');
  total = (await server.call('GET', `/api/v2/sessions/${id}/events?size=1`)).body.total;
}, { timeout: 180_000 });
after(async () => { await browser?.close(); await server?.remove(); });

const measured = (what, value) => console.log(`measured: ${what}: ${value}`);

test('10,000 events load and scroll smoothly, and the newest is seen at once', { timeout: 120_000 }, async () => {
  assert.ok(total > 10_000, `${total}`);
  const { context, complaints } = await signedIn(browser, server);
  const page = await context.newPage();
  const begun = Date.now();
  await page.goto(`${server.url}/agent-view/${id}`);
  await page.locator('.facts').getByText(`${total.toLocaleString('en')} events`).waitFor();
  const loaded = Date.now() - begun;
  const paint = await page.evaluate(() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime);
  measured('first contentful paint, ms', Math.round(paint));
  measured(`${total} events loaded and shown, ms`, loaded);
  await page.evaluate(() => { window.tasks = []; new PerformanceObserver((list) => window.tasks.push(...list.getEntries().map((one) => one.duration))).observe({ entryTypes: ['longtask'] }); });
  const frames = await page.evaluate(() => new Promise((resolve) => {
    const element = document.getElementById('timeline');
    element.scrollTop = 0;
    const times = [];
    let before = performance.now();
    const frame = (now) => {
      times.push(now - before);
      before = now;
      element.scrollTop += 640;
      if (times.length < 240) requestAnimationFrame(frame); else resolve(times.slice(5).sort((a, b) => a - b));
    };
    requestAnimationFrame(frame);
  }));
  const at = (share) => frames[Math.floor(frames.length * share)].toFixed(1);
  measured('frame while scrolling, p50 / p95 / max, ms', `${at(0.5)} / ${at(0.95)} / ${frames.at(-1).toFixed(1)}`);
  measured('tasks over 50 ms while scrolling', JSON.stringify((await page.evaluate(() => window.tasks)).map(Math.round)));
  const heap = await page.evaluate(() => performance.memory.usedJSHeapSize / 1e6);
  measured('heap, MB', heap.toFixed(1));
  assert.ok(heap < 60, `${heap} MB`);
  // Frames depend on what else the machine does; that few rows exist does not.
  assert.ok(await page.locator('#timeline li').count() < 80);
  const seen = [];
  await page.keyboard.press('End');
  for (let tries = 0; tries < 20; tries++) {
    const text = `ping ${tries} ${Date.now()}`;
    const shown = page.waitForFunction((wanted) => document.getElementById('timeline')?.textContent.includes(wanted), text, { polling: 'raf' });
    const sent = Date.now();
    await server.call('POST', `/api/v2/sessions/${id}/messages`, { type: 'user_message', message: `${text}\n@answer ok` });
    await shown;
    seen.push(Date.now() - sent);
    await server.until(id, 'idle');
  }
  seen.sort((a, b) => a - b);
  measured('message sent by another client to its frame, p50 / p95, ms', `${seen[10]} / ${seen[18]}`);
  assert.deepEqual(complaints, []);
  await context.close();
});

test('a link into the middle is painted after two requests', async () => {
  const { context } = await signedIn(browser, server);
  const page = await context.newPage();
  // Whatever else the page asks for has to wait until it is painted.
  let asked = 0;
  let isPainted = () => {};
  const painted = new Promise((resolve) => { isPainted = resolve; });
  await page.route('**/api/v2/**', async (route) => {
    asked += 1;
    if (asked > 2) await painted;
    await route.continue();
  });
  await page.goto(`${server.url}/agent-view/${id}?event=7000&expanded=true`);
  await page.locator('.event').getByText('event 7000').waitFor();
  await page.locator('#timeline li.at').getByText('7000').waitFor();
  isPainted();
  const { total: now } = (await server.call('GET', `/api/v2/sessions/${id}/events?size=1`)).body;
  await page.locator('.facts').getByText(`${now.toLocaleString('en')} events`).waitFor();
  await page.locator('#timeline li.at').getByText('7000').waitFor();
  await context.close();
});

test('the log of 10,000 events holds every text', { timeout: 60_000 }, async () => {
  const { context } = await signedIn(browser, server);
  const page = await context.newPage();
  await page.goto(`${server.url}/agent-view/${id}?view=log`);
  await page.waitForFunction((wanted) => document.querySelectorAll('.log article').length >= wanted, total);
  // What Ctrl F does.
  for (const wanted of ['Note 7000 of many', 'Note 9949 of many', 'Note 0 of many']) assert.ok(await page.evaluate((text) => { getSelection().removeAllRanges(); return window.find(text); }, wanted), wanted);
  await context.close();
});

test('as many events again come in live, each once', { timeout: 300_000 }, async () => {
  const { context, complaints } = await signedIn(browser, server);
  const page = await context.newPage();
  await page.goto(`${server.url}/agent-view/${id}`);
  await page.locator('.live-on').waitFor();
  const before = (await server.call('GET', `/api/v2/sessions/${id}/events?size=1`)).body.total;
  for (let part = 0; part < 11; part++) {
    const messages = Array.from({ length: 950 }, (_, place) => ({ type: 'user_message', message: `Live ${part * 950 + place}` }));
    await server.call('POST', `/api/v2/sessions/${id}/messages`, { type: 'batch', messages });
    await server.untilEvents(id, before + (part + 1) * 950);
    await server.until(id, 'idle');
  }
  const { total: now } = (await server.call('GET', `/api/v2/sessions/${id}/events?size=1`)).body;
  assert.ok(now > before + 10_000, `${now}`);
  await page.locator('.facts').getByText(`${now.toLocaleString('en')} events`).waitFor({ timeout: 60_000 });
  await page.getByRole('tab', { name: 'All events' }).click();
  await page.locator('#timeline li.at').getByText(String(now - 1)).waitFor();
  assert.ok(await page.locator('#timeline li').count() < 80);
  const heap = await page.evaluate(() => performance.memory.usedJSHeapSize / 1e6);
  measured(`heap with ${now} events, MB`, heap.toFixed(1));
  assert.deepEqual(complaints, []);
  await context.close();
});
