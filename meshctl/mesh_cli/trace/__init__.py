"""`meshctl trace`: every hop of a call to a Service of the clusterset, and the one at which it fails."""
