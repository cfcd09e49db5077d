"""Forks while another thread opens the first connection."""

import subprocess
import sys

import pytest

ROUNDS = 10


@pytest.mark.promise("one event loop after another, many threads, a fork")
@pytest.mark.parametrize("scheme", ["mongodb", "https"])
def test_a_child_forked_while_connecting_opens_its_own_connection(scheme, mongo_url):
    url = mongo_url if scheme == "mongodb" else "https://127.0.0.1:1"
    command = [sys.executable, "-W", "ignore", "-m", "tests.support.forking", url, str(ROUNDS)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=600)
    assert int(done.stdout) == ROUNDS
