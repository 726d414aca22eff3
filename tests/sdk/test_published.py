"""What is printed in the hosted service's documentation, with nothing changed but host and key."""

import json

import pytest
from hai_agents import Agent
from hai_agents.core.api_error import ApiError

from steps import WAIT_S, ask, wait_for_status

AGENTS = [
    "h/web-surfer-flash",
    "h/web-surfer-pro",
    "h/web-surfer-holo3-1-35b",
    "h/web-scraper-flash",
    "h/web-scraper-pro",
    "h/deep-search-pro",
]
SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "price": {"type": "number"}},
    "required": ["name", "price"],
}
ANSWER = '@answer {"name": "A", "price": 19.5}'


def created(server, body):
    status, _, text = ask(server, "POST", "/api/v2/sessions", body)
    assert status == 201, text
    return json.loads(text)["id"]


def answer_of(client, server, body):
    """The answer on the wire, once the session has ended."""
    session = created(server, body)
    wait_for_status(client, session, "completed")
    _, _, text = ask(server, "GET", f"/api/v2/sessions/{session}/changes?include_events=false")
    return json.loads(text)["answer"]


@pytest.mark.parametrize("agent", AGENTS)
def test_a_hosted_agent_runs_by_its_name(client, agent):
    result = client.run_session(agent=agent, messages="Find the price.\n@answer 42", timeout_seconds=WAIT_S)
    assert (result.status, result.answer) == ("completed", "42")


@pytest.mark.parametrize("agent", AGENTS)
def test_a_hosted_agent_reads_as_references_and_in_full(client, agent):
    by_name = client.agents.get_agent(agent)
    assert by_name.environments == ["h/browser"]
    assert all(isinstance(skill, str) for skill in by_name.skills)
    in_full = client.agents.get_agent(agent, resolve=True)
    assert (in_full.environments[0].kind, in_full.environments[0].id) == ("web", "h/browser")
    assert all(skill.body for skill in in_full.skills)


@pytest.mark.parametrize("environment", ["h/browser", "h/web-environment", "desktop"])
def test_a_hosted_environment_is_named_by_an_agent_of_ones_own(client, environment):
    agent = Agent(name="mine", description="Acts.", environments=[environment])
    result = client.run_session(agent=agent, messages="@answer 42", timeout_seconds=WAIT_S)
    assert result.status == "completed"
    assert client.environments.get_environment(environment).id == environment


@pytest.mark.parametrize("skill", ["h/answering", "h/planning"])
def test_a_hosted_skill_is_there_to_be_read(client, skill):
    assert len(client.skills.get_skill(skill).body) > 500
    agent = Agent(name="mine", description="Acts.", environments=["h/browser"], skills=[skill])
    script = f'@call load_skill {{"name": "{skill}"}}\n@answer 42'
    result = client.run_session(agent=agent, messages=script, timeout_seconds=WAIT_S)
    assert result.answer == "42"
    assert any(getattr(event.data, "kind", None) == "tool_result" for event in result.events)


def test_an_answer_format_beside_the_agent_counts_as_the_agents(client, server):
    for agent in ["h/web-surfer-pro", {"name": "mine", "description": "Acts.", "environments": ["h/browser"]}]:
        body = {"agent": agent, "messages": ANSWER, "answer_format": SCHEMA}
        assert answer_of(client, server, body) == {"name": "A", "price": 19.5}
    result = client.run_session(
        agent="h/web-surfer-pro",
        messages=ANSWER,
        timeout_seconds=WAIT_S,
        request_options={"additional_body_parameters": {"answer_format": SCHEMA}},
    )
    assert result.answer == {"name": "A", "price": 19.5}


def test_an_answer_format_that_conflicts_with_an_override_is_refused(client):
    with pytest.raises(ApiError) as refused:
        client.sessions.create_session(
            agent="h/web-surfer-pro",
            messages=ANSWER,
            overrides={"agent.answer_format": {"type": "object"}},
            request_options={"additional_body_parameters": {"answer_format": SCHEMA}},
        )
    assert refused.value.status_code == 422
    assert "agent.answer_format" in str(refused.value)


def test_the_budget_of_tokens_has_no_limit(client):
    quota = client.quota.get_token_quota()
    assert (quota.limit, quota.used, quota.remaining, quota.window_end) == (None, None, None, None)
