"""Uses and breaks the servers of docker-compose.yml, as `cargo xtask compose` has started them.

    trial.py COMPOSE_WORD...    with QUARTERDECK_URL, QUARTERDECK_PROXY_URL, QUARTERDECK_API_KEY and QUARTERDECK_PICTURES,
                                a folder for what browsers show, in the environment

Each step prints one line; the first that fails ends it with its reason.
"""

import base64
import os
import pathlib
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

from hai_agents import Client

COMPOSE = sys.argv[1:]
URL, PROXY_URL, KEY = (os.environ[name] for name in ("QUARTERDECK_URL", "QUARTERDECK_PROXY_URL", "QUARTERDECK_API_KEY"))
PICTURES = pathlib.Path(os.environ["QUARTERDECK_PICTURES"])
AGENT = "h/web-surfer-pro"
WAIT_S = 120
FILE = b"price,19\n" * 1_000


def say(line):
    print(line, flush=True)


def compose(*words):
    subprocess.run([*COMPOSE, *words], check=True, stdout=subprocess.DEVNULL)


def is_ready(url):
    try:
        with urllib.request.urlopen(f"{url}/readyz", timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False


def until(wanted, what):
    deadline = time.monotonic() + WAIT_S
    while not wanted():
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not come about within {WAIT_S} s")
        time.sleep(0.5)


def until_ready(url):
    until(lambda: is_ready(url), f"{url} ready")


def fetch(address):
    request = urllib.request.Request(address, headers={"Authorization": f"Bearer {KEY}"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return answer.read()


def attached(client, session):
    """The bytes of the file that the session's first message brought."""
    events = client.sessions.list_session_events(session, size=50).items
    return fetch(next(event.data.url for event in events if event.type == "AttachmentEvent"))


def answer_of(client, script, **options):
    return client.run_session(agent=AGENT, messages=script, timeout_seconds=WAIT_S, **options).answer


def with_file(script):
    file = {"name": "prices.csv", "source": base64.b64encode(FILE).decode(), "type": "base64"}
    return {"type": "user_message", "message": script, "files": [file]}


def check_restarts(client):
    session = client.start_session(agent=AGENT, messages=with_file("@answer 19"), idle_timeout_s=3_600)
    assert session.wait_for_completion(timeout_seconds=WAIT_S).answer == "19"
    assert attached(client, session.id) == FILE
    say("ok: a session with an attached file")
    for service in ("quarterdeck", "postgres"):
        compose("restart", service)
        until_ready(URL)
        assert attached(client, session.id) == FILE
        session.send_message(f"@answer after {service}")
        until(lambda: answers(client, session.id)[-1] == f"after {service}", f"an answer after {service} was restarted")
        say(f"ok: {service} restarted; the session, its file and the conversation go on")
    session.cancel()


def answers(client, session):
    events = client.sessions.list_session_events(session, size=200).items
    return [event.data.answer for event in events if getattr(event.data, "kind", None) == "answer_event"]


def check_killed_database(client):
    session = client.start_session(agent=AGENT, messages="@wait 8s\n@answer kept")
    until(lambda: client.sessions.get_session_status(session.id).status == "running", "a session at work")
    compose("kill", "-s", "SIGKILL", "postgres")
    until(lambda: not is_ready(URL), "a server that is not ready without its database")
    try:
        fetch(f"{URL}/api/v2/sessions/{session.id}/status")
        raise AssertionError("a status came without a database")
    except urllib.error.HTTPError as error:
        assert error.code == 503, error.code
    compose("up", "-d", "postgres")
    until_ready(URL)
    until(lambda: client.sessions.get_session_status(session.id).status == "completed", "the end of the session")
    assert answers(client, session.id) == ["kept"]
    say("ok: the database was killed under a running session, which came to its answer")


def check_replicas():
    compose("--profile", "replicas", "up", "-d")
    until_ready(PROXY_URL)
    with Client(base_url=PROXY_URL, api_key=KEY, timeout=90) as client:
        for number in range(8):
            assert answer_of(client, f"@answer {number}") == str(number)
        session = client.start_session(agent=AGENT, messages="@wait 6s\n@answer together", queue=True)
        seen = []
        waiting = threading.Thread(target=lambda: seen.append(session.wait_for_completion(timeout_seconds=WAIT_S)))
        waiting.start()
        compose("kill", "-s", "SIGKILL", "replica")
        waiting.join(WAIT_S)
        assert seen and seen[0].answer == "together", seen
        assert answer_of(client, "@answer alone") == "alone"
    say("ok: two servers behind a proxy; one of them killed, no session lost")


def check_browser():
    compose("--profile", "replicas", "stop", "quarterdeck", "replica", "proxy")
    compose("--profile", "browser", "up", "-d", "browser", "pages")
    until_ready(URL)
    mode = {"type": "visual", "width": 800, "height": 500, "markdown": True}
    browser = {"kind": "web", "id": "w", "start_url": "http://pages/", "mode": mode}
    agent = {"name": "surfer", "description": "Surfs.", "environments": [browser]}
    script = '@call click_web {"x": 170, "y": 40}\n@call go_to_web {"url": "http://postgres:5432/"}\n@answer seen'
    with Client(base_url=URL, api_key=KEY, timeout=90) as client:
        session = client.start_session(agent=agent, messages=script)
        assert session.wait_for_completion(timeout_seconds=WAIT_S).answer == "seen", session.get()
        events = [event.data for event in client.sessions.list_session_events(session.id, size=200).items]
    sights = [event for event in events if getattr(event, "kind", None) == "observation_event"]
    results = [event.result for event in events if getattr(event, "kind", None) == "tool_result"]
    assert "pressed" in sights[1].text and results[1]["refused"] == ["postgres"], (results, sights)
    picture = fetch(sights[1].image.source)
    assert picture[:3] == b"\xff\xd8\xff"
    (PICTURES / "browser.jpg").write_bytes(picture)
    said = subprocess.run([*COMPOSE, "--profile", "browser", "logs", "browser"], check=True, capture_output=True, text=True).stdout
    assert "headless shell" in said and "WITHOUT its sandbox" not in said, said
    say(f"ok: a browser in its sandbox, on a page of another container; its picture is {PICTURES / 'browser.jpg'}")


def main():
    until_ready(URL)
    with Client(base_url=URL, api_key=KEY, timeout=90) as client:
        check_restarts(client)
        check_killed_database(client)
    check_replicas()
    check_browser()


main()
