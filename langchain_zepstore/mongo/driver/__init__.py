"""Connections, collections and errors of the MongoDB drivers."""
