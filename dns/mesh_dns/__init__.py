"""The DNS server of one cluster for the zone `clusterset.local`.

`wire`, `question`, `table`, `answer` and `imports` are pure: bytes and values in, bytes and values out.
`udp`, `tcp` and `server` hold the sockets, `names` keeps the table, `main` joins them.
"""
