"""Environments through the real binary: memory, and a real MCP server over each of its transports.

Sessions are created over plain HTTP: the SDK does not know these kinds, and cannot read the answer. From then on they
are the SDK's.
"""

import json
import pathlib
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest
from hai_agents import ForbiddenError

from server import API_KEY
from steps import WAIT_S, kinds, raw_events, read_all, wait_for_status

SERVER = str(pathlib.Path(__file__).with_name("mcp_server.py"))
TRANSPORTS = ["streamable-http", "sse", "stdio"]
SECRET = "CANARY-b7f1c2"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class McpServer:
    """The server over HTTP, in a process of its own."""

    def __init__(self, transport):
        self.transport, self.port, self.process = transport, free_port(), None
        path = {"streamable-http": "mcp", "sse": "sse"}[transport]
        self.url = f"http://127.0.0.1:{self.port}/{path}"

    def start(self):
        self.process = subprocess.Popen([sys.executable, SERVER, self.transport, str(self.port)])
        return self.wait_until_listening()

    def replace(self, standby):
        """Kills it, and puts one in its place that is loaded already."""
        self.kill()
        self.process = standby
        standby.stdin.write(b"\n")
        standby.stdin.flush()
        return self.wait_until_listening()

    def standby(self):
        command = [sys.executable, SERVER, self.transport, str(self.port), "standby"]
        return subprocess.Popen(command, stdin=subprocess.PIPE)

    def wait_until_listening(self):
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return self
            assert self.process.poll() is None, "the MCP server did not come up"
            time.sleep(0.05)
        raise AssertionError("the MCP server does not listen")

    def kill(self):
        if self.process:
            self.process.kill()
            self.process.wait(30)


@pytest.fixture(params=TRANSPORTS)
def transport(request):
    return request.param


@pytest.fixture
def mcp(transport):
    """The environment, and the process behind it where it is not the server's own child."""
    if transport == "stdio":
        yield {"name": "sums", "transport": "stdio", "command": "sums", "env": {"TOKEN": SECRET}}, None
        return
    process = McpServer(transport).start()
    word = transport.replace("-", "_")
    yield {"name": "sums", "transport": word, "url": process.url, "headers": {"X-Token": SECRET}}, process
    process.kill()


@pytest.fixture
def own(new_store, start):
    """A server that lets agents reach this machine and run the one program."""
    command = f"sums={sys.executable} {SERVER} stdio"
    return start(new_store(), ["--allow-private-hosts", "127.0.0.1", "--mcp-allow-command", command])


def agent(*environments):
    return {"name": "sums", "description": "Adds.", "environments": list(environments)}


def with_servers(*servers):
    return agent({"kind": "mcp", "id": "sums", "servers": list(servers)})


def post(server, spec, script):
    """Creates a session: the status and the body that come back."""
    body = json.dumps({"agent": spec, "messages": script}).encode()
    headers = {"Authorization": f"Bearer {API_KEY}", "Content-Type": "application/json"}
    request = urllib.request.Request(f"{server.base_url}/api/v2/sessions", body, headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def begin(server, client, spec, script):
    status, body = post(server, spec, script)
    assert status == 201, body
    return client.session(body["id"])


def run(server, client, spec, script):
    session = begin(server, client, spec, script)
    return session.id, session.wait_for_completion(timeout_seconds=WAIT_S)


def of_kind(client, session_id, kind):
    return [event.data for event in read_all(client, session_id) if getattr(event.data, "kind", None) == kind]


def test_an_agent_calls_the_tools_of_an_mcp_server(own, connect, mcp):
    client, (spec, _) = connect(own), mcp
    script = '@call sums_add {"a": 2, "b": 40}\n@and sums_add {"a": 1, "b": 1}\n@answer 42'
    session_id, result = run(own, client, with_servers(spec), script)
    assert (result.status, result.answer) == ("completed", "42"), raw_events(own, session_id)
    returned = {call.tool_req.args["a"]: call.result for call in of_kind(client, session_id, "tool_result")}
    assert returned == {2: "42", 1: "2"}
    told = of_kind(client, session_id, "observation_event")
    assert ["Sums are exact." in observation.text for observation in told] == [True]


def test_a_server_killed_in_the_middle_of_a_call_is_told_and_comes_back(own, connect, mcp, transport, tmp_path):
    client, (spec, process) = connect(own), mcp
    if process is None:
        script = '@call sums_die\n@call sums_add {"a": 2, "b": 40}\n@answer 42'
        session_id, result = run(own, client, with_servers(spec), script)
    else:
        mark = tmp_path / "mark"
        again = '@times 8\n@wait 1s\n@call sums_add {"a": 2, "b": 40}'
        script = f'@call sums_slow {{"mark": "{mark}"}}\n{again}\n@answer 42'
        standby = process.standby()
        session = begin(own, client, with_servers(spec), script)
        session_id = session.id
        until(mark.exists)
        process.replace(standby)
        result = session.wait_for_completion(timeout_seconds=WAIT_S)
    assert (result.status, result.answer) == ("completed", "42"), raw_events(own, session_id)
    lost, *meanwhile = of_kind(client, session_id, "error_event")
    assert "whether the call took effect is unknown" in lost.error
    assert all("the call was not made" in error.error for error in meanwhile), meanwhile
    results = [call.result for call in of_kind(client, session_id, "tool_result")]
    assert results and set(results) == {"42"}, (meanwhile, own.log.read_text())


def test_a_cancel_ends_a_call_at_once(own, connect, mcp, transport, tmp_path):
    client, (spec, _) = connect(own), mcp
    mark = tmp_path / "mark"
    session = begin(own, client, with_servers(spec), f'@call sums_slow {{"mark": "{mark}"}}')
    until(mark.exists)
    session.cancel()
    wait_for_status(client, session.id, "interrupted", wait_s=5)
    if transport == "stdio":
        stat = pathlib.Path(f"/proc/{mark.read_text()}/stat")
        until(lambda: not stat.exists() or stat.read_text().rsplit(")", 1)[1].split()[0] == "Z")


def test_a_server_that_is_not_there_fails_the_session(own, connect):
    spec = {"name": "sums", "transport": "streamable_http", "url": f"http://127.0.0.1:{free_port()}/mcp"}
    session_id, result = run(own, connect(own), with_servers(spec), "@answer Never.")
    assert (result.status, result.error_code) == ("failed", "environment_error"), raw_events(own, session_id)


def test_secrets_of_servers_are_nowhere_to_be_read(own, connect, mcp, transport):
    client, (spec, _) = connect(own), mcp
    session_id, result = run(own, client, with_servers(spec), "@call sums_add {}\n@answer 42")
    assert result.status == "completed"
    request = urllib.request.Request(f"{own.base_url}/api/v2/sessions/{session_id}")
    request.add_header("Authorization", f"Bearer {API_KEY}")
    read = urllib.request.urlopen(request, timeout=30).read().decode()
    assert "***" in read and SECRET not in f"{read}{raw_events(own, session_id)}{own.log.read_text()}"
    if transport == "stdio":
        session_id, _ = run(own, client, with_servers(spec), "@call sums_secret\n@answer 42")
        assert [call.result for call in of_kind(client, session_id, "tool_result")] == [SECRET]


REPEATER = """
import json, os, sys

def say(**message):
    print(json.dumps({"jsonrpc": "2.0", **message}), flush=True)

for line in sys.stdin:
    message, secret = json.loads(line), os.environ["TOKEN"]
    say(method="notifications/message", params={"level": "error", "data": secret})
    say(method=f"notifications/{secret}")
    if message["method"] == "initialize":
        result = {"protocolVersion": "2025-06-18", "serverInfo": {"name": secret, "version": secret}}
        say(id=message["id"], result={**result, "capabilities": {"tools": {}, "logging": {}}})
    elif "id" in message:
        say(id=message["id"], result={"tools": [{"name": "nothing", "inputSchema": {"type": "object"}}]})
"""


def test_a_server_that_repeats_its_secret_is_not_logged(new_store, start, connect, tmp_path):
    program = tmp_path / "repeater.py"
    program.write_text(REPEATER)
    server = start(new_store(), ["--mcp-allow-command", f"repeater={sys.executable} {program}"])
    spec = {"name": "r", "transport": "stdio", "command": "repeater", "env": {"TOKEN": SECRET}}
    session_id, result = run(server, connect(server), with_servers(spec), "@call r_nothing\n@answer 42")
    assert result.status == "completed", raw_events(server, session_id)
    assert SECRET not in server.log.read_text()


@pytest.mark.parametrize(
    "spec, status",
    [
        ({"name": "s", "transport": "stdio", "command": "rm", "args": ["-rf", "/"]}, 403),
        ({"name": "s", "transport": "stdio", "command": "sums", "env": {"LD_PRELOAD": "/tmp/x.so"}}, 403),
        ({"name": "s", "transport": "sse", "url": "http://169.254.169.254/latest/meta-data"}, 422),
        ({"name": "s", "transport": "streamable_http", "url": "http://[::1]:8430/mcp"}, 422),
        ({"name": "s", "transport": "streamable_http", "url": "http://2130706434/mcp"}, 422),
    ],
)
def test_what_a_session_may_not_have_is_refused_at_its_creation(own, spec, status):
    code, body = post(own, with_servers(spec), "@answer Never.")
    assert code == status, body
    assert (body["detail"][0]["type"] == "environment_not_public") == (status == 403), body


def test_memory_outlives_the_session_and_the_server(own, connect):
    memory = agent({"kind": "memory", "id": "m", "namespace": "team"})
    client = connect(own)
    run(own, client, memory, '@call memory_set {"key": "price", "value": {"eur": 19}}\n@answer kept')
    own.kill()
    own.start()
    client = connect(own)
    session_id, result = run(own, client, memory, '@call memory_get {"key": "price"}\n@answer read')
    assert result.status == "completed"
    assert [call.result for call in of_kind(client, session_id, "tool_result")] == [
        {"found": True, "value": {"eur": 19}}
    ]
    other = agent({"kind": "memory", "id": "m", "namespace": "other"})
    session_id, _ = run(own, client, other, "@call memory_list\n@answer listed")
    assert [call.result for call in of_kind(client, session_id, "tool_result")] == [{"keys": [], "more": False}]


def test_a_kill_in_the_middle_of_a_call_leaves_its_outcome_unknown(own, connect, mcp, tmp_path):
    client, (spec, _) = connect(own), mcp
    mark = tmp_path / "mark"
    script = f'@call sums_slow {{"mark": "{mark}"}}\n@answer 42'
    session = begin(own, client, with_servers(spec), script)
    until(mark.exists)
    own.kill()
    own.start()
    client = connect(own)
    result = client.session(session.id).wait_for_completion(timeout_seconds=WAIT_S)
    assert (result.status, result.answer) == ("completed", "42")
    [lost] = of_kind(client, session.id, "error_event")
    assert (lost.origin, lost.tool_req.tool_name) == ("server", "sums_slow")
    assert "whether it took effect is unknown" in lost.error
    assert kinds(read_all(client, session.id)).count("policy_event") == 2, "the call is not made again by itself"


def test_an_environment_that_is_not_hosted_is_told_or_refused(own, new_store, start, connect):
    desktop = agent({"kind": "desktop", "id": "d"})
    session_id, result = run(own, connect(own), desktop, "@answer 42")
    assert result.status == "completed"
    [told] = of_kind(connect(own), session_id, "observation_event")
    assert '"desktop" is not available' in told.text
    strict = start(new_store(), ["--refuse-environments", "desktop,web"])
    with pytest.raises(ForbiddenError) as refused:
        connect(strict).start_session(agent=desktop, messages="@answer Never.")
    assert "environment_not_public" in str(refused.value.body)


def until(holds, wait_s=30):
    deadline = time.monotonic() + wait_s
    while not holds():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)
