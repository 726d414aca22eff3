// A server of its own for a test, a client that knows its key, and a browser.
import { execFile, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { chromium } from 'playwright-core';

export const KEY = 'hk-agent-view-tests-0000000000000000';
const BINARY = process.env.QUARTERDECK_TEST_BINARY;
const CHROMIUM = process.env.QUARTERDECK_TEST_CHROMIUM ?? '/usr/bin/chromium';

/** Starts the binary and waits until it listens. Its folder outlives a restart. */
export async function startServer({ listen = '127.0.0.1:0', folder = mkdtempSync(join(tmpdir(), 'quarterdeck-view-')), key = KEY, more = [], binary = BINARY } = {}) {
  const settings = ['serve', '--listen', listen, '--data-dir', folder, '--api-key', key, '--max-concurrent-sessions', '10000', '--drain-grace', '0', ...more];
  const process_ = spawn(binary, settings, { stdio: ['ignore', 'pipe', 'pipe'], env: { PATH: process.env.PATH, HOME: folder } });
  let output = '';
  let log = '';
  process_.stderr.on('data', (text) => { log += text; });
  const url = await new Promise((resolve, reject) => {
    process_.stdout.on('data', (text) => {
      output += text;
      const found = output.match(/listening on (http:\S+)/u);
      if (found) resolve(found[1]);
    });
    process_.on('exit', (code) => reject(new Error(`the server ended with ${code}: ${log}`)));
  });
  const ended = new Promise((resolve) => { process_.on('exit', resolve); });
  // A test that fails leaves its server behind: that must neither keep this process alive nor outlive it.
  for (const one of [process_, process_.stdout, process_.stderr]) one.unref();
  process.on('exit', () => process_.kill('SIGKILL'));
  const server = {
    url, folder, key,
    log: () => log + output,
    /** Another command of the binary, beside the server. */
    async run(...words) {
      const { stdout } = await promisify(execFile)(BINARY, [...words, '--data-dir', folder], { env: { PATH: process.env.PATH, HOME: folder } });
      return stdout.trim();
    },
    async stop(signal = 'SIGTERM') { process_.ref(); process_.kill(signal); await ended; },
    async remove() { await server.stop(); rmSync(folder, { recursive: true, force: true }); },
    async call(method, path, body, headers = {}) {
      const response = await fetch(url + path, { method, headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json', ...headers }, body: body === undefined ? undefined : JSON.stringify(body) });
      const text = await response.text();
      return { status: response.status, headers: response.headers, body: text ? JSON.parse(text) : null };
    },
    /** A session whose agent follows the script. */
    async session(script, { task = 'Do it', tools = ['lookup_stock'], subagents = [], environments = [], ...fields } = {}) {
      const agent = { ...agentOf('tester', tools), instructions: `Be brief.\n${script}`, subagents, environments };
      const { status, body } = await server.call('POST', '/api/v2/sessions', { agent, messages: task, ...fields });
      if (status !== 201) throw new Error(JSON.stringify(body));
      return body.id;
    },
    async untilEvents(id, count) {
      await eventually(`${id} has ${count} events`, async () => (await server.call('GET', `/api/v2/sessions/${id}/events?size=1`)).body.total, (total) => total >= count);
    },
    async until(id, wanted) {
      return eventually(`${id} is ${wanted}`, async () => (await server.call('GET', `/api/v2/sessions/${id}/status`)).body, (body) => body.status === wanted);
    },
  };
  return server;
}

/**
 * Looks until what it sees `holds`, and returns that. The bound is for a test that is wrong, not for a machine that is slow.
 */
export async function eventually(what, look, holds, within_ms = 60_000) {
  const end = Date.now() + within_ms;
  for (;;) {
    const seen = await look();
    if (holds(seen)) return seen;
    if (Date.now() > end) throw new Error(`${what}: never; at last it was ${JSON.stringify(seen)}`);
    await new Promise((resolve) => { setTimeout(resolve, 25); });
  }
}

export function agentOf(name, tools = ['lookup_stock'], more = {}) {
  return { name, description: 'Does what it is told.', environments: [], ...more,
    tools: tools.map((tool) => ({ name: tool, description: 'A tool.', input_schema: { type: 'object' } })) };
}

/** What lets a server start browsers of its own, that may look at this machine. */
export const WITH_BROWSER = ['--browser', CHROMIUM, '--allow-private-hosts', '127.0.0.1', '--browsers-max', '2', ...(process.getuid?.() === 0 ? ['--browser-no-sandbox'] : [])];

export const launch = () => chromium.launch({
  executablePath: CHROMIUM,
  // Any other host is as good as away: a request to one would fail, and the test with it.
  args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking', '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost'],
});

/** A browser's context, signed in, that remembers every complaint of its pages. */
export async function signedIn(browser, server, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, ...options });
  const complaints = watch(context, server);
  const response = await context.request.post(`${server.url}/agent-view/sign-in`, { data: { key: server.key }, headers: { 'sec-fetch-site': 'same-origin' } });
  if (response.status() !== 204) throw new Error(await response.text());
  return { context, complaints };
}

/** What a page may not do: throw, break its policy, ask another origin. */
export function watch(context, server) {
  const complaints = [];
  context.on('page', (page) => {
    page.on('pageerror', (error) => complaints.push(`threw ${error.message}`));
    page.on('console', (message) => {
      const text = message.text();
      if (message.type() === 'error' && !/Failed to load resource|ERR_CONNECTION/u.test(text)) complaints.push(text);
    });
    page.on('request', (request) => {
      if (!request.url().startsWith(server.url) && !/^(data|blob|about):/u.test(request.url())) complaints.push(`asked ${request.url()}`);
    });
  });
  return complaints;
}
