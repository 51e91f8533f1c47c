"""`python -m mesh_dns`."""

from mesh_dns.main import main

main()
