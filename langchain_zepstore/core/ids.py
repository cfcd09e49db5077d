"""New ids."""

import os
import random

_VERSION_4 = 0x4000_8000_0000_0000_0000
_RANDOM = ~0xF000_C000_0000_0000_0000

# Not uuid4: asking the system for randomness lets go of the GIL, and among a driver's threads it
# takes an event loop as long to get it back as all the rest of an add. These ids are no secrets.
_chance = random.Random()  # noqa: S311 - see above; seeded by the system

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_chance.seed)


def new_id() -> str:
    """Return a random UUID (version 4), which no other process will make."""
    # As str(UUID(int=…, version=4)), in a quarter of its time.
    digits = f"{_chance.getrandbits(128) & _RANDOM | _VERSION_4:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
