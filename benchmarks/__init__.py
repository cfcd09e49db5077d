"""Measurements: this package beside its peers, and how it grows."""
