"""One message in each of its shapes. Pure functions."""
