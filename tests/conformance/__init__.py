"""Runs the official conformance suite of the MCS API on local clusters: docs/conformance.md."""
