"""The worker `llm-router`: model choice, completions behind one neutral shape, the catalogue."""
