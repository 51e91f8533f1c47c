"""Puts our manifests into a cluster, and takes them out again by inventory."""
