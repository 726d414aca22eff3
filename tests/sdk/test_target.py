"""The server in front of a test suite, from outside: how it starts and ends, what goes wrong on purpose, what a crash leaves,
and sessions as recordings."""

import base64
import importlib.metadata
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

import hai_agents
import pytest

from server import binary, clean_environment

READY_S = 30
CANARY = "CANARY-in-a-header-71c2"
KEY = "sk-canary0123456789abcdef"
AGENT = {"name": "shopper", "description": "Finds prices.", "environments": [], "tools": [{"name": "ask", "description": "Asks."}]}


class Target:
    """A server in test mode, told about by the line that it prints."""

    def __init__(self, folder, *options):
        self.folder, self.options, self.key = folder, options, None
        self.start()

    def start(self):
        command = [binary(), "serve", "--test", "--listen", "127.0.0.1:0", "--data-dir", str(self.folder / "data"), "--browser", "none"]
        command += ["--until-stdin-closes", "--ready-json", "--lease", "1", *self.options]
        log = open(self.folder / "log.txt", "ab")
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, env=clean_environment(), cwd=self.folder
        )
        line = self.process.stdout.readline()
        assert line, (self.folder / "log.txt").read_text()
        self.ready = json.loads(line)
        self.key = self.ready["api_key"] or self.key
        self.url, self.test_url = self.ready["url"], self.ready["test_url"]

    def ask(self, method, path, body=None, key=None, headers=None):
        """The status, the headers and the body."""
        url = path if path.startswith("http") else (self.test_url + path if not path.startswith("/api") else self.url + path)
        data = body.encode() if isinstance(body, str) else None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {key or self.key}", "Content-Type": "application/json", **(headers or {})}
        request = urllib.request.Request(url, data=data, method=method, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as refused:
            return refused.code, refused.headers, refused.read()

    def call(self, method, path, body=None, key=None):
        status, _, text = self.ask(method, path, body, key)
        assert 200 <= status < 300, text
        return json.loads(text) if text else None

    def create(self, message, agent=AGENT, key=None, **more):
        return self.call("POST", "/api/v2/sessions", {"agent": agent, "messages": message, **more}, key)["id"]

    def status_of(self, session, statuses=("completed", "failed", "timed_out", "interrupted"), key=None):
        since = 0
        for _ in range(20):
            path = f"/api/v2/sessions/{session}/changes?from_index={since}&wait_for_seconds=5"
            status, _, text = self.ask("GET", path, key=key)
            if status == 204:
                continue
            changes = json.loads(text)
            since += len(changes["new_events"])
            if changes["status"] in statuses:
                return changes["status"]
        pytest.fail(f"{session} is none of {statuses}")

    def stop(self):
        self.process.stdin.close()
        assert self.process.wait(20) == 0, (self.folder / "log.txt").read_text()


@pytest.fixture(scope="module")
def target(tmp_path_factory):
    target = Target(tmp_path_factory.mktemp("target"), "--seed", "5")
    yield target
    target.stop()


@pytest.fixture
def world(target):
    made = target.call("POST", "/worlds", {"seed": 1})
    yield made["api_key"]
    target.call("DELETE", f"/worlds/{made['id']}")


def gone_within(pid, seconds):
    """Whether a process that is no child of ours ends in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            state = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except FileNotFoundError:
            return True
        if state == "Z":
            return True
        time.sleep(0.01)
    return False


def test_the_line_and_the_file_say_the_same(tmp_path):
    target = Target(tmp_path, "--ready-file", str(tmp_path / "ready.json"))
    assert json.loads((tmp_path / "ready.json").read_text()) == target.ready
    assert os.stat(tmp_path / "ready.json").st_mode & 0o777 == 0o600
    assert target.ready["pid"] == target.process.pid and target.ready["test_url"] == target.url + "/_test/v1"
    assert target.call("GET", "/clock")["frozen"] is False
    target.stop()


def test_the_server_ends_with_a_parent_that_is_killed(tmp_path):
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, binary(), str(tmp_path)], stdout=subprocess.PIPE, env=clean_environment(), text=True
    )
    pid = json.loads(parent.stdout.readline())["pid"]
    parent.send_signal(signal.SIGKILL)
    parent.wait(10)
    assert gone_within(pid, 10)


PARENT = """
import subprocess, sys
server = subprocess.Popen([sys.argv[1], "serve", "--test", "--listen", "127.0.0.1:0", "--data-dir", sys.argv[2] + "/data",
    "--browser", "none", "--until-stdin-closes", "--ready-json"], stdin=subprocess.PIPE)
server.wait()
"""


def test_other_machines_are_kept_out_unless_somebody_says_so(tmp_path):
    command = [binary(), "serve", "--test", "--listen", "0.0.0.0:0", "--data-dir", str(tmp_path / "data"), "--browser", "none"]
    refused = subprocess.run(command, capture_output=True, text=True, env=clean_environment(), timeout=READY_S)
    assert refused.returncode == 2 and "listen on 127.0.0.1, or say --test-on-network too" in refused.stderr
    server = subprocess.Popen(
        [*command, "--test-on-network", "--ready-json", "--until-stdin-closes"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, env=clean_environment(),
    )
    assert json.loads(server.stdout.readline())["test_url"]
    server.stdin.close()
    assert server.wait(20) == 0


def test_without_test_mode_there_is_nothing(server, client):
    for method, path in [("GET", "/_test/v1/clock"), ("POST", "/_test/v1/crash"), ("GET", "/_test/v1/openapi.yaml"), ("POST", "/_test/v1/worlds")]:
        request = urllib.request.Request(server.base_url + path, method=method, headers={"Authorization": "Bearer hk-" + "5d" * 32})
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(request, timeout=30)
        assert refused.value.code == 404
    assert client.sessions.list_sessions(size=1) is not None, "it is still there"


def test_a_key_is_needed_and_no_cookie_counts(target):
    for headers in ({"Authorization": ""}, {"Authorization": "", "Cookie": "quarterdeck=1"}):
        assert target.ask("GET", "/clock", headers=headers)[0] == 401


def test_the_world_of_another_key_is_not_there(target, world):
    session = target.create("@answer 1", key=world)
    assert target.ask("GET", f"/recordings/{session}")[0] == 404
    assert target.ask("GET", f"/recordings/{session}", key=world)[0] == 200


def test_a_dripping_answer_arrives_whole_and_late(target, world):
    target.call("POST", "/faults", {"on": "list_sessions", "times": 1, "drip": "200 bytes/s"}, key=world)
    begun = time.monotonic()
    status, _, text = target.ask("GET", "/api/v2/sessions", key=world)
    assert status == 200 and json.loads(text)["total"] == 0
    assert time.monotonic() - begun >= len(text) / 200 - 1
    assert target.call("GET", "/faults", key=world)["faults"][0]["applied"] == 1


def test_a_held_answer_was_made_before(target, world):
    session = target.create("@wait 1h\n@answer late", key=world)
    target.call("POST", "/faults", {"on": "get_session_status", "times": 1, "hold": "500ms"}, key=world)
    held = {}
    thread = threading.Thread(target=lambda: held.update(answer=target.call("GET", f"/api/v2/sessions/{session}/status", key=world)))
    thread.start()
    target.call("GET", "/journal/wait?operation=create_session&count=1&for=1", key=world)
    while target.call("GET", "/faults", key=world)["faults"][0]["applied"] == 0:
        time.sleep(0.005)
    target.ask("DELETE", f"/api/v2/sessions/{session}", key=world)
    thread.join(20)
    assert held["answer"]["status"] in ("running", "pending"), "what is held is what was true when it was asked for"


def test_a_message_whose_answer_was_lost_is_in_the_log_once(target, world):
    session = target.create("@answer 1", key=world, idle_timeout_s=600)
    target.status_of(session, ("idle",), key=world)
    target.call("POST", "/faults", {"on": "send_session_messages", "times": 1, "lost": True}, key=world)
    with pytest.raises(OSError):
        target.ask("POST", f"/api/v2/sessions/{session}/messages", {"type": "user_message", "message": "Once."}, key=world)
    target.status_of(session, ("idle",), key=world)
    events = target.call("GET", f"/api/v2/sessions/{session}/events?size=100", key=world)["items"]
    said = [event["data"]["content"] for event in events if event["data"].get("kind") == "message_event"]
    assert said == [["@answer 1"], ["Once."]]


def test_sessions_end_in_order_at_their_times_and_pollers_hear_of_it(target):
    target.call("POST", "/reset", {})
    timeouts = [600 - 7 * number for number in range(40)]
    sessions = {target.create("@answer 1", idle_timeout_s=timeout): timeout for timeout in timeouts}
    for session in sessions:
        target.status_of(session, ("idle",))
    polled = []
    poll = lambda session: polled.append(target.status_of(session, ("completed",)))
    pollers = [threading.Thread(target=poll, args=[session]) for session in list(sessions)[:5]]
    for poller in pollers:
        poller.start()
    fired = target.call("POST", "/clock", {"advance": "10m", "all": True})["fired"]
    for poller in pollers:
        poller.join(20)
    assert polled == ["completed"] * 5
    assert [move["session"] for move in fired] == sorted(sessions, key=sessions.get), "in order, and each once"
    for move in fired[:3]:
        read = target.call("GET", f"/api/v2/sessions/{move['session']}")
        assert read["finished_at"] == move["at"]


def test_twenty_servers_start_at_once(tmp_path):
    targets = []

    def start(number):
        folder = tmp_path / str(number)
        folder.mkdir()
        targets.append(Target(folder))

    threads = [threading.Thread(target=start, args=[number]) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len({target.url for target in targets}) == 20
    for target in targets:
        target.process.stdin.close()
    for target in targets:
        assert target.process.wait(20) == 0


def test_chance_is_drawn_from_the_seed(target):
    runs = []
    for _ in range(2):
        target.call("POST", "/reset", {})
        target.call("POST", "/faults", {"on": "list_sessions", "chance": 0.5, "status": 503})
        runs.append([target.ask("GET", "/api/v2/sessions")[0] for _ in range(24)])
    target.call("POST", "/reset", {})
    assert runs[0] == runs[1] and set(runs[0]) == {200, 503}


def test_a_reset_takes_attached_files_too(target, world):
    file = {"type": "base64", "source": base64.b64encode(b"hello").decode(), "name": "a.txt"}
    session = target.create([{"type": "user_message", "message": "@answer read", "files": [file]}], key=world)
    target.status_of(session, key=world)
    kept = lambda: [path for path in (target.folder / "data").rglob("*.txt") if session in str(path)]
    assert kept()
    assert target.call("POST", "/reset", {}, key=world) == {"sessions": 1}
    assert not kept()
    assert target.ask("GET", f"/api/v2/sessions/{session}", key=world)[0] == 404


def test_worlds_and_time_are_there_after_a_crash(tmp_path):
    target = Target(tmp_path, "--clock", "frozen@2026-01-01T00:00:00Z", "--seed", "3")
    world = target.call("POST", "/worlds", {"scenarios": "quarterdeck: 1\nscenarios: [{name: slow, script: [{wait: 2h, answer: At last.}]}]"})
    session = target.create("go", key=world["api_key"])
    target.call("GET", "/journal/wait?operation=create_session", key=world["api_key"])
    target.call("POST", "/clock", {"advance": "1h", "all": True})
    with pytest.raises(OSError):
        target.ask("POST", "/crash", {})
    assert target.process.wait(10) == 86
    target.start()
    assert target.call("GET", "/clock")["now"] == "2026-01-01T01:00:00Z"
    target.call("POST", "/clock", {"advance": "3h", "all": True})
    assert target.status_of(session, key=world["api_key"]) == "completed"
    assert target.call("GET", "/scenarios", key=world["api_key"])["scenarios"] == [], "what was sent by API is sent again"
    assert target.create("go again") != session, "ids go on, they do not begin anew"
    target.stop()


def run_twice(tmp_path, name):
    logs = []
    for run in "ab":
        (tmp_path / (name + run)).mkdir()
        target = Target(tmp_path / (name + run), "--clock", "frozen@2026-01-01T00:00:00Z", "--seed", "9")
        log = []
        for message in ["@think hm\n@call look\n@result look 3\n@answer 1", "@fail 500\n@answer 2", "@wait 1h\n@answer 3"]:
            session = target.create(message)
            target.call("POST", "/clock", {"advance": "2h"})
            target.status_of(session)
            log.append(target.ask("GET", f"/api/v2/sessions/{session}/events?size=100")[2])
        target.stop()
        logs.append(b"\n".join(log).replace(target.url.encode(), b""))
    return logs


def test_the_same_requests_give_the_same_bytes(tmp_path):
    one, other = run_twice(tmp_path, "run")
    assert one == other and b"2026-01-01T02:00:00" in one


def snippets():
    """Of the SDK's own page, as it is installed."""
    page = importlib.metadata.metadata("hai-agents").get_payload() or importlib.metadata.metadata("hai-agents")["Description"]
    found = {}
    for section in re.split(r"^## ", page, flags=re.MULTILINE)[1:]:
        title = section.splitlines()[0]
        code = re.findall(r"^```python\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
        found[title] = code
    return found


RUN_AS_PRINTED = [
    ["Quickstart"], ["How a session works"], ["Watch and steer a running session"], ["Multi-turn sessions"],
    ["Structured output"], ["Custom tools"], ["Async"], ["How a session works", "Inspect and share sessions"],
]


@pytest.mark.parametrize("titles", RUN_AS_PRINTED, ids=lambda titles: titles[-1])
def test_the_snippets_of_the_sdk_run_unchanged(target, monkeypatch, titles):
    made = target.call("POST", "/worlds", {"scenarios": pathlib.Path(__file__).with_name("snippets.scenario.yaml").read_text()})
    monkeypatch.setenv("HAI_API_KEY", made["api_key"])
    # Where the server is is the one thing that no variable says.
    real = {name: getattr(hai_agents, name) for name in ("Client", "AsyncClient")}
    for name, client in real.items():
        monkeypatch.setattr(hai_agents, name, lambda client=client, **more: client(**{"base_url": target.url, **more}))
    names = {"client": hai_agents.Client()}
    if "Watch" in titles[0]:
        names["session"] = names["client"].start_session(agent="h/web-surfer-pro", messages="Take your time.")
    for title in titles:
        for code in snippets()[title]:
            if "@tool(" in code or "imap" in code:
                continue  # the one defines and runs nothing, the other reads a mailbox
            exec(compile(code.replace("<session-id>", getattr(names.get("session"), "id", "")), title, "exec"), names)
    result = names.get("second") or names.get("result")
    if result and "Watch" not in titles[-1]:
        assert result.status in ("completed", "idle"), result
    if titles[-1] == "Custom tools":
        assert result.answer == "Sunny in Paris: a hat."
    if titles[-1] == "Structured output":
        assert [job.title for job in result.answer.jobs] == ["Engineer", "Researcher", "Lead"]
    if "share" in titles[-1]:
        with urllib.request.urlopen(urllib.parse.urljoin(target.url, names["link"].share_url), timeout=30) as page:
            assert page.status == 200
    target.call("DELETE", f"/worlds/{made['id']}")


class Model:
    """An endpoint that looks once, adds twice, and answers; it says the key that it should have kept."""

    def __init__(self):
        import http.server

        model = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
                body = json.dumps(model.reply(asked)).encode()
                self.send_response(200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"
        self.held = threading.Event()
        self.held.set()

    def reply(self, asked):
        self.held.wait(20)
        results = sum(1 for message in asked["messages"] if message["role"] == "tool")
        call = lambda name, arguments: {"id": f"c{results}", "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}
        message = {"role": "assistant", "content": f"I was told {KEY}."}
        if results == 0:
            message["tool_calls"] = [call("sums_add", {"a": 2, "b": 40})]
        elif results == 1:
            message["tool_calls"] = [call("sums_secret", {})]
        else:
            message["tool_calls"] = [call("answer", {"answer": "42", "outcome": "success"})]
        usage = {"prompt_tokens": 10 + results, "completion_tokens": 3, "total_tokens": 13 + results}
        return {"id": "r", "object": "chat.completion", "created": 0, "model": asked["model"], "usage": usage,
                "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}]}


def test_a_session_with_a_model_tools_and_pictures_is_recorded_and_played(tmp_path):
    model = Model()
    tools = pathlib.Path(__file__).with_name("mcp_server.py")
    options = ["--model-base-url", model.url, "--model", "m", "--mcp-allow-variables", "TOKEN"]
    options += ["--mcp-allow-command", f"sums={sys.executable} {tools} stdio"]
    target = Target(tmp_path, *options)
    server = {"name": "sums", "transport": "stdio", "command": "sums", "env": {"TOKEN": CANARY}}
    agent = {"name": "adder", "description": "Adds.", "environments": [{"kind": "mcp", "id": "sums", "servers": [server]}]}
    pixel = base64.b64encode(bytes.fromhex("89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c6364f8cf500f000386018"
                                           "05a34 7d6b0000000049454e44ae426082".replace(" ", ""))).decode()
    first = {"type": "user_message", "message": "Add 2 and 40", "images": [f"data:image/png;base64,{pixel}"]}
    model.held.clear()
    session = target.create([first], agent=agent, idle_timeout_s=600)
    target.ask("POST", f"/api/v2/sessions/{session}/pause")
    target.ask("POST", f"/api/v2/sessions/{session}/resume")
    model.held.set()
    target.status_of(session, ("idle", "failed"))
    target.call("POST", f"/api/v2/sessions/{session}/messages", {"type": "user_message", "message": "And again?"})
    target.status_of(session, ("running", "idle", "pending"))
    target.status_of(session, ("idle", "failed"))
    exported = target.call("GET", f"/recordings/{session}?mask=And")
    text = json.dumps(exported)
    events = [event["data"] for event in exported["events"] if event["type"] == "AgentEvent"]
    assert [event["result"] for event in events if event["kind"] == "tool_result"][0] in ("42", 42, [{"type": "text", "text": "42"}]), events
    assert pixel in text, "pictures are in the file"
    for secret in (CANARY, KEY, "And again"):
        assert secret not in text, secret
    assert target.call("POST", "/recordings/verify", exported)["same"] is True
    # Beside the running server, from its store; and what it wrote is played by a command.
    command = [binary(), "scenario", "export", session, "--data-dir", str(tmp_path / "data"), "--output", str(tmp_path / "s.recording.json")]
    subprocess.run(command, check=True, env=clean_environment(), timeout=60, cwd=tmp_path)
    assert CANARY not in (tmp_path / "s.recording.json").read_text()
    verify = [binary(), "scenario", "verify", str(tmp_path / "s.recording.json")]
    done = subprocess.run(verify, capture_output=True, text=True, env=clean_environment(), timeout=60, cwd=tmp_path)
    assert done.returncode == 0 and done.stdout.startswith("the same, but for ids and times"), done
    target.stop()
    # On a server without the model and without the tools.
    (tmp_path / "other").mkdir()
    other = Target(tmp_path / "other", "--scenarios", str(tmp_path / "s.recording.json"))
    again = other.create("Add 2 and 40", agent=agent, idle_timeout_s=600)
    other.status_of(again, ("idle",))
    assert other.call("GET", f"/api/v2/sessions/{again}")["latest_answer"] == "42"
    other.stop()


def test_a_file_that_is_no_recording_is_one_clear_error(tmp_path):
    for text, told in [
        ('{"quarterdeck_recording": 1, "id": "a", "request"', "line 1, column 49: this is no JSON: EOF while parsing"),
        ('{"quarterdeck_recording": 9}', "the recording is of version 9, and version 1 is read here: take a newer quarterdeck"),
        ('{"quarterdeck_recording": 1, "id": "a", "request": {}, "events": [{"type": "X"}]}', "events[0]: "),
    ]:
        file = tmp_path / "a.recording.json"
        file.write_text(text)
        for command in ("verify", "check"):
            done = subprocess.run([binary(), "scenario", command, str(file)], capture_output=True, text=True, env=clean_environment(), timeout=60)
            assert done.returncode == 1 and told in done.stderr and str(file) in done.stderr, done
