"""The real binary, running: started, stopped, killed and started again."""

import os
import pathlib
import re
import signal
import subprocess
import threading

API_KEY = "hk-" + "5d" * 32
START_S = 30
STOP_S = 30
ROOT = pathlib.Path(__file__).resolve().parents[2]
LISTENING = re.compile(r"listening on (http://\S+)")


def binary():
    """The program under test."""
    path = pathlib.Path(os.environ.get("QUARTERDECK_BIN", ROOT / "target/debug/quarterdeck"))
    assert path.is_file(), f"{path} is not built: cargo build --package quarterdeck"
    return str(path)


def clean_environment():
    """Our environment without what speaks to the server or the SDK."""
    prefixes = ("QUARTERDECK_", "HAI_", "DATABASE_URL")
    return {name: value for name, value in os.environ.items() if not name.startswith(prefixes)}


class Server:
    """A server on a free port; a later start uses the same data again, on another port."""

    def __init__(self, data_dir, database_url=None, options=(), run_by=()):
        self.data_dir = pathlib.Path(data_dir)
        self.database_url = database_url
        self.options = list(options)
        self.run_by = list(run_by)  # a command that runs the server, such as one that moves it elsewhere
        self.base_url = None
        self.process = None
        self.log = self.data_dir.with_suffix(".log")
        self.lines = []

    def start(self):
        command = [*self.run_by, binary(), "serve", "--listen", "127.0.0.1:0", "--data-dir", str(self.data_dir), "--api-key", API_KEY]
        # Tests leave sessions behind that wait for a message.
        command += ["--max-concurrent-sessions", "10000"]
        if self.database_url:
            command += ["--database-url", self.database_url]
        # Sessions of most tests are of agents that would open one.
        if "--browser" not in self.options:
            command += ["--browser", "none"]
        command += self.options
        self.base_url = None
        found = threading.Event()  # its own: the reader of an earlier start may still be ending
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command,
                stdout=subprocess.PIPE,
                stderr=log,
                stdin=subprocess.DEVNULL,
                env=clean_environment(),
                text=True,
            )
        threading.Thread(target=self._read, args=[self.process.stdout, found], daemon=True).start()
        assert found.wait(START_S), f"not listening after {START_S} s:\n{self.read_log()}"
        assert self.base_url, f"ended with {self.process.wait(STOP_S)} at its start:\n{self.read_log()}"
        return self

    def stop(self):
        """Asks it to drain; it has to end well."""
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"still there {STOP_S} s after SIGTERM:\n{self.read_log()}") from None
        assert code == 0, f"ended with {code} after SIGTERM:\n{self.read_log()}"

    def kill(self):
        """As a crash of the machine would."""
        self.process.kill()
        self.process.wait(STOP_S)

    def environment(self):
        """What points another command of the binary at the same store."""
        settings = {"QUARTERDECK_DATA_DIR": str(self.data_dir)}
        if self.database_url:
            settings["DATABASE_URL"] = self.database_url
        return {**clean_environment(), **settings}

    def read_log(self):
        return self.log.read_text(errors="replace")[-8000:] if self.log.exists() else ""

    def said(self):
        """What it told the person who started it."""
        return "".join(self.lines)

    def _read(self, output, found):
        """Reads to the end, so that the server never blocks on a full pipe."""
        for line in output:
            self.lines.append(line)
            address = LISTENING.search(line)
            if address and not found.is_set():
                self.base_url = address.group(1)
                found.set()
        found.set()
