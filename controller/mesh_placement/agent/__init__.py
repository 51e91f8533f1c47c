"""The member's half: one process that registers, tells how it is, applies what it is given, and leaves."""
