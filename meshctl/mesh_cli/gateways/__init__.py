"""`meshctl gateways`: what each gateway carries."""
