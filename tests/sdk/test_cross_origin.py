"""A page at another origin lives through a session in a real browser."""

import http.server
import json
import os
import queue
import shutil
import signal
import subprocess
import threading

import pytest

from server import API_KEY

BROWSERS = ["chromium-headless-shell", "chromium", "google-chrome"]
OPTIONS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
PAGE = """<!doctype html><script type="module">
const [base, key] = BASE_AND_KEY;
const headers = {
  Authorization: `Bearer ${key}`, "Content-Type": "application/json", "Idempotency-Key": crypto.randomUUID(),
  "X-HCompany-Client-Name": "page", "X-HCompany-Client-Version": "1",
};
const told = {};
async function call(name, method, path, body, more = {}) {
  const answer = await fetch(new URL(path, base), {method, headers: {...headers, ...more}, body: body && JSON.stringify(body)});
  const text = await answer.text();
  told[name] = [answer.status, Boolean(answer.headers.get("x-request-id")), text ? JSON.parse(text).message ?? "" : ""];
  return [answer, text && JSON.parse(text)];
}
async function until(session, status) {
  for (let from = 0;;) {
    const [, now] = await call("status", "GET", `${session}/status`);
    if (now.status === status) return now;
    const [, changes] = await call("changes", "GET", `${session}/changes?from_index=${from}&wait_for_seconds=5`);
    if (changes) from += changes.new_events.length;
  }
}
try {
  const tool = {name: "lookup", description: "d", input_schema: {type: "object"}};
  const agent = {name: "page", description: "d", environments: [], tools: [tool]};
  const file = {type: "base64", source: btoa("hi"), name: "hi.txt"};
  const message = {type: "user_message", message: "@call lookup {}\\n@answer 42", files: [file]};
  const [, made] = await call("create", "POST", "/api/v2/sessions", {agent, messages: [message], idle_timeout_s: 600});
  const session = `/api/v2/sessions/${made.id}`;
  const pending = (await until(session, "awaiting_tool_results")).pending_tool_calls[0];
  await call("pause", "POST", `${session}/pause`);
  await call("resume", "POST", `${session}/resume`);
  await call("results", "POST", `${session}/tool_results`, {kind: "tool_result", tool_req: pending, result: 1});
  await until(session, "idle");
  await call("message", "POST", `${session}/messages`, {type: "user_message", message: "@answer 43"});
  await until(session, "idle");
  const [, log] = await call("events", "GET", `${session}/events?type=AttachmentEvent`);
  const attachment = new URL(log.items[0].data.url);
  told.file = await (await fetch(attachment, {headers: {Authorization: headers.Authorization}})).text();
  await call("feedback", "POST", `${session}/feedback`, {success: true});
  await call("list", "GET", "/api/v2/sessions");
  const name = `page/${crypto.randomUUID()}`;
  await call("made", "POST", "/api/v2/agents", {...agent, name});
  await call("put", "PUT", `/api/v2/agents/${name}`, {...agent, name, description: "e"}, {"If-Match": '"1"'});
  await call("patch", "PATCH", `/api/v2/agents/${name}`, {description: "f"});
  told.etag = (await fetch(new URL(`/api/v2/agents/${name}`, base), {headers})).headers.get("etag");
  await call("stale", "DELETE", `/api/v2/agents/${name}`, undefined, {"If-Match": '"1"'});
  await call("cancel", "DELETE", session);
  await call("missing", "GET", "/api/v2/agents/nowhere");
  await call("wrong", "POST", "/api/v2/sessions", {});
  await call("stranger", "GET", "/api/v2/sessions", undefined, {Authorization: "Bearer no"});
  await fetch(new URL("/metrics", base)).then(() => (told.metrics = "read"), () => (told.metrics = "kept"));
} catch (error) {
  told.error = `${error}`;
}
await fetch("/told", {method: "POST", body: JSON.stringify(told)});
</script>"""


@pytest.fixture
def page(server):
    """The address of the page at an origin of its own, and what it tells."""
    told = queue.Queue()
    text = PAGE.replace("BASE_AND_KEY", json.dumps([server.base_url, API_KEY])).encode()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.answer(text)

        def do_POST(self):
            told.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.answer(b"")

        def answer(self, body):
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    site = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=site.serve_forever, daemon=True).start()
    yield f"http://localhost:{site.server_port}/", told
    site.shutdown()


def test_a_page_at_another_origin_lives_through_a_session(page, tmp_path):
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if not program:
        pytest.skip("no Chromium on this machine")
    address, told = page
    command = [program, *OPTIONS, f"--user-data-dir={tmp_path}", "--remote-debugging-port=0", address]
    # In a group of its own: the program may be a script that starts the browser, and ends without it.
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    browser = subprocess.Popen(command, start_new_session=True, **quiet)
    try:
        said = told.get(timeout=60)
    finally:
        os.killpg(browser.pid, signal.SIGKILL)
        browser.wait(30)
    assert "error" not in said, said
    statuses = {name: answer[0] for name, answer in said.items() if isinstance(answer, list)}
    del statuses["status"], statuses["changes"]
    assert statuses == {
        "create": 201,
        "pause": 202,
        "resume": 202,
        "results": 202,
        "message": 202,
        "events": 200,
        "feedback": 204,
        "list": 200,
        "made": 201,
        "put": 200,
        "patch": 200,
        "stale": 412,
        "cancel": 204,
        "missing": 404,
        "wrong": 422,
        "stranger": 401,
    }
    assert all(answer[1] for answer in said.values() if isinstance(answer, list)), "each request's id can be read"
    assert all(said[name][2] for name in ("stale", "missing", "wrong", "stranger")), "errors can be read"
    assert (said["file"], said["etag"], said["metrics"]) == ("hi", '"3"', "kept")
