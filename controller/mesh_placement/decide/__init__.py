"""Decisions of registration and distribution: values in, values out; the time is an argument."""
