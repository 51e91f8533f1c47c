"""Starts the gateway."""

from mesh_gateway.start import start

start()
