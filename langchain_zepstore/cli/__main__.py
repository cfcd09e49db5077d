"""``python -m langchain_zepstore.cli``, and the process of ``zepstore``."""

import os
import signal
import sys

INTERRUPTED = 130


def run() -> None:
    """Run the command as a process: Ctrl-C ends it at once and without a traceback."""
    signal.signal(signal.SIGINT, lambda *_: os._exit(INTERRUPTED))
    from langchain_zepstore.cli.main import main  # noqa: PLC0415 - an import may be interrupted

    code = main()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it is done: what is left takes a moment
    sys.exit(code)


if __name__ == "__main__":
    run()
