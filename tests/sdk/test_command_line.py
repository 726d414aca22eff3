"""The commands as a person at a terminal, a script or a service manager runs them."""

import os
import pathlib
import signal
import sqlite3
import stat
import subprocess
import time
import urllib.parse

import pytest

from server import binary, clean_environment

COMMAND_S = 60


@pytest.fixture
def run(tmp_path):
    """Runs a command in a folder of its own, which is its home too."""

    def run(*words, code=0, stdout=subprocess.PIPE, **variables):
        done = subprocess.run(
            [binary(), *words],
            cwd=tmp_path,
            env={**clean_environment(), "HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path / "share"), **variables},
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
            timeout=COMMAND_S,
        )
        assert done.returncode == code, f"{done.returncode}: {done.stdout}{done.stderr}"
        assert "panicked" not in done.stderr
        return done

    return run


@pytest.fixture
def serve(tmp_path):
    """Starts a server with its output anywhere, and ends it with the test."""
    started = []

    def serve(*words, stdout, **variables):
        process = subprocess.Popen(
            [binary(), "serve", "--listen", "127.0.0.1:0", "--data-dir", "data", *words],
            cwd=tmp_path,
            env={**clean_environment(), **variables},
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=(tmp_path / "log").open("wb"),
        )
        started.append(process)
        return process

    yield serve
    for process in started:
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0, (tmp_path / "log").read_text()


def wait_for_log(tmp_path, text):
    deadline = time.monotonic() + 30
    while text not in (log := (tmp_path / "log").read_text()):
        assert time.monotonic() < deadline, log
        time.sleep(0.05)
    return log


def closed_pipe():
    reading, writing = os.pipe()
    os.close(reading)
    return writing


@pytest.fixture
def make_store(tmp_path):
    """Has a server make its embedded database, or open it again, and stops it."""

    def make_store():
        process = subprocess.Popen(
            [binary(), "serve", "--listen", "127.0.0.1:0", "--data-dir", "data", "--api-key", "hk-" + "7" * 40],
            cwd=tmp_path,
            env=clean_environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        for line in process.stdout:
            if line.startswith("listening"):
                break
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
        assert process.returncode == 0

    return make_store


@pytest.mark.parametrize("where", ["full", "closed"])
def test_a_server_whose_output_cannot_be_written_serves_and_stores_no_key(where, serve, run, tmp_path):
    output = os.open("/dev/full", os.O_WRONLY) if where == "full" else closed_pipe()
    serve(stdout=output)
    os.close(output)
    log = wait_for_log(tmp_path, "listening on http://")
    assert "no API key" in log
    assert "\x1b[" not in log, "colours in a file"
    assert run("keys", "list", "--data-dir", "data").stdout == ""


def test_no_key_is_made_that_nobody_sees(run, make_store):
    make_store()
    full = os.open("/dev/full", os.O_WRONLY)
    refused = run("keys", "create", "--org", "a", "--data-dir", "data", code=1, stdout=full)
    assert "no key was made" in refused.stderr
    pipe = closed_pipe()
    assert run("keys", "create", "--org", "a", "--data-dir", "data", code=1, stdout=pipe).stderr == ""
    assert len(run("keys", "list", "--data-dir", "data").stdout.splitlines()) == 1
    for words in [("keys", "list"), ("orgs", "list")]:
        assert run(*words, "--data-dir", "data", stdout=pipe).stderr == ""
    for words in [["openapi"], ["--help"], ["serve", "--help"], ["man"], ["completions", "bash"], ["config", "show"]]:
        assert run(*words, stdout=pipe).stderr == ""
    os.close(pipe)
    os.close(full)


def test_files_are_the_users_alone_also_those_that_exist(tmp_path, make_store):
    data = tmp_path / "data"
    previous = os.umask(0o022)
    try:
        make_store()
        for path in data.iterdir():
            path.chmod(0o755 if path.is_dir() else 0o644)
        data.chmod(0o755)
        make_store()
    finally:
        os.umask(previous)
    assert stat.S_IMODE(data.stat().st_mode) == 0o700
    files = [path for path in data.iterdir() if path.is_file()]
    assert any(path.name == "quarterdeck.db" for path in files)
    assert {path.name: oct(stat.S_IMODE(path.stat().st_mode)) for path in files} == {path.name: "0o600" for path in files}


def test_commands_beside_a_server_make_no_store(run, tmp_path):
    for words in [("keys", "list"), ("keys", "create", "--org", "a"), ("orgs", "list")]:
        refused = run(*words, code=2)
        assert "there is no database" in refused.stderr and "--data-dir" in refused.stderr
    assert not (tmp_path / "share").exists()


def test_commands_read_the_settings_file_of_the_server(run, tmp_path, make_store):
    make_store()
    (tmp_path / "quarterdeck.toml").write_text('data-dir = "data"\nmax-workers = 3\n')
    assert len(run("keys", "list").stdout.splitlines()) == 1
    (tmp_path / "quarterdeck.toml").rename(tmp_path / "other.toml")
    assert len(run("keys", "list", "--config", "other.toml").stdout.splitlines()) == 1
    assert len(run("keys", "list", QUARTERDECK_CONFIG="other.toml").stdout.splitlines()) == 1


@pytest.mark.parametrize(
    ("url", "code"), [("sqlite://", 2), ("sqlite://x.db?mode=ro", 2), ("mysql://u:CANARY@h/d", 2), ("sqlite://:memory:", 0)]
)
def test_a_database_url_is_used_or_refused(url, code, serve, run, tmp_path):
    if code:
        refused = run("serve", "--listen", "127.0.0.1:0", "--database-url", url, code=code).stderr
        assert "sqlite://FILE" in refused and "CANARY" not in refused and len(refused.splitlines()) == 1
        return
    serve("--database-url", url, stdout=subprocess.DEVNULL)
    wait_for_log(tmp_path, "sessions run here")
    assert not list(tmp_path.glob("**/*memory*"))


def test_what_follows_a_files_question_mark_is_no_part_of_its_name(serve, tmp_path):
    serve("--database-url", "sqlite://x.db?mode=rwc", stdout=subprocess.DEVNULL)
    wait_for_log(tmp_path, "sessions run here")
    assert (tmp_path / "x.db").exists() and not list(tmp_path.glob("*mode*"))


def test_blank_variables_are_unset(serve, tmp_path):
    names = ["MODEL", "MODEL_BASE_URL", "MODEL_API_KEY", "API_KEY", "LEASE", "LOG", "LOG_FORMAT", "BLOB_URL", "CONFIG"]
    blank = {f"QUARTERDECK_{name}": "" for name in names} | {"DATABASE_URL": ""}
    serve(stdout=subprocess.DEVNULL, **blank)
    assert "WARN" not in wait_for_log(tmp_path, "sessions run here")


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["--log", "verbose"], "info"),
        (["--max-workers", "0"], "1..=65536"),
        (["--lease", "0"], "1..=3600"),
        (["--model-timeout", "99999999999999999999"], "--model-timeout"),
        (["--model", "x"], "--model-base-url"),
    ],
)
def test_wrong_settings_are_refused_with_what_may_stand_there(words, wanted, run):
    assert wanted in run("serve", *words, code=2).stderr


def test_a_mistyped_variable_is_warned_of(serve, tmp_path):
    serve(stdout=subprocess.DEVNULL, QUARTERDECK_MAX_WORKER="1")
    assert "did you mean QUARTERDECK_MAX_WORKERS?" in wait_for_log(tmp_path, "sessions run here")


def test_a_data_folder_that_is_no_text_is_refused(tmp_path):
    command = [os.fsencode(binary()), b"serve", b"--listen", b"127.0.0.1:0", b"--data-dir", b"a\xffb"]
    done = subprocess.run(command, cwd=tmp_path, env=clean_environment(), capture_output=True, timeout=COMMAND_S)
    assert done.returncode == 2 and b"UTF-8" in done.stderr
    assert not [path for path in tmp_path.glob("**/*.db")]


def test_another_programs_database_is_left_alone(run, tmp_path):
    with sqlite3.connect(tmp_path / "theirs.db") as theirs:
        theirs.execute("CREATE TABLE artists (id INTEGER)")
    refused = run("serve", "--listen", "127.0.0.1:0", code=2, DATABASE_URL="sqlite://theirs.db").stderr
    assert "artists" in refused and "--database-url" in refused and len(refused.splitlines()) == 1
    with sqlite3.connect(tmp_path / "theirs.db") as theirs:
        assert theirs.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall() == [("artists",)]


def test_another_programs_postgres_is_left_alone(run, new_database):
    from conftest import POSTGRES_BIN

    url = new_database()
    psql = pathlib.Path(POSTGRES_BIN, "psql") if POSTGRES_BIN else "psql"
    subprocess.run([psql, "--dbname", url, "--command", "CREATE TABLE users (id int)"], check=True, timeout=COMMAND_S)
    refused = run("serve", "--listen", "127.0.0.1:0", code=2, DATABASE_URL=url).stderr
    assert "users" in refused and len(refused.splitlines()) == 1


def test_a_postgres_that_cannot_be_reached_is_told_once(run):
    refused = run("serve", "--listen", "127.0.0.1:0", "--database-url", "postgres://u:CANARY@127.0.0.1:1/d", code=2).stderr
    assert "127.0.0.1:1 " in refused and "--database-url" in refused
    assert "CANARY" not in refused and len(refused.splitlines()) == 1


def test_commands_beside_a_server_make_no_tables(new_database, run):
    url = new_database()
    for words in [("keys", "create", "--org", "a"), ("orgs", "list")]:
        assert "holds no tables" in run(*words, "--database-url", url, code=2).stderr
    psql(url, "CREATE TABLE session_requests (id int)")  # fails when there is one


def psql(url, *statements):
    from conftest import POSTGRES_BIN

    program = pathlib.Path(POSTGRES_BIN, "psql") if POSTGRES_BIN else "psql"
    for statement in statements:
        command = [program, "--quiet", "--set=ON_ERROR_STOP=1", "--dbname", url, "--command", statement]
        subprocess.run(command, check=True, timeout=COMMAND_S, capture_output=True)


@pytest.fixture
def role(new_database):
    """A database, and its URL for a role that may do nothing yet."""
    url = new_database()
    name = "r_" + urllib.parse.urlsplit(url).path.strip("/")
    psql(url, f"CREATE ROLE {name} LOGIN PASSWORD 'secret'")
    parts = urllib.parse.urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    yield url, name, parts._replace(netloc=f"{name}:secret@{host}").geturl()
    psql(url, f"DROP OWNED BY {name}", f"DROP ROLE {name}")


def test_a_role_that_only_reads_and_writes_rows_is_enough_once_an_administrator_made_the_tables(role, serve, run, tmp_path):
    url, name, limited = role
    assert "to be applied" in run("migrate", "--check", "--database-url", url, code=1).stderr
    assert "applied: " in run("migrate", "--database-url", url).stdout
    assert "up to date" in run("migrate", "--check", "--database-url", url).stdout
    psql(url, f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {name}")
    serve("--database-url", limited, stdout=subprocess.DEVNULL)
    wait_for_log(tmp_path, "sessions run here")


def test_a_role_with_few_connections_is_told_how_many_a_server_needs(role, run):
    url, name, limited = role
    psql(url, f"ALTER ROLE {name} CONNECTION LIMIT 4")
    refused = run("serve", "--listen", "127.0.0.1:0", "--database-url", limited, code=2).stderr
    assert "4 connections" in refused and "at least 6" in refused and len(refused.splitlines()) == 1


def test_a_database_that_cannot_hold_every_text_is_refused(new_database, run):
    url = new_database()
    name = "latin_" + urllib.parse.urlsplit(url).path.strip("/")
    psql(url, f"CREATE DATABASE {name} ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
    latin = urllib.parse.urlsplit(url)._replace(path=f"/{name}").geturl()
    try:
        refused = run("serve", "--listen", "127.0.0.1:0", "--database-url", latin, code=2).stderr
    finally:
        psql(url, f"DROP DATABASE {name}")
    assert "LATIN1" in refused and "UTF8" in refused and len(refused.splitlines()) == 1


def test_settings_are_shown_with_their_source_and_without_secrets(run, tmp_path):
    (tmp_path / "quarterdeck.toml").write_text("lease = 4\n")
    shown = run(
        "config", "show", "--max-workers", "5", QUARTERDECK_API_KEY="hk-CANARY", DATABASE_URL="postgres://u:CANARY@h/d"
    ).stdout
    assert "CANARY" not in shown
    lines = {line.split()[0]: line for line in shown.splitlines()}
    assert lines["max-workers"].endswith("flag") and lines["lease"].endswith("quarterdeck.toml, line 1")
    assert lines["api-key"].endswith("variable QUARTERDECK_API_KEY") and lines["drain-grace"].endswith("default")
    assert "postgres://u:***@h/d" in lines["database-url"] and lines["database-url"].endswith("variable DATABASE_URL")


def test_doctor_says_what_is_wrong(run, make_store):
    free = ("--listen", "127.0.0.1:0")
    assert "is made by the first start" in run("doctor", *free, "--data-dir", "data").stdout
    make_store()
    well = run("doctor", *free, "--data-dir", "data").stdout
    assert "ok    store" in well and "FAIL" not in well
    wrong = run("doctor", *free, "--data-dir", "data", "--model-base-url", "http://127.0.0.1:1/v1", code=1).stdout
    assert "FAIL  model" in wrong and "127.0.0.1:1" in wrong
