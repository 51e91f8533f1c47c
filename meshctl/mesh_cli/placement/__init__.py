"""Verbs of placement: place, placements, explain, top, adopt, failback."""
