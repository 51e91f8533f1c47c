"""`meshctl trust`: the clusterset's root of trust."""
