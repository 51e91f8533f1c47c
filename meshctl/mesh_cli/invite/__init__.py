"""`meshctl invite`: tokens by which clusters come in."""
