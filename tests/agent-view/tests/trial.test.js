// What somebody does who has just started the server: watch a session of 200 steps, find what failed, share it. By what
// the screen says, then by keyboard alone.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { agentOf, eventually, launch, startServer, watch } from '../world.js';

const SHOTS = process.env.QUARTERDECK_TEST_TRIAL_PICTURES;
const TASK = 'Compare 200 prices in all shops';
/** 200 steps: a subagent, a tool of the client's that fails at one of them, and notes. */
const SCRIPT = `@call delegate {"agent": "page-reader", "task": "Read the first shop."}
@times 98
@call memory_set {"key": "price", "value": 19}
@call lookup_stock {"sku": "MX-7"}
@times 99
@call memory_set {"key": "stock", "value": 3}
@answer The MX-7 costs 19 € in the north.`;

let server, browser;
before(async () => { [server, browser] = await Promise.all([startServer(), launch()]); });
after(async () => { await browser?.close(); await server?.remove(); });

/** The agent is in the catalog, as it is for who tries the server with one of their own. */
async function prepare(name) {
  const agent = { ...agentOf(name, ['lookup_stock']), instructions: `Be brief.\n${SCRIPT}`, subagents: [{ ...agentOf('page-reader'), instructions: '@wait 300ms\n@answer 19 €' }], environments: [{ id: 'notes', kind: 'memory', namespace: name }] };
  const { status, body } = await server.call('POST', '/api/v2/agents', agent);
  assert.equal(status, 201, JSON.stringify(body));
}

/** The client's side: its shop does not answer. */
async function failTheTool(id) {
  const { pending_tool_calls: [call] } = await server.until(id, 'awaiting_tool_results');
  await server.call('POST', `/api/v2/sessions/${id}/tool_results`, { kind: 'error_event', error: 'the shop in the north does not answer', origin: 'client', tool_req: call });
}

async function newcomer() {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, permissions: ['clipboard-read', 'clipboard-write'] });
  const complaints = watch(context, server);
  const page = await context.newPage();
  const begun = Date.now();
  let number = 0;
  const stage = async (what, name) => {
    console.log(`measured: ${name}: ${what} after ${((Date.now() - begun) / 1000).toFixed(1)} s`);
    number += 1;
    if (SHOTS) await page.screenshot({ path: `${SHOTS}/${name}-${number}.png` });
  };
  await page.goto(await server.run('view-link', '--listen', new URL(server.url).host));
  return { context, page, complaints, stage };
}

const sharedLink = (text) => { assert.match(text, /\/share\/[0-9a-f]+/u); return text; };

async function strangerSees(link) {
  const stranger = await browser.newContext();
  const theirs = await stranger.newPage();
  await theirs.goto(link);
  await theirs.getByRole('heading', { name: TASK }).waitFor();
  await stranger.close();
}

test('in a browser: start it, watch it, find the failing event, share it', async () => {
  await prepare('comparer');
  const { context, page, complaints, stage } = await newcomer();
  await page.getByText('No sessions yet.').waitFor();
  await stage('signed in', 'pointer');
  await page.getByRole('link', { name: 'New session' }).first().click();
  await page.getByLabel('Agent', { exact: true }).fill('comparer');
  await page.getByLabel('Message', { exact: true }).fill(TASK);
  await stage('the form is filled', 'pointer');
  await page.getByRole('button', { name: /^Start/u }).click();
  await page.getByRole('heading', { name: TASK }).waitFor();
  await page.locator('.live-on').waitFor();
  await stage('watching', 'pointer');
  await failTheTool(page.url().match(/[0-9a-f-]{36}/u)[0]);
  await page.locator('.facts .badge').filter({ hasText: 'Completed' }).waitFor();
  await page.locator('.facts').getByText('Step 200').waitFor();
  await page.getByRole('link', { name: 'page-reader' }).waitFor();
  await stage('it has ended', 'pointer');
  await page.getByLabel(/^Errors only/u).check();
  await page.locator('#timeline').getByText('lookup_stock failed').click();
  await page.locator('.event').getByText('the shop in the north does not answer').waitFor();
  await stage('the failing event is found', 'pointer');
  await page.getByRole('button', { name: 'Share…' }).click();
  const link = sharedLink(await page.getByLabel('Link', { exact: true }).inputValue());
  await stage('it is shared', 'pointer');
  await page.getByRole('dialog').getByRole('button', { name: 'Copy', exact: true }).click();
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), link);
  await strangerSees(link);
  // What is shared is what was looked at.
  assert.match(link, /\?event=\d+/u);
  assert.deepEqual(complaints, []);
  await context.close();
});

test('by keyboard alone: start it, watch it, find the failing event, share it', async () => {
  await prepare('keyed-comparer');
  const { context, page, complaints, stage } = await newcomer();
  const press = async (...keys) => { for (const key of keys) await page.keyboard.press(key); };
  await page.getByRole('heading', { name: 'Sessions' }).waitFor();
  await press('?');
  await page.getByRole('dialog', { name: 'Keyboard shortcuts' }).waitFor();
  await press('Escape', 'n');
  await page.getByRole('heading', { name: 'New session' }).waitFor();
  // The form is ready to be written in.
  await eventually('the message has the focus', () => page.evaluate(() => document.activeElement.id), (id) => id === 'new-message');
  await page.keyboard.type(TASK);
  await press('Shift+Tab', 'Control+a');
  await page.keyboard.type('keyed-comparer');
  await stage('the form is filled', 'keys');
  await press('Control+Enter');
  await page.getByRole('heading', { name: TASK }).waitFor();
  await failTheTool(await eventually('the session has an address', () => page.url().match(/[0-9a-f-]{36}/u)?.[0], Boolean));
  await page.locator('.facts .badge').filter({ hasText: 'Completed' }).waitFor();
  await stage('it has ended', 'keys');
  // Back from the end: the answer, then the error.
  const title = () => page.getByRole('slider', { name: 'Event' }).getAttribute('aria-valuetext');
  for (let tries = 0; tries < 6 && !/lookup_stock failed/u.test(await title()); tries++) {
    const before = await title();
    await press('Shift+ArrowLeft');
    await eventually('it goes back', title, (now) => now !== before);
  }
  await page.locator('.event').getByText('the shop in the north does not answer').waitFor();
  await stage('the failing event is found', 'keys');
  await press('Control+k');
  await page.getByRole('combobox', { name: 'Search and commands' }).waitFor();
  await page.keyboard.type('share');
  await press('Enter');
  const dialog = page.getByRole('dialog', { name: 'Share' });
  await dialog.waitFor();
  // The dialog has the focus, on what is most often wanted.
  await eventually('Copy has the focus', () => page.evaluate(() => document.activeElement.textContent.trim()), (text) => text === 'Copy');
  await press('Enter');
  const link = sharedLink(await eventually('the link is copied', () => page.evaluate(() => navigator.clipboard.readText()), (text) => text.includes('/share/')));
  await stage('it is shared', 'keys');
  await press('Escape');
  await dialog.waitFor({ state: 'detached' });
  await strangerSees(link);
  assert.deepEqual(complaints, []);
  await context.close();
});
