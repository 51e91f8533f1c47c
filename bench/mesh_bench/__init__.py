"""What benchmarks share: figures and their JSON, the machine, members made of light clusters, watching."""
