"""The workers, one folder each."""
