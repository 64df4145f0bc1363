"""The agent loop and the registry of agents."""
