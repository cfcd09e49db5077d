"""Run as a program: forks while another thread makes a client's first call.

Arguments: the URL, and how many rounds. Prints how many children ended.
"""

import contextlib
import os
import random
import signal
import sys
import threading
import time

from langchain_zepstore import StoreUnavailableError, ZepClient

PATIENCE = 60


def call(client: ZepClient) -> None:
    with contextlib.suppress(StoreUnavailableError):  # opened, though nobody is there
        client.message.count("forked")


def child(client: ZepClient) -> None:
    signal.alarm(PATIENCE)
    call(client)
    os._exit(0)


def main(url: str, rounds: int) -> None:
    ended = 0
    for _ in range(rounds):
        client = ZepClient(url, timeout=0.2)
        opening = threading.Thread(target=call, args=(client,))
        opening.start()
        time.sleep(random.uniform(0, 0.03))
        pid = os.fork()
        if pid == 0:
            child(client)
        ended += os.waitpid(pid, 0)[1] == 0
        opening.join()
        client.close()
    print(ended)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
