"""What pages do beside showing text: they load on, ask, hold back, keep, send files, and point elsewhere."""

import pytest

from site_pages import paper
from steps import read_all, wait_for_status
from surfing import TEXT, VISUAL, call, fetch, results_of, say, sights_of, surf, until
from web_server import BROWSER, NO_BROWSER, browser_server, browsers_of, is_whole, kill_browsers

pytestmark = pytest.mark.skipif(BROWSER is None, reason=NO_BROWSER)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with browser_server(tmp_path_factory.mktemp("habits") / "data", ["--browsers-max", "3"]) as server:
        yield server


@pytest.fixture
def client(connect, server):
    return connect(server)


def clicks(*tops, **more):
    return "".join(call("click_web", x=170, y=top + 20, **more) for top in tops)


def done(client, url, script, **more):
    """A session that comes to its end: its id, its receipts and its sights."""
    made = surf(client, url, script + "@answer done", {}, **{"mode": VISUAL, **more})
    wait_for_status(client, made, "completed")
    return made, results_of(client, made), sights_of(client, made)


def test_a_page_that_loads_on_is_read_to_its_end(client, pages):
    script = call("scroll_web", to="bottom") * 4 + call("find_in_page_web", text="Row 97 costs")
    _, results, sights = done(client, pages + "/feed", script)
    assert results[-1]["found"]["line"] == "Row 97 costs 291.", results
    heights = [sight.metadata["page_size"]["height"] for sight in sights]
    assert heights[:5] == sorted(set(heights[:5])), "each scroll brought more"


@pytest.mark.parametrize("mode", [VISUAL, TEXT], ids=["visual", "text"])
def test_a_pdf_is_a_file_of_the_session_or_shown(mode, server, client, pages):
    for start, script in (("/", call("go_to_web", url=pages + "/paper.pdf")), ("/paper.pdf", call("wait_web", seconds=0.1))):
        made, results, sights = done(client, pages + start, script, mode=mode)
        if is_whole():
            assert sights[-1].metadata["url"] == pages + "/paper.pdf"
            continue
        downloaded = results[0]["downloaded"]
        assert downloaded == [{"name": "paper.pdf", "size_bytes": len(paper())}], results
        file = next(event.data for event in read_all(client, made) if event.type == "AttachmentEvent")
        assert fetch(server, file.url)[1] == paper()
    if not is_whole():
        assert "paper.pdf is a file" in sights[0].text, "why no page is shown"


def test_what_a_page_asks_a_person_for_is_not_given_and_holds_nothing_up(client, pages):
    script = clicks(*range(20, 370, 50)) + call("wait_web", text="print:") + call("find_in_page_web", text="log:")
    _, results, sights = done(client, pages + "/asks", script)
    assert not any("fault" in result or "note" in result for result in results[:-2]), results
    said = dict(word.split(":") for word in results[-1]["found"]["line"].removeprefix("log: ").split())
    assert said.pop("print") == "undefined" and said.pop("notes") in ("default", "denied"), said
    assert said.pop("where") == "error-1", said
    assert set(said) == {"camera", "paste", "midi", "disk"}, said
    assert set(said.values()) <= {"NotAllowedError", "NotFoundError", "AbortError", "SecurityError"}, said
    assert sights[-1].metadata["title"] == "Asks"


def test_a_page_that_asks_before_it_is_left_is_left_unless_told_to_stay(client, pages):
    away = [call("go_to_web", url=pages + "/prices"), clicks(70), call("refresh_web")]
    for leave, title in zip(away, ["Prices", "Prices", "Leaving"]):
        _, results, sights = done(client, pages + "/leaving", clicks(20) + leave)
        assert sights[-1].metadata["title"] == title, (leave, results)
        assert results[-1]["dialog"] == {"type": "beforeunload", "message": "", "answered": "accepted"}, (leave, results)
    stay = call("answer_dialog_web", accept=False) + call("go_to_web", url=pages + "/prices")
    _, results, sights = done(client, pages + "/leaving", clicks(20) + stay + call("close_tab_web"))
    assert results[2]["dialog"]["answered"] == "dismissed" and sights[3].metadata["title"] == "Leaving", results
    assert results[2]["note"] == "the page was not left, since its dialog was dismissed", results
    assert sights[-1].metadata["url"] == "about:blank", "a tab is closed without a question"


def test_two_sessions_share_neither_storage_nor_cache_nor_clipboard(server, client, pages):
    copy = call("write", x=170, y=40, content="secret of the first") + call("press_keys_web", keys=["ctrl+a", "ctrl+c"])
    keep = call("go_to_web", url=pages + "/keeps?first") + call("go_to_web", url=pages + "/keeps") + call("find_in_page_web", text="log:")
    first = surf(client, pages + "/form", copy + keep + "@text kept", mode=VISUAL)
    wait_for_status(client, first, "idle")
    kept = results_of(client, first)[-1]["found"]["line"]
    assert kept.startswith("log: first / first / who=first / first / number-"), "it is kept within a session"
    assert len(browsers_of(server)) == 1, "the first browser is open still"
    paste = "".join(clicks(top) + call("press_keys_web", keys=[keys]) for top, keys in ((20, "ctrl+v"), (170, "shift+insert")))
    paste += call("click_web", x=170, y=40, button="middle") + clicks(20) + call("press_keys_web", keys=["End"])
    look = call("go_to_web", url=pages + "/keeps") + call("find_in_page_web", text="log:")
    _, results, _ = done(client, pages + "/form", paste + look)
    values = [result.get("value") for result in results[:7] if "value" in result]
    assert values and set(values) == {""}, results
    found = results[-1]["found"]["line"]
    number = kept.split(" / ")[4]
    assert found.startswith("log: / / / / number-") and number not in found.split(" / "), (kept, found)
    # What the first has it can paste still.
    say(client, first, call("go_to_web", url=pages + "/form") + clicks(20) + call("press_keys_web", keys=["ctrl+v"]) + "@answer done")
    wait_for_status(client, first, "idle")
    assert results_of(client, first)[-1]["value"] == "secret of the first"
    client.sessions.cancel_session(first)


OTHER = [
    "file:///etc/passwd", "FILE:/etc/passwd", "view-source:{pages}/", "chrome://version", "about:version", "devtools://devtools",
    "data:text/html,x", "javascript:alert(1)", " javascript:alert(1)", "java\nscript:alert(1)", "blob:{pages}/x", "ftp://127.0.0.1/",
    "filesystem:{pages}/x", "\tfile:///etc/passwd", "ws://127.0.0.1/", "mailto:a@b", "intent://x", "about:blank#x",
]


def test_addresses_of_no_page_are_refused_wherever_they_are_given(client, pages):
    others = [url.replace("{pages}", pages) for url in OTHER]
    script = "".join(call("go_to_web", url=url) + call("switch_tab_web", url=url) for url in others)
    _, results, sights = done(client, pages + "/prices", script, mode={**VISUAL, "markdown": False})
    assert len(results) == 2 * len(others) and all("fault" in result for result in results), results
    assert all("by http and https" in result["fault"] for result in results), results
    assert {sight.metadata["url"] for sight in sights} == {pages + "/prices"} and len(sights[-1].metadata["tabs"]) == 1
    for url in others:
        with pytest.raises(Exception, match="start_url"):
            surf(client, url, "@answer no")


def test_an_address_of_several_lines_is_one_of_one_line(client, pages):
    _, results, sights = done(client, pages + "/", call("go_to_web", url=f"{pages}/pri\nces\r\n\r\nX-More: 1"))
    url = results[0]["url"]
    assert url == sights[-1].metadata["url"] == f"{pages}/pricesX-More:%201", results
    assert "\n" not in results[0]["done"]


def test_pages_lead_to_pages_only(client, pages):
    script = "".join(clicks(top) + call("switch_tab_web", tab=1) for top in range(20, 420, 50))
    _, results, sights = done(client, pages + "/ways", script)
    assert not any("fault" in result for result in results), results
    seen = {tab["url"] for sight in sights for tab in sight.metadata["tabs"]}
    assert all(url.startswith((pages, "about:blank", "chrome-error:")) or url in ("", ":") for url in seen), seen
    assert not any("root:" in (sight.text or "") for sight in sights)


def test_a_page_of_a_pages_own_making_is_left_for_a_blank_one_when_its_browser_is_lost(server, client, pages):
    made = surf(client, pages + "/blob", clicks(20) + "@text there", mode=VISUAL)
    wait_for_status(client, made, "idle")
    assert sights_of(client, made)[-1].metadata["title"] == "Made", (results_of(client, made), sights_of(client, made)[-1])
    assert kill_browsers(server)
    say(client, made, call("refresh_web") + "@answer gone")
    assert until(lambda: len(sights_of(client, made)) >= 4)
    told = sights_of(client, made)[-2]
    assert "It shows a blank page" in told.text and told.metadata["url"] == "about:blank", told
    client.sessions.cancel_session(made)
