"""A database grown to a million sessions, measured at every power of ten."""
