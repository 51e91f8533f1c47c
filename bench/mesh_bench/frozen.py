"""A cluster of a local set that stands still: all its processes are stopped, and nothing comes or leaves.

It is what a machine looks like from outside that lost its power, and afterwards one that was suspended: what
runs there goes on where it was, and knows nothing of what happened meanwhile.
"""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from mesh_local import processes
from mesh_local.layout import SetFiles
from mesh_local.names import names_of
from mesh_local.processes import Process
from mesh_local.set_state import state_of_running

_TABLE = "frozen"
_LIMIT = 10.0
_RULES = f"""
table inet {_TABLE} {{
  chain comes {{ type filter hook prerouting priority -400; iifname "eth0" drop; }}
  chain goes {{ type filter hook postrouting priority 400; oifname "eth0" drop; }}
}}
"""


@contextmanager
def frozen(folder: Path, cluster: str) -> Iterator[float]:
    """The cluster of the set in `folder` stands still while the block runs. It gives the time, by the
    monotonic clock, from which on nothing of it is heard: to stop its processes takes seconds on a busy
    machine.
    """
    stopped: set[int] = set()
    with ExitStack() as stack:
        for network in _networks(folder, cluster):
            _nft(network, "-f", "-", rules=_RULES)
            stack.callback(_nft, network, "delete", "table", "inet", _TABLE)
        unheard_at = time.monotonic()
        try:
            # What was just being started is found the next time.
            while new := {one.pid for one in running_in(folder, cluster)} - stopped:
                _signal(new, signal.SIGSTOP)
                stopped |= new
            yield unheard_at
        finally:
            _signal(stopped, signal.SIGCONT)


def running_in(folder: Path, cluster: str) -> list[Process]:
    """All processes of the cluster's nodes and of their pods, but for the first of each node."""
    among = processes.all_processes()
    found: list[Process] = []
    for path in _networks(folder, cluster):
        network = processes.namespace(path)
        first = network and processes.first_process(among, network=network)
        parents = {first.pid} if first else set()
        while more := [one for one in among if one.parent in parents]:
            found += more
            parents = {one.pid for one in more}
    return found


def _networks(folder: Path, cluster: str) -> list[Path]:
    names, plan = names_of(folder.resolve()), state_of_running(SetFiles(folder)).plan
    return [names.namespace(node.name) for one in plan.clusters if one.name == cluster for node in one.nodes]


def _signal(pids: set[int], which: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, which)


def _nft(network: Path, *words: str, rules: str = "") -> None:
    enter = ("nsenter", f"--net={network}", "--", "nft", *words)
    subprocess.run(enter, input=rules, text=True, check=True, timeout=_LIMIT)
