"""Every method of the SDK's clients is called once, through both clients. The list is the SDK's own."""

import inspect
import secrets
import uuid

import pytest
from hai_agents.core.api_error import ApiError
from hai_agents.environments import CreateEnvironmentRequest_Web, UpdateEnvironmentRequestBody_Web
from hai_agents.sessions import SendSessionMessagesRequestBody_UserMessage
from hai_agents.types import (
    CronTiming,
    OnePasswordConfig,
    SessionRequest,
    ToolRequest,
    ToolResultEvent,
)

from either import call, wait_for
from steps import AGENT, TOOL
from test_tools import content

SPEC = {"name": "methods", "description": "Has one tool.", "environments": [], "tools": [TOOL]}
ID = str(uuid.uuid4())
SERVED = ["sessions", "agents", "environments", "skills", "quota"]
NOT_SERVED = {
    "webhooks": 404,
    "schedules": 404,
    "vaults": 404,
    "browser_profiles": 404,
    "session_files": 404,
}


def methods(client, group):
    """The names of the methods of one of the SDK's clients."""
    own = getattr(client, group)
    other = ("with_raw_response", "close", "aclose")
    public = (name for name in dir(own) if not name.startswith("_") and name not in other)
    return {name for name in public if inspect.isroutine(getattr(own, name))}


def groups(client):
    """The SDK's clients that make up a client."""
    names = (name for name in dir(client) if not name.startswith("_"))
    return {name for name in names if type(getattr(client, name)).__name__.endswith("Client")}


class Caller:
    """Calls methods of one of the SDK's clients, and remembers which."""

    def __init__(self, client, group):
        self.target = getattr(client, group)
        self.called = set()

    async def __call__(self, method, *arguments, **options):
        self.called.add(method)
        return await call(getattr(self.target, method), *arguments, **options)


def test_every_client_of_the_sdk_is_known(client):
    assert groups(client) == {*SERVED, *NOT_SERVED}


async def test_every_method_of_sessions(either):
    do = Caller(either, "sessions")
    messages = '@call lookup {"key": "a"}\n@answer 42'
    file = {"type": "base64", "source": "aGk=", "name": "hi.txt"}
    message = {"type": "user_message", "message": messages, "files": [file]}
    session = await do("create_session", agent=SPEC, messages=[message], idle_timeout_s=600)
    await wait_for(either, session.id, "awaiting_tool_results")
    await do("pause_session", session.id)
    await do("resume_session", session.id)
    await wait_for(either, session.id, "awaiting_tool_results")
    [pending] = (await do("get_session_status", session.id)).pending_tool_calls
    asked = ToolRequest(tool_name=pending.tool_name, args=pending.args, id=pending.id)
    await do("send_session_tool_results", session.id, request=ToolResultEvent(tool_req=asked, result="A"))
    await wait_for(either, session.id, "idle")
    said = SendSessionMessagesRequestBody_UserMessage(message="Thanks.")
    await do("send_session_messages", session.id, request=said)
    await wait_for(either, session.id, "idle")
    await do("force_session_answer", session.id)
    changes = await do("get_session_changes", session.id, from_index=0)
    events = (await do("list_session_events", session.id, size=200)).items
    assert events[: len(changes.new_events)] == changes.new_events
    await do("submit_session_feedback", session.id, success=True, message="Good.")
    await do("submit_event_feedback", session.id, 0, success=False)
    [attachment] = [event.data for event in events if event.type == "AttachmentEvent"]
    bucket, _, key = attachment.url.partition("/resources/")[2].partition("/")
    do.called.add("get_session_resource")
    assert await content(either.sessions.get_session_resource(session.id, bucket, key)) == b"hi"
    assert (await do("share_session", session.id)).share_url.startswith("/share/")
    await do("unshare_session", session.id)
    await do("cancel_session", session.id)
    await wait_for(either, session.id, "interrupted")
    assert (await do("get_session", session.id)).id == session.id
    assert session.id in [item.id for item in (await do("list_sessions", status="interrupted", size=100)).items]
    assert (await do("get_session_quota")).limit > 0
    assert do.called == methods(either, "sessions")


async def test_every_method_of_agents(either):
    do, name = Caller(either, "agents"), f"sdk/{secrets.token_hex(6)}"
    whole = {"name": name, "environments": ["h/web-environment"]}
    await do("create_agent", **whole, description="First.")
    await do("update_agent", name, **whole, description="Second.")
    await do("patch_agent", name, description="Third.")
    assert (await do("get_agent", name)).description == "Third."
    assert (await do("restore_agent_revision", name, 1)).description == "First."
    assert (await do("list_agent_revisions", name)).total == 4
    assert (await do("list_agents", agent_name=name)).total == 1
    await do("delete_agent", name)
    assert do.called == methods(either, "agents")


async def test_every_method_of_environments(either):
    do, name = Caller(either, "environments"), f"sdk/{secrets.token_hex(6)}"
    await do("create_environment", request=CreateEnvironmentRequest_Web(id=name))
    await do("update_environment", name, request=UpdateEnvironmentRequestBody_Web(id=name, headless=True))
    assert (await do("patch_environment", name, start_url="https://example.com")).headless is True
    assert (await do("get_environment", name)).start_url == "https://example.com"
    assert (await do("list_environments", id=name)).total == 1
    await do("delete_environment", name)
    assert do.called == methods(either, "environments")


async def test_every_method_of_skills(either):
    do, name = Caller(either, "skills"), f"sdk/{secrets.token_hex(6)}"
    whole = {"name": name, "body": "Steps."}
    await do("create_skill", **whole, description="First.")
    await do("update_skill", name, **whole, description="Second.")
    assert (await do("patch_skill", name, source="here")).description == "Second."
    assert (await do("get_skill", name)).source == "here"
    assert (await do("list_skills", name=name)).total == 1
    await do("delete_skill", name)
    assert do.called == methods(either, "skills")


async def test_every_method_of_quota(either):
    do = Caller(either, "quota")
    assert (await do("get_token_quota")).limit is None
    assert do.called == methods(either, "quota")


def fitting(parameter):
    """A value for a parameter that has to be given."""
    values = {
        "timing": CronTiming(expression="0 9 * * *", timezone="Europe/Paris"),
        "session_request": SessionRequest(agent=AGENT, messages="Hello."),
        "provider_config": OnePasswordConfig(op_vault_id=ID),
        "url": "https://example.com/hook",
    }
    return values.get(parameter, ID)


@pytest.mark.parametrize("group", NOT_SERVED)
async def test_what_is_not_served_says_so(either, group):
    for name in sorted(methods(either, group)):
        method = getattr(getattr(either, group), name)
        needed = [
            parameter
            for parameter in inspect.signature(method).parameters.values()
            if parameter.default is inspect.Parameter.empty
        ]
        options = {parameter.name: fitting(parameter.name) for parameter in needed}
        with pytest.raises(ApiError) as refused:
            await call(method, **options, request_options={"max_retries": 0})
        assert refused.value.status_code == NOT_SERVED[group], name
