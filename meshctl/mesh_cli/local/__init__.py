"""`meshctl local` and `meshctl demo`: real clusters on this machine."""
