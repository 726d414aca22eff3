// The catalogs: what is stored comes back, and unions of environments narrow by their kind.

import assert from "node:assert/strict";
import { test } from "node:test";
import { accepted, client, sent } from "./client.js";
import type { Schemas } from "./client.js";

function place(environment: Schemas["Environment"]): string {
  switch (environment.kind) {
    case "web":
      return environment.start_url ?? "";
    case "mcp":
      return `${environment.servers.length} servers`;
    default:
      return environment.id;
  }
}

test("an agent is changed only by whoever knows its revision", async () => {
  const name = `typed/${crypto.randomUUID()}`;
  const params = { path: { agent_name: name } };
  const body: Schemas["Agent"] = { name, description: "First.", environments: ["h/web-environment"] };
  const made = await client.POST("/api/v2/agents", { body });
  assert.deepEqual([made.response.status, made.response.headers.get("etag")], [201, '"1"']);
  const header = { "If-Match": '"1"' };
  const changed = await sent(
    client.PATCH("/api/v2/agents/{agent_name}", { params: { ...params, header }, body: { description: "Second." } }),
  );
  assert.equal(changed.description, "Second.");
  const stale = await client.DELETE("/api/v2/agents/{agent_name}", { params: { ...params, header } });
  assert.equal(stale.response.status, 412);
  assert.ok(stale.error?.message);
  const query = { agent_name: name, include: "revision" as const };
  const listed = await sent(client.GET("/api/v2/agents", { params: { query } }));
  assert.deepEqual(
    listed.items.map((item) => [item.name, item.revision]),
    [[name, 2]],
  );
  assert.equal(await accepted(client.DELETE("/api/v2/agents/{agent_name}", { params })), 204);
});

test("an environment is told apart by its kind", async () => {
  const id = `typed-${crypto.randomUUID()}`;
  const body: Schemas["Environment"] = { kind: "web", id, start_url: "https://example.com" };
  const made = await sent(client.POST("/api/v2/environments", { body }));
  assert.equal(place(made), "https://example.com");
  const query = { id, kind: "web" as const, sort: ["-created_at" as const] };
  const listed = await sent(client.GET("/api/v2/environments", { params: { query } }));
  assert.deepEqual(listed.items.map(place), ["https://example.com"]);
  await accepted(client.DELETE("/api/v2/environments/{id}", { params: { path: { id } } }));
});

test("a skill comes back as it was sent", async () => {
  const name = `typed-${crypto.randomUUID()}`;
  const body: Schemas["Skill"] = { name, description: "For returns.", body: "Ask.", files: { "a.txt": "aGk=" } };
  await sent(client.POST("/api/v2/skills", { body }));
  const found = await sent(client.GET("/api/v2/skills/{name}", { params: { path: { name } } }));
  assert.deepEqual([found.body, found.files], ["Ask.", { "a.txt": "aGk=" }]);
  await accepted(client.DELETE("/api/v2/skills/{name}", { params: { path: { name } } }));
});
