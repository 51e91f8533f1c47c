"""Two networks with a long way between them, inside the sandbox: packets take their time, and some are lost.

1. What goes from one network to the other are IP packets of 1500 bytes at most, carried between two TUN
   devices by a program that holds each of them back (`bench/load/relay.go`): TCP's own handshake takes a
   round trip here too, as it does between clusters.
2. Packets are lost on arrival, in either network, by a rule of the packet filter and a kernel's dice.
3. TCP there is cubic, which most nodes have, whatever this machine prefers: the route says so, as a network
   namespace may not choose it for all.
4. Everything is gone with the sandbox; the second network with the process that holds it.
"""

import fcntl
import os
import struct
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from pyroute2 import IPRoute

from mesh_bench.faults import BenchFault
from mesh_bench.sandbox import SETTINGS
from mesh_bench.servers import Server, serve
from mesh_bench.systems import NEAR, Place

_NETWORK, _CONGESTION = "10.99.0.0/24", "cubic"
_HERE, _THERE, _BITS = "10.99.0.1", "10.99.0.2", 24
_DEVICE = "far"
_QUEUE = 10_000
# From linux/if_tun.h.
_TUNSETIFF, _IFF_TUN, _IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
_LIMIT = 5.0


class Far:
    """The way: `place` is where the other end is; `lose` sets how much is lost."""

    def __init__(self, place: Place) -> None:
        self.place = place

    def lose(self, permille: int) -> None:
        """From now on so many of a thousand packets are lost, each way. Raises BenchFault."""
        rule = f"iifname {_DEVICE} numgen random mod 1000 < {permille} drop"
        chain = ["type filter hook input priority 0", *([rule] if permille else [])]
        # A table that is not there cannot be deleted, so it is made first.
        lines = ["table inet lossy", "delete table inet lossy", "table inet lossy {", "chain input {"]
        rules = "\n".join([*lines, *chain, "}", "}", ""])
        for prefix in ([], _entering(self.place.network)):
            ended = subprocess.run([*prefix, "nft", "-f", "-"], input=rules, capture_output=True, text=True)
            if ended.returncode:
                said = ended.stderr.strip().splitlines()
                raise BenchFault(
                    f"nft refuses to lose packets: {said[0] if said else ended.returncode}",
                    next_step="leave out --work loss, or use a kernel with nf_tables and its numgen",
                )


@contextmanager
def far(program: str, *, folder: Path, rtt_ms: int, mbit: float = 0.0) -> Iterator[Far]:
    """The other network, so far away, while the block runs; `mbit` a second each way at most, 0: no limit.

    Raises BenchFault.
    """
    with ExitStack() as stack:
        holder = serve("network", ["unshare", "--net", "--", "sleep", "infinity"], folder=folder)
        stack.callback(holder.stop)
        _await_network(holder)
        devices = [_tun(f"{_DEVICE}{number}") for number in range(2)]
        for device in devices:
            stack.callback(os.close, device)
        _connect(holder.pid)
        argv = [program, "-mode", "relay", "-devices", ",".join(map(str, devices))]
        argv += ["-delay", f"{rtt_ms / 2}ms", "-rate", str(mbit)]
        relay = serve("relay", argv, folder=folder, pass_fds=devices)
        stack.callback(relay.stop)
        yield Far(Place(host=_HERE, door_host=_THERE, backend=NEAR.backend, network=holder.pid))


def _entering(network: int | None) -> list[str]:
    return ["nsenter", f"--net=/proc/{network}/ns/net", "--"]


def _await_network(holder: Server) -> None:
    own, end = os.readlink("/proc/self/ns/net"), time.monotonic() + _LIMIT
    while time.monotonic() < end:
        with suppress(OSError):
            if os.readlink(f"/proc/{holder.pid}/ns/net") != own:
                return
        time.sleep(0.01)
    raise BenchFault(f"no second network: {holder.last_words}", next_step="run the benchmark as root")


def _tun(name: str) -> int:
    """A descriptor of a new TUN device, which lives as long as that."""
    try:
        device = os.open("/dev/net/tun", os.O_RDWR)
        fcntl.ioctl(device, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _IFF_TUN | _IFF_NO_PI))
    except OSError as error:
        raise BenchFault(
            f"the kernel gives no TUN device: {error}", next_step="leave out --work first_byte and loss"
        ) from error
    return device


def _connect(network: int) -> None:
    """One device goes into the other network; both get the same name and an address."""
    with IPRoute() as here:
        first, second = (here.link_lookup(ifname=f"{_DEVICE}{number}")[0] for number in range(2))
        here.link("set", index=second, net_ns_pid=network)
        _furnish(here, first, address=_HERE)
    with IPRoute(netns=f"/proc/{network}/ns/net", flags=0) as there:
        (second,) = there.link_lookup(ifname=f"{_DEVICE}1")
        _furnish(there, second, address=_THERE)
        (loopback,) = there.link_lookup(ifname="lo")
        there.link("set", index=loopback, state="up")
        there.addr("add", index=loopback, address=NEAR.backend.host, prefixlen=32)
    for name, value in SETTINGS.items():
        text = f"echo '{value}' > /proc/sys/{name}"
        subprocess.run([*_entering(network), "sh", "-c", text], check=False, capture_output=True)


# pyroute2 has no types: its handle is of no type that could be named.
def _furnish(network: "IPRoute", index: int, *, address: str) -> None:
    network.link("set", index=index, ifname=_DEVICE, txqlen=_QUEUE)
    network.addr("add", index=index, address=address, prefixlen=_BITS)
    network.link("set", index=index, state="up")
    way = {"dst": _NETWORK, "oif": index, "scope": "link", "prefsrc": address}
    network.route("replace", **way, metrics={"cc_algo": _CONGESTION})
