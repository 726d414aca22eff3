"""What the pages show is run: every snippet of README and docs against the real binary.

A shell snippet finds programs of its own before those of the machine (`shims`): `quarterdeck` and `hai` are the real
ones, told where the test's server and store are; `cargo`, `docker`, `systemctl` and the like are stood in for by programs
that check what they are asked for and do not do it.
"""

import json
import os
import pathlib
import re
import shlex
import socket
import stat
import subprocess
import sys
import textwrap

import pytest
from hai_agents import Client

from server import API_KEY, ROOT, binary, clean_environment
from steps import AGENT

PAGES = sorted([ROOT / "README.md", ROOT / "SECURITY.md", *(ROOT / "docs").glob("*.md")])
SNIPPET_S = 90
# As the pages write them.
ADDRESS = "http://127.0.0.1:8430"
KEY = re.compile(r"hk-(8da1)?…")
FENCE = re.compile(r"^```([\w,]*(?: \w+)?)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# What other tests look after: Rust is compiled, and text is what programs print.
ELSEWHERE = {"rust", "rust,ignore", "", "text"}


def snippets(language):
    """Every snippet of a language, with its page and line."""
    found_here = []
    for page in PAGES:
        text = page.read_text()
        for found in FENCE.finditer(text):
            if found.group(1) == language:
                line = text[: found.start()].count("\n") + 1
                found_here.append(pytest.param(page, found.group(2), id=f"{page.relative_to(ROOT)}:{line}"))
    return found_here


def test_every_snippet_is_of_a_language_that_is_run_here():
    languages = {found.group(1) for page in PAGES for found in FENCE.finditer(page.read_text())}
    assert languages <= ELSEWHERE | {"python", "sh", "json", "toml", "nginx", "ini", "yaml", "scripted", "python endpoint", "python pytest"}


def test_pages_are_found():
    assert len(PAGES) > 8
    assert len(snippets("python")) >= 3 and len(snippets("sh")) >= 8


@pytest.fixture
def localized(server):
    """A snippet with the test's server and key in the place of the page's."""
    return lambda text: KEY.sub(API_KEY, text).replace(ADDRESS, server.base_url)


@pytest.mark.parametrize(("page", "code"), snippets("python"))
def test_python(page, code, localized, server):
    # Pages show a client once, and then use it.
    with Client(base_url=server.base_url, api_key=API_KEY, timeout=60) as client:
        names = {"client": client}
        exec(compile(localized(code), str(page), "exec"), names)
        for name, value in names.items():
            if hasattr(value, "status") and hasattr(value, "answer") and name != "client":
                assert value.status in {"completed", "idle"}, f"{name}: {value}"


@pytest.mark.parametrize(("page", "code"), snippets("python endpoint"))
def test_endpoint(page, code, start, connect, tmp_path):
    """A program that stands in for a model, with a server that asks it."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (tmp_path / "endpoint.py").write_text(code.replace("8000", str(port)))
    endpoint = subprocess.Popen([sys.executable, tmp_path / "endpoint.py"], stderr=subprocess.DEVNULL)
    try:
        server = start(None, ["--model-base-url", f"http://127.0.0.1:{port}/v1"])
        result = connect(server).run_session(agent=AGENT, messages="Add 2 and 40", timeout_seconds=60)
    finally:
        endpoint.kill()
        endpoint.wait(10)
    assert (result.status, result.answer) == ("completed", "The sum is 42.")


@pytest.mark.parametrize(("page", "code"), snippets("python pytest"))
def test_test(page, code, tmp_path):
    """A test of a user's, with the files of scenarios that the page shows beside it, by the plugin for pytest."""
    (tmp_path / "test_page.py").write_text(code)
    for found in FENCE.finditer(page.read_text()):
        if name := re.match(r"# (\S+\.scenario\.yaml)\n", found.group(2)):
            (tmp_path / name.group(1)).write_text(found.group(2))
    fixture = ROOT / "fixtures/pytest"
    words = ["-m", "pytest", "-p", "pytest_quarterdeck", "-p", "no:cacheprovider", "--rootdir", tmp_path, tmp_path]
    environment = clean_environment() | {"PYTHONPATH": str(fixture), "QUARTERDECK_BIN": str(binary())}
    done = subprocess.run([sys.executable, *words], env=environment, text=True, capture_output=True, timeout=SNIPPET_S)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(("page", "script"), snippets("scripted"))
def test_script(page, script, client):
    """Whatever tools it calls: the agent has none, so a call is refused and the script goes on."""
    browser = {"id": "browser", "kind": "web", "lazy": True}
    reader = {"name": "reader", "description": "Reads a page.", "environments": [browser]}
    agent = {"name": "scripted", "description": "Does as told.", "environments": [], "subagents": [reader]}
    result = client.run_session(agent=agent, messages=script, timeout_seconds=60)
    wanted = [line.removeprefix("@answer ") for line in script.splitlines() if line.startswith("@answer ")][-1]
    assert (result.status, result.answer) == ("completed", wanted)


@pytest.mark.parametrize(("page", "body"), snippets("json"))
def test_json(page, body):
    json.loads(body)


@pytest.mark.parametrize(("page", "text"), snippets("toml"))
def test_settings_file(page, text, tmp_path):
    (tmp_path / "quarterdeck.toml").write_text(text)
    run_binary(tmp_path, "config", "show", "--config", "quarterdeck.toml")


@pytest.mark.parametrize(("page", "script"), snippets("sh"))
def test_shell(page, script, localized, server, client, shims):
    session = client.sessions.create_session(agent=AGENT, messages="@answer 42").id
    script = localized(script).replace("SESSION_ID", session)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=shims.parent / "work",
        env={
            **clean_environment(),
            "PATH": f"{shims}:/usr/bin:/bin:/usr/sbin:/sbin",
            "HOME": str(shims.parent),
            "XDG_CONFIG_HOME": str(shims.parent),
            "HAI_API_BASE_URL": server.base_url,
            "HAI_API_KEY": API_KEY,
            "TEST_BASE_URL": server.base_url,
            "TEST_ROOT": str(ROOT),
            **{f"TEST_{name}": value for name, value in server.environment().items() if name.endswith(("_DIR", "_URL"))},
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SNIPPET_S,
    )
    told = done.stdout + done.stderr
    assert done.returncode == 0, told
    # curl ends well whatever the server answers.
    assert '"detail"' not in done.stdout and '"error":{' not in done.stdout, told


def run_binary(folder, *words):
    done = subprocess.run(
        [binary(), *words], cwd=folder, env=clean_environment(), capture_output=True, text=True, timeout=SNIPPET_S
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def shims(tmp_path):
    """A folder of programs that stand before the machine's."""
    folder, work = tmp_path / "bin", tmp_path / "work"
    folder.mkdir()
    work.mkdir()
    for name in [".env.example", "docker-compose.yml", "Dockerfile"]:
        (work / name).symlink_to(ROOT / name)
    (folder / "hai").symlink_to(pathlib.Path(sys.executable).with_name("hai"))
    program = folder / "shim"
    program.write_text(f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(ROOT / 'tests/sdk')!r})\n" + SHIM)
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    for name in ["quarterdeck", "cargo", "docker", "systemctl", "pg_dump", "sqlite3", "apt", "apt-get", "sudo"]:
        (folder / name).symlink_to(program)
    return folder


SHIM = textwrap.dedent(
    """
    import pathlib
    import test_documents

    test_documents.stand_in(pathlib.Path(sys.argv[0]).name, sys.argv[1:])
    """
)


def stand_in(name, words):
    """What a program of `shims` does. Whatever it does not know is a fault of the page, or of this test."""
    if name == "quarterdeck":
        return quarterdeck(words)
    if name == "sudo":
        return stand_in(words[0], words[1:])
    known = {
        "cargo": cargo,
        "docker": lambda words: expect(words, ["compose", "up", "--detach", "--wait"]),
        "systemctl": lambda words: expect(words[:1], ["enable"]),
        "pg_dump": lambda words: None,
        "sqlite3": sqlite,
        "apt": lambda words: expect(words[:1], ["install"]),
        "apt-get": lambda words: expect(words[:1], ["install"]),
    }
    return known[name](words)


def expect(words, wanted):
    assert words == wanted, f"{shlex.join(words)} is not {shlex.join(wanted)}"


def cargo(words):
    if words[:3] == ["run", "--release", "--"]:
        return quarterdeck(words[3:])
    if words[0] == "install":
        return expect(words, ["install", "--path", "crates/quarterdeck"])
    if words[0] == "test":
        return None
    assert words[0] == "xtask", shlex.join(words)
    known = (ROOT / "xtask/src/main.rs").read_text().lower()
    assert len(words) == 1 or words[1] in known, f"there is no `cargo xtask {words[1]}`"


def sqlite(words):
    import sqlite3

    file, statement = words
    file = pathlib.Path(file)
    if not file.exists() and "TEST_QUARTERDECK_DATA_DIR" in os.environ:
        file = pathlib.Path(os.environ["TEST_QUARTERDECK_DATA_DIR"], file.name)
    if file.exists():
        sqlite3.connect(file).execute(statement)


def quarterdeck(words):
    """The real one, on the store of the test's server; a server only as far as its settings can be read."""
    environment = clean_environment() | {
        name: value for name, value in os.environ.items() if name.startswith(("QUARTERDECK_", "DATABASE_URL"))
    }
    if words[0] in {"serve", "doctor"}:
        words = ["config", "show", *words[1:]]
    elif words[0] == "health":
        words = ["health", "--listen", os.environ["TEST_BASE_URL"].removeprefix("http://")]
    else:
        if "--data-dir" in words:
            at = words.index("--data-dir")
            words = words[:at] + words[at + 2 :]
        environment["QUARTERDECK_DATA_DIR"] = os.environ["TEST_QUARTERDECK_DATA_DIR"]
        if "TEST_DATABASE_URL" in os.environ:
            environment["QUARTERDECK_DATABASE_URL"] = os.environ["TEST_DATABASE_URL"]
    done = subprocess.run([binary(), *words], env=environment, text=True, capture_output=True)
    sys.stdout.write(done.stdout)
    sys.stderr.write(done.stderr)
    # Pages name ids and organizations that are not there.
    if done.returncode == 1 and re.search(r"there is (no active key|no organization|an organization)", done.stderr):
        return
    sys.exit(done.returncode)
