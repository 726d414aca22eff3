"""No packet of a browser goes anywhere but to its proxy, whatever a page tries; and the proxy leads nowhere inside."""

import contextlib
import json
import os
import pathlib
import signal
import socket
import subprocess
import tempfile

import pytest
from hai_agents import Client

from canaries import BROWSER_USER, LOCAL_PORT, OUT, PRIVATE_PORT, SITE_PORT, network, until, why_not
from canary_pages import NAMES, SITE, TARGETS, Pages
from server import API_KEY, Server
from steps import read_all, wait_for_status

BROWSERS = {"shell": "/usr/lib/chromium/chromium-headless-shell", "whole": "/usr/lib/chromium/chromium"}
REASON = why_not()
pytestmark = pytest.mark.skipif(REASON is not None, reason=str(REASON))


@pytest.fixture(params=BROWSERS)
def browser(request):
    if not pathlib.Path(BROWSERS[request.param]).exists():
        pytest.skip(f"{BROWSERS[request.param]} is not installed")
    return BROWSERS[request.param]


@pytest.fixture
def net():
    with network() as made, contextlib.ExitStack() as ends:
        for namespace in (made.web, made.out):
            ends.callback(made.listen(namespace, "::", PRIVATE_PORT, socket.AF_INET6).close)
        ends.callback(made.answer_names().close)
        # Pages of this machine are a "secure context", in which a browser lets pages do more.
        for namespace, address in ((made.out, (OUT, SITE_PORT)), (made.web, ("127.0.0.1", LOCAL_PORT))):
            ends.callback(made.serve(namespace, address, Pages).shutdown)
        yield made


def test_no_packet_goes_anywhere_but_to_the_proxy(net, browser, tmp_path):
    options = ["--browser", browser, "--browser-user", str(BROWSER_USER), "--allow-private-hosts", f"{OUT},127.0.0.1"]
    server = Server(tmp_path / "data", None, options, run_by=net.in_web())
    with net.inside(net.web):
        server.start()
        net.sense()
        client = Client(base_url=server.base_url, api_key=API_KEY, timeout=60)
        local = f"http://127.0.0.1:{LOCAL_PORT}/ways"
        calls = [("go_to_web", {"url": url}) for url in (f"{SITE}/ways", local)]
        calls = [call for pair in ((go, ("wait_web", {"seconds": 6})) for go in calls) for call in pair]
        calls += [("go_to_web", {"url": f"{scheme}://{at}/"}) for at in TARGETS for scheme in ("http", "https")]
        script = "\n".join([f"@call {name} {json.dumps(arguments)}" for name, arguments in calls] + ["@answer done"])
        spec = {"kind": "web", "id": "w", "start_url": f"{SITE}/", "settle_s": 0.2}
        agent = {"name": "surfer", "description": "Surfs.", "environments": [spec]}
        made = client.sessions.create_session(agent=agent, messages=script)
        assert until(lambda: proxy_ports(net.web), 20), "no browser runs"
        proxies = proxy_ports(net.web)
        wait_for_status(client, made.id, "completed")
        events = [event.data for event in read_all(client, made.id) if event.type == "AgentEvent"]
        client.close()
        server.stop()
    sights = [event.metadata for event in events if event.kind == "observation_event"]
    done = {tab["url"].removesuffix("#x") for sight in sights for tab in sight["tabs"] if tab["title"] == "all tried"}
    assert done == {f"{SITE}/ways", local}, f"the pages did not get to their end: {done} in {[sight['tabs'] for sight in sights[:6]]}"
    refused = {host for event in events if event.kind == "tool_result" for host in event.result.get("refused", [])}
    assert {"10.77.0.9", "169.254.169.254", "[::1]", NAMES[0].split(":")[0]} <= refused, refused
    assert len(proxies) == 1, "one browser, one proxy"
    assert net.seen() == {("127.0.0.1", "tcp", port) for port in proxies}
    assert net.reached == [], "the proxy led inside"


def test_the_sensor_sees_what_an_unguarded_browser_sends(net, browser):
    net.sense()
    drop = ["setpriv", f"--reuid={BROWSER_USER}", f"--regid={BROWSER_USER}", "--clear-groups"]
    with tempfile.TemporaryDirectory() as home:
        os.chown(home, BROWSER_USER, BROWSER_USER)
        flags = ["--headless", "--disable-gpu", f"--user-data-dir={home}/profile", "--remote-debugging-port=0"]
        running = subprocess.Popen(
            net.in_web(*drop, browser, *flags, f"{SITE}/ways"),
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=home, env={"HOME": home, "PATH": "/usr/bin:/bin"},
            start_new_session=True,
        )
        wanted = {("10.77.0.9", "tcp", PRIVATE_PORT), ("169.254.169.254", "tcp", PRIVATE_PORT), (OUT, "udp", 53)}
        wanted |= {("10.77.0.9", "udp", 3478), ("10.77.0.9", "tcp", 3479), ("127.0.0.2", "tcp", PRIVATE_PORT)}
        try:
            until(lambda: wanted <= net.seen(), 20)
        finally:
            os.killpg(running.pid, signal.SIGKILL)
            running.wait(10)
    assert wanted <= net.seen(), wanted - net.seen()


def proxy_ports(namespace):
    """Where the proxies of a namespace's browsers are, by what the browsers were told."""
    there = pathlib.Path("/run/netns", namespace).stat().st_ino
    ports = set()
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            # A whole Chromium writes blanks between the words of its command line.
            words = (process / "cmdline").read_bytes().replace(b"\0", b" ").split()
            told = [word for word in words if word.startswith(b"--proxy-server=http://127.0.0.1:")]
            if told and b"--remote-debugging-pipe" in words and (process / "ns/net").stat().st_ino == there:
                ports.add(int(told[0].rsplit(b":", 1)[1]))
    return ports
