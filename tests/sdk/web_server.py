"""Servers with browsers, and the processes of these browsers."""

import contextlib
import os
import pathlib
import shutil
import signal
import threading

from server import Server

SHELL, WHOLE = "/usr/lib/chromium/chromium-headless-shell", "/usr/lib/chromium/chromium"
NO_BROWSER = "no browser is installed: apt-get install chromium-headless-shell fonts-liberation"


def chosen():
    """The browser of the tests: the one that QUARTERDECK_TEST_BROWSER names, else the headless shell."""
    named = os.environ.get("QUARTERDECK_TEST_BROWSER")
    places = [named] if named else [SHELL, "chromium-headless-shell", WHOLE, "chromium"]
    return next(filter(None, map(shutil.which, places)), None)


BROWSER = chosen()


def is_whole():
    """Whether the tests run a whole Chromium: larger, with a viewer for PDF and a dialog before a page is left."""
    return BROWSER is not None and "headless" not in pathlib.Path(BROWSER).name


@contextlib.contextmanager
def browser_server(data_dir, options=(), browser=BROWSER):
    """A server with browsers that may reach this machine. Nothing is left of them at its end."""
    options = ["--browser", browser, "--allow-private-hosts", "127.0.0.1", *options]
    if os.getuid() == 0 and "--browser-user" not in options:
        options += ["--browser-no-sandbox"]
    server = Server(data_dir, None, options).start()
    try:
        yield server
    finally:
        server.stop()
    assert not folders_of(server), "a browser left its folder behind"
    assert not processes_of(server), "a browser left processes behind"


def folders_of(server):
    return sorted((server.data_dir / "browsers").glob("browser-*"))


def processes_of(server):
    """All processes of a server's browsers: the browsers themselves, and what they started."""
    mine = str(server.data_dir / "browsers").encode()
    return [pid for pid, line in command_lines() if mine in line or mine in working_folder(pid)]


def browsers_of(server):
    """The browsers of a server, without what they started."""
    mine = str(server.data_dir / "browsers").encode()
    return [pid for pid, line in command_lines() if mine in line and b"--remote-debugging-pipe" in line and b"--type=" not in line]


def kill_browsers(server):
    """Kills the browsers of a server; says how many there were."""
    browsers = browsers_of(server)
    for pid in browsers:
        os.kill(pid, signal.SIGKILL)
    return len(browsers)


def kill_pages(server):
    """Kills the processes that pages of a server's browsers are in; says how many there were."""
    lines = dict(command_lines())
    pages = [pid for pid in processes_of(server) if b"--type=renderer" in lines.get(pid, b"")]
    for pid in pages:
        os.kill(pid, signal.SIGKILL)
    return len(pages)


def command_lines():
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            yield int(process.name), (process / "cmdline").read_bytes()


def working_folder(pid):
    with contextlib.suppress(OSError):
        return os.readlink(f"/proc/{pid}/cwd").encode()
    return b""


def memory_mb(server):
    """What all processes of a server's browsers hold, each page of memory counted once."""
    return sum(map(proportional_kb, processes_of(server))) // 1024


def proportional_kb(pid):
    with contextlib.suppress(OSError):
        text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
        return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:"))
    return 0


@contextlib.contextmanager
def most_memory(server):
    """What the browsers of a server hold together, in MB, every quarter of a second."""
    used, over = [0], threading.Event()

    def watch():
        while not over.wait(0.25):
            used.append(memory_mb(server))

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        yield used
    finally:
        over.set()
        watching.join()
