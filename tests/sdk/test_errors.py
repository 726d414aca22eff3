"""What the SDK makes of the server's refusals."""

import uuid

import pytest
from hai_agents.core.api_error import ApiError
from hai_agents.errors import UnprocessableEntityError

from steps import AGENT, WAIT_S


@pytest.mark.parametrize("key", ["hk-" + "0" * 64, "nonsense"])
def test_a_wrong_key_is_refused(connect, server, key):
    with pytest.raises(ApiError) as refused:
        connect(server, key).sessions.list_sessions()
    assert refused.value.status_code == 401
    assert isinstance(refused.value.body["message"], str)


def test_an_unknown_session_is_not_found(client):
    unknown = str(uuid.uuid4())
    for call in (client.sessions.get_session, client.sessions.get_session_status, client.sessions.get_session_changes):
        with pytest.raises(ApiError) as refused:
            call(unknown)
        assert refused.value.status_code == 404
        assert isinstance(refused.value.body["message"], str)


def test_an_unknown_agent_is_not_found(client):
    with pytest.raises(ApiError) as refused:
        client.start_session(agent="nobody/knows-it", messages="Hello.")
    assert refused.value.status_code == 404


def test_a_bad_field_is_named(client):
    with pytest.raises(UnprocessableEntityError) as refused:
        client.start_session(agent=AGENT, messages="Hello.", max_steps=0)
    detail = refused.value.body.detail
    assert [item.loc for item in detail] == [["body", "max_steps"]]
    assert detail[0].msg and detail[0].type
    assert detail[0].msg in str(refused.value)


def test_every_bad_field_is_named_at_once(client):
    with pytest.raises(UnprocessableEntityError) as refused:
        client.start_session(agent=AGENT, messages="Hello.", max_steps=0, idle_timeout_s=0, timezone="Mars/Olympus")
    assert {item.loc[1] for item in refused.value.body.detail} == {"max_steps", "idle_timeout_s", "timezone"}


def test_an_id_that_is_none_is_a_bad_path(client):
    with pytest.raises(UnprocessableEntityError) as refused:
        client.sessions.get_session("not-a-uuid")
    assert refused.value.body.detail[0].loc == ["path", "id"]


def test_an_ended_session_takes_no_commands(client):
    ended = client.run_session(agent=AGENT, messages="Hello.", timeout_seconds=WAIT_S)
    for command in (client.sessions.pause_session, client.sessions.resume_session):
        with pytest.raises(ApiError) as refused:
            command(ended.id)
        assert refused.value.status_code == 409
