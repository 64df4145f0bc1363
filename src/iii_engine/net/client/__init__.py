"""HTTP/1.1 requests of the engine, to endpoints that are judged before each connection."""
