"""Soft deletion: operations, marks on messages, purging."""
