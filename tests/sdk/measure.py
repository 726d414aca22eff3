"""Prints how long commands take to have effect while a model call is in flight: python tests/sdk/measure.py [COUNT].

Each time runs from sending the command to the answer of a long poll that shows its effect. What the scripted model
was asked for would take ten minutes, so a message that is answered shows that the call was dropped.
"""

import pathlib
import statistics
import sys
import tempfile
import time

from hai_agents import Client

from server import API_KEY, Server
from steps import AGENT, wait_for_status

SLOW = "@wait 10m\n@answer late"


def follow(session, index, is_there):
    """Polls until the changes show it; gives the index to go on from."""
    while True:
        changes = session.changes(from_index=index, wait_for_seconds=20)
        assert changes, "nothing new for 20 s"
        index += len(changes.new_events)
        if is_there(changes):
            return index


def in_flight(client):
    """A session whose model call is in flight, and where its log ends."""
    session = client.start_session(agent=AGENT, messages=SLOW)
    wait_for_status(client, session.id, "running")
    return session, len(session.changes().new_events)


def timed(command, session, index, is_there):
    begun = time.perf_counter()
    command()
    index = follow(session, index, is_there)
    return 1000 * (time.perf_counter() - begun), index


def measure(client, count):
    times = {"cancel": [], "pause": [], "message to a paused session, answered": []}
    for _ in range(count):
        session, index = in_flight(client)
        took, _ = timed(session.cancel, session, index, lambda changes: changes.status == "interrupted")
        times["cancel"].append(took)
        session, index = in_flight(client)
        took, index = timed(session.pause, session, index, lambda changes: changes.status == "paused")
        times["pause"].append(took)
        answer = lambda: session.send_message("@answer now")
        took, _ = timed(answer, session, index, lambda changes: changes.status == "completed")
        times["message to a paused session, answered"].append(took)
    return times


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 50
    with tempfile.TemporaryDirectory() as folder:
        server = Server(pathlib.Path(folder, "data")).start()
        try:
            with Client(base_url=server.base_url, api_key=API_KEY, timeout=40) as client:
                times = measure(client, count)
        finally:
            server.stop()
    for what, found in times.items():
        found.sort()
        print(f"{what}: median {statistics.median(found):.1f} ms, worst {found[-1]:.1f} ms of {count}")


if __name__ == "__main__":
    main()
