"""What operators look at, and what stands between the server and its clients."""

import gzip
import pathlib
import re
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request

import pytest

from server import API_KEY, ROOT
from steps import AGENT, TOOL, WAIT_S, raw_events, wait_for_status

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
SESSIONS = "/api/v2/sessions"


def get(address, **headers):
    """Status, headers and body, without any decoding."""
    request = urllib.request.Request(address, headers={name.replace("_", "-"): value for name, value in headers.items()})
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return response.status, response.headers, response.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read()


def authorized(**headers):
    return {"Authorization": f"Bearer {API_KEY}", **headers}


def test_large_answers_are_compressed_for_those_who_ask(server, client):
    client.run_session(agent=AGENT, messages="x" * 4_000, timeout_seconds=WAIT_S)
    address = f"{server.base_url}{SESSIONS}?size=10"
    _, plain_headers, plain = get(address, **authorized())
    assert plain_headers["content-encoding"] is None
    _, headers, packed = get(address, **authorized(Accept_Encoding="gzip"))
    assert headers["content-encoding"] == "gzip" and "accept-encoding" in headers["vary"].lower()
    assert gzip.decompress(packed) == plain and len(packed) < len(plain) / 2
    assert get(address, **authorized(Accept_Encoding="br"))[1]["content-encoding"] == "br"
    small = get(f"{server.base_url}{SESSIONS}/quota", **authorized(Accept_Encoding="gzip"))
    assert small[1]["content-encoding"] is None


def test_a_poll_without_news_has_no_body_to_compress(server, client):
    session = client.run_session(agent=AGENT, messages="@answer 42", timeout_seconds=WAIT_S)
    _, events = raw_events(server, session.id)
    address = f"{server.base_url}{SESSIONS}/{session.id}/changes?from_index={len(events)}&wait_for_seconds=0"
    status, headers, body = get(address, **authorized(Accept_Encoding="gzip"))
    assert (status, headers["content-encoding"], body) == (204, None, b"")


def test_a_session_that_waits_for_nobody_gives_its_place_back(start, connect):
    server = start(None, ["--client-wait", "1"])
    client = connect(server)
    agent = {"name": "looker", "description": "Looks.", "environments": [], "tools": [TOOL]}
    waiting = client.sessions.create_session(agent=agent, messages="@call lookup {\"key\": \"a\"}")
    wait_for_status(client, waiting.id, "failed")
    assert client.sessions.get_session_status(waiting.id).error_code == "no_answer"
    deadline = time.monotonic() + 10
    while f"session {waiting.id} failed" not in (log := server.log.read_text()):
        assert time.monotonic() < deadline, log
        time.sleep(0.05)
    (line,) = [line for line in log.splitlines() if f"session {waiting.id} failed" in line]
    assert "WARN" in line and "organization=" in line and "within 1 s" in line


def metric(page, name, **labels):
    for line in page.splitlines():
        found = re.fullmatch(rf"{name}(?:{{(.*)}})? (\S+)", line)
        if found and dict(re.findall(r'(\w+)="([^"]*)"', found.group(1) or "")) == labels:
            return float(found.group(2))
    return None


def test_counters_are_there_before_they_count_and_say_why(start, connect):
    server = start()
    page = get(f"{server.base_url}/metrics")[2].decode()
    for error in ["internal", "no_answer", "environment_error"]:
        assert metric(page, "quarterdeck_sessions_ended_total", ending="failed", error=error) == 0
    assert metric(page, "quarterdeck_store_errors_total", kind="disk_full") == 0
    for name in ["process_resident_memory_bytes", "process_cpu_seconds_total", "process_open_fds", "process_max_fds"]:
        assert metric(page, name) is not None, page
    failed = connect(server).sessions.create_session(agent=AGENT, messages="@fail 401")
    wait_for_status(connect(server), failed.id, "failed")
    page = get(f"{server.base_url}/metrics")[2].decode()
    assert metric(page, "quarterdeck_sessions_ended_total", ending="failed", error="internal") == 1


def test_metrics_may_ask_for_a_token(start):
    server = start(None, ["--metrics-token", "CANARY-token"])
    address = f"{server.base_url}/metrics"
    assert get(address)[0] == 401
    assert get(address, Authorization="Bearer other")[0] == 401
    assert get(address, **authorized())[0] == 401, "a key is no token"
    assert get(address, Authorization="Bearer CANARY-token")[0] == 200
    assert "CANARY" not in server.log.read_text()


def test_the_page_of_the_api_is_ours_and_names_nothing_by_a_whole_path(server):
    status, _, page = get(f"{server.base_url}/docs")
    text = page.decode()
    assert status == 200 and "<title>Quarterdeck" in text and "Swagger UI" not in text
    for address in re.findall(r'(?:href|src)="([^"]*)"', text):
        assert not address.startswith("/") and "://" not in address
        assert get(urllib.parse.urljoin(f"{server.base_url}/docs/", address))[0] == 200, address
    assert get(f"{server.base_url}/openapi.json")[0] == 200
    assert get(f"{server.base_url}/docs/nothing")[0] == 404


@pytest.fixture
def proxy(server, tmp_path):
    """nginx with a block of docs/deployment.md, in front of the test's server."""
    if not NGINX:
        pytest.skip("nginx is not installed")
    running = []

    def proxy(number):
        blocks = re.findall(r"^```nginx\n(.*?)^```$", (ROOT / "docs/deployment.md").read_text(), re.MULTILINE | re.DOTALL)
        block = blocks[number].replace("http://127.0.0.1:8430", server.base_url)
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        temporary = "\n".join(
            f"{kind}_temp_path {tmp_path}/{kind};" for kind in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        )
        (tmp_path / "nginx.conf").write_text(
            f"daemon off; pid {tmp_path}/pid; error_log {tmp_path}/error.log; events {{}}\n"
            f"http {{ access_log off; {temporary} server {{ listen 127.0.0.1:{port};\n{block}\n}} }}"
        )
        if pathlib.Path("/proc/self").stat().st_uid == 0:
            (tmp_path / "nginx.conf").write_text("user root;\n" + (tmp_path / "nginx.conf").read_text())
        running.append(subprocess.Popen([NGINX, "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf")]))
        deadline = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                return f"http://127.0.0.1:{port}"
            except OSError:
                assert time.monotonic() < deadline, (tmp_path / "error.log").read_text()
                time.sleep(0.05)

    yield proxy
    for process in running:
        process.terminate()
        process.wait(10)


@pytest.mark.parametrize(("number", "path"), [(0, ""), (1, "/agents")])
def test_a_session_behind_nginx(number, path, proxy):
    from hai_agents import Client

    address = proxy(number) + path
    with Client(base_url=address, api_key=API_KEY, timeout=60) as client:
        result = client.run_session(agent=AGENT, messages="@wait 300ms\n@answer 42", timeout_seconds=WAIT_S)
        assert result.answer == "42"
        large = client.run_session(agent=AGENT, messages="x" * 2_000_000, timeout_seconds=WAIT_S)
        assert large.status == "completed"
    for page in ["/docs", "/docs/swagger-ui.css", "/openapi.json"]:
        assert get(address + page)[0] == 200, page
    assert "Quarterdeck" in get(address + "/docs")[2].decode()
    if not path:
        assert get(address + "/metrics")[0] == 404
