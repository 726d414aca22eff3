"""Agents that delegate: what the SDK sees of parents and children, and what kills and cancels do to them."""

import json
import time

import pytest

from steps import TOOL, WAIT_S, answers, assert_dense, kinds, wait_for_status

LEAF = {"name": "leaf", "description": "Looks things up.", "environments": [], "tools": [TOOL]}
MIDDLE = {"name": "middle", "description": "Asks the leaf.", "environments": [], "subagents": [LEAF]}
TOP = {"name": "top", "description": "Asks the middle.", "environments": [], "subagents": [MIDDLE]}
LOOKUP = '@call lookup {"key": "a"}\n@answer 42'
CANCEL_S = 5


@pytest.fixture
def own(new_store, start):
    """A server of the test's own, on the engine under test."""
    return start(new_store())


def test_an_answer_comes_up_through_three_levels(client):
    top, middle, leaf = three_levels(client)
    settle(client, leaf)
    result = client.session(top).wait_for_completion(timeout_seconds=WAIT_S)
    assert (result.status, result.answer) == ("completed", "top is done")
    returned = [event.data.result for event in result.events if kinds([event]) == ["tool_result"]]
    assert returned == [{"session_id": middle, "status": "completed", "answer": "middle is done", "outcome": "success"}]
    session = client.sessions.get_session(leaf)
    assert (session.request.parent_session_id, session.latest_answer) == (middle, "42")


def test_children_work_side_by_side(client):
    tasks = ["@wait 1s\n@answer one", "@wait 1s\n@answer two", "@wait 1s\n@answer three"]
    script = "\n@and ".join([f"delegate {json.dumps({'agent': 'leaf', 'task': task})}" for task in tasks])
    started = time.monotonic()
    result = client.run_session(agent=MIDDLE, messages=f"@call {script}\n@answer all", timeout_seconds=WAIT_S)
    assert (result.status, result.answer) == ("completed", "all")
    assert time.monotonic() - started < 2.5, "one after the other they would take three seconds"
    returned = [event.data.result["answer"] for event in result.events if kinds([event]) == ["tool_result"]]
    assert sorted(returned) == ["one", "three", "two"]


def test_a_childs_failure_is_told_to_its_parent(client):
    script = delegate("leaf", "@fail 401") + "@answer so be it"
    result = client.run_session(agent=MIDDLE, messages=script, timeout_seconds=WAIT_S)
    assert (result.status, result.answer) == ("completed", "so be it")
    [error] = [event.data for event in result.events if kinds([event]) == ["error_event"]]
    assert (error.origin, error.tool_req.tool_name) == ("subagent", "delegate")
    assert "failed" in error.error


def test_a_pause_stops_all_levels_and_a_cancel_ends_them(client):
    top, middle, leaf = three_levels(client)
    client.session(top).pause()
    for below in (middle, leaf):
        wait_for_status(client, below, "paused")
    client.session(top).resume()
    wait_for_status(client, leaf, "awaiting_tool_results")
    client.session(top).cancel()
    for below in (middle, leaf):
        wait_for_status(client, below, "interrupted", wait_s=CANCEL_S)


def test_all_levels_go_on_after_a_kill(own, connect):
    client = connect(own)
    top, middle, leaf = three_levels(client)
    own.kill()
    own.start()
    client = connect(own)
    assert client.sessions.get_session_status(top).subagent_session_ids == [middle]
    settle(client, leaf)
    result = client.session(top).wait_for_completion(timeout_seconds=WAIT_S)
    assert (result.status, answers(result.events)) == ("completed", ["top is done"])
    assert [child.id for child in client.sessions.list_sessions(parent_session_id=top).items] == [middle]
    for session_id in (top, middle, leaf):
        assert_dense(own, session_id)


def test_a_cancel_is_passed_on_although_the_server_is_killed_at_once(own, connect):
    client = connect(own)
    top, middle, leaf = three_levels(client)
    client.session(top).cancel()
    own.kill()
    own.start()
    client = connect(own)
    for below in (middle, leaf):
        wait_for_status(client, below, "interrupted")


def three_levels(client):
    """Their ids; the leaf waits for the result of a call."""
    script = delegate("middle", delegate("leaf", LOOKUP) + "@answer middle is done") + "@answer top is done"
    top = client.start_session(agent=TOP, messages=script).id
    middle = child(client, top)
    leaf = child(client, middle)
    wait_for_status(client, leaf, "awaiting_tool_results")
    return top, middle, leaf


def delegate(agent, task):
    return f"@call delegate {json.dumps({'agent': agent, 'task': task})}\n"


def child(client, session_id):
    """The one child of a session, once it has one."""
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        listed = client.sessions.list_sessions(parent_session_id=session_id).items
        if listed:
            return listed[0].id
    raise AssertionError(f"{session_id} did not delegate")


def settle(client, session_id):
    """Answers the one call that is pending."""
    call = client.sessions.get_session_status(session_id).pending_tool_calls[0]
    tool_req = {"tool_name": call.tool_name, "args": call.args, "id": call.id}
    body = {"kind": "tool_result", "tool_req": tool_req, "result": "A"}
    client.sessions.send_session_tool_results(session_id, request=body)
