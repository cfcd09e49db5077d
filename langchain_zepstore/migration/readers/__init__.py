"""Readers: each yields the users and sessions of one source, which it only reads."""
