// Sessions with a real browser: what the agent saw, where it clicked, and a recording of that.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { PLACES, browserAt, openShop, shopping } from '../shop.js';
import { WITH_BROWSER, eventually, launch, signedIn, startServer } from '../world.js';

let server, browser, shop, id, context, complaints;
const folder = mkdtempSync(join(tmpdir(), 'quarterdeck-recordings-'));
before(async () => {
  [server, browser, shop] = await Promise.all([startServer({ more: WITH_BROWSER }), launch(), openShop()]);
  ({ context, complaints } = await signedIn(browser, server, { acceptDownloads: true }));
  // A machine that is busy may be too slow for a picture of each page, which stops no agent.
  await eventually('a session has a picture of each page', async () => {
    id = await server.session(`${shopping(shop.url)}\n@answer North has it for 19 €.`, { task: 'Find the price of the MX-7', tools: [], environments: [browserAt(shop.url)] });
    await server.until(id, 'completed');
    return (await events()).filter((event) => event.data?.image).length;
  }, (count) => count >= 5, 150_000);
}, { timeout: 170_000 });
after(async () => { await Promise.all([browser?.close(), shop?.close(), server?.remove()]); rmSync(folder, { recursive: true, force: true }); });

const open = async (path) => { const page = await context.newPage(); await page.goto(server.url + path); return page; };
const events = async () => (await server.call('GET', `/api/v2/sessions/${id}/changes?from_index=0&limit=2000`)).body.new_events;
/** Whether every picture within is there and has been drawn. */
const drawn = (page, within) => eventually(`pictures of ${within}`, () => page.locator(`${within} img`).evaluateAll((all) => all.map((one) => one.complete && one.naturalWidth)), (widths) => widths.length > 0 && widths.every(Boolean));

test('the film strip shows what the agent saw, and leads there', async () => {
  const shots = (await events()).flatMap((event, index) => event.data?.image ? [index] : []);
  const page = await open(`/agent-view/${id}?event=${shots[0]}`);
  await drawn(page, '.picture');
  await drawn(page, '.film');
  assert.deepEqual(await page.locator('.film button').evaluateAll((all) => all.map((one) => one.getAttribute('aria-label'))), shots.map((at) => `Screenshot at event ${at}`));
  assert.equal(await page.locator('.film [aria-current]').getAttribute('aria-label'), `Screenshot at event ${shots[0]}`);
  const first = await page.locator('.picture img').getAttribute('src');
  await page.getByRole('button', { name: `Screenshot at event ${shots[2]}` }).click();
  await page.locator('.position').getByText(`${shots[2]} /`).waitFor();
  await eventually('another picture', () => page.locator('.picture img').getAttribute('src'), (now) => now !== first);
  await drawn(page, '.picture');
  await eventually('the address says it', () => page.url(), (url) => url.includes(`event=${shots[2]}&screenshot=${shots[2]}`));
  await page.close();
});

test('the click marker lies where the agent clicked, at any width', async () => {
  const shot = (await events()).findIndex((event) => event.data?.image);
  for (const width of [1440, 390]) {
    const page = await open(`/agent-view/${id}?event=${shot}`);
    await page.setViewportSize({ width, height: 900 });
    await drawn(page, '.picture');
    await page.locator('.pointer.shown').waitFor();
    const [image, pointer] = await Promise.all(['.picture img', '.pointer'].map((name) => page.locator(name).boundingBox()));
    const scale = image.width / await page.locator('.picture img').evaluate((one) => one.naturalWidth);
    const [x, y] = PLACES['MX-7'];
    assert.ok(Math.abs(pointer.x + pointer.width / 2 - image.x - x * scale) < 2, `${JSON.stringify({ image, pointer, scale })}`);
    assert.ok(Math.abs(pointer.y + pointer.height / 2 - image.y - y * scale) < 2, `${JSON.stringify({ image, pointer, scale })}`);
    await page.getByText(`click_web at (${x}, ${y})`).waitFor();
    await page.close();
  }
});

test('a picture that is gone leaves its place and says so', async () => {
  const shots = (await events()).flatMap((event, index) => event.data?.image ? [index] : []);
  const page = await open(`/agent-view/${id}?event=${shots[0]}`);
  await drawn(page, '.picture');
  const { height } = await page.locator('.picture').boundingBox();
  await page.route('**/resources/**', (route) => route.fulfill({ status: 404, body: '' }));
  await page.goto(`${server.url}/agent-view/${id}?event=${shots[1]}`);
  await page.getByText('The picture was deleted, or cannot be read.').waitFor();
  const box = await page.locator('.picture').boundingBox();
  assert.ok(Math.abs(box.height - height) < 40, `${box.height} and ${height}`);
  await page.close();
});

test('a picture is for pages of this server only', async () => {
  const source = new URL((await events()).find((event) => event.data?.image).data.image.source).pathname;
  const mine = await context.request.get(server.url + source, { headers: { 'sec-fetch-site': 'same-origin' } });
  assert.equal(mine.headers()['cross-origin-resource-policy'], 'same-origin');
  const { context: theirs } = await signedIn(browser, server);
  const page = await theirs.newPage();
  for (const origin of [shop.url, shop.url.replace('127.0.0.1', 'localhost')]) {
    await page.goto(origin);
    const loads = await page.evaluate((url) => new Promise((resolve) => {
      const image = new Image();
      image.onload = () => resolve(true);
      image.onerror = () => resolve(false);
      image.src = url;
    }), server.url + source);
    assert.equal(loads, false, origin);
  }
  await theirs.close();
});

test('a recording is replayed on a server that knows nothing of it', async () => {
  const page = await open(`/agent-view/${id}`);
  await page.getByText('Ended', { exact: true }).waitFor();
  const [download] = await Promise.all([page.waitForEvent('download'), page.getByLabel('More').selectOption('recording')]);
  const file = join(folder, 'recording.json');
  await download.saveAs(file);
  const written = JSON.parse(readFileSync(file, 'utf8'));
  assert.deepEqual(written.events.map((event) => event.type), (await events()).map((event) => event.type));
  await page.close();
  const other = await startServer({ key: 'hk-another-server-00000000000000000' });
  const { context: theirs, complaints: said } = await signedIn(browser, other);
  const replay = await theirs.newPage();
  let asked = 0;
  replay.on('request', (request) => { if (/\/sessions\/[0-9a-f-]{36}/u.test(request.url())) asked += 1; });
  await replay.goto(`${other.url}/agent-view`);
  await replay.getByRole('link', { name: 'Open a recording…' }).click();
  await replay.getByLabel('File').setInputFiles(file);
  await replay.getByRole('heading', { name: 'Find the price of the MX-7' }).waitFor();
  await replay.getByText('A recording, read-only').waitFor();
  await replay.keyboard.press('End');
  await drawn(replay, '.picture');
  await replay.locator('.card').filter({ hasText: 'North has it for 19 €.' }).first().waitFor();
  for (const name of ['Pause', 'Share…', 'Rerun…', 'Send']) assert.equal(await replay.getByRole('button', { name }).count(), 0, name);
  assert.equal(asked, 0);
  assert.deepEqual(said, []);
  await theirs.close();
  await other.remove();
});

test('play jumps a gap of 35 hours, and the slider can be used meanwhile', async () => {
  const begun = Date.parse('2030-01-01T08:00:00Z');
  const at = (hours, seconds) => new Date(begun + hours * 3_600_000 + seconds * 1000).toISOString();
  const said = (text) => ({ kind: 'policy_event', content: text, tool_reqs: [] });
  const list = [['RequestStartEvent', {}, at(0, 0)], ['AgentEvent', { kind: 'message_event', caller_id: 'user', content: ['Wait for it'] }, at(0, 1)], ['AgentEvent', said('Before.'), at(0, 1.2)],
    ['AgentEvent', said('After the night.'), at(35, 0)], ['AgentEvent', said('A little later.'), at(35, 0.4)], ['AgentCompletionEvent', { reason: 'finished' }, at(35, 0.5)]];
  const file = join(folder, 'long.json');
  writeFileSync(file, JSON.stringify({ events: list.map(([type, data, timestamp]) => ({ type, data, timestamp })) }));
  const page = await open('/agent-view/recording');
  await page.getByLabel('File').setInputFiles(file);
  const slider = page.getByRole('slider', { name: 'Event' });
  const says = (pattern) => eventually(`the slider says ${pattern}`, () => slider.getAttribute('aria-valuetext'), (text) => pattern.test(text));
  // Speeds are told apart by the timers that play sets, so that a slow machine makes no difference.
  await page.evaluate(() => { const set = window.setTimeout; window.waits = []; window.setTimeout = (run, ms, ...more) => { window.waits.push(ms); return set(run, ms, ...more); }; });
  for (const speed of ['0.5', '1', '2', '4', '8', '16']) {
    await page.getByLabel('Speed').selectOption(speed);
    await page.keyboard.press('Home');
    await says(/^event 0 of 5/u);
    await page.evaluate(() => { window.waits.length = 0; });
    await slider.focus();
    await page.keyboard.press('Space');
    await says(/^event 5 of 5/u);
    const waits = await page.evaluate(() => window.waits);
    assert.ok(Math.max(...waits) < 5000 && waits.some((ms) => ms >= 300), `${speed}: ${waits}`);
  }
  await page.getByLabel('Skip waiting').uncheck();
  await slider.focus();
  await page.keyboard.press('Home');
  await says(/^event 0 of 5/u);
  await page.keyboard.press('Space');
  await says(/^event 2 of 5/u);
  // It waits for the night to pass, and goes on at once from where it is put.
  await page.keyboard.press('ArrowRight');
  await says(/^event [345] of 5/u);
  await says(/^event 5 of 5/u);
  await page.close();
});

test('a file that is no recording is refused with the reason', async () => {
  const page = await open('/agent-view/recording');
  for (const [text, reason] of [['{"events": ', 'This file is not JSON'], ['{"name": "x"}', 'This file holds no events'], ['[]', 'its list is empty'], ['[{"type": "AgentEvent"}]', 'Event 0 of this file is none']]) {
    await page.getByLabel('File').setInputFiles({ name: 'x.json', mimeType: 'application/json', buffer: Buffer.from(text) });
    await page.getByRole('alert').filter({ hasText: reason }).waitFor();
  }
  await page.close();
});

test('nothing was complained of', () => assert.deepEqual(complaints, []));
