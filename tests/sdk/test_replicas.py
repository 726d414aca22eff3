"""Two servers on one Postgres."""

import json

import pytest

from steps import AGENT, WAIT_S, answers, assert_dense, read_all, readable, wait_for_status, wait_on

# A lost notification costs one slow poll; a waiter that only ever times out would take 20 s.
WAKE_S = 5


@pytest.fixture
def pair(new_database, start):
    database_url = new_database()
    return start(database_url), start(database_url)


def test_a_waiter_is_woken_by_a_commit_on_the_other_server(pair, connect):
    here, there = map(connect, pair)
    session = here.start_session(agent=AGENT, messages="@answer one", idle_timeout_s=600)
    first = session.wait_for_completion(timeout_seconds=WAIT_S)
    with_waiter = wait_on(pair[0], session.id, first.next_from_index)
    here.sessions.get_session_status(session.id)  # the waiter's request came before this one
    assert not readable(with_waiter, 0.3), "the waiter was answered although nothing had happened"
    there.session(session.id).send_message("@answer two")
    assert readable(with_waiter, WAKE_S), f"not woken within {WAKE_S} s"
    response = with_waiter.getresponse()
    body = json.load(response)
    assert (response.status, body["first_index"]) == (200, first.next_from_index)
    assert body["new_events"]
    here.session(session.id).cancel()


def test_both_servers_tell_the_same_story(pair, connect):
    here, there = map(connect, pair)
    session = here.start_session(agent=AGENT, messages="@wait 500ms\n@answer 42")
    streamed = list(there.session(session.id).stream(timeout_seconds=WAIT_S))
    assert answers(streamed) == ["42"]
    assert streamed == read_all(here, session.id) == read_all(there, session.id)
    assert assert_dense(pair[0], session.id) == assert_dense(pair[1], session.id)


def test_sessions_of_a_killed_server_are_finished_by_the_other(pair, connect):
    here, there = map(connect, pair)
    sessions = [here.start_session(agent=AGENT, messages=f"@wait 3s\n@answer {number}") for number in range(4)]
    for session in sessions:
        wait_for_status(here, session.id, "running")
    pair[0].kill()
    for number, session in enumerate(sessions):
        result = there.session(session.id).wait_for_completion(timeout_seconds=2 * WAIT_S)
        assert (result.status, result.answer) == ("completed", str(number))
        assert_dense(pair[1], session.id)
