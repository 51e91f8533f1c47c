"""Programs that run while something is measured: started, watched until they listen, ended by their id."""

import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mesh_bench.bed import child_environment
from mesh_bench.faults import BenchFault
from mesh_bench.listening import connected_ports, listening_ports

_LIMIT = 40.0
"""Seconds for a program to listen; the machine may be busy."""
_GRACE = 3.0
_EXCERPT = 300
_LOOK_AGAIN = 0.02


@dataclass(frozen=True, slots=True)
class Server:
    """A running program, and where it writes what it complains about."""

    name: str
    process: "subprocess.Popen[bytes]"
    log: Path

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    @property
    def last_words(self) -> str:
        """The last line of its log that is not empty."""
        lines = self.log.read_text(errors="replace").splitlines()
        # The frames of an exception group's picture say nothing.
        said = [text for line in lines if (text := line.strip(" |+-"))]
        return said[-1][:_EXCERPT] if said else "it said nothing"

    def await_ports(self, ports: Iterable[int]) -> None:
        """Waits until these are listened to in its network. Raises BenchFault."""
        self._await(set(ports), seen=listening_ports, what="listen on")

    def await_connection(self, port: int) -> None:
        """Waits until somebody in its network is connected to this port elsewhere. Raises BenchFault."""
        self._await({port}, seen=connected_ports, what="connect to")

    def _await(self, wanted: set[int], *, seen: Callable[[str], set[int]], what: str) -> None:
        end = time.monotonic() + _LIMIT
        while not wanted <= seen(self._sockets()):
            if self.process.poll() is not None:
                raise BenchFault(f"{self.name} ended: {self.last_words}", next_step="mend that")
            if time.monotonic() > end:
                raise BenchFault(
                    f"{self.name} does not {what} {sorted(wanted)}: {self.last_words}",
                    next_step="see whether the machine is too busy",
                )
            time.sleep(_LOOK_AGAIN)

    def _sockets(self) -> str:
        try:
            return Path(f"/proc/{self.pid}/net/tcp").read_text()
        except OSError:
            return ""

    def stop(self) -> None:
        """Ask it to end, and make it."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(_GRACE)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.process.wait()


def serve(
    name: str, argv: Sequence[str], *, folder: Path, pass_fds: Sequence[int] = (), network: int | None = None
) -> Server:
    """Start a program; its log is a file of `folder`. With `network` in the network of that process."""
    log = folder / f"{name}.log"
    entered = () if network is None else ("nsenter", f"--net=/proc/{network}/ns/net", "--")
    with log.open("ab") as file:
        process = subprocess.Popen(
            [*entered, *argv],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            env=child_environment(),
            pass_fds=tuple(pass_fds),
        )
    return Server(name, process, log)
