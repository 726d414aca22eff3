"""Finding sessions, creating them once, and saying what one thinks of them, through both clients."""

import datetime
import secrets
import uuid

import pytest
from hai_agents.core.api_error import ApiError
from hai_agents.errors import UnprocessableEntityError

from either import call
from steps import AGENT, WAIT_S


@pytest.fixture
def group():
    """A label nobody else uses."""
    return f"group-{secrets.token_hex(6)}"


async def run(client, messages, **options):
    options = {"agent": AGENT, **options}
    return await call(client.run_session, messages=messages, timeout_seconds=WAIT_S, **options)


async def found(client, **filters):
    """The ids that the filters let through, oldest first."""
    listed = await call(client.sessions.list_sessions, sort="created_at", size=100, **filters)
    assert listed.total == len(listed.items)
    return [item.id for item in listed.items]


async def test_sessions_are_found_by_what_is_known_of_them(either, group):
    begun = datetime.datetime.now(datetime.timezone.utc)
    good = (await run(either, "Red apples.\n@answer Ripe plums.", group_id=group)).id
    bad = (await run(either, "Green apples.\n@fail 401", group_id=group, agent="h/web-surfer-flash")).id
    child = (await run(either, "Pears.\n@answer Ripe.", group_id=group, parent_session_id=good)).id
    later = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=1)
    cases = [
        ({}, [good, bad, child]),
        ({"search": "APPLES"}, [good, bad]),
        ({"search": "ripe"}, [good, child]),
        ({"search": "no such words"}, []),
        ({"status": "failed"}, [bad]),
        ({"status": ["failed", "completed"]}, [good, bad, child]),
        ({"status": "running"}, []),
        ({"agent": "h/web-surfer-flash"}, [bad]),
        ({"parent_session_id": good}, [child]),
        ({"parent_session_id": str(uuid.uuid4())}, []),
        ({"created_after": begun, "finished_before": later}, [good, bad, child]),
        ({"created_before": begun}, []),
        ({"finished_after": later}, []),
        ({"owner": "me"}, [good, bad, child]),
        ({"owner": "organization"}, [good, bad, child]),
        ({"owner": "me-or-organization"}, [good, bad, child]),
        ({"owner": "me-in-organization"}, [good, bad, child]),
        ({"schedule_id": str(uuid.uuid4())}, []),
    ]
    for filters, expected in cases:
        assert await found(either, group_id=group, **filters) == expected, filters


async def test_the_same_key_creates_a_session_once(either, group):
    key = secrets.token_hex(16)
    request = {"agent": AGENT, "messages": "@answer once", "group_id": group}
    one = await call(either.sessions.create_session, **request, idempotency_key=key)
    two = await call(either.sessions.create_session, **request, idempotency_key=key)
    assert one == two
    assert await found(either, group_id=group) == [one.id]
    with pytest.raises(UnprocessableEntityError) as refused:
        await call(either.sessions.create_session, **{**request, "messages": "@answer other"}, idempotency_key=key)
    assert refused.value.body.detail[0].loc == ["header", "Idempotency-Key"]


async def test_feedback_needs_something_to_be_about(either):
    session = await run(either, "@answer 42")
    events = len(session.events)
    await call(either.sessions.submit_session_feedback, session.id, success=False, message="Too short.")
    await call(either.sessions.submit_event_feedback, session.id, events - 1, success=True)
    for missing in [(str(uuid.uuid4()), 0), (session.id, events)]:
        with pytest.raises(ApiError) as refused:
            await call(either.sessions.submit_event_feedback, *missing, success=True)
        assert refused.value.status_code == 404
    assert (await call(either.sessions.list_session_events, session.id, size=200)).total == events
