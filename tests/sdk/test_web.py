"""Sessions with a browser: tasks on a site of our own, solved by scripted calls."""

import concurrent.futures
import json
import os
import pathlib
import signal
import time
import urllib.request

import pytest

from server import API_KEY
from site_pages import site
from steps import read_all, wait_for_status
from web_server import BROWSER, NO_BROWSER, WHOLE, browser_server, browsers_of

pytestmark = pytest.mark.skipif(BROWSER is None, reason=NO_BROWSER)
VISUAL = {"type": "visual", "width": 1000, "height": 700, "markdown": True}
TEXT = {"type": "text", "chunk_size": 1000}


@pytest.fixture(scope="module")
def pages():
    with site() as address:
        yield address


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
    """The same tasks, four at a time, by a model of another convention that is shown pictures half as large."""
    options = ["--browsers-max", "4", "--model-coordinates", "0-1000", "--model-image-side", "500"]
    with browser_server(tmp_path / "data", options) as server:
        client = connect(server)

        def fault_of(name):
            start, calls, title, text = TASKS[name]
            calls = [(tool, in_thousandths({k: fill(v, pages) for k, v in given.items()})) for tool, given in calls]
            _, results, sights = solve(client, pages + start, calls)
            last = sights[-1]
            is_solved = last.metadata["title"] == title and text in last.text
            return None if is_solved else (name, results, last.metadata, last.text)

        with concurrent.futures.ThreadPoolExecutor(4) as four:
            faults = list(filter(None, four.map(fault_of, TASKS)))
        assert not faults, faults


def in_thousandths(arguments):
    sides = {"x": VISUAL["width"], "y": VISUAL["height"]}
    along = lambda key: sides.get(key.rsplit("_", 1)[-1])
    return {key: round(value * 1000 / along(key)) if along(key) else value for key, value in arguments.items()}


@pytest.mark.skipif(not pathlib.Path(WHOLE).exists(), reason="a whole Chromium is not installed: apt-get install chromium")
def test_a_whole_chromium_does_as_well(connect, tmp_path, pages):
    with browser_server(tmp_path / "data", browser=WHOLE) as server:
        client = connect(server)
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
    pictures = [size_of(picture(web_server, sight)) for sight in sights]
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


def picture(server, sight):
    source = sight.image.source
    url = source if source.startswith("http") else server.base_url + source
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {API_KEY}"})
    with urllib.request.urlopen(request, timeout=20) as answer:
        assert answer.headers["Content-Type"] == "image/jpeg"
        return answer.read()


def size_of(jpeg):
    """Width and height, as the frame of a JPEG names them."""
    at = 2
    while jpeg[at + 1] not in (0xC0, 0xC2):
        at += 2 + int.from_bytes(jpeg[at + 2 : at + 4])
    return int.from_bytes(jpeg[at + 7 : at + 9]), int.from_bytes(jpeg[at + 5 : at + 7])


def fill(value, pages):
    return value.replace("{site}", pages) if isinstance(value, str) else value


def test_pictures_are_resources_of_the_session(connect, web_server, pages):
    _, _, sights = solve(connect(web_server), pages + "/", [click(100)])
    for sight in sights:
        assert sight.image.type == "url" and "/resources/" in sight.image.source
        assert picture(web_server, sight)[:3] == b"\xff\xd8\xff"


def test_text_is_read_searched_and_followed_by_numbers(connect, web_server, pages):
    calls = [("find_in_page_web", {"text": "part 30 is"}), ("read_page_web", {"chunk": 1}), ("go_to_web", {"url": "#2"})]
    _, results, sights = solve(connect(web_server), pages + "/words", calls, TEXT)
    assert results[0]["found"]["line"].endswith("The figure of part 30 is 210.") and results[0]["found"]["chunk"] > 1
    assert "Part 2 ends with 22." in sights[-1].text
    assert all(sight.type == "textual_web" and sight.image is None for sight in sights)
    _, results, _ = solve(connect(web_server), pages + "/nowhere", [("read_page_web", {"chunk": 1})], TEXT)
    assert results == [{"done": "chunk 1 of 1"}]


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


def sights_of(client, session_id):
    return [e.data for e in read_all(client, session_id) if getattr(e.data, "kind", "") == "observation_event"]


def kill_browsers(server):
    """Kills the browsers of a server; says how many there were."""
    browsers = browsers_of(server)
    for pid in browsers:
        os.kill(pid, signal.SIGKILL)
    return len(browsers)
