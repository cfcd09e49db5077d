"""New ids."""

import os
import random
from uuid import UUID

# Not uuid4: asking the system for randomness lets go of the GIL, and among a driver's threads it
# takes an event loop as long to get it back as all the rest of an add. These ids are no secrets.
_chance = random.Random()  # noqa: S311 - see above; seeded by the system

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_chance.seed)


def new_id() -> str:
    """Return a random UUID (version 4), which no other process will make."""
    return str(UUID(int=_chance.getrandbits(128), version=4))
