"""A database that goes away, comes back, or answers nonsense: what callers are told, and what goes on afterwards."""

import concurrent.futures
import json
import pathlib
import sqlite3
import subprocess
import tempfile
import threading
import time
import urllib.parse

import pytest
from hai_agents.polling import wait_for_session

from postgres import Cluster, programs
from proxy import Proxy
from server import START_S, Server, binary, clean_environment
from steps import AGENT, WAIT_S, answers, ask, assert_dense, raw_events, readable, wait_for_status, wait_on

# What the server gives its database, and something for a busy machine.
REFUSAL_S = 8
BACK_S = 10
WAKE_S = 2.5
# A listener that hears nothing finds out within seconds; a poll that nobody wakes ends after POLL_S.
DEAF_S = 10
POLL_S = 50
SESSIONS = "/api/v2/sessions"
# What a next version may do to the tables of a server that still runs.
EXPANSION = """
    BEGIN;
    ALTER TABLE sessions ADD COLUMN label text;
    ALTER TABLE sessions ADD COLUMN priority bigint NOT NULL DEFAULT 7;
    ALTER TABLE events ADD COLUMN label text;
    ALTER TABLE events ADD COLUMN priority bigint NOT NULL DEFAULT 7;
    CREATE TABLE labels (session_id text PRIMARY KEY, label text NOT NULL);
    CREATE INDEX sessions_by_label ON sessions (label, created_at);
    CREATE INDEX events_by_type ON events (type, session_id);
    INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
        VALUES (9999, 'from the future', true, '', 0);
    COMMIT;
"""
EXPANSIONS = {"sqlite": EXPANSION.replace("bigint", "integer"), "postgres": EXPANSION}


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


@pytest.fixture
def proxy(cluster):
    """Another way to the cluster; it outlives the servers that use it."""
    proxy = Proxy(cluster.port)
    yield proxy
    proxy.close()


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


def test_waiters_are_woken_although_the_listening_connection_is_dead_but_open(database_url, proxy, start, connect):
    here = start(database_url)
    session = connect(here).start_session(agent=AGENT, messages="@wait 10m\n@answer late")
    wait_for_status(connect(here), session.id, "running")  # so it is worked on here, and heard of there
    there = start(by_way_of(proxy, database_url))
    for command in (session.pause, session.resume):
        _, log = raw_events(here, session.id)
        waiter = wait_on(there, session.id, len(log), POLL_S)
        wait_for_metric(there, "quarterdeck_waiters 1")
        freeze_listener(proxy)
        command()
        assert readable(waiter, DEAF_S), f"not woken within {DEAF_S} s of the {command.__name__}"
        assert waiter.getresponse().status == 200
    assert raw_events(there, session.id) == raw_events(here, session.id)
    session.cancel()


def test_a_worker_hears_of_a_pause_although_the_listening_connection_is_dead_but_open(
    database_url, proxy, start, connect
):
    there = start(by_way_of(proxy, database_url))
    session = connect(there).start_session(agent=AGENT, messages="@wait 10m\n@answer late")
    wait_for_metric(there, "quarterdeck_workers_busy 1")  # so it is worked on there, and steered from here
    here = start(database_url)
    steered = connect(here).session(session.id)
    freeze_listener(proxy)
    steered.pause()
    wait_for_metric(there, "quarterdeck_workers_busy 0")
    steered.send_message("@answer now")
    result = steered.wait_for_completion(timeout_seconds=WAIT_S)
    assert (result.status, answers(result.events)) == ("completed", ["now"])
    assert assert_dense(here, session.id) == assert_dense(there, session.id)


def test_a_server_stops_in_time_although_its_database_is_frozen(cluster, database_url, start):
    server = start(database_url)
    cluster.freeze()
    try:
        server.stop()
    finally:
        cluster.thaw()


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
def test_a_running_server_goes_on_when_a_newer_version_expands_its_tables(engine, request, start, connect):
    database_url = request.getfixturevalue("database_url") if engine == "postgres" else None
    server = start(database_url)
    client = connect(server)
    talk = client.start_session(agent=AGENT, messages="@answer one", idle_timeout_s=600)
    first = talk.wait_for_completion(timeout_seconds=WAIT_S)
    waiter = wait_on(server, talk.id, first.next_from_index)
    working = client.start_session(agent=AGENT, messages="@wait 2s\n@answer 42")
    wait_for_status(client, working.id, "running")
    ran = run_sessions_while(client, lambda: run_sql(server, EXPANSIONS[engine]))
    talk.send_message("@answer two")
    assert readable(waiter, BACK_S)
    assert waiter.getresponse().status == 200
    assert wait_for_session(client, talk.id, from_index=first.next_from_index, timeout_seconds=WAIT_S).answer == "two"
    assert working.wait_for_completion(timeout_seconds=WAIT_S).answer == "42"
    for session_id in (talk.id, working.id, ran[0], ran[-1]):
        assert_dense(server, session_id)
    assert client.sessions.list_sessions(status="completed").total == len(ran) + 1
    talk.cancel()
    wait_for_status(client, talk.id, "interrupted")


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


@pytest.mark.parametrize("engine", ["sqlite", "postgres"])
def test_an_unreadable_session_in_the_queue_keeps_no_other_waiting(engine, request, start, connect):
    database_url = request.getfixturevalue("database_url") if engine == "postgres" else None
    server = start(database_url)
    run_sql(server, "UPDATE organizations SET max_concurrent_sessions = 1")
    client = connect(server)
    first = client.start_session(agent=AGENT, messages="@wait 60s\n@answer 1")
    broken, waiting = (client.start_session(agent=AGENT, messages="@answer 42") for _ in range(2))
    wait_for_status(client, waiting.id, "queued")
    server.kill()
    session_id = f"x'{broken.id.replace('-', '')}'" if engine == "sqlite" else f"'{broken.id}'"
    run_sql(server, f"UPDATE sessions SET projection = '{{not json' WHERE id = {session_id}")
    server.start()
    client = connect(server)
    client.session(first.id).cancel()
    assert client.session(waiting.id).wait_for_completion(timeout_seconds=WAIT_S).answer == "42"


def run_sql(server, statement):
    if server.database_url:
        command = [str(programs() / "psql"), "--no-psqlrc", "--set=ON_ERROR_STOP=1", "--dbname", server.database_url]
        subprocess.run([*command, "--command", statement], check=True, capture_output=True, timeout=30)
        return
    with sqlite3.connect(server.data_dir / "quarterdeck.db", timeout=WAIT_S) as database:
        database.executescript(statement)
    database.close()


def run_sessions_while(client, act):
    """Runs sessions before, during and after; gives their ids."""
    over = threading.Event()

    def run(number):
        ran, last = [], False
        while not last:
            last = over.is_set()
            result = client.run_session(agent=AGENT, messages=f"@answer {number}", timeout_seconds=WAIT_S)
            assert result.answer == str(number)
            ran.append(result.id)
        return ran

    with concurrent.futures.ThreadPoolExecutor() as pool:
        runs = [pool.submit(run, number) for number in range(4)]
        try:
            act()
        finally:
            over.set()
        return [session_id for ran in runs for session_id in ran.result()]


def serve(server):
    """Starts it where it is expected not to start."""
    command = [binary(), "serve", "--listen", "127.0.0.1:0", "--browser", "none"]
    environment = {**clean_environment(), **server.environment()}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=START_S)


def by_way_of(proxy, database_url):
    """The same database, reached through the proxy."""
    parts = urllib.parse.urlsplit(database_url)
    return parts._replace(netloc=f"{parts.username}@127.0.0.1:{proxy.port}").geturl()


def freeze_listener(proxy):
    deadline = time.monotonic() + BACK_S
    while (frozen := proxy.freeze_listeners()) == 0:
        assert time.monotonic() < deadline, "nobody listens"
    assert frozen == 1


def wait_for_metric(server, line):
    deadline = time.monotonic() + DEAF_S
    while f"\n{line}\n" not in ask(server, "GET", "/metrics")[2]:
        assert time.monotonic() < deadline, f"not {line} within {DEAF_S} s"
