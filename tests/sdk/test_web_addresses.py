"""However an address of the server's own network is written, and by whichever way a browser comes to it: nobody is reached."""

import contextlib
import socket
import threading
import urllib.parse

import pytest

from steps import wait_for_status
from surfing import call, results_of, surf
from web_server import BROWSER, NO_BROWSER, browser_server

pytestmark = pytest.mark.skipif(BROWSER is None, reason=NO_BROWSER)

# The site is at 127.0.0.1, which the operator lets through; nothing else of this machine is.
SPELLINGS = [
    "127.0.0.2", "127.2", "127.0.2", "2130706434", "0x7f000002", "0x7f.2", "0x7F.0x0.0x0.0x2", "0177.0.0.2", "017700000002",
    "0177.0.2", "127.0.0.2.", "%31%32%37.0.0.2", "127\u30020.0.2", "\uff11\uff12\uff17.0.0.2", "user:word@127.0.0.2", "[::1]",
    "[0:0:0:0:0:0:0:1]", "[::ffff:127.0.0.2]", "[::ffff:7f00:2]", "[::127.0.0.2]", "[64:ff9b::7f00:2]", "[64:ff9b:1::7f00:2]",
    "[2002:7f00:2::]", "[2001:0:7f00:2::]", "[fe80::1]", "[fd00:ec2::254]", "localhost", "LOCALHOST", "localhost.", "a.localhost",
    "%6cocalhost", "\u24dbocalhost", "printer.local", "db.internal", "metadata.google.internal", "10.0.0.1", "172.16.0.1",
    "192.168.0.1", "169.254.169.254", "100.64.0.1", "0", "0.0.0.0", "[::]",
]


@pytest.fixture(scope="module")
def canary():
    """Listens on all addresses of this machine at one port: the port, and who came."""
    came = []
    with contextlib.ExitStack() as listening:
        listeners = next(filter(None, (listeners_at_one_port() for _ in range(20))))
        for listener in listeners:
            listening.enter_context(listener)
            threading.Thread(target=watch, args=(listener, came), daemon=True).start()
        yield listeners[0].getsockname()[1], came


def listeners_at_one_port():
    """None when the port that was free at one address is taken at another. A machine may be without IPv6."""
    first = socket.create_server(("127.0.0.2", 0))
    port = first.getsockname()[1]
    try:
        listeners = [first, socket.create_server(("127.0.0.1", port))]
    except OSError:
        return first.close()
    with contextlib.suppress(OSError):
        listeners.append(socket.create_server(("::1", port), family=socket.AF_INET6))
    return listeners


def watch(listener, came):
    with contextlib.suppress(OSError):
        while True:
            connection, _ = listener.accept()
            came.append(listener.getsockname())
            connection.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with browser_server(tmp_path_factory.mktemp("addresses") / "data", ["--browsers-max", "3"]) as server:
        yield server


def results(client, pages, urls, settle_s):
    """What going to each of some addresses came to."""
    script = "".join(call("go_to_web", url=url) for url in urls)
    made = surf(client, pages + "/prices", script + "@answer done", {}, settle_s=settle_s)
    wait_for_status(client, made, "completed")
    return results_of(client, made)


def test_the_canary_sees_who_comes(canary):
    port, came = canary
    for address in ("127.0.0.1", "127.0.0.2"):
        socket.create_connection((address, port)).close()
    while len(came) < 2:
        threading.Event().wait(0.01)
    came.clear()


def test_no_spelling_of_an_address_inside_is_a_start(connect, server, canary):
    port, came = canary
    for host in SPELLINGS:
        with pytest.raises(Exception, match="start_url"):
            surf(connect(server), f"http://{host}:{port}/", "@answer no")
    assert came == []


@pytest.mark.parametrize("redirected", [False, True])
def test_no_spelling_of_an_address_inside_is_gone_to(redirected, connect, server, canary, pages):
    port, came = canary
    urls = [f"http://{host}:{port}/" for host in SPELLINGS]
    if redirected:
        urls = [f"{pages}/to?{urllib.parse.quote(url, safe='')}" for url in urls]
    told = results(connect(server), pages, urls, settle_s=0)
    assert len(told) == len(SPELLINGS)
    assert all("fault" in one or one.get("refused") for one in told), told
    assert came == []


def test_no_spelling_of_an_address_inside_is_a_part_of_a_page(connect, server, canary, pages):
    port, came = canary
    page = f"{pages}/holds?{urllib.parse.urlencode({'url': [f'http://{host}:{port}/' for host in SPELLINGS]}, doseq=True)}"
    [told] = results(connect(server), pages, [page], settle_s=1)
    assert told["title"] == "Holds" and "127.0.0.2" in told["refused"], told
    assert came == []
