"""The synchronous and the asynchronous client, called alike."""

import asyncio
import inspect


async def call(method, *arguments, **options):
    """Calls a method of either client without holding up the loop."""
    if inspect.iscoroutinefunction(inspect.unwrap(method)):
        return await method(*arguments, **options)
    found = await asyncio.to_thread(method, *arguments, **options)
    return await found if inspect.isawaitable(found) else found


async def events_of(stream):
    """Goes through the events of a stream of either client."""
    if hasattr(stream, "__aiter__"):
        async for event in stream:
            yield event
        return
    events = iter(stream)
    while (event := await asyncio.to_thread(next, events, None)) is not None:
        yield event


async def wait_for(client, session_id, *statuses, wait_s=60):
    """Follows the log of a session until it has one of the statuses."""
    index, deadline = 0, asyncio.get_running_loop().time() + wait_s
    while True:
        current = (await call(client.sessions.get_session_status, session_id)).status
        if current in statuses:
            return current
        assert asyncio.get_running_loop().time() < deadline, f"{session_id} is {current}, not {statuses}"
        changes = await call(client.sessions.get_session_changes, session_id, from_index=index, wait_for_seconds=2)
        index += len(changes.new_events) if changes else 0


async def whole_log(client, session_id):
    """All events of a session, in order."""
    changes = await call(client.sessions.get_session_changes, session_id, from_index=0)
    return changes.new_events if changes else []
