"""Zep's metadata filters."""
