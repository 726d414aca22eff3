"""What several tests do with a session."""

import http.client
import json
import select
import time
import urllib.parse
import urllib.request

from server import API_KEY

AGENT = "h/web-surfer-pro"
WAIT_S = 60
UNANSWERED = {"failed", "timed_out", "interrupted"}
TOOL = {
    "name": "lookup",
    "description": "Looks a value up.",
    "input_schema": {"type": "object", "properties": {"key": {"type": "string"}}, "required": ["key"]},
}


def read_all(client, session_id):
    """The whole log, page by page."""
    events, page = [], 1
    while True:
        found = client.sessions.list_session_events(session_id, page=page, size=200)
        events += found.items
        if not found.items:
            assert found.total == len(events)
            return events
        page += 1


def wait_for_status(client, session_id, status, wait_s=WAIT_S):
    """Follows the log until the session has the status."""
    deadline, index, seen = time.monotonic() + wait_s, 0, []
    while time.monotonic() < deadline:
        current = client.sessions.get_session_status(session_id).status
        if current == status:
            return
        if status == "completed" and current in UNANSWERED:
            error = client.sessions.get_session_status(session_id).error
            raise AssertionError(f"{session_id} ended as {current}, not {status}: {error}")
        seen.append(current)
        changes = client.sessions.get_session_changes(session_id, from_index=index, wait_for_seconds=2)
        index += len(changes.new_events) if changes else 0
    raise AssertionError(f"{session_id} is not {status} after {wait_s} s; it was {seen[-5:]}")


def kinds(events):
    """Each event in a word: its type, or for the agent's events their kind."""
    return [getattr(event.data, "kind", None) or event.type for event in events]


def answers(events):
    """The answers given, in order."""
    return [event.data.answer for event in events if getattr(event.data, "kind", None) == "answer_event"]


def texts_of_messages(log):
    """What was said, in order, in the events as they are on the wire."""
    said = [event["data"]["content"] for event in log if event["data"].get("kind") == "message_event"]
    return [part for content in said for part in content if isinstance(part, str)]


def raw_events(server, session_id, from_index=0, limit=None):
    """The events as the bytes on the wire hold them, with the index of the first; none is an empty list."""
    address = f"{server.base_url}/api/v2/sessions/{session_id}/changes?from_index={from_index}"
    if limit is not None:
        address += f"&limit={limit}"
    request = urllib.request.Request(address, headers={"Authorization": f"Bearer {API_KEY}"})
    with urllib.request.urlopen(request, timeout=30) as response:
        if response.status == 204:
            return from_index, []
        body = json.load(response)
        return body["first_index"], body["new_events"]


def assert_dense(server, session_id):
    """Every index is there once: reading from any of them gives exactly the rest of the log."""
    _, log = raw_events(server, session_id)
    for index in range(len(log) + 1):
        first, rest = raw_events(server, session_id, index)
        assert (first, rest) == (index, log[index:])
    return log


def wait_on(server, session_id, from_index, wait_s=20):
    """Sends a long poll and does not wait for its answer."""
    connection = http.client.HTTPConnection(urllib.parse.urlsplit(server.base_url).netloc, timeout=wait_s + 10)
    path = f"/api/v2/sessions/{session_id}/changes?from_index={from_index}&wait_for_seconds={wait_s}"
    connection.request("GET", path, headers={"Authorization": f"Bearer {API_KEY}"})
    return connection


def readable(connection, wait_s):
    """Whether an answer, or the end of the connection, comes within the time."""
    return bool(select.select([connection.sock], [], [], wait_s)[0])


def ask(server, method, path, body=None, headers=None, wait_s=30):
    """One request without an SDK: status, headers, text of the answer."""
    connection = http.client.HTTPConnection(urllib.parse.urlsplit(server.base_url).netloc, timeout=wait_s)
    headers = {"Authorization": f"Bearer {API_KEY}", "Content-Type": "application/json", **(headers or {})}
    try:
        connection.request(method, path, json.dumps(body) if body is not None else None, headers)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read().decode()
    finally:
        connection.close()
