"""Starts the controller: `python -m mesh_controller`."""

from mesh_controller.main import main

main()
