"""Placement that knows the network: what is reached from where, how fast, and what would still be."""
