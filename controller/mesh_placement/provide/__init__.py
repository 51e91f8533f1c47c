"""Providers: programs that answer ClusterClaims. None is a part of the hub; they meet it in claims."""
