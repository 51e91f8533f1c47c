"""What `meshctl hub init` and `meshctl register` install, on light clusters where nothing runs in a pod."""

import json
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mesh_fakes.bed import COMMAND_LIMIT, Bed
from mesh_local.kubectl import kubectl_command

MANIFESTS = Path(__file__).parents[2] / "manifests"


def install_parts(bed: Bed) -> None:
    """Accounts, rights, policies and programs: of a hub in `hub`, of a consenting member in `member`."""
    install_hub(bed)
    bed.kubectl("member", "apply", "-k", str(MANIFESTS / "overlays" / "member"))
    bed.kubectl("member", "apply", "-k", str(MANIFESTS / "placement" / "agent-access"))


def until_in_force(*looks: Callable[[], bool]) -> None:
    """Return when rights and policies that were just written are what the API server goes by: it learns of
    them by watches of its own."""
    end = time.monotonic() + 120.0
    for number, look in enumerate(looks):
        while not look():
            assert time.monotonic() < end, f"number {number} of what was to be in force is not"
            time.sleep(0.2)


def install_hub(bed: Bed) -> None:
    """The same of a hub alone."""
    bed.kubectl("hub", "apply", "-k", str(MANIFESTS / "overlays" / "hub"))


def tried_as(
    bed: Bed, cluster: str, user: str, *arguments: str, body: Mapping[str, Any] | None = None
) -> str:
    """What kubectl says when `user` tries it: "" when it went well, else the refusal.

    `body` (JSON of any kind, hence Any) is given to `-f -`.
    """
    words = (*arguments, f"--as={user}", *(("-f", "-") if body is not None else ()))
    ended = subprocess.run(
        kubectl_command(words, cluster=cluster, folder=bed.folder),
        input=json.dumps(body) if body is not None else None,
        capture_output=True,
        text=True,
        timeout=COMMAND_LIMIT,
        check=False,
    )
    return ended.stderr if ended.returncode else ""
