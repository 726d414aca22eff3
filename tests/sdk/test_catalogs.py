"""The catalogs of agents, environments and skills, through every method of the SDK."""

import re
import secrets
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest
from hai_agents.core.api_error import ApiError
from hai_agents.environments import CreateEnvironmentRequest_Desktop, CreateEnvironmentRequest_Web
from hai_agents.environments import UpdateEnvironmentRequestBody_Web
from hai_agents.errors import PreconditionFailedError
from hai_agents.types import BrowserNetwork

from server import binary
from steps import WAIT_S

BUILT_IN = [
    "h/deep-search-pro",
    "h/web-scraper-flash",
    "h/web-scraper-pro",
    "h/web-surfer-flash",
    "h/web-surfer-holo3-1-35b",
    "h/web-surfer-pro",
]


@pytest.fixture
def name():
    """A name nobody else uses, with a namespace."""
    return f"sdk/{secrets.token_hex(6)}"


@pytest.fixture
def agents(client):
    return client.agents


@pytest.fixture
def agent(agents, name):
    """An agent of one revision."""
    return agents.create_agent(name=name, description="First.", environments=["h/web-environment"], message="made")


def refused(call, *arguments, **options):
    """The status of a refusal."""
    with pytest.raises(ApiError) as refusal:
        call(*arguments, **options)
    assert isinstance(refusal.value.body["message"] if isinstance(refusal.value.body, dict) else "", str)
    return refusal.value.status_code


def tag(response):
    return response.headers["etag"]


def test_an_agent_is_made_changed_and_removed(agents, name):
    made = agents.with_raw_response.create_agent(name=name, description="First.", environments=["h/web-environment"])
    assert tag(made) == '"1"' and made.data.environments == ["h/web-environment"]
    assert refused(agents.create_agent, name=name, description="Again.", environments=["h/web-environment"]) == 409
    whole = {"name": name, "description": "Second.", "environments": ["h/web-environment"]}
    assert tag(agents.with_raw_response.update_agent(name, **whole, if_match='"1"')) == '"2"'
    assert tag(agents.with_raw_response.update_agent(name, **whole)) == '"2"', "nothing changed"
    changed = agents.with_raw_response.patch_agent(name, instructions="Be brief.", if_match="2", message="why")
    assert tag(changed) == '"3"' and changed.data.description == "Second."
    assert agents.patch_agent(name, instructions=None).instructions is None
    assert tag(agents.with_raw_response.get_agent(name)) == '"4"'
    assert agents.get_agent(name, revision=1).description == "First."
    agents.delete_agent(name, if_match='"4"')
    assert refused(agents.get_agent, name) == 404
    assert refused(agents.list_agent_revisions, name) == 404


def test_revisions_are_listed_and_restored(agents, agent):
    agents.patch_agent(agent.name, description="Second.", message="changed")
    restored = agents.with_raw_response.restore_agent_revision(agent.name, 1, if_match='"2"')
    assert tag(restored) == '"3"' and restored.data.description == "First."
    listed = agents.list_agent_revisions(agent.name)
    told = [(item.number, item.message, item.restored_from) for item in listed.items]
    assert told == [(3, "Restored from v1", 1), (2, "changed", None), (1, "made", None)]
    assert all(item.created_by and item.created_at for item in listed.items)
    assert [item.number for item in agents.list_agent_revisions(agent.name, sort=["number"], size=2).items] == [1, 2]
    assert refused(agents.restore_agent_revision, agent.name, 9) == 404


def test_a_stale_writer_learns_the_current_revision(agents, agent):
    agents.patch_agent(agent.name, description="Second.")
    with pytest.raises(PreconditionFailedError) as stale:
        agents.patch_agent(agent.name, description="Third.", if_match='"1"')
    assert stale.value.headers["etag"] == '"2"'
    assert refused(agents.delete_agent, agent.name, if_match='"1"') == 412
    assert refused(agents.delete_agent, agent.name, if_match="one") == 400


def test_of_writers_at_once_one_wins(agents, agent):
    def write(number):
        try:
            agents.patch_agent(agent.name, description=f"Writer {number}.", if_match='"1"')
            return 200
        except ApiError as error:
            return error.status_code

    with ThreadPoolExecutor(12) as writers:
        statuses = sorted(writers.map(write, range(12)))
    assert statuses == [200] + [412] * 11
    assert agents.list_agent_revisions(agent.name).total == 2


def test_listings_hold_what_is_built_in(agents, agent, connect, server):
    newest = agents.list_agents(size=1000).items
    assert newest[0].name == agent.name, "newest first"
    assert [item.name for item in newest[-len(BUILT_IN) :]] == BUILT_IN
    assert [item.name for item in agents.list_agents(reserved=True, sort="agent_name").items] == BUILT_IN
    assert not any(item.name in BUILT_IN for item in agents.list_agents(reserved=False, size=1000).items)
    found = agents.list_agents(agent_name=agent.name, include="revision")
    assert (found.total, found.items[0].revision) == (1, 1)
    assert [item.name for item in agents.list_agents(search=agent.name.upper()).items] == [agent.name]
    assert agents.list_agents(page=999).items == []


def test_what_is_built_in_cannot_be_changed(agents, client):
    assert tag(agents.with_raw_response.get_agent(BUILT_IN[0])) == '"1"'
    assert [item.number for item in agents.list_agent_revisions(BUILT_IN[0]).items] == [1]
    assert refused(agents.patch_agent, BUILT_IN[0], description="Mine.") == 403
    assert refused(agents.delete_agent, BUILT_IN[0]) == 403
    assert refused(agents.restore_agent_revision, BUILT_IN[0], 1) == 403
    assert refused(agents.create_agent, name="h/mine", description="Mine.", environments=["e"]) == 403
    assert refused(client.environments.delete_environment, "h/web-environment") == 403


def test_an_agent_runs_by_its_name_with_everything_it_names(client, agents, name):
    environments, skills = client.environments, client.skills
    environments.create_environment(request=CreateEnvironmentRequest_Web(id=name, start_url="https://example.com"))
    skills.create_skill(name=name, description="When to use.", body="Steps.")
    agents.create_agent(name=f"{name}-child", description="Helps.", environments=["h/web-environment"])
    agents.create_agent(
        name=name, description="Acts.", environments=[name], skills=[name], subagents=[f"{name}-child:1"]
    )
    resolved = agents.with_raw_response.get_agent(name, resolve=True)
    assert "etag" not in resolved.headers
    assert resolved.data.environments[0].start_url == "https://example.com"
    assert resolved.data.subagents[0].environments[0].id == "h/web-environment"
    ended = client.run_session(agent=name, messages="@answer 42", timeout_seconds=WAIT_S)
    session = client.sessions.get_session(ended.id)
    assert session.agent_revision == 1
    assert session.request.agent.skills[0].body == "Steps."
    agents.patch_agent(name, description="Acts better.")
    pinned = client.start_session(agent=f"{name}:1", messages="@answer 42")
    assert client.sessions.get_session(pinned.id).agent_revision == 1
    latest = client.start_session(agent=name, messages="@answer 42")
    assert client.sessions.get_session(latest.id).agent_revision == 2
    assert {item.id for item in client.sessions.list_sessions(agent=[name]).items} == {ended.id, pinned.id, latest.id}
    environments.delete_environment(name)
    assert refused(client.start_session, agent=name, messages="Hello.") == 404


def test_an_environment_is_made_changed_and_removed(client, name):
    environments = client.environments
    identifier = f"{name}/with more: % ü"
    network = BrowserNetwork(proxy_url="http://user:secret@proxy")
    made = environments.create_environment(request=CreateEnvironmentRequest_Web(id=identifier, network=network))
    assert made.network.proxy_url == "***"
    desktop = CreateEnvironmentRequest_Desktop(id=f"{name}-desktop", host="cloud")
    environments.create_environment(request=desktop)
    assert refused(environments.create_environment, request=desktop) == 409
    assert environments.get_environment(identifier).id == identifier
    assert environments.patch_environment(identifier, headless=True, screenshot_max_width=100).headless is True
    whole = UpdateEnvironmentRequestBody_Web(id=identifier, start_url="https://example.com", network=made.network)
    replaced = environments.update_environment(identifier, request=whole)
    assert (replaced.headless, replaced.start_url) == (False, "https://example.com")
    assert refused(environments.update_environment, "another", request=whole) == 400
    assert [item.id for item in environments.list_environments(search=name, sort=["-id"]).items] == [
        identifier,
        f"{name}-desktop",
    ]
    assert [item.id for item in environments.list_environments(search=name, kind="desktop").items] == [f"{name}-desktop"]
    assert environments.list_environments(id=identifier).total == 1
    environments.delete_environment(identifier)
    assert refused(environments.get_environment, identifier) == 404
    assert refused(environments.delete_environment, identifier) == 404


def test_a_skill_is_made_changed_and_removed(client, name):
    skills = client.skills
    made = skills.create_skill(name=name, description="Find me.", body="Steps.", files={"a/b.sh": "aGk="})
    assert made.files == {"a/b.sh": "aGk="}
    assert refused(skills.create_skill, name=name, description="d", body="b") == 409
    assert skills.patch_skill(name, executable_files=["a/b.sh"]).executable_files == ["a/b.sh"]
    assert refused(skills.patch_skill, name, files={}) == 422, "the whole would be wrong"
    assert skills.update_skill(name, name=name, description="Second.", body="Steps.").files in (None, {})
    assert skills.get_skill(name).description == "Second."
    assert [item.name for item in skills.list_skills(search=name.upper(), sort="name").items] == [name]
    assert skills.list_skills(name=name).total == 1
    skills.delete_skill(name)
    assert refused(skills.get_skill, name) == 404


def test_a_page_with_too_many_helper_files_is_refused(client, name):
    content = "A" * (2 * 1024 * 1024)
    for number in range(3):
        files = {"one": content, "two": content}
        client.skills.create_skill(name=f"{name}-{number}", description="Large.", body="b", files=files)
    assert refused(client.skills.list_skills, search=name) == 413
    assert client.skills.list_skills(search=name, size=1).total == 3


def test_a_catalog_is_its_organizations_own(agents, agent, connect, server):
    command = [binary(), "keys", "create", "--org", agent.name]
    made = subprocess.run(command, env=server.environment(), check=True, capture_output=True, text=True, timeout=WAIT_S)
    stranger = connect(server, re.search(r"hk-[0-9a-f]{64}", made.stdout).group())
    assert refused(stranger.agents.get_agent, agent.name) == 404
    assert refused(stranger.agents.patch_agent, agent.name, description="Mine.") == 404
    assert refused(stranger.start_session, agent=agent.name, messages="Hello.") == 404
    assert stranger.agents.list_agents(reserved=False).total == 0
    stranger.agents.create_agent(name=agent.name, description="Mine.", environments=["h/web-environment"])
    assert agents.get_agent(agent.name).description == "First."
