"""The page's routes, by noun."""
