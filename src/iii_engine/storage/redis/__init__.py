"""Spaces as hashes of a Redis server."""
