// How it looks: accessible, in light and dark, wide and narrow; and the pictures of the documentation.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { after, before, test } from 'node:test';
import { agentOf, launch, signedIn, startServer } from '../world.js';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const RUN_AXE = `axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] })
  .then((found) => found.violations.map((one) => one.id + ': ' + one.nodes.slice(0, 3).map((node) => node.html.slice(0, 160)).join(' | ')))`;
const PICTURES = process.env.QUARTERDECK_TEST_PICTURES;

let server, browser, main, failed;
before(async () => {
  [server, browser] = await Promise.all([startServer(), launch()]);
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
@answer North has it for 19 €, which is the cheapest.`, { task: 'Find the price of the MX-7 and tell me which shop is cheapest', group_id: 'nightly', subagents: [{ ...agentOf('page-reader'), instructions: '@wait 300ms\n@answer 19 €' }] });
  await server.until(main, 'awaiting_tool_results');
});
after(async () => { await browser?.close(); await server?.remove(); });

/** Every page, and what it shows once it has everything. */
const pages = () => [
  ['sessions', '/agent-view', 'tbody tr'], ['session', `/agent-view/${main}?event=8`, '#timeline li.at'], ['log', `/agent-view/${main}?view=log`, '.log article'],
  ['failed', `/agent-view/${failed}`, '.failure'], ['new', `/agent-view/new?from=${main}`, 'details[open]'], ['agents', '/agent-view/agents', '.catalog td'],
  ['agent', '/agent-view/agents/h/web-surfer-pro', 'textarea.code'], ['about', '/agent-view/about', '.about dd:last-of-type:not(:text-is("…"))'], ['compare', `/agent-view/${main}/compare/${failed}`, '.compare'],
];

for (const colorScheme of ['light', 'dark']) {
  for (const width of [1440, 390, 320]) {
    test(`accessible and without sideways scrolling: ${colorScheme}, ${width} px`, async () => {
      const { context, complaints } = await signedIn(browser, server, { colorScheme, viewport: { width, height: width > 1000 ? 900 : 844 }, bypassCSP: false });
      for (const [name, path, whole] of pages()) {
        const page = await context.newPage();
        await page.goto(server.url + path);
        await page.locator('main h1').first().waitFor();
        await page.locator(whole).first().waitFor();
        const session = await context.newCDPSession(page);
        // Past the page's policy, as a debugger is.
        await session.send('Runtime.evaluate', { expression: AXE });
        const { result } = await session.send('Runtime.evaluate', { awaitPromise: true, returnByValue: true,
          expression: RUN_AXE });
        assert.deepEqual(result.value, [], name);
        assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), `${name} scrolls sideways`);
        if (PICTURES && (width !== 320) && ['sessions', 'session', 'new', 'failed'].includes(name)) {
          const wide = width > 1000 ? 'wide' : 'narrow';
          await page.screenshot({ path: `${PICTURES}/${name}-${colorScheme}-${wide}.png` });
        }
        await page.close();
      }
      assert.deepEqual(complaints, []);
      await context.close();
    });
  }
}

test('by keyboard alone: find the session, answer its call, see it end', async () => {
  const { context, complaints } = await signedIn(browser, server);
  const page = await context.newPage();
  await page.goto(`${server.url}/agent-view`);
  await page.getByRole('heading', { name: 'Sessions' }).waitFor();
  await page.keyboard.press('/');
  await page.keyboard.type('MX-7');
  await page.getByRole('link', { name: /Find the price/u }).waitFor();
  await page.waitForFunction(() => document.querySelectorAll('tbody tr').length === 1);
  await page.keyboard.press('Escape');
  await page.keyboard.press('Enter');
  await page.getByText('The agent waits for you').waitFor();
  await page.keyboard.press('?');
  await page.getByRole('dialog', { name: 'Keyboard shortcuts' }).waitFor();
  await page.keyboard.press('Escape');
  await page.keyboard.press('Control+k');
  await page.keyboard.type('about');
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'About this server' }).waitFor();
  await page.keyboard.press('g');
  await page.keyboard.press('s');
  await page.getByRole('heading', { name: 'Sessions' }).waitFor();
  assert.deepEqual(complaints, []);
  await context.close();
});
