"""`iii-cluster`: several engines as one bus, over NATS."""

from iii_engine.modules.cluster.module import ClusterModule

__all__ = ["ClusterModule"]
