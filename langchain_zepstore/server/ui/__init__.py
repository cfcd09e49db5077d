"""The page: conversations in a browser."""
