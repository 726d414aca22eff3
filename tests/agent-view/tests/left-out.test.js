// A server that was built without the page.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { startServer } from '../world.js';

const WITH = process.env.QUARTERDECK_TEST_BINARY;
const WITHOUT = process.env.QUARTERDECK_TEST_BINARY_WITHOUT_VIEW;
// A line of a script, as the binary holds it.
const SCRIPT = 'One session: live and replay';

test('nothing of the page is in the binary, and nothing leads to it', async () => {
  assert.ok(readFileSync(WITH).includes(SCRIPT), 'the usual binary holds the scripts as they are');
  assert.ok(!readFileSync(WITHOUT).includes(SCRIPT));
  const server = await startServer({ binary: WITHOUT });
  for (const path of ['/agent-view', '/agent-view/', '/agent-view/me', '/agent-view/assets/main.js']) {
    assert.equal((await fetch(server.url + path)).status, 404, path);
  }
  const id = await server.session('@answer done');
  await server.until(id, 'completed');
  const { body } = await server.call('GET', `/api/v2/sessions/${id}`);
  assert.equal(body.agent_view_url, null);
  assert.doesNotMatch(server.log(), /agent-view/u);
  await server.remove();
});
