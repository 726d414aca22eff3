"""The server's own command line and its health."""

import re
import subprocess
import time
import urllib.request

import pytest
from hai_agents.core.api_error import ApiError

from server import binary
from steps import AGENT, WAIT_S, ask

KEY = re.compile(r"\bhk-[0-9A-Za-z_-]{20,}")


def quarterdeck(server, *words, code=0, **settings):
    done = subprocess.run(
        [binary(), *words],
        env={**server.environment(), **settings},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_a_running_server_is_healthy(server, path):
    with urllib.request.urlopen(server.base_url + path, timeout=10) as response:
        assert response.status == 200


def test_health_asks_the_server_that_listens(server):
    quarterdeck(server, "health", QUARTERDECK_LISTEN=server.base_url.removeprefix("http://"))
    port = server.base_url.rpartition(":")[2]
    quarterdeck(server, "health", QUARTERDECK_LISTEN=f"0.0.0.0:{port}")


def test_health_fails_where_nobody_listens(server):
    quarterdeck(server, "health", code=1, QUARTERDECK_LISTEN="127.0.0.1:1")


def test_a_key_made_beside_a_running_server_works_at_once(server, connect):
    key = KEY.search(quarterdeck(server, "keys", "create", "--org", "beside")).group(0)
    result = connect(server, key).run_session(agent=AGENT, messages="@answer 42", timeout_seconds=WAIT_S)
    assert result.answer == "42"


def test_a_key_is_listed_and_stops_working_once_it_is_revoked(server, connect):
    key = KEY.search(quarterdeck(server, "keys", "create", "--org", "listed", "--user", "ann")).group(0)
    assert connect(server, key).sessions.list_sessions().total == 0
    lines = [line for line in quarterdeck(server, "keys", "list").splitlines() if " listed/ann " in line]
    assert len(lines) == 1
    assert lines[0].endswith("active")
    assert key[:9] in lines[0]
    assert key not in lines[0]
    key_id = lines[0].split()[0]
    assert key_id in quarterdeck(server, "keys", "revoke", key_id)
    deadline = time.monotonic() + 10
    while ask(server, "GET", "/api/v2/sessions", headers={"Authorization": f"Bearer {key}"})[0] != 401:
        assert time.monotonic() < deadline, "a revoked key works for a second more"
    (line,) = [line for line in quarterdeck(server, "keys", "list").splitlines() if key_id in line]
    assert " revoked " in line
    quarterdeck(server, "keys", "revoke", key_id, code=1)


def test_another_organization_sees_nothing(server, client, connect):
    ours = client.run_session(agent=AGENT, messages="Secret.", timeout_seconds=WAIT_S)
    stranger = connect(server, KEY.search(quarterdeck(server, "keys", "create", "--org", "strangers")).group(0))
    assert stranger.sessions.list_sessions(owner="organization").total == 0
    with pytest.raises(ApiError) as refused:
        stranger.sessions.get_session(ours.id)
    assert refused.value.status_code == 404


def test_the_document_is_printed(server):
    assert quarterdeck(server, "openapi").startswith("openapi:")


def test_two_servers_in_memory_share_nothing(start, connect):
    one, other = start("sqlite::memory:"), start("sqlite::memory:")
    session = connect(one).run_session(agent=AGENT, messages="@answer 42", timeout_seconds=WAIT_S)
    assert session.status == "completed"
    assert connect(other).sessions.list_sessions().total == 0
