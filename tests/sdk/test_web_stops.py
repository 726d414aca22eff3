"""Sessions are paused, ended and left alone while a page is worked on; browsers are killed, missing, or do not start."""

import pytest

from steps import wait_for_status
from surfing import STAYS, VISUAL, call, events_of, of_kind, results_of, say, sights_of, starts_of, surf, until
from web_server import BROWSER, NO_BROWSER, browser_server, browsers_of, folders_of, kill_browsers, kill_pages, processes_of

pytestmark = pytest.mark.skipif(BROWSER is None, reason=NO_BROWSER)
# A page has ten seconds to load: whoever waits for it comes later than this.
SOON_S = 6
IDLE_S = 5


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with browser_server(tmp_path_factory.mktemp("stops") / "data", ["--browsers-max", "4"]) as server:
        yield server


@pytest.fixture
def client(connect, server):
    return connect(server)


def hanging(client, pages, then, limits=STAYS):
    """A session that waits for a page which never comes."""
    script = call("go_to_web", url=pages + "/hang") + then
    made = surf(client, pages + "/login", script, limits, mode=VISUAL)
    assert until(lambda: of_kind(client, made, "policy_event"))
    return made


def test_a_pause_does_not_wait_for_a_page_and_the_browser_stays(client, pages):
    made = hanging(client, pages, call("go_to_web", url=pages + "/inside") + "@text there")
    client.sessions.pause_session(made)
    wait_for_status(client, made, "paused", SOON_S)
    client.sessions.resume_session(made)
    wait_for_status(client, made, "idle")
    assert sights_of(client, made)[-1].metadata["title"] == "Inside"
    assert len(starts_of(client, made)) == 1, "it is the same browser"
    client.sessions.cancel_session(made)


def test_an_answer_is_forced_while_a_page_loads(client, pages):
    made = hanging(client, pages, "@answer forced")
    client.sessions.force_session_answer(made)
    wait_for_status(client, made, "idle", SOON_S)
    assert [answer.answer for answer in of_kind(client, made, "answer_event")] == ["forced"]
    say(client, made, call("go_to_web", url=pages + "/inside") + "@text there")
    assert until(lambda: sights_of(client, made)[-1].metadata["title"] == "Inside")
    assert len(starts_of(client, made)) == 1, "it is the same browser"
    client.sessions.cancel_session(made)


def test_a_session_whose_time_is_over_answers_at_once_and_leaves_no_browser(server, client, pages):
    made = hanging(client, pages, "@answer in time", {"max_time_s": 2})
    wait_for_status(client, made, "completed", SOON_S)
    assert [answer.answer for answer in of_kind(client, made, "answer_event")] == ["in time"]
    assert until(lambda: not browsers_of(server) and not folders_of(server))


def test_a_browser_that_is_killed_while_its_session_waits_comes_back_signed_in(server, client, pages):
    made = surf(client, pages + "/login", "@text signed in", mode=VISUAL)
    wait_for_status(client, made, "idle")
    assert kill_browsers(server) == 1
    assert until(lambda: not processes_of(server))
    say(client, made, call("refresh_web") + "@text still in")
    assert until(lambda: len(starts_of(client, made)) == 2)
    wait_for_status(client, made, "idle")
    _, told, last = sights_of(client, made)
    assert "The browser ended and was started again" in told.text and last.metadata["title"] == "Inside"
    client.sessions.cancel_session(made)


def test_a_page_that_crashes_is_told_and_loads_again(server, client, pages):
    made = surf(client, pages + "/login", "@text signed in", mode=VISUAL)
    wait_for_status(client, made, "idle")
    assert kill_pages(server)
    again = call("click_web", x=9, y=9) + call("refresh_web") + call("click_web", x=9, y=9) + "@text back"
    say(client, made, again)
    assert until(lambda: len(of_kind(client, made, "answer_event")) == 2)
    results, sights = results_of(client, made), sights_of(client, made)
    assert results[0] == {"fault": "the page has crashed; load it again, or go to another one"}, results
    assert "fault" not in results[1] and results[2]["done"] == "click at (9, 9)", results
    assert "The page has crashed" in sights[1].text and sights[-1].metadata["title"] == "Inside" and sights[-1].image
    assert len(starts_of(client, made)) == 1, "it is the same browser"
    client.sessions.cancel_session(made)


def test_a_browser_waits_anew_after_every_turn(connect, tmp_path, pages):
    with browser_server(tmp_path / "data", ["--browser-idle", str(IDLE_S)]) as server:
        client = connect(server)
        made = surf(client, pages + "/form", call("write", x=170, y=40, content="Ann") + "@text filled", mode=VISUAL)
        wait_for_status(client, made, "idle")
        # All turns together take longer than a browser is kept without one.
        for turn in range(3):
            nothing = client.sessions.get_session_changes(made, from_index=len(events_of(client, made)), wait_for_seconds=2)
            assert nothing is None
            say(client, made, call("move_mouse_web", x=600 + turn, y=600) + "@text seen")
            assert until(lambda: len(of_kind(client, made, "answer_event")) == turn + 2)
            wait_for_status(client, made, "idle")
        assert "[field Name: Ann]" in sights_of(client, made)[-1].text
        assert len(starts_of(client, made)) == 1
        assert until(lambda: not browsers_of(server) and not folders_of(server), IDLE_S + 15)
        client.sessions.cancel_session(made)


class Fickle:
    """A browser that starts, ends at once, hangs, or is not there, as it is told."""

    def __init__(self, folder):
        self.path, self.mode, self.is_hanging = folder / "chromium-headless-shell", folder / "mode", folder / "hangs"
        self.script = f'#!/bin/sh\n[ "$1" = --version ] && exec {BROWSER} --version\n' + (
            f'case $(cat {self.mode}) in works) exec {BROWSER} "$@";; ends) exit 3;; hangs) touch {self.is_hanging}; exec sleep 600;; esac\n'
        )
        self.be("works")

    def be(self, mode):
        self.mode.write_text(mode)
        if mode == "missing":
            self.path.unlink()
        elif not self.path.exists():
            self.path.write_text(self.script)
            self.path.chmod(0o755)


def test_a_browser_that_does_not_start_fails_its_session_and_no_other(connect, tmp_path, pages):
    browser = Fickle(tmp_path)
    with browser_server(tmp_path / "data", browser=str(browser.path)) as server:
        client = connect(server)
        works = surf(client, pages + "/login", "@text in", mode=VISUAL)
        wait_for_status(client, works, "idle")
        made = {}
        for mode in ("hangs", "ends", "missing"):
            browser.be(mode)
            made[mode] = surf(client, pages + "/", "@answer no", {}, mode=VISUAL)
            if mode != "hangs":
                wait_for_status(client, made[mode], "failed")
            else:
                assert until(browser.is_hanging.exists)
        # One that was lost cannot be replaced now; its session goes on without.
        assert kill_browsers(server) >= 1
        say(client, works, call("refresh_web") + "@text and now?")
        assert until(lambda: any("fault" in result for result in results_of(client, works)))
        assert "no browser could be started" in results_of(client, works)[-1]["fault"]
        wait_for_status(client, works, "idle")
        browser.be("works")
        say(client, works, call("refresh_web") + "@text back")
        assert until(lambda: sights_of(client, works)[-1].metadata.get("title") == "Inside"), sights_of(client, works)
        wait_for_status(client, works, "idle")
        wait_for_status(client, made["hangs"], "failed")
        for session in made.values():
            error = client.sessions.get_session(session).status.error
            assert "no browser could be started; the server's log says why" in str(error)
        said = server.read_log()
        for cause in ("did not start as it should: the page does not answer", "ended at its start (exit code 3)", "it is not there any more"):
            assert cause in said, said
        client.sessions.cancel_session(works)
