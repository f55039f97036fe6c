"""Waiting for what other processes do."""

import time


def wait_until(condition, timeout_s=60.0):
    """Wait until `condition()` is true; answers what it gave."""
    deadline = time.monotonic() + timeout_s
    while not (found := condition()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)
    return found
