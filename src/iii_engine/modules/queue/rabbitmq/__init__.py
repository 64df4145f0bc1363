"""The broker in RabbitMQ: several engines work on the same queues."""
