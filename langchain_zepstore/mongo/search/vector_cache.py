"""Vectors that a client has read, so that the next search need not."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Vectors = npt.NDArray[np.float32]
    Rows = npt.NDArray[np.int64]

MOST_BYTES = 256 * 1024 * 1024
"""The most bytes of vectors that a client keeps."""

UNKNOWN = -1
"""The row of a vector that is not here."""

NONE = -2
"""The row of a message that has no vector, such as one without words."""


class VectorCache:
    """Unit vectors of one model and one length, by the stamps under which they were stored.

    A stamp is never used for another vector, so nothing here can be out of date. Many threads may
    use it.

    Args:
        dimension: The length of the vectors.
        most_bytes: How much memory it takes at most.
    """

    def __init__(self, dimension: int, most_bytes: int = MOST_BYTES) -> None:
        self.dimension = dimension
        self._most = max(most_bytes // (4 * dimension), 1)
        self._rows: dict[bytes, int] = {}
        self._matrix = _zeros(self._most, dimension)
        self._filled = 0
        self._lock = threading.Lock()

    @property
    def is_full(self) -> bool:
        """Whether nothing more is kept."""
        return len(self._rows) >= self._most

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._rows, self._matrix = {}, _zeros(self._most, self.dimension)
            self._filled = 0

    def rows(self, stamps: Sequence[bytes]) -> tuple[Rows, Vectors]:
        """Return the rows of stamps, or ``UNKNOWN`` or ``NONE``, and the matrix they are rows of.

        What is added later, or forgotten, changes neither.
        """
        import numpy as np  # noqa: PLC0415 - an extra

        with self._lock:
            get = self._rows.get
            numbers = (get(stamp, UNKNOWN) for stamp in stamps)
            return np.fromiter(numbers, dtype=np.int64, count=len(stamps)), self._matrix

    def add(self, stamps: Sequence[bytes], vectors: Vectors) -> None:
        """Keep vectors that have a stamp, while there is room; those of zeros as ``NONE``."""
        present = [bool(vector.any()) for vector in vectors]
        with self._lock:
            for row, stamp in enumerate(stamps):
                if self.is_full:
                    return
                if not stamp or stamp in self._rows:
                    continue
                if present[row]:
                    self._matrix[self._filled] = vectors[row]
                    self._rows[stamp] = self._filled
                    self._filled += 1
                else:
                    self._rows[stamp] = NONE


def _zeros(rows: int, dimension: int) -> Vectors:
    import numpy as np  # noqa: PLC0415 - an extra

    # The system gives memory for what is written, not for zeros.
    return np.zeros((rows, dimension), dtype=np.float32)
