"""Fixtures: a server on each engine, and clients for it."""

import os
import pathlib
import secrets
import subprocess
import urllib.parse

import pytest
from hai_agents import AsyncClient, Client

from server import API_KEY, Server
from site_pages import site

POSTGRES_URL = os.environ.get("QUARTERDECK_TEST_POSTGRES_URL")
POSTGRES_BIN = os.environ.get("QUARTERDECK_TEST_POSTGRES_BIN")
REQUEST_S = 40


def psql(statement):
    program = pathlib.Path(POSTGRES_BIN, "psql") if POSTGRES_BIN else "psql"
    options = ["--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1"]
    command = [program, *options, "--dbname", POSTGRES_URL, "--command", statement]
    subprocess.run(command, check=True, timeout=60, capture_output=True)


@pytest.fixture(scope="session")
def new_database():
    """Makes fresh Postgres databases, dropped at the end."""
    if not POSTGRES_URL:
        pytest.skip("QUARTERDECK_TEST_POSTGRES_URL is not set; `cargo xtask test sdk` sets it")
    made = []

    def make():
        name = f"t_sdk_{secrets.token_hex(8)}"
        psql(f"CREATE DATABASE {name}")
        made.append(name)
        return urllib.parse.urlsplit(POSTGRES_URL)._replace(path=f"/{name}").geturl()

    yield make
    for name in made:
        psql(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@pytest.fixture(scope="session", params=["sqlite", "postgres"])
def engine(request):
    return request.param


@pytest.fixture(scope="session")
def new_store(engine, request):
    """Makes fresh stores of one engine: a database URL, or none for SQLite in the data folder."""
    return request.getfixturevalue("new_database") if engine == "postgres" else lambda: None


@pytest.fixture
def start(tmp_path):
    """Starts servers of a test's own; each is stopped at the end, and has to stop well."""
    servers = []

    def start_server(database_url=None, options=(), data_dir=None):
        server = Server(data_dir or tmp_path / f"data-{len(servers)}", database_url, options)
        servers.append(server)
        return server.start()

    yield start_server
    for server in servers:
        if server.process.poll() is None:
            server.stop()


@pytest.fixture(scope="session")
def server(new_store, tmp_path_factory):
    """One server for all tests that do nothing to it."""
    server = Server(tmp_path_factory.mktemp("server") / "data", new_store()).start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def pages():
    """The site that browsers are tested on."""
    with site() as address:
        yield address


@pytest.fixture
def connect():
    """Makes SDK clients."""
    clients = []

    def make(server, api_key=API_KEY):
        client = Client(base_url=server.base_url, api_key=api_key, timeout=REQUEST_S)
        clients.append(client)
        return client

    yield make
    for client in clients:
        client.close()


@pytest.fixture
def client(connect, server):
    return connect(server)


@pytest.fixture
async def async_client(server):
    async with AsyncClient(base_url=server.base_url, api_key=API_KEY, timeout=REQUEST_S) as client:
        yield client


@pytest.fixture(params=["sync", "async"])
async def either(request, connect, server):
    """A client of each kind; the functions of `either.py` call both alike."""
    if request.param == "sync":
        yield connect(server)
        return
    async with AsyncClient(base_url=server.base_url, api_key=API_KEY, timeout=REQUEST_S) as client:
        yield client
