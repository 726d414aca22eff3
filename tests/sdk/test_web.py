"""Sessions with a browser: tasks on a site of our own, solved by scripted calls."""

import concurrent.futures
import json
import pathlib
import time
import urllib.error

import pytest

from steps import raw_events, read_all, wait_for_status
from surfing import TEXT, VISUAL, fetch, sights_of
from test_quarterdeck import KEY, quarterdeck
from web_server import BROWSER, NO_BROWSER, WHOLE, browser_server, is_whole, kill_browsers, most_memory

pytestmark = pytest.mark.skipif(BROWSER is None, reason=NO_BROWSER)
AT_ONCE = 8
# A whole Chromium takes two and a half times as much as the headless shell.
AT_ONCE_MB = 3_000 if is_whole() else 1_200


@pytest.fixture(scope="module")
def web_server(tmp_path_factory):
    with browser_server(tmp_path_factory.mktemp("web") / "data", ["--browsers-max", "4"]) as server:
        yield server


def solve(client, url, calls, mode=VISUAL):
    """Runs a session that makes calls one after the other; returns its results and what it saw."""
    lines = [f"@call {name} {json.dumps(arguments)}" for name, arguments in calls]
    browser = {"kind": "web", "id": "w", "start_url": url, "mode": mode, "settle_s": 0.6}
    agent = {"name": "surfer", "description": "Surfs.", "environments": [browser]}
    made = client.sessions.create_session(agent=agent, messages="\n".join([*lines, "@answer done"]))
    wait_for_status(client, made.id, "completed")
    agent_events = [event.data for event in read_all(client, made.id) if event.type == "AgentEvent"]
    results = [result(event) for event in agent_events if event.kind in ("tool_result", "error_event")]
    sights = [event for event in agent_events if event.kind == "observation_event"]
    return made.id, results, sights


def result(event):
    return event.result if event.kind == "tool_result" else {"fault": event.error}


def click(top, **more):
    return ("click_web", {"element": "it", "x": 170, "y": top + 20, **more})


def write(top, content, **more):
    return ("write", {"x": 170, "y": top + 20, "content": content, **more})


TASKS = {
    "a link": ("/", [click(100)], "Prices", "| Ink | 9 |"),
    "an address": ("/", [("go_to_web", {"url": "{site}/prices"})], "Prices", "| Pen | 3 |"),
    "back": ("/", [click(100), ("go_back_web", {})], "Home", "Home"),
    "forward": ("/", [click(100), ("go_back_web", {}), ("go_forward_web", {})], "Prices", "Ink"),
    "a new tab": ("/", [("switch_tab_web", {"url": "{site}/prices"})], "Prices", "Ink"),
    "a first tab": ("/", [("switch_tab_web", {"url": "{site}/prices"}), ("switch_tab_web", {"tab": 1})], "Home", "Home"),
    "a closed tab": ("/", [("switch_tab_web", {"url": "{site}/prices"}), ("close_tab_web", {})], "Home", "Home"),
    "a pop-up": ("/acts", [click(120)], "Prices", "Ink"),
    "a field": ("/form", [write(20, "Ann Lee"), click(320)], "Sent", "name=Ann Lee"),
    "enter": ("/form", [write(20, "Bo", press_enter=True)], "Sent", "name=Bo"),
    "a date": ("/form", [write(70, "2030-12-31"), click(320)], "Sent", "day=2030-12-31"),
    "a list": ("/form", [("select_option", {"x": 170, "y": 140, "option": "Banana"}), click(320)], "Sent", "fruit=Banana"),
    "a story": ("/form", [write(170, "two\nlines \U0001f980"), click(320)], "Sent", "story=two lines \U0001f980"),
    "a box": ("/form", [("click_web", {"x": 40, "y": 240}), click(320)], "Sent", "agree=on"),
    "a choice": ("/form", [("click_web", {"x": 40, "y": 290}), click(320)], "Sent", "size=large"),
    "a button": ("/acts", [click(20)], "Acts", "log: one"),
    "what comes late": ("/acts", [click(70)], "Acts", "log: late"),
    "a double click": ("/acts", [click(170, clicks=2)], "Acts", "log: double"),
    "a menu": ("/acts", [("move_mouse_web", {"x": 170, "y": 240})], "Acts", "hidden item"),
    "a drag": ("/acts", [("drag_web", {"from_x": 170, "from_y": 290, "to_x": 500, "to_y": 290})], "Acts", "log: dropped"),
    "an alert": ("/acts", [click(320)], "Acts", "log: alerted"),
    "a refusal": ("/acts", [("answer_dialog_web", {"accept": False}), click(370)], "Acts", "log: said-false"),
    "a rich text": ("/acts", [write(420, "rich \U0001f980")], "Acts", "rich \U0001f980"),
    "a request": ("/acts", [click(470)], "Acts", "log: fetched"),
    "keys": ("/acts", [click(520), ("press_keys_web", {"keys": ["a", "Escape"]})], "Acts", "log: a Escape"),
    "an end": ("/tall", [("scroll_web", {"to": "bottom"}), ("find_in_page_web", {"text": "Bottom"})], "Tall", "Bottom"),
    "a frame": ("/frame", [click(20)], "framed", "[In]"),
    "a login": ("/login", [("go_to_web", {"url": "{site}/inside"})], "Inside", ""),
}


@pytest.mark.parametrize("name", TASKS)
def test_a_task_is_solved_by_what_is_seen(name, connect, web_server, pages):
    start, calls, title, text = TASKS[name]
    calls = [(tool, {key: fill(value, pages) for key, value in arguments.items()}) for tool, arguments in calls]
    _, results, sights = solve(connect(web_server), pages + start, calls)
    assert not [result for result in results if "fault" in result], results
    last = sights[-1]
    assert last.metadata["title"] == title and text in last.text, (results, last.metadata, last.text)
    assert all(sight.type == "web" and sight.image.media_type == "image/jpeg" for sight in sights)
    assert len(sights) == len(calls) + 1, "one look before the first reply, and one after each"


def test_tasks_are_solved_by_thousandths_of_a_smaller_picture(connect, tmp_path, pages):
    """The same tasks, eight at a time, by a model of another convention that is shown pictures half as large."""
    options = ["--browsers-max", str(AT_ONCE), "--model-coordinates", "0-1000", "--model-image-side", "500"]
    with browser_server(tmp_path / "data", options) as server:
        client = connect(server)

        def fault_of(name):
            start, calls, title, text = TASKS[name]
            calls = [(tool, in_thousandths({k: fill(v, pages) for k, v in given.items()})) for tool, given in calls]
            _, results, sights = solve(client, pages + start, calls)
            last = sights[-1]
            is_solved = last.metadata["title"] == title and text in last.text
            return None if is_solved else (name, results, last.metadata, last.text)

        with most_memory(server) as used, concurrent.futures.ThreadPoolExecutor(AT_ONCE) as all_at_once:
            faults = list(filter(None, all_at_once.map(fault_of, TASKS)))
        assert not faults, faults
        print(f"{AT_ONCE} browsers at work take {max(used)} MB")
        assert max(used) <= AT_ONCE_MB


def in_thousandths(arguments):
    sides = {"x": VISUAL["width"], "y": VISUAL["height"]}
    along = lambda key: sides.get(key.rsplit("_", 1)[-1])
    return {key: round(value * 1000 / along(key)) if along(key) else value for key, value in arguments.items()}


@pytest.mark.skipif(not pathlib.Path(WHOLE).exists(), reason="a whole Chromium is not installed: apt-get install chromium")
def test_a_whole_chromium_does_as_well(connect, tmp_path, pages):
    with browser_server(tmp_path / "data", ["--browsers-max", str(AT_ONCE)], browser=WHOLE) as server:
        client = connect(server)
        # All start at once: a tab that was sent on before its process stood crashed on a busy machine.
        with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as all_at_once:
            firsts = list(all_at_once.map(lambda _: solve(client, pages + "/form", [("wait_web", {"seconds": 0.1})]), range(AT_ONCE)))
        assert [sights[-1].metadata["title"] for _, _, sights in firsts] == ["Form"] * AT_ONCE, firsts
        calls = [click(120), ("switch_tab_web", {"tab": 1}), click(320), write(420, "rich \U0001f980"), click(20)]
        _, results, sights = solve(client, pages + "/acts", calls)
        assert results[0]["title"] == "Prices" and results[2]["dialog"]["message"] == "mind the gap", results
        assert "log: alerted one" in sights[-1].text and "rich \U0001f980" in sights[-1].text
        assert all(sight.image for sight in sights), "also of a tab that was in the background"
        said = server.said().replace(str(tmp_path), "")
        assert "whole" not in said and "headless shell" not in said


def test_a_part_of_the_page_is_shown_enlarged(connect, web_server, pages):
    calls = [("scroll_web", {"direction": "down", "amount": 300}), ("zoom_web", {"x": 500, "y": 350, "width": 100, "height": 70})]
    _, results, sights = solve(connect(web_server), pages + "/tall", calls)
    assert results[1] == {"done": "the next picture shows the part from (450, 315) to (549, 384) enlarged"}
    assert sights[-1].metadata["zoom"] == {"x": 450.0, "y": 315.0, "width": 100.0, "height": 70.0}
    assert "x from 450 to 549, y from 315 to 384" in sights[-1].text
    pictures = [size_of(fetch(web_server, sight.image.source)[1]) for sight in sights]
    assert pictures == [(VISUAL["width"], VISUAL["height"])] * 3


def test_a_cancel_does_not_wait_for_a_page(connect, web_server, pages):
    client = connect(web_server)
    browser = {"kind": "web", "id": "w", "start_url": pages + "/", "mode": VISUAL}
    agent = {"name": "surfer", "description": "Surfs.", "environments": [browser]}
    made = client.sessions.create_session(agent=agent, messages=f'@call go_to_web {{"url": "{pages}/hang"}}\n@answer done')
    deadline = time.monotonic() + 30
    while not any(getattr(e.data, "kind", "") == "policy_event" for e in client.sessions.list_session_events(made.id, page=1, size=50).items):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    client.sessions.cancel_session(made.id)
    # The page would be given ten seconds.
    wait_for_status(client, made.id, "interrupted", wait_s=5)
    assert not [sight for sight in sights_of(client, made.id) if "/hang" in sight.metadata["url"]]


def size_of(jpeg):
    """Width and height, as the frame of a JPEG names them."""
    at = 2
    while jpeg[at + 1] not in (0xC0, 0xC2):
        at += 2 + int.from_bytes(jpeg[at + 2 : at + 4])
    return int.from_bytes(jpeg[at + 7 : at + 9]), int.from_bytes(jpeg[at + 5 : at + 7])


def fill(value, pages):
    return value.replace("{site}", pages) if isinstance(value, str) else value


def test_pictures_are_resources_of_the_session(connect, web_server, pages):
    made, _, sights = solve(connect(web_server), pages + "/", [click(100)])
    stranger = KEY.search(quarterdeck(web_server, "orgs", "create", "strangers") + quarterdeck(web_server, "keys", "create", "--org", "strangers")).group(0)
    for sight in sights:
        assert sight.image.type == "url" and "/resources/" in sight.image.source
        media_type, bytes_ = fetch(web_server, sight.image.source)
        assert (media_type, bytes_[:3]) == ("image/jpeg", b"\xff\xd8\xff")
        for key in (stranger, None):
            with pytest.raises(urllib.error.HTTPError) as refused:
                fetch(web_server, sight.image.source, key)
            assert refused.value.code == 404, "whether there is such a session is told to nobody else"
    assert "base64" not in json.dumps(raw_events(web_server, made)[1]), "the log holds addresses only"


def test_text_is_read_searched_and_followed_by_numbers(connect, web_server, pages):
    calls = [("find_in_page_web", {"text": "part 30 is"}), ("read_page_web", {"chunk": 1}), ("go_to_web", {"url": "#2"})]
    _, results, sights = solve(connect(web_server), pages + "/words", calls, TEXT)
    assert results[0]["found"]["line"].endswith("The figure of part 30 is 210.") and results[0]["found"]["chunk"] > 1
    assert "Part 2 ends with 22." in sights[-1].text
    assert all(sight.type == "textual_web" and sight.image is None for sight in sights)
    follow = [("go_to_web", {"url": url}) for url in ("#2", "#1", "#1", "{site}/nowhere")] + [("go_back_web", {})]
    follow = [(tool, {key: fill(value, pages) for key, value in given.items()}) for tool, given in follow]
    _, results, sights = solve(connect(web_server), pages + "/words", follow, TEXT)
    assert [result["title"] for result in results] == ["Part 2", "Part 3", "Part 4", "404", "Part 4"]
    assert results[3]["load"] == "the page's host answered 404" and "load" not in results[4]
    assert "Not here" in sights[-2].text


def test_what_leads_inside_is_refused(connect, web_server, pages):
    calls = [("go_to_web", {"url": url}) for url in ("http://10.0.0.1/", "http://169.254.169.254/", web_server.base_url)]
    calls += [("go_to_web", {"url": url}) for url in ("file:///etc/passwd", "chrome://version", "data:text/html,x")]
    _, results, _ = solve(connect(web_server), pages + "/", calls)
    assert [result.get("refused") for result in results[:3]] == [["10.0.0.1"], ["169.254.169.254"], ["127.0.0.1"]]
    assert all("by http and https" in result["fault"] for result in results[3:])


def test_a_browser_that_is_killed_is_replaced_and_the_login_stays(connect, web_server, pages):
    client = connect(web_server)
    browser = {"kind": "web", "id": "w", "start_url": pages + "/login", "mode": VISUAL}
    agent = {"name": "surfer", "description": "Surfs.", "environments": [browser]}
    script = '@call wait_web {"seconds": 5}\n@call refresh_web\n@answer done'
    made = client.sessions.create_session(agent=agent, messages=script)
    deadline = time.monotonic() + 30
    while not sights_of(client, made.id) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert kill_browsers(web_server)
    wait_for_status(client, made.id, "completed")
    sights = sights_of(client, made.id)
    assert sights[-1].metadata["title"] == "Inside"
    assert any("started again" in (sight.text or "") for sight in sights)
