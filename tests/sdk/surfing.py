"""Sessions with a browser that a script drives, and what can be read of them."""

import json
import time
import urllib.request

from server import API_KEY

VISUAL = {"type": "visual", "width": 1000, "height": 700, "markdown": True}
TEXT = {"type": "text", "chunk_size": 1000}


def call(tool, **arguments):
    """A line of a script."""
    return f"@call {tool} {json.dumps(arguments)}\n"


STAYS = {"idle_timeout_s": 600}


def surf(client, url, script, limits=STAYS, **more):
    """Creates a session with a browser, which stays for more messages unless its limits say otherwise; gives its id."""
    browser = {"kind": "web", "id": "w", "start_url": url, "settle_s": 0.4, **more}
    agent = {"name": "surfer", "description": "Surfs.", "environments": [browser]}
    return client.sessions.create_session(agent=agent, messages=script, **limits).id


def say(client, session_id, script):
    message = {"type": "user_message", "message": script}
    client.sessions.send_session_messages(session_id, request=message)


def events_of(client, session_id):
    """What there is of the log now; it may grow meanwhile."""
    return client.sessions.list_session_events(session_id, page=1, size=200).items


def of_kind(client, session_id, *kinds):
    return [event.data for event in events_of(client, session_id) if getattr(event.data, "kind", "") in kinds]


def sights_of(client, session_id):
    return of_kind(client, session_id, "observation_event")


def results_of(client, session_id):
    """Receipts, and the faults of calls that were not done."""
    done = of_kind(client, session_id, "tool_result", "error_event")
    return [event.result if event.kind == "tool_result" else {"fault": event.error} for event in done]


def starts_of(client, session_id):
    return [e.data.runner_session_id for e in events_of(client, session_id) if e.type == "RunnerSessionEvent"]


def until(condition, wait_s=20):
    deadline = time.monotonic() + wait_s
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.1)
    return condition()


def fetch(server, source, key=API_KEY):
    """A resource of a session: its type and its bytes."""
    url = source if source.startswith("http") else server.base_url + source
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {key}"} if key else {})
    with urllib.request.urlopen(request, timeout=20) as answer:
        return answer.headers["Content-Type"], answer.read()
