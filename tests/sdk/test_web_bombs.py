"""What a page can do to its browser does not reach the session, its neighbours or the machine."""

import json
import os

import pytest

from bomb_pages import BOMBS
from steps import read_all, wait_for_status
from web_server import BROWSER, NO_BROWSER, browser_server, most_memory

pytestmark = pytest.mark.skipif(BROWSER is None, reason=NO_BROWSER)
MORE_MB = 1_200
STEP_S = 30
# One of each kind, within the time of a test run; QUARTERDECK_TEST_BOMBS=all takes all of them, some five minutes.
SAMPLE = ["arrays", "workers", "dialogs", "loop", "history", "downloads"]
CHOSEN = BOMBS if os.environ.get("QUARTERDECK_TEST_BOMBS") == "all" else SAMPLE


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with browser_server(tmp_path_factory.mktemp("bombs") / "data", ["--browsers-max", "3"]) as server:
        yield server


@pytest.mark.parametrize("name", CHOSEN)
def test_a_page_that_takes_all_it_can_get_ends_no_session(name, connect, server, pages):
    client = connect(server)
    go = [("go_to_web", {"url": f"{pages}/{path}"}) for path in (f"bomb/{name}", "prices")]
    # The browser may end while it is told to go on.
    calls = [go[0], ("wait_web", {"seconds": 2}), go[1], go[1], ("find_in_page_web", {"text": "Ink"})]
    lines = [f"@call {tool} {json.dumps(arguments)}" for tool, arguments in calls]
    browser = {"kind": "web", "id": "w", "start_url": pages + "/", "settle_s": 0.4}
    agent = {"name": "surfer", "description": "Surfs.", "environments": [browser]}
    with most_memory(server) as used:
        made = client.sessions.create_session(agent=agent, messages="\n".join([*lines, "@answer done"]))
        wait_for_status(client, made.id, "completed", wait_s=5 * STEP_S)
    events = read_all(client, made.id)
    sights = [event.data for event in events if getattr(event.data, "kind", "") == "observation_event"]
    results = [event.data for event in events if getattr(event.data, "kind", "") in ("tool_result", "error_event")]
    assert results[-1].kind == "tool_result" and results[-1].result["found"]["count"] == 1, results
    assert sights[-1].metadata["url"] == pages + "/prices", [sight.metadata["url"] for sight in sights]
    times = [event.timestamp.timestamp() for event in events]
    longest = max(later - earlier for earlier, later in zip(times, times[1:]))
    assert longest <= STEP_S, f"a step took {longest:.1f} s"
    assert max(used) <= MORE_MB, f"the browser took {max(used)} MB"
    print(f"{name}: longest step {longest:.1f} s, {max(used)} MB, browsers started: {sum(e.type == 'RunnerSessionEvent' for e in events)}")
