"""Spaces as keys of a JetStream key-value bucket."""
