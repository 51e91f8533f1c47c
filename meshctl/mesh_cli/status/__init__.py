"""`meshctl status`: members, peers, exports and imports, and how old that knowledge is."""
