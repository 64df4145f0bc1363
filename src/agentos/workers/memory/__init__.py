"""Long-term memory per agent: entries, recall, sessions, graph, profiles, reflection."""
