"""What modules that keep records in the store share: changing them, answering, handlers."""
