"""A server that is killed, or stopped, and started again on the same store."""

import pytest

from steps import AGENT, TOOL, WAIT_S, answers, assert_dense, kinds, raw_events, readable, wait_for_status, wait_on

SCRIPT = '@say Looking it up.\n@call lookup {"key": "a"}\n@wait 3s\n@answer 42'
SPEC = {"name": "recovery", "description": "Has one tool.", "environments": [], "tools": [TOOL]}


@pytest.fixture
def own(new_store, start):
    """A server of the test's own, on the engine under test."""
    return start(new_store())


def test_a_run_goes_on_after_a_kill(own, connect):
    client = connect(own)
    session = client.start_session(agent=SPEC, messages=SCRIPT)
    wait_for_status(client, session.id, "awaiting_tool_results")
    settle(client, session.id)
    wait_for_status(client, session.id, "running")
    _, before = raw_events(own, session.id)
    own.kill()
    own.start()
    result = connect(own).session(session.id).wait_for_completion(timeout_seconds=WAIT_S)
    assert (result.status, result.answer, answers(result.events)) == ("completed", "42", ["42"])
    assert kinds(result.events).count("tool_result") == 1
    log = assert_dense(own, session.id)
    assert log[: len(before)] == before, "the kill changed what had been read"


def test_an_acknowledged_session_survives_a_kill_at_once(own, connect):
    session = connect(own).start_session(agent=AGENT, messages="@wait 200ms\n@answer 42")
    own.kill()
    own.start()
    result = connect(own).session(session.id).wait_for_completion(timeout_seconds=WAIT_S)
    assert (result.status, result.answer) == ("completed", "42")
    assert_dense(own, session.id)


def test_an_acknowledged_message_survives_a_kill_at_once(own, connect):
    session = connect(own).start_session(agent=AGENT, messages="@answer one", idle_timeout_s=600)
    first = session.wait_for_completion(timeout_seconds=WAIT_S)
    session.send_message("@answer two")
    own.kill()
    own.start()
    again = connect(own).session(session.id)
    streamed = []
    for event in again.stream(from_index=first.next_from_index, until="terminal", timeout_seconds=WAIT_S):
        streamed.append(event)
        if answers(streamed):
            break
    assert answers(streamed) == ["two"]
    assert kinds(streamed).count("message_event") == 1
    again.cancel()


def test_a_stopped_server_leaves_running_sessions_to_its_next_start(own, connect):
    session = connect(own).start_session(agent=AGENT, messages="@wait 30s\n@answer late\n@answer later")
    wait_for_status(connect(own), session.id, "running")
    own.stop()
    own.start()
    client = connect(own)
    wait_for_status(client, session.id, "running")
    client.session(session.id).cancel()
    wait_for_status(client, session.id, "interrupted")
    assert_dense(own, session.id)


def test_a_waiter_is_answered_when_the_server_stops(own, connect):
    client = connect(own)
    session = client.start_session(agent=AGENT, messages="@answer one", idle_timeout_s=600)
    first = session.wait_for_completion(timeout_seconds=WAIT_S)
    waiter = wait_on(own, session.id, first.next_from_index)
    session.status()  # the waiter's request came before this one
    own.stop()
    assert readable(waiter, 1)
    assert waiter.getresponse().status in (200, 204)
    own.start()
    assert connect(own).sessions.get_session_status(session.id).status == "idle"


def settle(client, session_id):
    """Answers the one call that is pending."""
    call = client.sessions.get_session_status(session_id).pending_tool_calls[0]
    tool_req = {"tool_name": call.tool_name, "args": call.args, "id": call.id}
    body = {"kind": "tool_result", "tool_req": tool_req, "result": "A"}
    client.sessions.send_session_tool_results(session_id, request=body)
