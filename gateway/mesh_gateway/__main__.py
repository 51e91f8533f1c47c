"""Starts the gateway."""

from mesh_gateway.main import main

main()
