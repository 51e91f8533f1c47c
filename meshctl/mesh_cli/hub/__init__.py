"""Verbs of the hub and of registration: hub, register, token, backup, restore."""
