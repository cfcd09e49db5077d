"""A lock held where a process must not fork.

A child has the forking thread alone: what another was in the middle of stays so for ever.
"""

import os
import threading

# One for all, made with the package: one that is made later may miss the beginning of a fork.
no_forks = threading.RLock()
"""Held while a module is imported or OpenSSL reads certificates; a fork waits for it."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=no_forks.acquire, after_in_parent=no_forks.release, after_in_child=no_forks.release
    )
