"""The same through the asynchronous client."""

import asyncio

from steps import AGENT, WAIT_S, answers


async def test_a_session_runs_to_its_answer(async_client):
    result = await async_client.run_session(agent=AGENT, messages="@answer 42", timeout_seconds=WAIT_S)
    assert (result.status, result.answer) == ("completed", "42")


async def test_a_stream_yields_every_event_once_and_in_order(async_client):
    session = await async_client.start_session(agent=AGENT, messages="@wait 300ms\n@answer 42")
    streamed = [event async for event in session.stream(limit=2, timeout_seconds=WAIT_S)]
    log = await async_client.sessions.list_session_events(session.id, size=200)
    assert (streamed, log.total) == (log.items, len(streamed))
    assert answers(streamed) == ["42"]


async def test_many_sessions_at_once_each_get_their_own_answer(async_client):
    runs = [
        async_client.run_session(agent=AGENT, messages=f"@wait 100ms\n@answer {number}", timeout_seconds=WAIT_S)
        for number in range(40)
    ]
    assert [result.answer for result in await asyncio.gather(*runs)] == [str(number) for number in range(40)]
