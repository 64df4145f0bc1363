"""Several engines as one bus: what an engine knows of the others, without I/O.

To an engine another engine is a worker whose connection is a `Link`: it registers the functions of
its own workers, it is called, it answers, all in the messages of the wire protocol.
"""
