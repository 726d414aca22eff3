"""A Postgres server of a test's own, to be frozen, cut off, stopped and started again."""

import os
import pathlib
import shutil
import signal
import socket
import subprocess
import time

START_S = 60


def programs():
    """The folder with the server's programs; `cargo xtask test` names it."""
    named = os.environ.get("QUARTERDECK_TEST_POSTGRES_BIN")
    found = [pathlib.Path(named)] if named else sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin"))
    return found[-1] if found else None


class Cluster:
    """Runs as the user `postgres` when we are root, because it refuses root."""

    def __init__(self, folder):
        self.folder = folder
        self.data = folder / "data"
        self.port = free_port()
        self.process = None
        self.user = "postgres" if os.getuid() == 0 else None
        if self.user:
            shutil.chown(folder, self.user)
        options = ["--username=quarterdeck", "--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C.UTF-8"]
        self.run("initdb", "-D", str(self.data), *options)

    def run(self, program, *arguments):
        command = [str(programs() / program), *arguments]
        subprocess.run(command, check=True, capture_output=True, user=self.user, cwd=self.folder, timeout=START_S)

    def start(self):
        settings = [f"port={self.port}", "listen_addresses=127.0.0.1", f"unix_socket_directories={self.folder}"]
        command = [str(programs() / "postgres"), "-D", str(self.data)]
        for setting in settings:
            command += ["-c", setting]
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, user=self.user, cwd=self.folder)
        deadline = time.monotonic() + START_S
        while subprocess.run(self.psql("SELECT 1"), capture_output=True).returncode:
            assert time.monotonic() < deadline and self.process.poll() is None, "Postgres does not start"
            time.sleep(0.05)
        return self

    def url(self):
        return f"postgres://quarterdeck@127.0.0.1:{self.port}/postgres"

    def psql(self, statement):
        options = ["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1"]
        return [str(programs() / "psql"), *options, "--dbname", self.url(), "--command", statement]

    def query(self, statement):
        return subprocess.run(self.psql(statement), check=True, capture_output=True, text=True, timeout=30).stdout.strip()

    def stop(self, how=signal.SIGQUIT):
        if self.process and self.process.poll() is None:
            self.process.send_signal(how)
            self.thaw()
            self.process.wait(START_S)

    def freeze(self):
        """Connections stay open and nothing answers."""
        for process in [self.process.pid, *self.children()]:
            os.kill(process, signal.SIGSTOP)

    def thaw(self):
        for process in [*self.children(), self.process.pid]:
            try:
                os.kill(process, signal.SIGCONT)
            except ProcessLookupError:
                pass

    def cut(self):
        """Ends every connection but our own."""
        others = "pid <> pg_backend_pid() AND backend_type = 'client backend'"
        self.query(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}")

    def set_read_only(self, yes):
        self.query(f"ALTER SYSTEM SET default_transaction_read_only = {'on' if yes else 'off'}")
        self.query("SELECT pg_reload_conf()")

    def children(self):
        found = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(child) for child in found.read_text().split()] if found.exists() else []


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]
