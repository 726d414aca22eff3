"""Conversations, and what is done to a session while it runs, through both clients."""

import time

import pytest
from hai_agents.core.api_error import ApiError

from either import call, events_of, wait_for, whole_log
from steps import AGENT, TOOL, WAIT_S, answers, kinds

SPEC = {"name": "steering", "description": "Has one tool.", "environments": [], "tools": [TOOL]}
EFFECT_S = 2
WAITING = '@call lookup {"key": "a"}\n@answer done'


def lookup(key: str) -> str:
    """Looks a value up."""
    return key.upper()


async def start(client, messages, **options):
    return await call(client.start_session, agent=options.pop("agent", AGENT), messages=messages, **options)


async def settle(session, **options):
    return await call(session.wait_for_completion, timeout_seconds=WAIT_S, **options)


async def test_a_conversation_keeps_what_was_said(either):
    session = await start(either, "@answer one\n@answer two\n@answer three", idle_timeout_s=600)
    turn = await settle(session)
    for turns, answer in enumerate(["one", "two", "three"], 1):
        assert (turn.status, turn.answer) == ("idle", answer), "the script of the first turn is still known"
        if answer != "three":
            await call(session.send_message, f"Not only {answer}.")
            await wait_for_answers(either, session.id, turns + 1)
            turn = await settle(session)
    log = await whole_log(either, session.id)
    assert answers(log) == ["one", "two", "three"]
    assert kinds(log).count("message_event") == 3
    assert (await call(session.get)).latest_answer == "three"
    await call(session.cancel)


async def test_a_conversation_ends_when_nobody_answers(either):
    session = await start(either, "@answer one", idle_timeout_s=1)
    await wait_for(either, session.id, "completed")
    log = await whole_log(either, session.id)
    assert "idle" in [event.data.state for event in log if event.type == "ActiveStateChangeEvent"]
    assert (kinds(log)[-1], log[-1].data.reason) == ("AgentCompletionEvent", "finished")
    assert answers(log) == ["one"]


async def wait_for_answers(client, session_id, number):
    """Follows the log until so many answers are in it."""
    index = found = 0
    while found < number:
        changes = await call(client.sessions.get_session_changes, session_id, from_index=index, wait_for_seconds=20)
        assert changes, "nothing new for 20 s"
        index += len(changes.new_events)
        found += len(answers(changes.new_events))


async def test_a_message_steers_a_run(either):
    session = await start(either, '@wait 300ms\n@call lookup {"key": "a"}\n@answer unsteered', tools=[lookup])
    await wait_for(either, session.id, "running", "awaiting_tool_results")
    await call(session.send_message, "@answer steered")
    result = await settle(session)
    assert (result.status, result.answer) == ("completed", "steered")
    told = kinds(result.events)
    assert told.count("message_event") == 2 and told.count("tool_result") == 1


async def test_a_paused_session_stands_still_until_it_is_resumed(either):
    session = await start(either, "@wait 2s\n@answer 42")
    await wait_for(either, session.id, "running")
    await call(session.pause)
    await wait_for(either, session.id, "paused")
    log = await whole_log(either, session.id)
    still = await call(session.changes, from_index=len(log), wait_for_seconds=3)
    assert still is None, "something happened during the pause"
    await call(session.resume)
    result = await settle(session)
    assert (result.status, result.answer) == ("completed", "42")
    changes = [event.data.status for event in result.events if event.type == "AgentRunStatusChangeEvent"]
    assert changes == ["paused", "running"]


async def test_a_message_ends_a_pause(either):
    session = await start(either, "@wait 10m\n@answer late")
    await wait_for(either, session.id, "running")
    await call(session.pause)
    await wait_for(either, session.id, "paused")
    await call(session.send_message, "@answer now")
    assert (await settle(session)).answer == "now"


async def test_an_answer_can_be_forced_while_results_are_owed(either):
    session = await start(either, '@call lookup {"key": "a"}\n@answer forced', agent=SPEC)
    await wait_for(either, session.id, "awaiting_tool_results")
    await call(session.force_answer)
    result = await settle(session)
    assert (result.status, result.answer) == ("completed", "forced")
    assert "flow_event" in kinds(result.events)
    origins = [event.data.origin for event in result.events if getattr(event.data, "kind", None) == "error_event"]
    assert origins == ["server"]


async def test_a_stream_goes_on_over_idle_turns_to_the_end(either):
    session = await start(either, "@answer one", idle_timeout_s=600)
    streamed = []
    async for event in events_of(session.stream(until="terminal", timeout_seconds=WAIT_S)):
        streamed.append(event)
        match answers([event]):
            case ["one"]:
                await wait_for(either, session.id, "idle")
                await call(session.send_message, "@answer two")
            case ["two"]:
                await wait_for(either, session.id, "idle")
                await call(session.cancel)
    assert answers(streamed) == ["one", "two"]
    assert streamed == await whole_log(either, session.id)
    assert (await call(session.status)).status == "interrupted"


@pytest.mark.parametrize("command, status", [("pause", "paused"), ("cancel", "interrupted")])
async def test_a_command_takes_effect_while_the_model_is_asked(either, command, status):
    session = await start(either, "@wait 10m\n@answer late")
    await wait_for(either, session.id, "running")
    begun = time.monotonic()
    await call(getattr(session, command))
    await wait_for(either, session.id, status, wait_s=5)
    assert time.monotonic() - begun < EFFECT_S, "measure.py says what is usual"


async def reach(client, state):
    """A session in the state."""
    match state:
        case "idle":
            session = await start(client, "@answer one", idle_timeout_s=600)
        case "awaiting_tool_results":
            session = await start(client, WAITING, agent=SPEC)
        case "completed":
            session = await start(client, "@answer one")
        case "failed":
            session = await start(client, "@fail 401")
        case _:
            session = await start(client, "@wait 10m\n@answer late")
            await wait_for(client, session.id, "running")
    if state == "paused":
        await call(session.pause)
    if state == "interrupted":
        await call(session.cancel)
    await wait_for(client, session.id, state)
    return session


@pytest.mark.parametrize("state", ["running", "paused", "idle", "awaiting_tool_results"])
async def test_a_cancel_ends_a_session_in_any_state_for_good(either, state):
    session = await reach(either, state)
    await call(session.cancel)
    await wait_for(either, session.id, "interrupted")
    log = await whole_log(either, session.id)
    assert (kinds(log)[-1], log[-1].data.reason) == ("AgentCompletionEvent", "stopped")
    with pytest.raises(ApiError) as refused:
        await call(session.send_message, "@answer again")
    assert refused.value.status_code == 409
    assert await whole_log(either, session.id) == log


@pytest.mark.parametrize("state", ["completed", "failed", "interrupted"])
async def test_a_cancel_of_what_has_ended_changes_nothing(either, state):
    session = await reach(either, state)
    log = await whole_log(either, session.id)
    await call(session.cancel)
    assert (await call(session.status)).status == state
    assert await whole_log(either, session.id) == log


async def test_a_session_over_its_time_has_to_answer(either):
    session = await start(either, "@wait 2s\n@answer hurried", max_time_s=0.5)
    result = await settle(session)
    assert (result.status, result.answer) == ("completed", "hurried")
    assert kinds(result.events).count("flow_event") == 1


@pytest.mark.parametrize(
    "script, status, code", [("@answer 42", "completed", None), ("@call lookup {}", "failed", "no_answer")]
)
async def test_a_session_out_of_steps_may_only_answer(either, script, status, code):
    script = '@call lookup {"key": "a"}\n' + script + "\n@times 9\n@call lookup {}"
    result = await settle(await start(either, script, tools=[lookup], max_steps=1))
    assert (result.status, result.error_code) == (status, code), result.error
    assert kinds(result.events).count("tool_result") == 1
