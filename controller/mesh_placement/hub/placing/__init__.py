"""Placement on the hub: which Placements there are, what is decided of them, and how it is carried out."""
