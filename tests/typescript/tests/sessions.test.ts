// A session from its creation to its end, as a client in TypeScript sees it.

import assert from "node:assert/strict";
import { test } from "node:test";
import { AGENT, accepted, baseUrl, client, connect, create, follow, in_status, sent } from "./client.js";
import type { Event, Schemas } from "./client.js";

const LOOKUP: Schemas["ToolDefinition"] = {
  name: "lookup",
  description: "Looks a value up.",
  input_schema: { type: "object", properties: { key: { type: "string" } } },
};

/** In a word what happened. It compiles only when the unions narrow by their tags. */
function told(event: Event): string {
  switch (event.type) {
    case "AgentCompletionEvent":
      return `completion ${event.data.reason}`;
    case "ActiveStateChangeEvent":
      return `active ${event.data.state}`;
    case "AgentRunStatusChangeEvent":
      return `run ${event.data.status}`;
    case "AgentErrorEvent":
      return `error ${event.data.error}`;
    case "AgentEvent":
      return done(event.data);
    default:
      return event.type;
  }
}

function done(event: Schemas["AgentEvent"]): string {
  switch (event.kind) {
    case "message_event":
      return `message ${event.content.join(" ")}`;
    case "policy_event":
      return `policy ${event.tool_reqs.map((call) => call.tool_name).join(" ")}`;
    case "answer_event":
      return `answer ${typeof event.answer === "string" ? event.answer : JSON.stringify(event.answer)}`;
    case "tool_result":
      return `result ${String(event.result)}`;
    case "error_event":
      return `fault ${event.error} of ${event.origin}`;
    case "flow_event":
      return `flow ${event.flow}`;
    case "observation_event":
      return `observation ${event.type}`;
    default: {
      const unknown: never = event;
      return unknown;
    }
  }
}

test("a session runs to its answer", async () => {
  const id = await create("@answer 42");
  const { changes, events } = await follow(id, in_status("completed"));
  assert.equal(changes.answer, "42");
  assert.equal(changes.outcome, "success");
  const story = events.map(told);
  assert.equal(story[0], "RequestStartEvent");
  assert.ok(story.includes("answer 42"));
  assert.equal(story.at(-1), "completion finished");
  assert.deepEqual(events.map((event) => event.timestamp).toSorted(), events.map((event) => event.timestamp));

  const session = await sent(client.GET("/api/v2/sessions/{id}", { params: { path: { id } } }));
  assert.equal(session.latest_answer, "42");
  assert.match(session.agent_view_url ?? "", new RegExp(`/agent-view/${session.id}$`));
  assert.ok(typeof session.request.agent === "object");
  assert.equal(session.request.agent.name, AGENT);
  assert.ok(session.finished_at !== null && session.created_at <= session.finished_at);

  const status = await sent(client.GET("/api/v2/sessions/{id}/status", { params: { path: { id } } }));
  assert.deepEqual([status.status, status.steps, status.pending_tool_calls], ["completed", 1, []]);
});

test("pages of events add up to the log", async () => {
  const id = await create("@answer 42");
  const { events } = await follow(id, in_status("completed"));
  const paged: Event[] = [];
  for (let page = 1; paged.length < events.length; page += 1) {
    const query = { page, size: 2, sort: ["timestamp" as const] };
    const found = await sent(client.GET("/api/v2/sessions/{id}/events", { params: { path: { id }, query } }));
    assert.equal(found.total, events.length);
    assert.ok(found.items.length > 0);
    paged.push(...found.items);
  }
  assert.deepEqual(paged, events);
});

test("a message steers a session that runs", async () => {
  const id = await create("@wait 10m\n@answer late");
  const params = { path: { id } };
  await follow(id, in_status("running"));
  await accepted(client.POST("/api/v2/sessions/{id}/pause", { params }));
  await follow(id, in_status("paused"));
  const body: Schemas["MessagesBody"] = { type: "user_message", message: "@answer steered" };
  assert.equal(await accepted(client.POST("/api/v2/sessions/{id}/messages", { params, body })), 202);
  const { changes, events } = await follow(id, in_status("completed"));
  assert.equal(changes.answer, "steered");
  assert.ok(events.map(told).includes("message @answer steered"));
});

test("several messages are sent at once, and a conversation goes on", async () => {
  const id = await create("@answer one", { idle_timeout_s: 600 });
  const params = { path: { id } };
  const first = await follow(id, in_status("idle"));
  assert.equal(first.changes.answer, "one");
  const messages: Schemas["UserMessage"][] = [
    { type: "user_message", message: "Once more." },
    { type: "user_message", message: "@answer two" },
  ];
  const body: Schemas["MessagesBody"] = { type: "batch", messages };
  await accepted(client.POST("/api/v2/sessions/{id}/messages", { params, body }));
  const second = await follow(id, (changes) => changes.status === "idle" && changes.answer === "two");
  assert.deepEqual(second.events.slice(0, first.events.length), first.events);
  assert.equal(await accepted(client.DELETE("/api/v2/sessions/{id}", { params })), 204);
  await follow(id, in_status("interrupted"));
});

test("calls of custom tools are answered here", async () => {
  const agent: Schemas["Agent"] = { name: "typed", description: "Has a tool.", environments: [], tools: [LOOKUP] };
  const script = '@call lookup {"key": "a"}\n@and lookup {"key": "b"}\n@answer done';
  const id = await create(script, { agent });
  const waiting = await follow(id, in_status("awaiting_tool_results"));
  const [one, two] = waiting.changes.pending_tool_calls;
  assert.ok(one && two);
  assert.deepEqual([one.tool_name, one.args, two.args], ["lookup", { key: "a" }, { key: "b" }]);
  const params = { path: { id } };
  const body: Schemas["ToolResultsBody"] = {
    type: "batch",
    results: [
      { kind: "tool_result", tool_req: one, result: "A" },
      { kind: "error_event", tool_req: two, error: "no such key", origin: "client" },
    ],
  };
  assert.equal(await accepted(client.POST("/api/v2/sessions/{id}/tool_results", { params, body })), 202);
  const { changes, events } = await follow(id, in_status("completed"));
  assert.equal(changes.answer, "done");
  const story = events.map(told);
  assert.ok(story.includes("policy lookup lookup"));
  assert.ok(story.includes("result A"));
  assert.ok(story.includes("fault no such key of client"));
});

test("an answer takes the form that was asked for", async () => {
  const answer_format = { type: "object", properties: { amount: { type: "number" } }, required: ["amount"] };
  const known = { name: "typed", description: "Prices.", environments: [], tools: [LOOKUP] };
  const agent: Schemas["Agent"] = { ...known, answer_format };
  const id = await create('@answer {"amount": 19}', { agent });
  const { changes } = await follow(id, in_status("completed"));
  assert.deepEqual(changes.answer, { amount: 19 });
});

test("a failure says its code", async () => {
  const id = await create("@fail 401");
  const { changes } = await follow(id, in_status("failed"));
  assert.equal(changes.error_code, "internal");
  assert.ok(changes.error);
});

test("each wrong field is named, in a body that has a type", async () => {
  const wrong = { agent: AGENT, max_steps: 0, idle_timeout_s: 0 };
  const { data, error, response } = await client.POST("/api/v2/sessions", { body: wrong });
  assert.deepEqual([data, response.status], [undefined, 422]);
  assert.ok(error);
  assert.deepEqual(
    error.detail.map((fault) => fault.loc),
    [
      ["body", "max_steps"],
      ["body", "idle_timeout_s"],
    ],
  );
  assert.ok(error.detail.every((fault) => fault.type && fault.msg === fault.message));
  assert.ok(error.message.includes("max_steps"));
});

test("a key that does not work, and what is not there, are told", async () => {
  const stranger = connect(`hk-${"1".repeat(64)}`);
  const refused = await stranger.GET("/api/v2/sessions");
  assert.equal(refused.response.status, 401);
  assert.ok(refused.error?.message);
  const id = crypto.randomUUID();
  const missing = await client.GET("/api/v2/sessions/{id}", { params: { path: { id } } });
  assert.equal(missing.response.status, 404);
  assert.equal(missing.error?.detail[0]?.type, "not_found");
});

test("sessions are listed by filters and pages", async () => {
  const group_id = crypto.randomUUID();
  const ids = [];
  for (const number of [1, 2, 3]) {
    const id = await create(`@answer ${number}`, { group_id });
    await follow(id, in_status("completed"));
    ids.push(id);
  }
  const query = { group_id, status: ["completed" as const, "failed" as const], sort: ["created_at" as const], size: 2 };
  const first = await sent(client.GET("/api/v2/sessions", { params: { query } }));
  const second = await sent(client.GET("/api/v2/sessions", { params: { query: { ...query, page: 2 } } }));
  assert.deepEqual([first.total, second.total], [3, 3]);
  assert.deepEqual(
    [...first.items, ...second.items].map((item) => item.id),
    ids,
  );
  assert.equal(first.items[0]?.first_message?.message, "@answer 1");
});

test("the same key creates the same session", async () => {
  const header = { "Idempotency-Key": crypto.randomUUID() };
  const body = { agent: AGENT, messages: "@answer once" };
  const one = await sent(client.POST("/api/v2/sessions", { params: { header }, body }));
  const two = await sent(client.POST("/api/v2/sessions", { params: { header }, body }));
  assert.deepEqual(one, two);
});

test("a shared session is read by its link without a key", async () => {
  const id = await create("@answer 42");
  const params = { path: { id } };
  const { events } = await follow(id, in_status("completed"));
  const { share_url } = await sent(client.POST("/api/v2/sessions/{id}/share", { params }));
  const read = await fetch(new URL(share_url, baseUrl));
  const shared = (await read.json()) as Schemas["SharedTrajectory"];
  assert.deepEqual([shared.id, shared.events], [id, events]);
  assert.equal(await accepted(client.DELETE("/api/v2/sessions/{id}/share", { params })), 204);
  assert.equal((await fetch(new URL(share_url, baseUrl))).status, 404);
});
