"""Starts a member's agent: `python -m mesh_placement.agent`."""

from mesh_placement.agent.main import main

main()
