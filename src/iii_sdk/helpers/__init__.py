"""The published forms by the module names of the newer generation (`iii_helpers` there).

`http`, `queue`, `stream`, `observability` and `worker_connection_manager` hold what that package
holds under these names; everything is made in `iii_sdk.compat`.
"""
