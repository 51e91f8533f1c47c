"""How the hub reaches a member's API server: directly, or by the tunnel that the member has dialled."""
