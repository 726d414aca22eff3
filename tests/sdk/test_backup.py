"""A backup that is taken from a server at work, as docs/operations.md says, and a second server on it."""

import base64
import collections
import concurrent.futures
import contextlib
import itertools
import json
import shutil
import sqlite3
import subprocess
import threading
import time

from postgres import programs
from steps import AGENT, WAIT_S, ask, assert_dense, raw_events, texts_of_messages

BACKUP_S = 60
CLIENTS = 3
MESSAGES = 5
AT_WORK = "SELECT count(*) FROM sessions WHERE status = 'running'"


def test_a_backup_under_load_holds_what_was_acknowledged_and_its_sessions_go_on(new_store, start, connect, tmp_path):
    server = start(new_store())
    load = Load(connect(server))
    with load.running():
        load.wait_for_more(60)
        acknowledged = by_session(load.noted)
        told = {session_id: raw_events(server, session_id)[1] for session_id in acknowledged}
        backup = back_up(server, tmp_path)
        load.wait_for_more(20)
    sent = by_session(load.noted)
    database_url, data_dir = restore(backup, new_store)
    assert at_work(database_url, data_dir) > 0, "the backup holds no session at work"
    restored = start(database_url, data_dir=data_dir)
    client = connect(restored)
    found = every_session(client)
    assert set(acknowledged) <= found <= set(sent)
    for session_id in found:
        result = client.session(session_id).wait_for_completion(timeout_seconds=WAIT_S)
        log = assert_dense(restored, session_id)
        # Addresses of files begin with those of the server that is asked.
        before = json.loads(json.dumps(told.get(session_id, [])).replace(server.base_url, restored.base_url))
        assert log[: len(before)] == before, "the log is another one"
        said = texts_of_messages(log)
        assert said == sent[session_id][: len(said)], "each message once, in order"
        assert len(said) >= len(acknowledged.get(session_id, [])), "an acknowledged message is lost"
        files = files_in(log)
        assert result.status == ("idle" if files else "completed")
        assert result.answer == said[-1].rpartition(" ")[2]
        for file in files:
            assert ask(restored, "GET", file["url"])[::2] == (200, said[0])


class Load:
    """Clients that do not rest, and what was acknowledged to them."""

    def __init__(self, client):
        self.client = client
        self.numbers = itertools.count()
        self.noted = []  # session and text of each message, in the order of the answers
        self.over = threading.Event()

    @contextlib.contextmanager
    def running(self):
        with concurrent.futures.ThreadPoolExecutor(2 * CLIENTS) as pool:
            clients = [pool.submit(self.repeat, what) for what in (self.task, self.talk) for _ in range(CLIENTS)]
            try:
                yield
            finally:
                self.over.set()
            for client in clients:
                client.result()

    def repeat(self, what):
        while not self.over.is_set():
            what()

    def task(self):
        """A session that is at work for a while and then over."""
        text = self.text("@wait 2s")
        session = self.client.start_session(agent=AGENT, messages=text)
        self.noted.append((session.id, text))
        session.wait_for_completion(timeout_seconds=WAIT_S)

    def talk(self):
        """A session that is told several things at once, the first with a file, and then idle."""
        text = self.text("@wait 300ms")
        file = {"type": "base64", "source": base64.b64encode(text.encode()).decode(), "name": "told.txt"}
        message = {"type": "user_message", "message": text, "files": [file]}
        session = self.client.start_session(agent=AGENT, messages=[message], idle_timeout_s=600)
        self.noted.append((session.id, text))
        for _ in range(MESSAGES - 1):
            text = self.text("@wait 300ms")
            session.send_message(text)
            self.noted.append((session.id, text))
        session.wait_for_completion(timeout_seconds=WAIT_S)

    def text(self, pace):
        number = next(self.numbers)
        return f"Message {number}.\n{pace}\n@answer {number}"

    def wait_for_more(self, count):
        wanted, deadline = len(self.noted) + count, time.monotonic() + WAIT_S
        while len(self.noted) < wanted:
            assert time.monotonic() < deadline, f"{len(self.noted)} messages were taken, not {wanted}"
            self.over.wait(0.01)


def by_session(noted):
    found = collections.defaultdict(list)
    for session_id, text in list(noted):
        found[session_id].append(text)
    return dict(found)


def back_up(server, folder):
    """The database first, then the files; gives the database's backup and the new data folder."""
    data_dir = folder / "restored"
    data_dir.mkdir()
    if server.database_url:
        backup = folder / "quarterdeck.dump"
        run("pg_dump", "--format=custom", "--file", backup, server.database_url)
    else:
        backup = data_dir / "quarterdeck.db"
        copy_sqlite(server.data_dir / "quarterdeck.db", backup)
    # A file that is being written has a name with a `#` until it is whole.
    shutil.copytree(server.data_dir / "blobs", data_dir / "blobs", ignore=shutil.ignore_patterns("*#*"))
    return backup, data_dir


def copy_sqlite(source, target):
    """In one transaction: `.backup` of the sqlite3 program begins anew with each commit, and never ends under load."""
    with contextlib.closing(sqlite3.connect(source, isolation_level=None)) as database:
        database.execute("VACUUM INTO ?", [str(target)])


def restore(backup, new_store):
    """Gives what a server needs to start on it."""
    file, data_dir = backup
    database_url = new_store()
    if database_url:
        run("pg_restore", "--exit-on-error", "--dbname", database_url, file)
    return database_url, data_dir


def at_work(database_url, data_dir):
    """How many sessions the backup shows at work, before anybody goes on with them."""
    if database_url:
        return int(run("psql", "--no-psqlrc", "--tuples-only", "--dbname", database_url, "--command", AT_WORK))
    with contextlib.closing(sqlite3.connect(data_dir / "quarterdeck.db")) as database:
        return database.execute(AT_WORK).fetchone()[0]


def run(program, *arguments):
    folder = programs()
    command = [folder / program if folder else program, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=BACKUP_S).stdout


def every_session(client):
    found, page = set(), 1
    while listed := client.sessions.list_sessions(page=page, size=100).items:
        found |= {session.id for session in listed}
        page += 1
    return found


def files_in(log):
    return [event["data"] for event in log if event["type"] == "AttachmentEvent"]
