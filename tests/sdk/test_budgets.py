"""What one caller can make the server do ends: with its budget, with its session, with the server. And what is secret is
not in the database's file."""

import json
import signal
import time
import urllib.request

import pytest

from server import API_KEY
from steps import AGENT, TOOL, wait_for_status

BACK_AND_FORTH = r"^(?:(a|aa)+\1c|a+bc)$"


@pytest.fixture
def own(new_store, start):
    """A server of the test's own, on the engine under test."""
    return start(new_store())


def ask(server, method, path, body=None):
    """Status and JSON of a plain request."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"Authorization": f"Bearer {API_KEY}", "Content-Type": "application/json"}
    request = urllib.request.Request(f"{server.base_url}{path}", data, headers, method=method)
    with urllib.request.urlopen(request, timeout=30) as answer:
        text = answer.read()
        return answer.status, json.loads(text) if text.startswith((b"{", b"[")) else text


def test_answers_that_take_too_much_work_keep_neither_the_server_nor_its_end(own, connect):
    spec = {"name": "checked", "description": "Answers a list.", "environments": [], "tools": [TOOL]}
    spec["answer_format"] = {"items": {"pattern": BACK_AND_FORTH}}
    answer = json.dumps(["a" * 60] * 2_000)
    client = connect(own)
    sessions = [client.start_session(agent=spec, messages=f"@answer {answer}") for _ in range(8)]
    began = time.monotonic()
    assert ask(own, "GET", "/healthz")[0] == 200
    assert time.monotonic() - began < 5
    for session in sessions[:4]:
        session.cancel()
    began = time.monotonic()
    own.stop()
    assert time.monotonic() - began < 20
    assert "stopped" in own.read_log()


def test_a_second_signal_ends_the_server_at_once(new_store, start, connect):
    server = start(new_store(), ["--drain-grace", "60"])
    session = connect(server).start_session(agent=AGENT, messages="@wait 50s\n@answer late")
    wait_for_status(connect(server), session.id, "running")
    server.process.send_signal(signal.SIGTERM)
    time.sleep(0.5)
    assert server.process.poll() is None, "it drains"
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(5) == 1


def test_secrets_are_not_in_the_databases_file(start):
    server = start()
    environment = {"kind": "code", "id": "sealed", "env": {"TOKEN": "CANARY-5517"}}
    assert ask(server, "POST", "/api/v2/environments", environment)[0] == 201
    agent = {"name": "sealed", "description": "Has a secret.", "environments": [environment]}
    status, session = ask(server, "POST", "/api/v2/sessions", {"agent": agent, "messages": "hi"})
    assert status == 201
    server.stop()
    files = [path for path in server.data_dir.iterdir() if path.is_file()]
    assert any(path.name == "secret.key" for path in files)
    assert not [path for path in files if b"CANARY-5517" in path.read_bytes()]
    server.start()
    status, stored = ask(server, "GET", "/api/v2/environments/sealed")
    assert (status, stored["env"]) == (200, {"TOKEN": "***"})
    assert ask(server, "GET", f"/api/v2/sessions/{session['id']}")[0] == 200
