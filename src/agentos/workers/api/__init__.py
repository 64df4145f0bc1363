"""The public REST face of agents, OpenAI's form included."""
