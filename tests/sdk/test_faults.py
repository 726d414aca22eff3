"""Full disks, foreign locks, floods, signals: what the machine around a server does to it."""

import concurrent.futures
import json
import os
import resource
import shutil
import signal
import socket
import sqlite3
import subprocess
import time
import urllib.parse

import pytest

from server import API_KEY, Server, binary, clean_environment
from steps import AGENT, WAIT_S, ask, assert_dense, readable, wait_for_status, wait_on

SESSIONS = "/api/v2/sessions"
CREATION = {"agent": AGENT, "messages": "@answer 42"}
REFUSAL_S = 8
STOP_S = 10


@pytest.fixture
def disk(tmp_path):
    """A small disk, to be filled."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.getuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "none", folder]).returncode:
        pytest.skip("only root can mount a small disk")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def fill(folder):
    """Leaves no room: whole blocks first, then what is left."""
    with (folder / "ballast").open("wb", buffering=0) as ballast:
        for size in (1 << 16, 1):
            try:
                while True:
                    ballast.write(b"x" * size)
            except OSError:
                pass


@pytest.fixture
def on_disk(disk):
    """A server whose database, files and log are on the small disk."""
    server = Server(disk / "data").start()
    yield server
    if server.process.poll() is None:
        server.kill()


def test_a_full_disk_is_told_and_over_when_there_is_room_again(disk, on_disk, connect):
    server = on_disk
    kept = connect(server).start_session(agent=AGENT, messages="@answer kept")
    kept.wait_for_completion(timeout_seconds=WAIT_S)
    working = connect(server).start_session(agent=AGENT, messages="@wait 1s\n@answer 42")
    fill(disk)
    refusals = []
    deadline = time.monotonic() + WAIT_S
    while len(refusals) < 20:
        status, headers, text = ask(server, "POST", SESSIONS, {**CREATION, "group_id": "g" * 5_000})
        assert status in (201, 503), f"{status}: {text}"
        if status == 503:
            assert headers["retry-after"] and "disk" in json.loads(text)["message"]
            refusals.append(text)
        assert time.monotonic() < deadline, "the disk does not fill"
    assert ask(server, "GET", f"{SESSIONS}/{kept.id}/status")[0] == 200, "what is there can be read"
    assert [ask(server, "GET", path)[0] for path in ("/healthz", "/readyz")] == [200, 503]
    (disk / "ballast").unlink()
    status, _, text = ask(server, "POST", SESSIONS, CREATION)
    assert status == 201, f"there is room again: {text}"
    assert ask(server, "GET", "/readyz")[0] == 200
    result = connect(server).session(working.id).wait_for_completion(timeout_seconds=WAIT_S)
    assert (result.status, result.answer) == ("completed", "42")
    server.stop()
    with sqlite3.connect(disk / "data" / "quarterdeck.db") as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    database.close()


def test_a_disk_that_fails_costs_nothing_that_was_acknowledged(start, connect, tmp_path):
    """`strace` makes every flush fail for a while."""
    if not shutil.which("strace"):
        pytest.skip("strace is not installed")
    server = start()
    acknowledged = [connect(server).start_session(agent=AGENT, messages="@answer 1").id for _ in range(3)]
    faults = ["-f", "-qq", "-e", "trace=fsync,fdatasync", "-e", "inject=fsync,fdatasync:error=EIO"]
    command = ["strace", *faults, "-o", str(tmp_path / "trace"), "-p", str(server.process.pid)]
    tracer = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + WAIT_S
        while True:
            status, headers, text = ask(server, "POST", SESSIONS, CREATION)
            if status == 503:
                break
            assert status == 201, f"{status}: {text}"
            acknowledged.append(json.loads(text)["id"])
            assert time.monotonic() < deadline, "no flush fails"
        assert headers["retry-after"] and "disk" in json.loads(text)["message"]
    finally:
        tracer.send_signal(signal.SIGINT)
        tracer.wait(WAIT_S)
    if tracer.returncode == 1:
        pytest.skip("strace may not attach here")
    deadline = time.monotonic() + WAIT_S
    while (made := ask(server, "POST", SESSIONS, CREATION))[0] != 201:
        assert made[0] == 503 and time.monotonic() < deadline, made
    acknowledged.append(json.loads(made[2])["id"])
    server.kill()
    server.start()
    for session in acknowledged:
        assert connect(server).session(session).wait_for_completion(timeout_seconds=WAIT_S).status == "completed"
        assert_dense(server, session)


def test_a_foreign_lock_on_the_database_is_told_and_waited_out(start, connect):
    server = start()
    foreign = sqlite3.connect(server.data_dir / "quarterdeck.db", isolation_level=None)
    foreign.execute("BEGIN IMMEDIATE")
    begun = time.monotonic()
    status, headers, text = ask(server, "POST", SESSIONS, CREATION)
    assert (status, headers["retry-after"]) == (503, "1"), f"{status}: {text}"
    assert time.monotonic() - begun < REFUSAL_S
    assert ask(server, "GET", SESSIONS)[0] == 200, "reading goes on"
    foreign.execute("ROLLBACK")
    foreign.close()
    assert ask(server, "POST", SESSIONS, CREATION)[0] == 201


def test_a_second_server_on_the_same_folder_is_refused_in_one_line(start):
    server = start()
    command = [binary(), "serve", "--listen", "127.0.0.1:0", "--browser", "none", "--data-dir", str(server.data_dir)]
    ended = subprocess.run(command, env=clean_environment(), capture_output=True, text=True, timeout=WAIT_S)
    assert ended.returncode == 2
    assert len(ended.stderr.strip().splitlines()) == 1 and "quarterdeck.db" in ended.stderr, ended.stderr
    assert ask(server, "GET", SESSIONS)[0] == 200


def test_a_server_stops_in_time_under_load_and_every_waiter_is_answered(start, connect):
    server = start()
    client = connect(server)
    sessions = [client.start_session(agent=AGENT, messages="@wait 60s\n@answer late") for _ in range(20)]
    for session in sessions:
        wait_for_status(client, session.id, "running")
    waiters = [wait_on(server, session.id, 1_000) for session in sessions]
    client.sessions.get_session_status(sessions[0].id)  # the waiters' requests came before this one
    begun = time.monotonic()
    server.stop()
    assert time.monotonic() - begun < STOP_S
    for waiter in waiters:
        assert readable(waiter, 1)
        assert waiter.getresponse().status in (200, 204)


def test_a_second_signal_ends_a_server_at_once(start, connect):
    server = start()
    session = connect(server).start_session(agent=AGENT, messages="@wait 60s\n@answer late")
    wait_for_status(connect(server), session.id, "running")
    server.process.send_signal(signal.SIGTERM)
    deadline = time.monotonic() + STOP_S
    while "stopping" not in server.read_log():
        assert time.monotonic() < deadline
    begun = time.monotonic()
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(STOP_S) == 1
    assert time.monotonic() - begun < 2, "it did not drain"


def test_one_key_makes_one_session_however_many_ask_at_once(new_database, start):
    database_url = new_database()
    pair = [start(database_url), start(database_url)]

    def create(number):
        return ask(pair[number % 2], "POST", SESSIONS, CREATION, {"Idempotency-Key": "one"})

    with concurrent.futures.ThreadPoolExecutor(max_workers=50) as pool:
        answers = list(pool.map(create, range(100)))
    assert {status for status, _, _ in answers} <= {201, 409}
    bodies = {text for status, _, text in answers if status == 201}
    assert len(bodies) == 1, "all who were answered were answered the same"
    for server in pair:
        assert json.loads(ask(server, "GET", SESSIONS)[2])["total"] == 1


def test_a_creation_repeated_after_a_kill_is_the_same_session(new_store, start):
    """The first answer is never read: whether the server committed before it died, the client cannot know."""
    server = start(new_store())
    for number in range(5):
        key = {"Idempotency-Key": f"key-{number}"}
        connection = raw_creation(server, key["Idempotency-Key"])
        time.sleep(0.004 * number)  # the kill comes at another moment each time
        server.kill()
        connection.close()
        server.start()
        first, again = (ask(server, "POST", SESSIONS, CREATION, key) for _ in range(2))
        assert (first[0], again[0]) == (201, 201)
        assert first[2] == again[2]
    assert json.loads(ask(server, "GET", SESSIONS)[2])["total"] == 5


def raw_creation(server, key):
    body = json.dumps(CREATION)
    lines = [
        f"POST {SESSIONS} HTTP/1.1",
        "Host: h",
        "Content-Type: application/json",
        f"Authorization: Bearer {API_KEY}",
        f"Idempotency-Key: {key}",
        f"Content-Length: {len(body)}",
    ]
    connection = connect_raw(server)
    connection.sendall(("\r\n".join(lines) + "\r\n\r\n" + body).encode())
    return connection


def connect_raw(server):
    address = urllib.parse.urlsplit(server.base_url)
    return socket.create_connection((address.hostname, address.port), timeout=WAIT_S)


def test_a_flood_beyond_the_limit_on_open_files_passes(start, connect):
    server = start()
    soft, _ = resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (96, 96))
    session = connect(server).start_session(agent=AGENT, messages="@answer 1", idle_timeout_s=600)
    flood = [connect_raw(server) for _ in range(300)]
    deadline = time.monotonic() + WAIT_S
    while "could not accept" not in server.read_log():
        assert time.monotonic() < deadline, f"the limit of {soft} was not lowered"
    for connection in flood:
        connection.close()
    assert ask(server, "GET", "/healthz")[0] == 200
    assert ask(server, "POST", f"{SESSIONS}/{session.id}/messages", {"type": "user_message", "message": "@answer 2"})[0] == 202
    connect(server).session(session.id).cancel()


def test_thousands_of_polls_that_their_clients_leave_are_not_kept(start, connect):
    server = start()
    session = connect(server).start_session(agent=AGENT, messages="@answer 1", idle_timeout_s=600)
    session.wait_for_completion(timeout_seconds=WAIT_S)
    before = open_files(server)
    for _ in range(10):
        polls = [wait_on(server, session.id, 1_000) for _ in range(200)]
        for poll in polls:
            poll.close()
    deadline = time.monotonic() + 5
    while open_files(server) > before + 5:
        assert time.monotonic() < deadline, f"{open_files(server)} files are open, {before} were"
    session.cancel()


def open_files(server):
    return len(os.listdir(f"/proc/{server.process.pid}/fd"))
