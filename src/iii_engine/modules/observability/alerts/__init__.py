"""Rules over metrics, and what happens when one fires."""
