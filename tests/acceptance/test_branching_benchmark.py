"""The benchmark of branches runs."""

import re

import pytest

from benchmarks import branching


@pytest.mark.promise("the cost of branches is measured")
def test_the_benchmark_prints_the_time_of_each_operation(
    mongo_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    small = ["--messages", "120", "--branches", "3", "--rounds", "2", "--url", mongo_url]
    branching.main(small)
    lines = capsys.readouterr().out.splitlines()
    assert [re.sub(r" +[\d.]+ ms +[\d.]+$", "", line) for line in lines] == [
        "turn, linear",
        "turn, branched",
        "turn, branched, first of a client",
        "switch",
        "edit",
        "alternatives",
    ]
