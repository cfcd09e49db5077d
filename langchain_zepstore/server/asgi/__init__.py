"""ASGI middleware: limits, raw paths, observability."""
