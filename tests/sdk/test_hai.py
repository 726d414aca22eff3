"""The `hai` command line, as a person or a script runs it."""

import json
import pathlib
import secrets
import subprocess
import sys
import urllib.error
import urllib.request
import uuid

import pytest

from server import API_KEY, clean_environment
from steps import AGENT, WAIT_S, read_all, wait_for_status

HAI = pathlib.Path(sys.executable).with_name("hai")


@pytest.fixture
def hai(server, tmp_path):
    """Runs a command and gives what it printed."""
    home = {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path), "COLUMNS": "200"}
    settings = {"HAI_API_KEY": API_KEY, "HAI_API_BASE_URL": server.base_url}

    def run(*words, code=0):
        environment = {**clean_environment(), **home, **settings}
        command = [HAI, *words]
        done = subprocess.run(
            command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=WAIT_S
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout if code == 0 else done.stdout + done.stderr

    return run


@pytest.fixture
def ended(client):
    """A session that has ended."""
    return client.run_session(agent=AGENT, messages="@answer 42", timeout_seconds=WAIT_S)


def test_run_prints_the_answer(hai):
    shown = hai("run", "--agent", AGENT, "Find the price.")
    assert "completed" in shown
    assert "Find the price." in shown


def test_run_as_json(hai):
    result = json.loads(hai("--json", "run", "--agent", AGENT, "@answer 42"))
    assert (result["status"], result["answer"], result["error"]) == ("completed", "42", None)


def test_run_with_an_override(hai, client):
    result = json.loads(hai("--json", "run", "--agent", AGENT, "--override", "agent.instructions=Be brief.", "Hello."))
    session = client.sessions.get_session(result["session_id"])
    assert session.request.agent.instructions == "Be brief."


def test_list_names_the_newest_session_first(hai, ended):
    assert ended.id in hai("sessions", "list")
    assert json.loads(hai("--json", "sessions", "list"))["items"][0]["id"] == ended.id


def test_get_and_status_agree(hai, ended):
    session = json.loads(hai("sessions", "get", ended.id))
    assert (session["id"], session["latest_answer"]) == (ended.id, "42")
    assert json.loads(hai("--json", "sessions", "status", ended.id)) == session["status"]
    assert "completed" in hai("sessions", "status", ended.id)


def test_events_prints_the_log(hai, client, ended):
    events = json.loads(hai("--json", "sessions", "events", ended.id))
    assert [event["type"] for event in events] == [event.type for event in read_all(client, ended.id)]
    assert json.loads(hai("--json", "sessions", "events", ended.id, "--from-index", "2")) == events[2:]
    assert len(hai("sessions", "events", ended.id).splitlines()) == len(events)


def test_watch_follows_a_session_to_its_end(hai, client):
    session = client.start_session(agent=AGENT, messages="@wait 1s\n@answer 42")
    lines = [json.loads(line) for line in hai("--json", "sessions", "watch", session.id).splitlines()]
    assert [line["type"] for line in lines[:-1]] == [event.type for event in read_all(client, session.id)]
    assert (lines[-1]["status"], lines[-1]["answer"]) == ("completed", "42")


def test_cancel_stops_a_running_session(hai, client):
    session = client.start_session(agent=AGENT, messages="@wait 10m\n@answer late")
    wait_for_status(client, session.id, "running")
    assert json.loads(hai("--json", "sessions", "cancel", "--yes", session.id))["ack"] is True
    wait_for_status(client, session.id, "interrupted")


def test_cancel_of_an_ended_session_does_nothing(hai, ended):
    assert json.loads(hai("--json", "sessions", "cancel", ended.id)) == {
        "ack": False,
        "action": "cancel",
        "status": "completed",
    }


def test_send_opens_another_turn(hai, client):
    session = client.start_session(agent=AGENT, messages="@answer one", idle_timeout_s=600)
    first = session.wait_for_completion(timeout_seconds=WAIT_S)
    hai("sessions", "send", session.id, "@answer two")
    new = session.changes(from_index=first.next_from_index, wait_for_seconds=20)
    assert new.new_events
    session.cancel()


def test_agents_are_listed_and_shown(hai):
    listed = json.loads(hai("--json", "agents", "list", "--size", "100"))
    assert {AGENT, "h/web-surfer-flash"} <= {agent["name"] for agent in listed["items"]}
    assert json.loads(hai("agents", "get", AGENT))["name"] == AGENT


def test_skills_are_listed_and_shown(hai, client):
    name = f"sdk/{secrets.token_hex(6)}"
    client.skills.create_skill(name=name, description="For returns.", body="Steps.")
    assert name in hai("skills", "list", "--search", name)
    assert [skill["name"] for skill in json.loads(hai("--json", "skills", "list", "--search", name))["items"]] == [name]
    assert json.loads(hai("skills", "get", name))["body"] == "Steps."
    client.skills.delete_skill(name)
    assert "API error 404" in hai("skills", "get", name, code=1)


def test_a_shared_session_is_read_without_a_key_until_it_is_unshared(hai, client, ended):
    address = json.loads(hai("--json", "sessions", "share", ended.id))["share_url"]
    assert hai("sessions", "share", ended.id).strip() == address, "sharing twice gives the same link"
    with urllib.request.urlopen(address, timeout=WAIT_S) as response:
        shared = json.load(response)
    assert (shared["id"], shared["latest_answer"]) == (ended.id, "42")
    assert [event["type"] for event in shared["events"]] == [event.type for event in read_all(client, ended.id)]
    hai("sessions", "unshare", ended.id)
    with pytest.raises(urllib.error.HTTPError) as gone:
        urllib.request.urlopen(address, timeout=WAIT_S)
    assert gone.value.code == 404


def test_an_unknown_session_ends_with_an_error(hai):
    assert "API error 404" in hai("sessions", "get", str(uuid.uuid4()), code=1)


def test_the_endpoint_and_the_key_are_found(hai, server):
    found = json.loads(hai("--json", "whoami"))
    assert (found["base_url"], found["authenticated"]) == (server.base_url, True)
