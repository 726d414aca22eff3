"""Prints how long a step of a browser takes outside the model, and how long a browser takes to start.

    target/python/bin/python tests/sdk/measure_web.py
    target/python/bin/python tests/sdk/measure_web.py --beside-bombs

The second prints how long a step takes while a page of another session takes all it can get. Asserts nothing. The server
is the binary that QUARTERDECK_BIN names, else the debug build."""

import json
import os
import pathlib
import statistics
import sys
import tempfile
import threading

from hai_agents import Client

from bomb_pages import BOMBS
from server import API_KEY, Server, binary
from site_pages import site
from steps import read_all, wait_for_status
from web_server import BROWSER

STEPS, STARTS, STEPS_BESIDE = 50, 20, 8
ACTIONS = {
    "a still page: the mouse moves": ("/", ("move_mouse_web", {"x": 900, "y": 900})),
    "a click that writes into the page": ("/acts", ("click_web", {"x": 170, "y": 40})),
    "a page is loaded": ("/", ("refresh_web", {})),
}


def main():
    with tempfile.TemporaryDirectory() as folder, site() as pages:
        options = ["--browser", BROWSER, "--allow-private-hosts", "127.0.0.1"]
        options += ["--browser-no-sandbox"] if os.getuid() == 0 else []
        server = Server(pathlib.Path(folder, "data"), None, options).start()
        try:
            client = Client(base_url=server.base_url, api_key=API_KEY, timeout=60)
            print(f"{binary()}, {BROWSER}, load {os.getloadavg()[0]:.1f}")
            if "--beside-bombs" in sys.argv:
                return beside_bombs(client, pages)
            for settle_s in (1.0, 0.0):
                for what, (page, call) in ACTIONS.items():
                    show(f"settle_s {settle_s}, {what}", steps(client, pages + page, call, settle_s))
            show("from the start of a session to its browser's first page", starts(client, pages))
        finally:
            server.stop()


def surf(client, url, script, settle_s):
    browser = {"kind": "web", "id": "w", "start_url": url, "settle_s": settle_s}
    agent = {"name": "surfer", "description": "Surfs.", "environments": [browser]}
    made = client.sessions.create_session(agent=agent, messages=script)
    wait_for_status(client, made.id, "completed", wait_s=300)
    return read_all(client, made.id)


def beside_bombs(client, pages):
    page, call = ACTIONS["a still page: the mouse moves"]
    show("alone", steps(client, pages + page, call, 1.0, STEPS_BESIDE))
    for name in BOMBS:
        going = [f"@call go_to_web {json.dumps({'url': f'{pages}/bomb/{name}'})}", '@call wait_web {"seconds": 6}', "@answer done"]
        bomb = threading.Thread(target=surf, args=(client, pages + "/", "\n".join(going), 0.4))
        bomb.start()
        show(f"beside {name}", steps(client, pages + page, call, 1.0, STEPS_BESIDE))
        bomb.join()


def steps(client, url, call, settle_s, count=STEPS):
    """From each decision to what the model is shown next, in milliseconds."""
    tool, arguments = call
    events = surf(client, url, f"@call {tool} {json.dumps(arguments)}\n" * count + "@answer done", settle_s)
    took, decided = [], None
    for event in events:
        kind = getattr(event.data, "kind", None)
        if kind == "policy_event":
            decided = event.timestamp
        elif kind in ("observation_event", "tool_result") and decided:
            latest = (event.timestamp - decided).total_seconds() * 1000
            if kind == "tool_result":
                took.append(latest)
                decided = None
    return took


def starts(client, pages):
    took = []
    for _ in range(STARTS):
        events = surf(client, pages + "/", "@answer done", 0.0)
        times = {event.type: event.timestamp for event in events}
        took.append((times["RunnerSessionEvent"] - times["AgentStartedEvent"]).total_seconds() * 1000)
    return took


def show(what, took):
    took = sorted(took)
    p99 = took[min(len(took) - 1, int(len(took) * 0.99))]
    print(f"{what}: p50 {statistics.median(took):.0f} ms, p99 {p99:.0f} ms, {len(took)} times")


if __name__ == "__main__":
    sys.exit(main())
