"""A network of its own for a server and its browsers: whatever leaves it is seen, and every address answers.

Two network namespaces with a cable between them. `web` holds the server and its browsers; `out` holds our site, and takes
packets for any address. In `web` the kernel notes where each packet of the browsers' user goes."""

import contextlib
import ctypes
import http.server
import itertools
import os
import pathlib
import shutil
import socket
import subprocess
import threading
import time

BROWSER_USER = 65534
WEB, OUT = "10.77.0.1", "10.77.0.2"
PRIVATE = ["10.77.0.9", "169.254.169.254", "[fd77::9]", "[::1]", "0.0.0.0", "127.0.0.2"]
PRIVATE_PORT, SITE_PORT, LOCAL_PORT = 8181, 8000, 8088
CLONE_NEWNET = 0x40000000
NUMBERS = itertools.count()
SENSOR = f"""
table inet sensor {{
  set seen4 {{ type ipv4_addr . inet_proto . inet_service; flags dynamic; size 4096; }}
  set seen6 {{ type ipv6_addr . inet_proto . inet_service; flags dynamic; size 4096; }}
  chain out {{
    type filter hook output priority 0
    meta skuid {BROWSER_USER} meta l4proto {{ tcp, udp }} add @seen4 {{ ip daddr . meta l4proto . th dport }}
    meta skuid {BROWSER_USER} meta l4proto {{ tcp, udp }} add @seen6 {{ ip6 daddr . meta l4proto . th dport }}
    meta skuid {BROWSER_USER} meta l4proto != {{ tcp, udp }} add @seen4 {{ ip daddr . meta l4proto . 0 }}
  }}
}}
"""


def why_not():
    """Why there can be no such network here; nothing if there can."""
    if os.getuid() != 0:
        return "network namespaces are made by root only"
    missing = [name for name in ("ip", "nft") if not shutil.which(name)]
    if missing:
        return f"apt-get install iproute2 nftables: {', '.join(missing)} is not here"
    name = f"qd-try-{os.getpid()}"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True)
    if made.returncode:
        return f"no network namespace can be made: {made.stderr.strip()}"
    try:
        sensed = subprocess.run(["ip", "netns", "exec", name, "nft", "-f", "-"], input=SENSOR, capture_output=True, text=True)
        return f"nft does not take our rules: {sensed.stderr.strip()}" if sensed.returncode else None
    finally:
        run("ip", "netns", "del", name)


def run(*command, **more):
    return subprocess.run(command, check=True, capture_output=True, text=True, **more).stdout


class Network:
    def __init__(self, web, out):
        self.web, self.out = web, out
        self.reached = []
        self.asked = []

    @contextlib.contextmanager
    def inside(self, name):
        """Sockets that this thread makes meanwhile are in a namespace."""
        libc = ctypes.CDLL(None, use_errno=True)
        with open("/proc/self/ns/net") as home, open(f"/run/netns/{name}") as there:
            assert libc.setns(there.fileno(), CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
            try:
                yield
            finally:
                assert libc.setns(home.fileno(), CLONE_NEWNET) == 0

    def in_web(self, *command):
        return ["ip", "netns", "exec", self.web, *command]

    def sense(self):
        """Begins to note anew where the browsers' packets go."""
        run(*self.in_web("nft", "flush", "ruleset"))
        run(*self.in_web("nft", "-f", "-"), input=SENSOR)

    def seen(self):
        """Where they went: address, protocol, port."""
        places = set()
        for name in ("seen4", "seen6"):
            text = run(*self.in_web("nft", "list", "set", "inet", "sensor", name))
            elements = text.partition("elements = {")[2].partition("}")[0]
            places |= {tuple(part.strip() for part in element.split(" . ")) for element in elements.split(",") if element.strip()}
        return {(address, protocol, service(port)) for address, protocol, port in places}

    def listen(self, namespace, address, port, family=socket.AF_INET):
        """A canary: notes whoever connects."""
        with self.inside(namespace):
            canary = socket.create_server((address, port), family=family, backlog=64)
        threading.Thread(target=self._accept, args=[canary], daemon=True).start()
        return canary

    def _accept(self, canary):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = canary.accept()
                self.reached.append(connection.getsockname()[:2])
                connection.close()

    def answer_names(self):
        """Every name is one of a private address."""
        with self.inside(self.out):
            resolver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            resolver.bind((OUT, 53))
        threading.Thread(target=self._resolve, args=[resolver], daemon=True).start()
        return resolver

    def _resolve(self, resolver):
        with contextlib.suppress(OSError):
            while True:
                query, asker = resolver.recvfrom(4096)
                end = query.index(b"\0", 12) + 5
                self.asked.append(query[12:end])
                is_v4 = query[end - 4 : end - 2] == b"\0\1"
                answer = b"\xc0\x0c\0\1\0\1\0\0\0\1\0\4" + socket.inet_aton(PRIVATE[0]) if is_v4 else b""
                head = query[:2] + b"\x81\x80\0\1\0" + bytes([is_v4]) + b"\0\0\0\0"
                resolver.sendto(head + query[12:end] + answer, asker)

    def serve(self, namespace, address, handler):
        with self.inside(namespace):
            server = http.server.ThreadingHTTPServer(address, handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return server


def service(port):
    """nft writes ports by their name."""
    return int(port) if port.isdigit() else socket.getservbyname(port)


@contextlib.contextmanager
def network():
    """Makes the two namespaces, and takes them away with all that was in them."""
    number = f"{os.getpid() % 100000}-{next(NUMBERS)}"
    web, out = f"qd-web-{number}", f"qd-out-{number}"
    names = pathlib.Path("/etc/netns", web)
    cable = [f"qw{number}", f"qo{number}"]
    try:
        for name in (web, out):
            run("ip", "netns", "add", name)
            run("ip", "-n", name, "link", "set", "lo", "up")
        run("ip", "-n", web, "link", "add", cable[0], "type", "veth", "peer", "name", cable[1], "netns", out)
        for name, end, host in ((web, cable[0], 1), (out, cable[1], 2)):
            run("ip", "-n", name, "address", "add", f"10.77.0.{host}/24", "dev", end)
            run("ip", "-n", name, "address", "add", f"fd77::{host}/64", "dev", end, "nodad")
            run("ip", "-n", name, "link", "set", end, "up")
        run("ip", "-n", web, "route", "add", "default", "via", OUT)
        run("ip", "-n", web, "-6", "route", "add", "default", "via", "fd77::2")
        # Whatever address a packet is for, it has arrived.
        run("ip", "-n", out, "route", "add", "local", "default", "dev", "lo")
        run("ip", "-n", out, "-6", "route", "add", "local", "default", "dev", "lo")
        names.mkdir(parents=True)
        names.joinpath("resolv.conf").write_text(f"nameserver {OUT}\noptions timeout:2 attempts:1\n")
        yield Network(web, out)
    finally:
        for name in (web, out):
            subprocess.run(["ip", "netns", "del", name], capture_output=True)
        shutil.rmtree(names, ignore_errors=True)
        with contextlib.suppress(OSError):
            names.parent.rmdir()


def until(condition, wait_s):
    deadline = time.monotonic() + wait_s
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.1)
    return condition()
