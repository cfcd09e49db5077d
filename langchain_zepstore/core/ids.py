"""New ids."""

import os
import random
import time

_VARIANT = 1 << 63
_MILLISECOND = 1_000_000  # nanoseconds

# Not from the system: asking it for randomness lets go of the GIL, and among a driver's threads it
# takes an event loop as long to get it back as all the rest of an add. These ids are no secrets.
_chance = random.Random()  # noqa: S311 - see above; seeded by the system

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_chance.seed)


def new_id() -> str:
    """Return a UUID (version 7), which no other process will make.

    Later ones sort behind earlier ones: an index takes them in less time than random ones.
    """
    # 48 bits of milliseconds and 12 of their fraction; then the variant, and what is random.
    moment = f"{(time.time_ns() << 12) // _MILLISECOND:015x}"
    rest = f"{_VARIANT | _chance.getrandbits(62):016x}"
    return f"{moment[:8]}-{moment[8:12]}-7{moment[12:]}-{rest[:4]}-{rest[4:]}"
