"""`meshctl dns`, and how cluster DNS comes to send the zone to us."""
