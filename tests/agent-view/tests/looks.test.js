// How it looks: accessible, in light and dark, wide and narrow; and the pictures of the documentation.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { after, before, test } from 'node:test';
import { browserAt, openShop, shopping } from '../shop.js';
import { WITH_BROWSER, agentOf, eventually, launch, signedIn, startServer } from '../world.js';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const RUN_AXE = `axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] })
  .then((found) => found.violations.map((one) => one.id + ': ' + one.nodes.slice(0, 3).map((node) => node.html.slice(0, 160)).join(' | ')))`;
const PICTURES = process.env.QUARTERDECK_TEST_PICTURES;

let server, browser, shop, main, failed, seen, token;
before(async () => {
  [server, browser, shop] = await Promise.all([startServer({ more: WITH_BROWSER }), launch(), openShop()]);
  const create = (script, fields) => server.session(script, fields);
  await create('@answer Three papers, all on block sparsity.', { task: 'Summarise the three newest papers on sparse attention', group_id: 'papers' });
  await create('@outcome partial\n@answer Nothing.', { task: '<script>alert(1)</script> What is this page about?' });
  failed = await create('@fail 401', { task: 'Extract all invoices as JSON', group_id: 'ci-4711' });
  await create('@wait 600s\n@answer late', { task: 'Watch the shelf until the price falls below 20 €', group_id: 'nightly' });
  main = await create(`@think The user wants a price, so I look in several shops and begin with the nearest one.
@say I ask a reader for the shop's page first.
@usage in=1200 out=80
@call delegate {"agent": "page-reader", "task": "Read the page of shop.example."}
@say One shop has it for 19 €. Now the stock.
@usage in=1714 out=103
@call lookup_stock {"sku": "MX-7", "shops": ["north", "south"]}
@answer North has it for 19 €, which is the cheapest.`, { task: 'Ask for the stock of the MX-7 in both shops', group_id: 'nightly', subagents: [{ ...agentOf('page-reader'), instructions: '@wait 300ms\n@answer 19 €' }] });
  await server.until(main, 'awaiting_tool_results');
  // A machine that is busy may be too slow for a picture of each page, which stops no agent.
  const pictures = async (id) => (await server.call('GET', `/api/v2/sessions/${id}/changes?from_index=0&limit=2000`)).body.new_events.flatMap((event, index) => event.data?.image ? [index] : []);
  await eventually('a session has a picture of each page', async () => {
    if (seen) await server.call('DELETE', `/api/v2/sessions/${seen}`);
    seen = await create(`${shopping(shop.url)}\n@answer North has it for 19 €, which is the cheapest.`, { task: 'Find the price of the MX-7 and tell me which shop is cheapest', group_id: 'nightly', tools: [], environments: [browserAt(shop.url)] });
    await server.until(seen, 'completed');
    return pictures(seen);
  }, (found) => found.length >= 5, 150_000);
  token = (await server.call('POST', `/api/v2/sessions/${seen}/share`)).body.share_url.split('/').pop();
}, { timeout: 180_000 });
after(async () => { await Promise.all([browser?.close(), shop?.close(), server?.remove()]); });

/** Every page, and what it shows once it has everything. */
const pages = () => [
  ['sessions', '/agent-view', 'tbody tr'], ['session', `/agent-view/${seen}?event=7`, '.pointer.shown'], ['waiting', `/agent-view/${main}?event=8`, '#timeline li.at'], ['log', `/agent-view/${main}?view=log`, '.log article'],
  ['failed', `/agent-view/${failed}`, '.failure'], ['shared', `/share/${token}?event=7`, '.pointer.shown'], ['new', `/agent-view/new?from=${main}`, 'details[open]'], ['agents', '/agent-view/agents', '.catalog td'],
  ['agent', '/agent-view/agents/h/web-surfer-pro', 'textarea.code'], ['about', '/agent-view/about', '.about dd:last-of-type:not(:text-is("…"))'], ['compare', `/agent-view/${main}/compare/${seen}`, '.compare .at'], ['recording', '/agent-view/recording', 'input[type=file]'],
];

/** What a page can come to, and how. */
const states = () => [
  ['help', `/agent-view/${main}`, async (page) => { await page.locator('#timeline li').first().waitFor(); await page.keyboard.press('?'); await page.getByRole('dialog').waitFor(); }],
  ['palette', `/agent-view/${main}`, async (page) => { await page.locator('#timeline li').first().waitFor(); await page.keyboard.press('Control+k'); await page.locator('#palette').waitFor(); }],
  ['the share dialog', `/agent-view/${seen}`, async (page) => { await page.getByRole('button', { name: 'Share…' }).click(); await page.getByRole('dialog').waitFor(); }],
  ['an answer by hand', `/agent-view/${main}`, async (page) => { await page.getByRole('button', { name: 'Answer it' }).click(); await page.getByLabel('Result', { exact: true }).waitFor(); }],
  ['a note of what went wrong', `/agent-view/${seen}`, async (page) => { await page.getByLabel('More').waitFor(); await command(page, 'It did not go well'); await page.locator('dialog[open]').waitFor(); }],
  ['no such session', '/agent-view/00000000-0000-7000-8000-000000000000', (page) => page.getByText('There is no such session').waitFor()],
  ['a link that works no more', '/share/none', (page) => page.getByText('This link does not work any more').waitFor()],
  ['nothing found', '/agent-view?search=nothing-of-that-kind', (page) => page.getByText('No session fits these filters.').waitFor()],
  ['a lost connection', `/agent-view/${main}`, async (page) => { await page.route(/wait_for_seconds=25/u, (route) => route.abort()); await page.reload(); await page.getByRole('alert').filter({ hasText: 'Not live' }).waitFor(); }],
];

/** What axe finds in a page, past the page's policy, as a debugger is. */
async function faults(context, page) {
  const session = await context.newCDPSession(page);
  await session.send('Runtime.evaluate', { expression: AXE });
  const { result } = await session.send('Runtime.evaluate', { awaitPromise: true, returnByValue: true, expression: RUN_AXE });
  return result.value;
}

const fits = (page) => page.evaluate(() => document.documentElement.scrollWidth <= innerWidth);

/** Whether each picture in sight has been drawn. */
const drawn = (page) => eventually('its pictures are drawn', () => page.locator('img').evaluateAll((all) => all.every((one) => one.complete && one.naturalWidth > 0)), Boolean);

for (const colorScheme of ['light', 'dark']) {
  for (const width of [1440, 390, 320]) {
    test(`accessible and without sideways scrolling: ${colorScheme}, ${width} px`, async () => {
      const { context, complaints } = await signedIn(browser, server, { colorScheme, viewport: { width, height: width > 1000 ? 900 : 844 } });
      const page = await context.newPage();
      for (const [name, path, whole] of pages()) {
        await page.goto(server.url + path);
        await page.locator('main h1').first().waitFor();
        await page.locator(whole).first().waitFor();
        await drawn(page);
        assert.deepEqual(await faults(context, page), [], name);
        assert.ok(await fits(page), `${name} scrolls sideways`);
        if (PICTURES && width !== 320) await page.screenshot({ path: `${PICTURES}/${name}-${colorScheme}-${width > 1000 ? 'wide' : 'narrow'}.png` });
      }
      assert.deepEqual(complaints, []);
      await context.close();
    });
  }

  test(`accessible in every state: ${colorScheme}`, async () => {
    // Both widths of the picture of signing in; of the states one each, which is enough to see what they hold.
    for (const width of [1440, 390]) {
      const { context } = await signedIn(browser, server, { colorScheme, viewport: { width, height: 844 } });
      for (const [name, path, reach] of (width > 1000) === (colorScheme === 'light') ? states() : []) {
        const page = await context.newPage();
        await page.goto(server.url + path);
        await reach(page);
        assert.deepEqual(await faults(context, page), [], name);
        assert.ok(await fits(page), `${name} scrolls sideways at ${width} px`);
        await page.close();
      }
      await context.close();
      const stranger = await browser.newContext({ colorScheme, viewport: { width, height: 844 } });
      const page = await stranger.newPage();
      await page.goto(`${server.url}/agent-view`);
      await page.getByLabel('API key').waitFor();
      assert.deepEqual(await faults(stranger, page), [], 'signing in');
      if (PICTURES) await page.screenshot({ path: `${PICTURES}/sign-in-${colorScheme}-${width > 1000 ? 'wide' : 'narrow'}.png` });
      await stranger.close();
    }
  });
}

/** Gives a command as somebody does who knows it by heart: without waiting for what is drawn. */
async function command(page, text) {
  await page.keyboard.press('Control+k');
  await page.keyboard.type(text);
  await page.keyboard.press('Enter');
}

test('keys that are faster than frames mean what they say', async () => {
  const { context, complaints } = await signedIn(browser, server);
  // A busy machine draws late. Nothing here may wait for a frame before it presses a key.
  await context.addInitScript(() => {
    const frame = globalThis.requestAnimationFrame.bind(globalThis);
    globalThis.requestAnimationFrame = (draw) => setTimeout(() => frame(draw), 700);
  });
  const page = await context.newPage();
  await page.goto(`${server.url}/agent-view/${main}`);
  await page.getByText('The agent waits for you').waitFor();
  await command(page, 'about this');
  await page.getByRole('heading', { name: 'About this server' }).waitFor();
  // Down to the second of what fits, up to the first, and that one.
  await page.keyboard.press('Control+k');
  await page.keyboard.type('theme');
  for (const key of ['ArrowDown', 'ArrowDown', 'ArrowUp', 'Enter']) await page.keyboard.press(key);
  assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), 'light');
  // What is left with Escape takes no more keys.
  await page.keyboard.press('Control+k');
  await page.keyboard.type('sign');
  await page.keyboard.press('Escape');
  await page.keyboard.press('?');
  await page.getByRole('dialog', { name: 'Keyboard shortcuts' }).waitFor();
  await page.keyboard.press('Escape');
  await page.keyboard.press('n');
  await page.getByRole('heading', { name: 'New session' }).waitFor();
  assert.deepEqual(complaints, []);
  await context.close();
});

test('rows are as close as one likes, and stay so', async () => {
  const { context } = await signedIn(browser, server);
  const page = await context.newPage();
  await page.goto(`${server.url}/agent-view/about`);
  await page.getByRole('button', { name: 'compact' }).click();
  await page.goto(`${server.url}/agent-view/${main}`);
  const height = async () => (await page.locator('#timeline li').first().boundingBox())?.height;
  await eventually('rows are 26 px', height, (now) => now === 26);
  await command(page, 'rows');
  await eventually('rows are 32 px', height, (now) => now === 32);
  await context.close();
});

test('by keyboard alone: find the session, answer its call, see it end', async () => {
  const { context, complaints } = await signedIn(browser, server);
  const page = await context.newPage();
  await page.goto(`${server.url}/agent-view`);
  await page.getByRole('heading', { name: 'Sessions' }).waitFor();
  await page.keyboard.press('/');
  await page.keyboard.type('stock');
  await page.getByRole('link', { name: /Ask for the stock/u }).waitFor();
  await page.waitForFunction(() => document.querySelectorAll('tbody tr').length === 1);
  await page.keyboard.press('Escape');
  await page.keyboard.press('Enter');
  await page.getByText('The agent waits for you').waitFor();
  await page.keyboard.press('?');
  await page.getByRole('dialog', { name: 'Keyboard shortcuts' }).waitFor();
  await page.keyboard.press('Escape');
  await command(page, 'about');
  await page.getByRole('heading', { name: 'About this server' }).waitFor();
  await page.keyboard.press('g');
  await page.keyboard.press('s');
  await page.getByRole('heading', { name: 'Sessions' }).waitFor();
  assert.deepEqual(complaints, []);
  await context.close();
});
