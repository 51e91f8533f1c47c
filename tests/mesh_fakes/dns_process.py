"""What a whole DNS server needs around it, and a question to it over UDP."""

import json
import socket
from pathlib import Path

import dns.asyncquery
import dns.exception
import dns.message
import dns.rcode

from mesh_fakes.dns_scene import ZONE


def kubeconfig(folder: Path, *, server: str) -> Path:
    """A kubeconfig for an API server that asks nobody who he is."""
    path = folder / "kubeconfig"
    path.write_text(
        json.dumps(
            {
                "current-context": "fake",
                "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "nobody"}}],
                "clusters": [{"name": "fake", "cluster": {"server": server}}],
                "users": [{"name": "nobody", "user": {}}],
            }
        )
    )
    return path


def free_port() -> int:
    """A port at which nobody listens."""
    with socket.socket(socket.AF_INET) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def asked(port: int) -> str:
    """The first address of `hello.demo.svc` by the server at `port`, or why there is none."""
    message = dns.message.make_query(f"hello.demo.svc.{ZONE}", "A")
    try:
        reply = await dns.asyncquery.udp(message, "127.0.0.1", port=port, timeout=0.2)
    except (dns.exception.Timeout, OSError):
        return "silence"
    return str(reply.answer[0][0]) if reply.answer else dns.rcode.to_text(reply.rcode())
