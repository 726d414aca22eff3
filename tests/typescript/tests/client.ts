// The generated client, and what the tests do with it.

import assert from "node:assert/strict";
import createClient from "openapi-fetch";
import type { components, paths } from "../generated/api.js";

export type Schemas = components["schemas"];
export type Event = Schemas["Event"];
export type Changes = Schemas["SessionChanges"];

const WAIT_S = 60;

export const AGENT = "h/web-surfer-pro";

function setting(name: string): string {
  const value = process.env[name];
  assert.ok(value, `${name} is not set; cargo xtask test typescript sets it`);
  return value;
}

export const baseUrl = setting("QUARTERDECK_TEST_URL");

export function connect(key: string) {
  return createClient<paths>({ baseUrl, headers: { Authorization: `Bearer ${key}` } });
}

export const client = connect(setting("QUARTERDECK_TEST_KEY"));

/** What the server sent, once it is sure that it refused nothing. */
export async function sent<T>(answer: Promise<{ data?: T; error?: unknown; response: Response }>): Promise<T> {
  const { data, error, response } = await answer;
  assert.equal(error, undefined, `${response.status}: ${JSON.stringify(error)}`);
  assert.ok(data !== undefined, `${response.status} without a body`);
  return data;
}

/** The status of an answer without a body. */
export async function accepted(answer: Promise<{ error?: unknown; response: Response }>): Promise<number> {
  const { error, response } = await answer;
  assert.equal(error, undefined, `${response.status}: ${JSON.stringify(error)}`);
  return response.status;
}

export async function create(messages: string, more: Partial<Schemas["SessionRequest"]> = {}): Promise<string> {
  const session = await sent(client.POST("/api/v2/sessions", { body: { agent: AGENT, messages, ...more } }));
  return session.id;
}

/** Follows a session by long polls until `done`, and gives its whole log. */
export async function follow(id: string, done: (changes: Changes) => boolean): Promise<Followed> {
  const deadline = Date.now() + WAIT_S * 1000;
  const events: Event[] = [];
  while (Date.now() < deadline) {
    const query = { from_index: events.length, wait_for_seconds: 5 };
    const { data, response } = await client.GET("/api/v2/sessions/{id}/changes", { params: { path: { id }, query } });
    assert.ok(response.ok, `${response.status}`);
    if (data) {
      assert.equal(data.first_index, events.length);
      events.push(...data.new_events);
      if (done(data)) {
        return { changes: data, events };
      }
    }
  }
  throw new Error(`session ${id} is not there after ${WAIT_S} s`);
}

export interface Followed {
  changes: Changes;
  events: Event[];
}

export function in_status(...statuses: Schemas["Status"][]): (changes: Changes) => boolean {
  return (changes) => statuses.includes(changes.status);
}
