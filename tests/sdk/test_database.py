"""A database that goes away, comes back, or answers nonsense: what callers are told, and what goes on afterwards."""

import concurrent.futures
import json
import pathlib
import sqlite3
import subprocess
import tempfile
import time

import pytest

from postgres import Cluster, programs
from server import START_S, Server, binary, clean_environment
from steps import AGENT, WAIT_S, ask, assert_dense, readable, wait_for_status, wait_on

# What the server gives its database, and something for a busy machine.
REFUSAL_S = 8
BACK_S = 10
WAKE_S = 2.5
SESSIONS = "/api/v2/sessions"


@pytest.fixture(scope="module")
def cluster():
    if not programs():
        pytest.skip("no Postgres server is installed")
    # Not in pytest's own folder, which another user may not enter.
    with tempfile.TemporaryDirectory(prefix="quarterdeck-postgres-") as folder:
        cluster = Cluster(pathlib.Path(folder)).start()
        yield cluster
        cluster.stop()


@pytest.fixture
def database_url(cluster):
    """A fresh database on the cluster."""
    name = f"t_{time.monotonic_ns()}"
    cluster.query(f"CREATE DATABASE {name}")
    return f"postgres://quarterdeck@127.0.0.1:{cluster.port}/{name}"


def wait_until_refused(server):
    deadline = time.monotonic() + BACK_S
    write = ("POST", SESSIONS, {"agent": AGENT, "messages": "@answer 1"})
    while ask(server, *write)[0] == 201 or ask(server, "GET", "/readyz")[0] == 200:
        assert time.monotonic() < deadline, "still taken"


@pytest.mark.parametrize("fault", ["stopped", "frozen", "read-only"])
def test_a_database_that_is_away_is_told_in_time_and_costs_no_session(cluster, database_url, start, connect, fault):
    server = start(database_url)
    running = connect(server).start_session(agent=AGENT, messages="@wait 2s\n@answer 42")
    wait_for_status(connect(server), running.id, "running")
    {"stopped": cluster.stop, "frozen": cluster.freeze, "read-only": lambda: cluster.set_read_only(True)}[fault]()
    try:
        if fault == "read-only":
            wait_until_refused(server)  # each connection of the server hears of it in its own time
        paths = [("POST", SESSIONS, {"agent": AGENT, "messages": "@answer 1"}), ("GET", "/readyz", None)]
        if fault != "read-only":
            paths.append(("GET", f"{SESSIONS}/{running.id}/status", None))
        for method, path, body in paths:
            begun = time.monotonic()
            status, headers, text = ask(server, method, path, body)
            assert (status, headers["retry-after"]) == (503, "1"), f"{method} {path}: {status} {text}"
            assert time.monotonic() - begun < REFUSAL_S
        assert ask(server, "GET", "/healthz")[0] == 200
    finally:
        {"stopped": cluster.start, "frozen": cluster.thaw, "read-only": lambda: cluster.set_read_only(False)}[fault]()
    deadline = time.monotonic() + BACK_S
    while ask(server, "POST", SESSIONS, {"agent": AGENT, "messages": "@answer 1"})[0] != 201:
        assert time.monotonic() < deadline, f"still refused {BACK_S} s after the database came back"
    assert ask(server, "GET", "/readyz")[0] == 200
    result = connect(server).session(running.id).wait_for_completion(timeout_seconds=WAIT_S)
    assert (result.status, result.answer) == ("completed", "42")
    assert_dense(server, running.id)


def test_waiters_are_woken_after_all_connections_were_cut(cluster, database_url, start, connect):
    here, there = start(database_url), start(database_url)
    session = connect(here).start_session(agent=AGENT, messages="@answer one", idle_timeout_s=600)
    first = session.wait_for_completion(timeout_seconds=WAIT_S)
    waiters = [wait_on(server, session.id, first.next_from_index) for server in (here, there)]
    connect(there).sessions.get_session_status(session.id)  # the waiters' requests came before this one
    cluster.cut()
    body = {"type": "user_message", "message": "@answer two"}
    sent = time.monotonic()
    while ask(here, "POST", f"{SESSIONS}/{session.id}/messages", body)[0] != 202:
        assert time.monotonic() - sent < BACK_S
    for waiter in waiters:
        assert readable(waiter, WAKE_S), f"not woken within {WAKE_S} s"
        assert waiter.getresponse().status == 200


def test_servers_that_start_at_once_on_an_empty_database_take_turns(database_url, tmp_path):
    servers = [Server(tmp_path / f"data-{number}", database_url) for number in range(3)]
    with concurrent.futures.ThreadPoolExecutor() as pool:
        list(pool.map(Server.start, servers))
    for server in servers:
        assert ask(server, "GET", SESSIONS)[0] == 200
        server.stop()


@pytest.mark.parametrize("engine", ["sqlite", "postgres"])
def test_tables_of_a_newer_version_are_refused_in_one_line(engine, request, tmp_path, start):
    database_url = request.getfixturevalue("database_url") if engine == "postgres" else None
    server = start(database_url)
    server.stop()
    newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) VALUES "
    run_sql(server, newer + "(9999, 'from the future', true, '', 0)")
    ended = serve(server)
    assert ended.returncode == 2
    assert len(ended.stderr.strip().splitlines()) == 1 and "newer" in ended.stderr, ended.stderr


@pytest.mark.parametrize("engine", ["sqlite", "postgres"])
def test_one_unreadable_session_harms_no_other(engine, request, start, connect):
    database_url = request.getfixturevalue("database_url") if engine == "postgres" else None
    server = start(database_url)
    client = connect(server)
    broken = client.start_session(agent=AGENT, messages="@wait 60s\n@answer lost")
    wait_for_status(client, broken.id, "running")
    others = [client.start_session(agent=AGENT, messages="@wait 2s\n@answer 42") for _ in range(5)]
    server.kill()
    # It falls due before the others, and is claimed together with them.
    session_id = f"x'{broken.id.replace('-', '')}'" if engine == "sqlite" else f"'{broken.id}'"
    run_sql(server, f"UPDATE sessions SET projection = '{{not json' WHERE id = {session_id}")
    server.start()
    client = connect(server)
    for other in others:
        assert client.session(other.id).wait_for_completion(timeout_seconds=WAIT_S).answer == "42"
    status, _, text = ask(server, "GET", f"{SESSIONS}/{broken.id}/status")
    assert status == 500 and "cannot be read" in json.loads(text)["message"]
    status, _, text = ask(server, "GET", f"{SESSIONS}?size=100")
    listed = {session["id"] for session in json.loads(text)["items"]}
    assert status == 200 and listed == {other.id for other in others}
    assert client.start_session(agent=AGENT, messages="@answer new").wait_for_completion(timeout_seconds=WAIT_S).answer == "new"


def run_sql(server, statement):
    if server.database_url:
        command = [str(programs() / "psql"), "--no-psqlrc", "--set=ON_ERROR_STOP=1", "--dbname", server.database_url]
        subprocess.run([*command, "--command", statement], check=True, capture_output=True, timeout=30)
        return
    with sqlite3.connect(server.data_dir / "quarterdeck.db") as database:
        database.execute(statement)
    database.close()


def serve(server):
    """Starts it where it is expected not to start."""
    command = [binary(), "serve", "--listen", "127.0.0.1:0"]
    environment = {**clean_environment(), **server.environment()}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=START_S)
