"""Network namespaces, links, addresses and routes of a set, through netlink.

A namespace with a bridge is the WAN; every node hangs on it with one veth pair, and so does the host,
at the last address of the subnet: whoever stands on this machine reaches all nodes directly.

Laws:
1. Making the WAN may be repeated: what is there already is left as it is. A node's network is always
   made afresh: the old one holds what the dead node left in it.
2. A veth pair is made with both ends in place, so that none ever stands about half-connected.
3. Only the host's end has a name that others can see; it carries the set's id.

All functions block for some milliseconds: call them in a thread.
"""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

from pyroute2 import IPRoute
from pyroute2 import netns as namespaces
from pyroute2.netlink.exceptions import NetlinkError

from mesh_local.mounts import is_mount, unmount
from mesh_local.names import SetNames
from mesh_local.node_config import UPLINK
from mesh_local.plan import ClusterPlan, NodePlan, SetPlan

_BRIDGE = "br0"
_WAN_UPLINK = "host"

# pyroute2 has no types: its handles are Any here and go no further than this file.
Handle = Any


def networks_in_use() -> list[IPv4Network]:
    """What the host's addresses and routes cover, the default route aside."""
    with _opened() as host:
        found = [
            IPv4Network((message.get("dst"), message["dst_len"]), strict=False)
            for message in host.get_routes(family=2)
            if message.get("dst") and message["dst_len"]
        ]
        found += [
            IPv4Network((message.get("address"), message["prefixlen"]), strict=False)
            for message in host.get_addr(family=2)
        ]
    return found


def make_wan(names: SetNames, *, plan: SetPlan) -> None:
    """The WAN's namespace and bridge, and the host's link to it with the host's address."""
    _make_namespace(names.wan)
    with _opened(names.wan) as wan:
        _set_up(wan, "lo")
        _add(wan, ifname=_BRIDGE, kind="bridge")
        bridge = _set_up(wan, _BRIDGE)
        peer = {"ifname": names.host_link, "net_ns_fd": "/proc/self/ns/net"}
        _add(wan, ifname=_WAN_UPLINK, kind="veth", peer=peer)
        _set_up(wan, _WAN_UPLINK, master=bridge)
    with _opened() as host:
        link = _index(host, names.host_link)
        host.addr("replace", index=link, address=str(plan.host_address), prefixlen=plan.subnet.prefixlen)
        _set_up(host, names.host_link)


def make_node_network(names: SetNames, *, plan: SetPlan, cluster: ClusterPlan, node: NodePlan) -> None:
    """A node's namespace and its place on the WAN, with routes to the pods of other nodes."""
    path = names.namespace(node.name)
    port = f"n{int(node.address) & 0xFF}"
    remove_namespace(path)
    _make_namespace(path)
    with _opened(names.wan) as wan:
        # Somebody may still stand in the old namespace and so keep its link alive.
        _delete(wan, port)
        peer = {"ifname": UPLINK, "net_ns_fd": str(path), "address": _hardware_address(node)}
        _add(wan, ifname=port, kind="veth", peer=peer)
        _set_up(wan, port, master=_index(wan, _BRIDGE))
    with _opened(path) as inside:
        _set_up(inside, "lo")
        link = _index(inside, UPLINK)
        inside.addr("replace", index=link, address=str(node.address), prefixlen=plan.subnet.prefixlen)
        _set_up(inside, UPLINK)
        inside.route("replace", dst="default", gateway=str(plan.host_address))
    make_routes(names, plan=plan, cluster=cluster, node=node)


def make_routes(names: SetNames, *, plan: SetPlan, cluster: ClusterPlan, node: NodePlan) -> None:
    """The node's routes to the pods of others, also of nodes that came after it."""
    with _opened(names.namespace(node.name)) as inside:
        for route in plan.routes(cluster, node):
            inside.route("replace", dst=str(route.target), gateway=str(route.gateway))


def remove_host_link(names: SetNames) -> bool:
    """False when it was not there."""
    with _opened() as host:
        return _delete(host, names.host_link)


def has_host_link(names: SetNames) -> bool:
    """Whether the set's link is there."""
    with _opened() as host:
        return bool(host.link_lookup(ifname=names.host_link))


def remove_namespace(path: Path) -> None:
    """Takes away the namespace's name; it ends with its last process."""
    while is_mount(path):
        unmount(path)
    # Unlinking also takes it out of mount namespaces that copied the mount.
    path.unlink(missing_ok=True)


def _make_namespace(path: Path) -> None:
    if is_mount(path):
        return
    # A run that was killed between making the file and mounting on it left the file.
    path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    namespaces.create(str(path))


@contextmanager
def _opened(path: Path | None = None) -> Iterator[Handle]:
    """A handle on the namespace at `path`, or on the host's; the kernel's refusals become OSError."""
    try:
        # Without flags a namespace that is missing is an error, not made.
        with IPRoute() if path is None else IPRoute(netns=str(path), flags=0) as handle:
            yield handle
    except NetlinkError as error:
        raise OSError(error.code, os.strerror(error.code), str(path or "the host's network")) from error


def _hardware_address(node: NodePlan) -> str:
    """Follows from the IP: a node that comes back is found by those who remember the old one.

    With another, the host's connections to it would hang for up to a minute.
    """
    return ":".join(["0a", "58", *(f"{byte:02x}" for byte in node.address.packed)])


def _add(handle: Handle, **link: object) -> None:
    with _tolerating(errno.EEXIST):
        handle.link("add", **link)


def _delete(handle: Handle, name: str) -> bool:
    found: list[int] = handle.link_lookup(ifname=name)
    for index in found:
        with _tolerating(errno.ENODEV):
            handle.link("del", index=index)
    return bool(found)


def _set_up(handle: Handle, name: str, **settings: object) -> int:
    index = _index(handle, name)
    handle.link("set", index=index, state="up", **settings)
    return index


def _index(handle: Handle, name: str) -> int:
    found: list[int] = handle.link_lookup(ifname=name)
    if not found:
        raise OSError(errno.ENODEV, os.strerror(errno.ENODEV), name)
    return found[0]


@contextmanager
def _tolerating(code: int) -> Iterator[None]:
    try:
        yield
    except NetlinkError as error:
        if error.code != code:
            raise
