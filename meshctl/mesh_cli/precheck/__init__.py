"""`meshctl precheck`: can two clusters become hub and member, before that is tried."""
