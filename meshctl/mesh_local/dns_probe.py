"""Whether a cluster's DNS answers, asked as a pod would ask: inside the node, at the Service's address.

An available Deployment is no proof: kube-proxy may not have made its way yet, and after a node's death
the API goes on to say what was true before it.
"""

import socket
from ipaddress import IPv4Address
from pathlib import Path
from typing import cast

from dnslib import QTYPE, RCODE, DNSError, DNSRecord
from pyroute2 import netns

NAME = "kubernetes.default.svc.cluster.local"
LIMIT = 0.3  # seconds; the way is a few microseconds long


def dns_answers(server: IPv4Address, *, network: Path, name: str = NAME) -> bool:
    """One question for the address of `name`, from the namespace `network`; blocks for up to 0.3 s."""
    question = DNSRecord.question(name, "A")
    try:
        # pyroute2 has no types; this is a plain socket that was made inside the namespace.
        asking = cast(socket.socket, netns.create_socket(str(network), socket.AF_INET, socket.SOCK_DGRAM))
        with asking:
            asking.settimeout(LIMIT)
            asking.sendto(question.pack(), (str(server), 53))
            answer = DNSRecord.parse(asking.recv(4096))
    except (OSError, DNSError):
        return False
    return bool(
        answer.header.id == question.header.id
        and answer.header.rcode == RCODE.NOERROR
        and any(record.rtype == QTYPE.A for record in answer.rr)
    )
