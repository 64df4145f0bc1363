"""The broker in Redis: several engines work on the same queues."""
