"""Without its extra the middleware says what to install."""

import subprocess
import sys


def test_a_missing_extra_is_named() -> None:
    code = "import sys; sys.modules['langchain'] = None; import langchain_zepstore.middleware"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert (
        'ImportError: the middleware needs an extra: pip install "langchain-zepstore[agents]"'
        in (done.stderr)
    )
