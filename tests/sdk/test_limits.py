"""Limits of an organization, as the SDK tells them, and the metrics beside them."""

import secrets
import urllib.request

import pytest
from hai_agents.errors import TooManyRequestsError
from hai_agents.polling import wait_for_session
from prometheus_client.parser import text_string_to_metric_families

from steps import AGENT, WAIT_S
from test_quarterdeck import KEY, quarterdeck

AT_ONCE = {"max_retries": 0}
BUSY = "@wait 10m\n@answer late"


@pytest.fixture
def small(server, connect):
    """A client of an organization with one slot of its own."""
    name = f"small-{secrets.token_hex(4)}"
    quarterdeck(server, "orgs", "create", name, "--max-concurrent-sessions", "1")
    client = connect(server, KEY.search(quarterdeck(server, "keys", "create", "--org", name)).group(0))
    client.name = name
    yield client
    for session in client.sessions.list_sessions(size=100).items:
        client.sessions.cancel_session(session.id)


def test_a_refusal_is_told_as_the_sdk_types_it(small):
    busy = small.sessions.create_session(agent=AGENT, messages=BUSY)
    with pytest.raises(TooManyRequestsError) as refused:
        small.sessions.create_session(agent=AGENT, messages="Go", queue=False, request_options=AT_ONCE)
    detail = refused.value.body.detail[0]
    assert (detail.type, detail.scope) == ("plan_limit", "org")
    quota = small.sessions.get_session_quota()
    assert (quota.limit, quota.active, quota.available) == (1, 1, 0)
    small.sessions.cancel_session(busy.id)


def test_a_queued_session_is_waited_for_like_any_other(small):
    busy = small.sessions.create_session(agent=AGENT, messages=BUSY)
    queued = small.sessions.create_session(agent=AGENT, messages="@answer 42")
    assert queued.status.status == "queued"
    small.sessions.cancel_session(busy.id)
    done = wait_for_session(small, queued.id, timeout_seconds=WAIT_S)
    assert done.answer == "42"


def test_a_limit_set_beside_a_running_server_holds_at_once(server, small):
    quarterdeck(server, "orgs", "set", small.name, "--max-concurrent-sessions", "2")
    for _ in range(2):
        assert small.sessions.create_session(agent=AGENT, messages=BUSY).status.status != "queued"
    assert small.sessions.create_session(agent=AGENT, messages=BUSY).status.status == "queued"
    line = quarterdeck(server, "orgs", "show", small.name)
    assert "sessions 2 active, 1 queued" in line
    assert "limit 2" in line
    assert line in quarterdeck(server, "orgs", "list")
    quarterdeck(server, "orgs", "set", "nobody", "--max-concurrent-sessions", "2", code=1)


def test_prometheus_can_read_the_metrics(server, client):
    client.run_session(agent=AGENT, messages="@answer 42", timeout_seconds=WAIT_S)
    with urllib.request.urlopen(server.base_url + "/metrics", timeout=10) as page:
        families = {family.name: family for family in text_string_to_metric_families(page.read().decode())}
    assert families["quarterdeck_step_seconds"].type == "histogram"
    assert families["quarterdeck_sessions"].type == "gauge"
    ended = {sample.labels["ending"]: sample.value for sample in families["quarterdeck_sessions_ended"].samples}
    assert ended["completed"] >= 1
    buckets = [s for s in families["quarterdeck_store_batch_seconds"].samples if s.name.endswith("_bucket")]
    counts = [sample.value for sample in buckets]
    assert counts == sorted(counts)
    assert buckets[-1].labels["le"] == "+Inf"
    assert all(family.documentation for family in families.values())
