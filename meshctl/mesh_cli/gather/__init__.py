"""`meshctl gather`: a support bundle, without secrets, also where half of a system is down."""
