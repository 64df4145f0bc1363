"""The broker in NATS JetStream: several engines work on the same queues."""
