"""What searching costs the client's process in memory: each type in a process of its own."""

import subprocess
import sys
from hashlib import blake2b

import numpy as np
from langchain_core.embeddings import Embeddings

from benchmarks.footprint import peak
from langchain_zepstore import ZepClient

DIMENSION = 384

_SEARCHES = 5


class Anything(Embeddings):
    """Vectors in any direction, the same for the same text: no model to wait for."""

    model_name = "anything"

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Return the vectors of texts."""
        return [self.embed_query(text) for text in texts]

    def embed_query(self, text: str) -> list[float]:
        """Return the vector of a text."""
        seed = int.from_bytes(blake2b(text.encode(), digest_size=8).digest())
        vector = np.random.default_rng(seed).standard_normal(DIMENSION)
        row: list[float] = (vector / np.linalg.norm(vector)).tolist()
        return row


def grown(url: str, few: str, user: str, search_type: str) -> float:
    """Return the megabytes by which a process grows at its peak that searches a user's messages.

    Args:
        url: Where.
        few: A user with few messages, who is searched before, for connections and imports.
        user: Whose messages.
        search_type: Which search.
    """
    command = [sys.executable, "-m", "benchmarks.search_footprint", url, few, user, search_type]
    done = subprocess.run(command, capture_output=True, check=True)
    return float(done.stdout)


def _grown(url: str, few: str, user: str, search_type: str) -> float:
    with ZepClient(url, embeddings=Anything(), timeout=300) as client:
        client.memory.search("boat", user_id=few, search_type=search_type)
        before = peak()
        for number in range(_SEARCHES):
            client.memory.search(f"boat lake word{number}", user_id=user, search_type=search_type)
        return peak() - before


if __name__ == "__main__":
    print(_grown(*sys.argv[1:]))
