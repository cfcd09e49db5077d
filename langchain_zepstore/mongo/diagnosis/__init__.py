"""The state of the store: numbers, and checks with their cures."""
