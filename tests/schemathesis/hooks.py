"""What every request of Schemathesis is held to."""

import schemathesis

WAIT_S = 1


@schemathesis.hook
def before_call(context, case, kwargs):
    """A long poll that is allowed may wait a minute. The tests have no use for more than a second."""
    wait = (case.query or {}).get("wait_for_seconds")
    if str(wait).isdecimal() and WAIT_S < int(wait) <= 60:
        case.query["wait_for_seconds"] = WAIT_S
