"""The guardrails: capabilities, audit chain, injection scanner, taint, signing, policy, Docker."""
