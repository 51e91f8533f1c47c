"""Who may make clusters."""

import os

from mesh_local.errors import MachineFault


def require_root(verb: str) -> None:
    """Raises MachineFault for anybody but root; `verb` is what was typed after `local`."""
    if os.geteuid() != 0:
        raise MachineFault(
            f"`local {verb}` needs root: it makes network namespaces, mounts and cgroups",
            next_step="run it with sudo",
        )
