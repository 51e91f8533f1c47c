"""What is written down of a set: what was asked for, where it is, and whether it was ever complete.

Laws:
1. The file is there before anything else of the set, and replaced whole.
2. It says nothing about processes: those are looked up (`processes`).
"""

import os
from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Network

import msgspec

from mesh_local.errors import NotThere, Occupied
from mesh_local.layout import SetFiles
from mesh_local.plan import Request, SetPlan, plan_set


class Phase(Enum):
    """`STARTING` until everything was ready once: what a run left in it is not worth repairing."""

    STARTING = "starting"
    UP = "up"


@dataclass(frozen=True, slots=True)
class SetState:
    """`subnet` is the set's /24; `kubectl` the argv prefix of the kubectl that fits the clusters."""

    request: Request
    subnet: str
    phase: Phase
    binaries: str
    kubectl: tuple[str, ...]

    @property
    def plan(self) -> SetPlan:
        return plan_set(self.request, subnet=IPv4Network(self.subnet))


def read_state(files: SetFiles) -> SetState | None:
    """None when there is no set; raises Occupied when the file is not one of ours."""
    try:
        raw = files.state.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        return msgspec.json.decode(raw, type=SetState)
    except msgspec.DecodeError as error:
        raise Occupied(
            f"{files.state} cannot be read: {error}",
            next_step=f"take the clusters down: meshctl local down --dir {files.folder}",
        ) from error


def state_of_running(files: SetFiles) -> SetState:
    """The state of a set that must be there; raises NotThere."""
    state = read_state(files)
    if state is None:
        raise NotThere(
            f"there are no local clusters in {files.folder}",
            next_step="make some with `meshctl local up`, or name their folder with --dir",
        )
    return state


def write_state(state: SetState, *, files: SetFiles) -> None:
    """Makes the folder when it is not there."""
    files.folder.mkdir(parents=True, exist_ok=True)
    files.state_part.write_bytes(msgspec.json.format(msgspec.json.encode(state), indent=1))
    os.replace(files.state_part, files.state)
