"""DNS cookies (RFC 7873): who shows one that we gave him has the address that he asks from.

1. A server cookie is made as RFC 9018 says (version 1, SipHash-2-4), so it needs no memory of who has one.
2. It is good for an hour, and replaced by a fresh one after half of it (RFC 9018 section 4.3).
3. The secret changes every day. It is made from a seed and the day, so that processes that share the seed
   change it together; a cookie says by its time which day's it is. Nobody can tell one day's from another's.
4. An option of a length that none can have is a malformed query (RFC 7873 section 5.2.2); one that we did not
   make counts for none (section 5.2.4).

Times are seconds since 1970 by one clock; it need not be right, only go on evenly.
"""

import hmac
import struct
from hashlib import sha256
from ipaddress import ip_address

from mesh_dns.siphash import KEY_BYTES, siphash24

CLIENT_BYTES = 8
SERVER_BYTES = 16
SEED_BYTES = 32
COOKIE_OPTION = 10

LIFETIME = 3600
FRESH_FOR = 1800
_AHEAD = 300
_PERIOD = 86400
_LONGEST = CLIENT_BYTES + 32

_VERSION = 1
_HEAD = struct.Struct("!B3xI")


def is_well_formed(length: int) -> bool:
    """Whether a COOKIE option can have so many bytes: a client's, alone or with a server's of 8 to 32."""
    return length == CLIENT_BYTES or CLIENT_BYTES + 8 <= length <= _LONGEST


class Cookies:
    """Makes and knows the server cookies of everybody who has the same `seed` of `SEED_BYTES`."""

    def __init__(self, seed: bytes) -> None:
        self._seed = seed
        self._secrets: dict[int, bytes] = {}

    def is_good(self, option: bytes, *, address: str, now: float) -> bool:
        """Whether the COOKIE option `option` of the asker at `address` holds a server cookie of ours."""
        server = option[CLIENT_BYTES:]
        if len(server) != SERVER_BYTES or server[0] != _VERSION:
            return False
        age = _age(server, now=now)
        if not -_AHEAD <= age <= LIFETIME:
            return False
        made = server_cookie(
            option[:CLIENT_BYTES], head=server[:8], address=address, secret=self._secret(int(now) - age)
        )
        return hmac.compare_digest(made, server)

    def answer(self, option: bytes, *, is_good: bool, address: str, now: float) -> bytes:
        """The COOKIE option that answers `option`: the same while it is good and fresh, else a new one."""
        if is_good and 0 <= _age(option[CLIENT_BYTES:], now=now) < FRESH_FOR:
            return option
        client, at = option[:CLIENT_BYTES], int(now)
        head = _HEAD.pack(_VERSION, at & 0xFFFFFFFF)
        return client + server_cookie(client, head=head, address=address, secret=self._secret(at))

    def _secret(self, at: int) -> bytes:
        period = at // _PERIOD
        known = self._secrets.get(period)
        if known is None:
            made = hmac.digest(self._seed, struct.pack("!q", period), sha256)[:KEY_BYTES]
            # A cookie is never older than an hour, so two periods are all that anybody can ask for.
            self._secrets = {one: self._secrets[one] for one in self._secrets if abs(one - period) == 1}
            self._secrets[period] = known = made
        return known


def server_cookie(client: bytes, *, head: bytes, address: str, secret: bytes) -> bytes:
    """The server cookie of RFC 9018 section 4; `head` is its version, reserved bytes and time."""
    return head + siphash24(secret, client + head + ip_address(address).packed)


def _age(server: bytes, *, now: float) -> int:
    """Seconds since the cookie was made, negative for one from the future (RFC 1982: the time wraps)."""
    made = int.from_bytes(server[4:8], "big")
    behind = (int(now) - made) & 0xFFFFFFFF
    return behind - (1 << 32) if behind >= 1 << 31 else behind
