"""`meshctl bench`: how fast calls between two clusters are, by the mesh and directly."""
