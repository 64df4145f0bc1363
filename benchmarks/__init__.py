"""Throughput, latency, durability, start-up and memory, each beside a baseline in one run.

`python -m benchmarks [ROW …]` prints the table; `python -m benchmarks --list` names the rows.
"""
