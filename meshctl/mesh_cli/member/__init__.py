"""Verbs of members and peers: join, leave, accept, link, peer."""
