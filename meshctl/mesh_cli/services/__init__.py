"""What is shared in the clusterset: `export`, `unexport` and `services`."""
