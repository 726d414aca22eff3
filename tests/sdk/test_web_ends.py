"""Browsers and their servers end, in good order and in none; what is left goes on, and nothing stays behind."""

import concurrent.futures
import contextlib
import os
import pathlib

import pytest

from server import Server
from steps import wait_for_status
from surfing import call, events_of, say, sights_of, starts_of, surf, until
from web_server import BROWSER, NO_BROWSER, browser_server, browsers_of, folders_of, is_whole, memory_mb, processes_of

pytestmark = pytest.mark.skipif(BROWSER is None, reason=NO_BROWSER)
NOBODY = "65534"
MANY, ALL_MB = 20, 4_000 if is_whole() else 2_000


def test_a_server_that_is_killed_takes_its_browsers_with_it(connect, tmp_path, pages):
    options = ["--browser", BROWSER, "--allow-private-hosts", "127.0.0.1", "--lease", "2"]
    options += ["--browser-no-sandbox"] if os.getuid() == 0 else []
    server = Server(tmp_path / "data", None, options).start()
    try:
        client = connect(server)
        made = surf(client, pages + "/login", call("wait_web", seconds=9) + call("refresh_web") + "@answer done")
        assert until(lambda: sights_of(client, made)) and browsers_of(server)
        server.kill()
        assert until(lambda: not processes_of(server), 2), "browsers outlive their server"
        assert folders_of(server), "nobody was there to remove it"
        server.start()
        assert until(lambda: len(folders_of(server)) <= 1), "what a dead server left is swept"
        client = connect(server)
        wait_for_status(client, made, "idle")
        assert any("The browser is gone" in (sight.text or "") for sight in sights_of(client, made))
        assert len(starts_of(client, made)) == 2
        client.sessions.cancel_session(made)
    finally:
        server.stop()
    assert not folders_of(server) and not processes_of(server)


def test_twenty_browsers_at_once_take_no_more_than_their_memory(connect, tmp_path, pages):
    with browser_server(tmp_path / "data", ["--browsers-max", str(MANY)]) as server:
        client = connect(server)
        script = "".join(call("click_web", x=170, y=120) + call("go_back_web") for _ in range(2))
        made = [surf(client, pages + "/", script + "@text more?") for _ in range(MANY)]
        with concurrent.futures.ThreadPoolExecutor(MANY) as all_at_once:
            list(all_at_once.map(lambda one: wait_for_status(client, one, "idle", wait_s=120), made))
        assert len(browsers_of(server)) == MANY, "all are open while their sessions wait"
        used = memory_mb(server)
        print(f"{MANY} browsers take {used} MB, {len(processes_of(server))} processes")
        assert used <= ALL_MB
        for one in made:
            assert sights_of(client, one)[-1].metadata["title"] == "Home"
            client.sessions.cancel_session(one)
        assert until(lambda: not processes_of(server) and not folders_of(server))


def test_a_chat_keeps_its_browser_between_turns(connect, tmp_path, pages):
    with browser_server(tmp_path / "data", ["--browsers-max", "1"]) as server:
        client = connect(server)
        first = surf(client, pages + "/form", call("write", x=170, y=40, content="Ann Lee") + "@text filled")
        wait_for_status(client, first, "idle")
        say(client, first, call("find_in_page_web", text="nothing") + "@text seen")
        assert until(lambda: len(sights_of(client, first)) >= 3)
        wait_for_status(client, first, "idle")
        send = call("click_web", x=170, y=340)
        say(client, first, send + "@text sent")
        assert until(lambda: any(sight.metadata["title"] == "Sent" for sight in sights_of(client, first)))
        wait_for_status(client, first, "idle")
        assert "name=Ann+Lee" in sights_of(client, first)[-1].metadata["url"], "what was written was there still"
        assert len(starts_of(client, first)) == 1
        # Another session wants the one place: the browser that nobody works with makes room, and its session is told.
        second = surf(client, pages + "/", "@answer done")
        wait_for_status(client, second, "idle")
        say(client, first, call("refresh_web") + "@text back")
        assert until(lambda: len(starts_of(client, first)) == 2)
        wait_for_status(client, first, "idle")
        assert any("The browser is gone" in (sight.text or "") for sight in sights_of(client, first))


def test_an_idle_browser_is_closed_after_its_time(connect, tmp_path, pages):
    with browser_server(tmp_path / "data", ["--browser-idle", "1"]) as server:
        client = connect(server)
        made = surf(client, pages + "/", "@text and now?")
        wait_for_status(client, made, "idle")
        assert until(lambda: not browsers_of(server) and not folders_of(server))


def test_a_session_goes_on_in_the_browser_of_another(connect, tmp_path, pages):
    with browser_server(tmp_path / "data") as server:
        client = connect(server)
        first = surf(client, pages + "/login", "@text signed in")
        wait_for_status(client, first, "idle")
        runner = starts_of(client, first)[0]
        second = surf(client, pages + "/", call("refresh_web") + "@text here", session_id=str(runner), mode={"type": "visual", "width": 700, "height": 500})
        wait_for_status(client, second, "idle")
        sights = sights_of(client, second)
        assert [sight.metadata["title"] for sight in sights] == ["Inside", "Inside"]
        assert "another session" in sights[0].text and sights[0].metadata["screen_size"] == {"width": 700, "height": 500}
        assert len(browsers_of(server)) == 1 and len(starts_of(client, second)) == 1
        third = surf(client, pages + "/", "@answer no", session_id=str(first))
        wait_for_status(client, third, "failed")
        assert "is not open on this server" in str(client.sessions.get_session_status(third).error)


@pytest.mark.skipif(os.getuid() != 0, reason="only root starts browsers as another user")
def test_as_another_user_browsers_keep_their_sandbox(connect, tmp_path, pages):
    with browser_server(tmp_path / "data", ["--browser-user", NOBODY]) as server:
        client = connect(server)
        made = surf(client, pages + "/files", call("click_web", x=170, y=40) + "@text loaded")
        wait_for_status(client, made, "idle")
        pids = [pid for pid in processes_below(pathlib.Path("/tmp/quarterdeck-browsers"), server)]
        assert pids, "the browser runs"
        for pid in pids:
            assert pathlib.Path(f"/proc/{pid}").stat().st_uid == int(NOBODY)
            assert b"--no-sandbox" not in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
        results = [e.data.result for e in events_of(client, made) if getattr(e.data, "kind", "") == "tool_result"]
        assert results[0]["downloaded"][0]["name"] == "report.csv", results
        client.sessions.cancel_session(made)


def processes_below(folder, server):
    """Browsers below a folder whose server this is."""
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            parent = int((process / "stat").read_text().rpartition(")")[2].split()[1])
            if str(folder).encode() in (process / "cmdline").read_bytes() and parent == server.process.pid:
                yield int(process.name)


def test_a_server_without_a_browser_says_what_to_install(tmp_path):
    server = Server(tmp_path / "data", None, ["--browser", "none"]).start()
    server.stop()
    assert "browser  none (--browser none)" in server.said()


@pytest.mark.skipif(os.getuid() != 0, reason="only root has no sandbox")
def test_root_is_told_in_one_line_what_it_has_to_choose(tmp_path):
    server = Server(tmp_path / "data", None, ["--browser", BROWSER]).start()
    server.stop()
    assert "does not run as root; name a user with --browser-user UID, or say --browser-no-sandbox" in server.said()
