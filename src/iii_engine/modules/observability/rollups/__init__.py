"""Metrics over longer times: summed up by minute, five minutes and hour as they come."""
