"""The hub's half: who is in, how alive he is, and what he is given."""
