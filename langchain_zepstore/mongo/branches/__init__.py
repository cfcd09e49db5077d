"""Branches of a session: its table of forks, reads along a branch, edits, switches."""
