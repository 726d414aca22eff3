"""Answers with a form and tools that run in the client, through both clients."""

import asyncio

import pydantic
from hai_agents.polling import file_from_path

from either import call, wait_for, whole_log
from steps import AGENT, WAIT_S, kinds


class Price(pydantic.BaseModel):
    currency: str
    amount: float


async def run(client, messages, **options):
    return await call(client.run_session, agent=AGENT, messages=messages, timeout_seconds=WAIT_S, **options)


async def test_an_answer_comes_as_the_model_that_was_asked_for(either):
    result = await run(either, '@answer {"currency": "EUR", "amount": 19}', answer_schema=Price)
    assert result.answer == Price(currency="EUR", amount=19)
    assert result.outcome == "success"


async def test_a_wrong_answer_may_be_corrected(either):
    script = '@answer {"currency": "EUR"}\n@answer {"currency": "EUR", "amount": 19}'
    result = await run(either, script, answer_schema=Price)
    assert result.answer == Price(currency="EUR", amount=19)
    refused = [event.data for event in result.events if getattr(event.data, "validation_errors", None)]
    assert len(refused) == 1 and "amount" in refused[0].validation_errors[0]


async def test_an_answer_that_never_fits_fails_the_session(either):
    result = await run(either, '@times 50\n@answer {"currency": "EUR"}', answer_schema=Price)
    assert (result.status, result.error_code, result.answer) == ("failed", "answer_validation", None)
    assert result.error


async def test_calls_made_at_once_are_all_answered_also_those_that_fail(either):
    asked = []

    def double(number: int) -> int:
        """Doubles a number."""
        asked.append(number)
        return 2 * number

    def broken() -> str:
        """Fails."""
        raise LookupError("no such thing")

    async def later(number: int) -> int:
        """Doubles a number, later."""
        await asyncio.sleep(0)
        return double(number)

    calls = ['@call double {"number": 1}', '@and double {"number": 2}', "@and broken {}", '@and later {"number": 3}']
    script = "\n".join([*calls, "@answer done"])
    result = await run(either, script, tools=[double, broken, later])
    assert (result.status, result.answer, sorted(asked)) == ("completed", "done", [1, 2, 3])
    returned = [event.data.result for event in result.events if getattr(event.data, "kind", None) == "tool_result"]
    failed = [event.data for event in result.events if getattr(event.data, "kind", None) == "error_event"]
    assert sorted(returned) == [2, 4, 6]
    assert [(fault.error, fault.origin) for fault in failed] == [("LookupError: no such thing", "client")]


async def test_tools_are_asked_again_in_each_step(either):
    asked = []

    def count() -> int:
        """Counts its calls."""
        asked.append(len(asked) + 1)
        return asked[-1]

    result = await run(either, "@times 3\n@call count\n@answer done", tools=[count])
    assert (result.answer, asked) == ("done", [1, 2, 3])


async def test_images_and_files_of_a_message_reach_the_log_and_can_be_fetched(either, tmp_path):
    path = tmp_path / "prices.csv"
    path.write_bytes(b"item,price\nbook,19\n")
    pixel = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
    message = {
        "type": "user_message",
        "message": "@answer 42",
        "images": [f"data:image/png;base64,{pixel}"],
        "files": [file_from_path(path)],
    }
    session = await call(either.start_session, agent=AGENT, messages=[message])
    await wait_for(either, session.id, "completed")
    log = await whole_log(either, session.id)
    [said] = [event.data for event in log if getattr(event.data, "kind", None) == "message_event"]
    assert any(getattr(part, "type", None) for part in said.content), "no picture in the message"
    [file] = [event.data for event in log if event.type == "AttachmentEvent"]
    assert (file.name, file.origin, file.size_bytes) == ("prices.csv", "user", path.stat().st_size)
    bucket, _, key = file.url.partition("/resources/")[2].partition("/")
    fetched = await content(either.sessions.get_session_resource(session.id, bucket, key))
    assert fetched == path.read_bytes()
    assert kinds(log).index("AttachmentEvent") < kinds(log).index("answer_event")


async def content(pieces):
    """The bytes of a download of either client."""
    if hasattr(pieces, "__aiter__"):
        return b"".join([piece async for piece in pieces])
    return await asyncio.to_thread(b"".join, pieces)
