"""`meshctl check`: is all as it should be, and if not, what is the next step."""
