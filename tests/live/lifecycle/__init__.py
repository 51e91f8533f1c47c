"""How a cluster becomes a member, and stops being one, on two real clusters that nobody has joined yet.

The clusters are shared: each test begins with what was there before anybody joined, and leaves no more.
"""
