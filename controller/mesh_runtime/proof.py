"""Whether credentials will be believed: a handshake with oneself, in memory.

Every rule that a peer's OpenSSL applies (chain, dates, name constraints, key usage, strict form) is
applied by the same code in the same way; no second reading of X.509 can differ from it.
"""

import ssl
from collections.abc import Sequence

from mesh_core.identity import Expected, Identity
from mesh_runtime.tls import (
    Credentials,
    PeerRefused,
    UnusableCredentials,
    client_context,
    server_context,
    verify_peer,
)

# Flights of a TLS 1.3 handshake: hello, answer, finish; and room for one retry of the hello.
_MOST_ROUNDS = 6


def prove(credentials: Credentials, *, identity: Identity, roots: Sequence[str]) -> None:
    """Returns when both ends of a handshake take `credentials` for `identity` under `roots` (PEM).

    About 2 ms. Raises UnusableCredentials with OpenSSL's own words when one of them does not.
    """
    ends = InMemoryPair(
        server=server_context(credentials, roots=roots, alpn=()),
        client=client_context(credentials, roots=roots, alpn=()),
    )
    expected = Expected.exactly(identity)
    try:
        ends.handshake()
        verify_peer(ends.client, expected=expected, trust=None)
        verify_peer(ends.server, expected=expected, trust=None)
    except ssl.SSLCertVerificationError as error:
        raise UnusableCredentials(f"the certificate is not good: {error.verify_message}") from error
    except ssl.SSLError as error:
        raise UnusableCredentials(f"the handshake fails: {error.reason}") from error
    except PeerRefused as error:
        raise UnusableCredentials(f"the certificate is not good: {error.what}") from error


class InMemoryPair:
    """A client and a server that hear each other, without a socket."""

    def __init__(self, *, server: ssl.SSLContext, client: ssl.SSLContext) -> None:
        up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.client = client.wrap_bio(down, up)
        self.server = server.wrap_bio(up, down, server_side=True)

    def handshake(self) -> None:
        """Both handshakes to their end; raises the SSLError of the end that refused first."""
        waiting = [self.client, self.server]
        for _ in range(_MOST_ROUNDS):
            waiting = [end for end in waiting if not _step(end)]
            if not waiting:
                return
        raise UnusableCredentials("the handshake with ourselves does not end")


def _step(end: ssl.SSLObject) -> bool:
    """One turn of an end's handshake; whether it is over."""
    try:
        end.do_handshake()
    except ssl.SSLWantReadError:
        return False
    return True
