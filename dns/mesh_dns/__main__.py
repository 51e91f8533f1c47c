"""`python -m mesh_dns`."""

from mesh_dns.start import start

start()
