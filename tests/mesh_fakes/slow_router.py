"""A router between this network namespace and one behind it, whose link there is slow and queues a lot.

The queue must be in a router: what a host queues for its own link, its TCP keeps short.
Run it in a network namespace that may be spoilt. What listens on loopback behind is reached at `BEHIND`.
"""

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

BEHIND = "10.9.2.2"
_QUEUE = 4_000_000
"""Bytes; they take more than three seconds at 10 Mbit/s."""
_TO_LOOPBACK = """
table ip behind {
  chain comes { type nat hook prerouting priority -100; iifname "b1" meta l4proto tcp dnat to 127.0.0.1; }
}
"""


@contextmanager
def slow_router(*, rate: str = "10mbit") -> Iterator[int]:
    """A process whose network namespace is the one behind; it and the router last while the block runs."""
    with ExitStack() as stack:
        router, behind = _namespace(stack), _namespace(stack)
        _do(f"ip link add a1 type veth peer name r1 netns {router}")
        _do("ip addr add 10.9.1.1/24 dev a1")
        _do("ip link set a1 up")
        _do("ip route add 10.9.2.0/24 via 10.9.1.2")
        for words in (
            f"ip link add r2 type veth peer name b1 netns {behind}",
            "ip addr add 10.9.1.2/24 dev r1",
            "ip addr add 10.9.2.1/24 dev r2",
            "ip link set r1 up",
            "ip link set r2 up",
            "sysctl -qw net.ipv4.ip_forward=1",
            f"tc qdisc add dev r2 root handle 1: tbf rate {rate} burst 16k limit {_QUEUE}",
        ):
            _do(words, inside=router)
        for words in (
            "ip addr add 10.9.2.2/24 dev b1",
            "ip link set b1 up",
            "ip link set lo up",
            "ip route add default via 10.9.2.1",
            "sysctl -qw net.ipv4.conf.b1.route_localnet=1",
        ):
            _do(words, inside=behind)
        _do("nft -f -", inside=behind, given=_TO_LOOPBACK)
        # Segments that are one packet each, as on a wire.
        for inside, device in ((None, "a1"), (router, "r1"), (router, "r2"), (behind, "b1")):
            _do(f"ip link set {device} gso_max_size 1514 gso_max_segs 1", inside=inside)
        yield behind


def _namespace(stack: ExitStack) -> int:
    """A process in one of its own, which ends when this one does."""
    made = subprocess.Popen(["unshare", "--net", "sh", "-c", "echo; read _"], stdin=-1, stdout=-1)
    stack.callback(made.wait)
    stack.callback(made.kill)
    assert made.stdout is not None
    made.stdout.readline()
    return made.pid


def _do(words: str, *, inside: int | None = None, given: str | None = None) -> None:
    enter = ["nsenter", f"--net=/proc/{inside}/ns/net", "--"] if inside else []
    subprocess.run([*enter, *words.split()], input=given, text=True, check=True, timeout=60)
