"""A question to a whole DNS server over UDP."""

import dns.asyncquery
import dns.exception
import dns.message
import dns.rcode

from mesh_fakes.dns_scene import ZONE


async def asked(port: int) -> str:
    """The first address of `hello.demo.svc` by the server at `port`, or why there is none."""
    message = dns.message.make_query(f"hello.demo.svc.{ZONE}", "A")
    try:
        reply = await dns.asyncquery.udp(message, "127.0.0.1", port=port, timeout=0.2)
    except (dns.exception.Timeout, OSError):
        return "silence"
    return str(reply.answer[0][0]) if reply.answer else dns.rcode.to_text(reply.rcode())
