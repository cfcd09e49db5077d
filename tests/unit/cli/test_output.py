"""Files that appear whole, or not at all."""

import subprocess
import sys
from pathlib import Path

import pytest

from langchain_zepstore.cli.output import whole_file

INTERRUPTED = """
import os, signal, sys
from pathlib import Path
from langchain_zepstore.cli.output import whole_file
with whole_file(Path(sys.argv[1])) as file:
    file.write("half")
    os.kill(os.getpid(), signal.SIGINT)
"""


@pytest.mark.promise("an output file appears whole: an error or Ctrl-C leaves the old one")
def test_an_error_or_interrupt_keeps_the_existing_file(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_text("before")
    with pytest.raises(TypeError), whole_file(path) as file:
        file.writelines(["half", None])  # type: ignore[list-item]
    command = [sys.executable, "-c", INTERRUPTED, str(path)]
    done = subprocess.run(command, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (130, b"")
    assert (path.read_text(), list(tmp_path.iterdir())) == ("before", [path])
    with whole_file(path) as file:
        file.write("whole")
    assert (path.read_text(), list(tmp_path.iterdir())) == ("whole", [path])
