"""Sessions through the SDK: run, stream, list, talk, cancel."""

import json
import time
import urllib.parse

import pydantic
import pytest
from hai_agents.polling import wait_for_session

from steps import AGENT, TOOL, WAIT_S, answers, ask, kinds, raw_events, read_all, texts_of_messages, wait_for_status

LONG = 10_300
PAGE_MAX = 200
CHANGES_MAX = 10_000
BATCH = 900


def test_a_session_runs_to_its_answer(client):
    result = client.run_session(agent=AGENT, messages="Find the price.", timeout_seconds=WAIT_S)
    assert (result.status, result.error, result.error_code) == ("completed", None, None)
    assert "Find the price." in result.answer
    assert kinds(result.events)[0] == "RequestStartEvent"
    assert kinds(result.events)[-1] == "AgentCompletionEvent"
    assert answers(result.events) == [result.answer]
    assert result.next_from_index == len(result.events)


@pytest.mark.parametrize("limit", [None, 1, 3])
def test_a_stream_yields_every_event_once_and_in_order(client, limit):
    session = client.start_session(agent=AGENT, messages="@wait 300ms\n@say Looking.\n@answer 42")
    streamed = list(session.stream(limit=limit, timeout_seconds=WAIT_S))
    assert streamed == read_all(client, session.id)
    assert answers(streamed) == ["42"]
    timestamps = [event.timestamp for event in streamed]
    assert timestamps == sorted(timestamps)


def test_pages_of_events_add_up_to_the_log(client):
    session = client.run_session(agent=AGENT, messages="Hello.", timeout_seconds=WAIT_S)
    pages = [client.sessions.list_session_events(session.id, page=page, size=2) for page in range(1, 20)]
    assert [event for page in pages for event in page.items] == session.events
    assert {page.total for page in pages} == {len(session.events)}
    backwards = client.sessions.list_session_events(session.id, size=200, sort="-timestamp").items
    assert backwards[0] == session.events[-1]


def test_both_ends_of_a_very_long_log_are_told_alike_in_every_way(server, client):
    session = client.start_session(agent=AGENT, messages="@answer 0", idle_timeout_s=600)
    said = talk_at_length(server, client, session.id)
    log = raw_events(server, session.id)[1]
    assert len(log) == CHANGES_MAX, "more is to be asked for again"
    log += raw_events(server, session.id, CHANGES_MAX)[1]
    assert texts_of_messages(log) == said
    for index in (0, 1, CHANGES_MAX - 1, CHANGES_MAX, len(log) - 50, len(log) - 1, len(log)):
        assert raw_events(server, session.id, index) == (index, log[index:][:CHANGES_MAX])
        assert raw_events(server, session.id, index, limit=3) == (index, log[index:][:3])
    last = -(-len(log) // PAGE_MAX)
    for page in (1, 2, last - 1, last, last + 1):
        part = slice(PAGE_MAX * (page - 1), PAGE_MAX * page)
        assert page_of(server, session.id, page=page, sort="timestamp") == (log[part], len(log))
        assert page_of(server, session.id, page=page, sort="-timestamp") == (log[::-1][part], len(log))
    session.cancel()


def talk_at_length(server, client, session_id):
    """Says much at once until the log is long; gives all that was said."""
    said, deadline = ["@answer 0"], time.monotonic() + 2 * WAIT_S
    while len(said) < LONG:
        texts = [f"Message {number}." for number in range(len(said), len(said) + BATCH)]
        body = {"type": "batch", "messages": [{"message": text} for text in texts]}
        status, _, text = ask(server, "POST", f"/api/v2/sessions/{session_id}/messages", body)
        assert status == 202, text
        said += texts
        while client.sessions.get_session_status(session_id).status != "idle":
            assert time.monotonic() < deadline, f"{len(said)} messages are too many"
    return said


def page_of(server, session_id, **query):
    """The events on a page, and how many there are in all."""
    path = f"/api/v2/sessions/{session_id}/events?size={PAGE_MAX}&{urllib.parse.urlencode(query)}"
    found = json.loads(ask(server, "GET", path)[2])
    return found["items"], found["total"]


def test_a_stream_can_begin_in_the_middle(client):
    session = client.run_session(agent=AGENT, messages="Hello.", timeout_seconds=WAIT_S)
    rest = client.session(session.id).stream(from_index=3, timeout_seconds=WAIT_S)
    assert list(rest) == session.events[3:]


def test_a_session_reads_back(client):
    result = client.run_session(agent=AGENT, messages="Read me back.", max_steps=7, timeout_seconds=WAIT_S)
    session = client.sessions.get_session(result.id)
    assert (session.id, session.status.status, session.latest_answer) == (result.id, "completed", result.answer)
    assert (session.request.agent.name, session.request.max_steps) == (AGENT, 7)
    assert session.created_at <= session.started_at <= session.finished_at
    status = client.sessions.get_session_status(result.id)
    assert (status.status, status.steps, status.pending_tool_calls) == ("completed", 1, [])


def test_sessions_are_listed_newest_first(client):
    group = "listing"
    ran = [
        client.run_session(agent=AGENT, messages=f"Task {n}.", group_id=group, timeout_seconds=WAIT_S) for n in range(3)
    ]
    found = client.sessions.list_sessions(group_id=group)
    assert found.total == 3
    assert [item.id for item in found.items] == [session.id for session in reversed(ran)]
    assert {(item.agent, item.status) for item in found.items} == {(AGENT, "completed")}
    assert found.items[0].first_message.message == "Task 2."
    page = client.sessions.list_sessions(group_id=group, page=2, size=2, sort="created_at")
    assert [item.id for item in page.items] == [ran[2].id]
    assert client.sessions.list_sessions(group_id=group, status="failed").total == 0


def test_the_quota_names_what_is_left(client):
    quota = client.sessions.get_session_quota()
    assert quota.available == quota.limit - quota.active > 0


def test_a_conversation_goes_on_after_each_answer(client):
    session = client.start_session(agent=AGENT, messages="@answer one", idle_timeout_s=600)
    first = session.wait_for_completion(timeout_seconds=WAIT_S)
    assert (first.status, first.answer) == ("idle", "one")
    session.send_message("@answer two")
    second = wait_for_session(client, session.id, from_index=first.next_from_index, timeout_seconds=WAIT_S)
    assert (second.status, second.answer) == ("idle", "two")
    log = read_all(client, session.id)
    assert (answers(log), log) == (["one", "two"], first.events + second.events)
    session.cancel()
    wait_for_status(client, session.id, "interrupted")


def test_a_cancelled_session_is_interrupted_and_stays_so(client):
    session = client.start_session(agent=AGENT, messages="@wait 10m\n@answer late")
    wait_for_status(client, session.id, "running")
    session.cancel()
    wait_for_status(client, session.id, "interrupted")
    log = read_all(client, session.id)
    assert (kinds(log)[-1], log[-1].data.reason) == ("AgentCompletionEvent", "stopped")
    session.cancel()
    assert read_all(client, session.id) == log


def test_a_failing_model_fails_the_session_with_a_code(client):
    result = client.run_session(agent=AGENT, messages="@fail 401", timeout_seconds=WAIT_S)
    assert (result.status, result.error_code) == ("failed", "internal")
    assert result.error


class Price(pydantic.BaseModel):
    currency: str
    amount: float


def test_an_answer_takes_the_form_that_was_asked_for(client):
    script = '@answer {"currency": "EUR", "amount": 19}'
    result = client.run_session(agent=AGENT, messages=script, answer_schema=Price, timeout_seconds=WAIT_S)
    assert result.answer == Price(currency="EUR", amount=19)


def test_custom_tools_run_here_and_their_results_reach_the_log(client):
    asked = []

    def lookup(key: str) -> str:
        """Looks a value up."""
        asked.append(key)
        return key.upper()

    script = '@call lookup {"key": "a"}\n@and lookup {"key": "b"}\n@call lookup {"key": "c"}\n@answer done'
    result = client.run_session(agent=AGENT, messages=script, tools=[lookup], timeout_seconds=WAIT_S)
    assert (result.status, result.answer, sorted(asked)) == ("completed", "done", ["a", "b", "c"])
    results = [event.data.result for event in result.events if getattr(event.data, "kind", None) == "tool_result"]
    assert sorted(results) == ["A", "B", "C"]


def test_an_inline_agent_needs_no_catalog(client):
    agent = {"name": "inline", "description": "Has one tool.", "environments": [], "tools": [TOOL]}
    result = client.run_session(agent=agent, messages="@answer inline", timeout_seconds=WAIT_S)
    assert (result.status, result.answer) == ("completed", "inline")
