"""Dials peers' gateways from where it runs. `meshctl check` runs this very text inside a gateway pod.

So it needs nothing but Python, and is short. Its argument is JSON: {"roots": PEM, "targets": [{"host",
"port", "name", "alpn"}]}; its output a list in that order of {"answer", "why", "leaf" (hex of DER), "alpn",
"believed", "size"}. No certificate is shown, so nothing is served. The first message is longer than one
packet, and so is the answer: where these stay away though the connection stands, the same is tried in smaller
packets. `size` is the largest payload of a packet that came through, 0 for the usual one.
"""

import json
import socket
import ssl
import sys
from concurrent.futures import ThreadPoolExecutor

FIRST, AGAIN = 1.2, 0.9
SMALLER = (1200, 536)
# Names that no gateway knows: they make the first message longer than a packet.
PADDING = ["x" * 200 + str(number) for number in range(8)]


def shake(target: dict[str, str], roots: str, size: int, limit: float) -> dict[str, object]:
    """One handshake, in packets of at most `size` bytes, 0 for the usual; raises OSError, and TimeoutError
    with `connected` in it when the connection stood."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.set_alpn_protocols([target["alpn"], *PADDING])
    if roots:
        context.load_verify_locations(cadata=roots)
    else:
        context.verify_mode = ssl.CERT_NONE
    (family, kind, proto, _, address), *_ = socket.getaddrinfo(
        target["host"], int(target["port"]), type=socket.SOCK_STREAM
    )
    with socket.socket(family, kind, proto) as plain:
        plain.settimeout(limit)
        if size:
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, size)
        plain.connect(address)
        try:
            with context.wrap_socket(plain, server_hostname=target["name"]) as tls:
                leaf = tls.getpeercert(binary_form=True) or b""
                return {"answer": "shown", "leaf": leaf.hex(), "alpn": tls.selected_alpn_protocol() or ""}
        except TimeoutError:
            raise TimeoutError("connected") from None


def tried(target: dict[str, str], roots: str, size: int, limit: float) -> dict[str, object]:
    """The same as what is printed."""
    told: dict[str, object] = {
        "answer": "",
        "why": "",
        "leaf": "",
        "alpn": "",
        "believed": False,
        "size": size,
    }
    try:
        try:
            return told | shake(target, roots, size, limit) | {"believed": True}
        except ssl.SSLCertVerificationError as error:
            return told | shake(target, "", size, limit) | {"why": error.verify_message}
    except TimeoutError as error:
        return told | {
            "answer": "stuck" if str(error) == "connected" else "silent",
            "why": "no answer in time",
        }
    except ConnectionRefusedError as error:
        return told | {"answer": "refused", "why": str(error)}
    except (OSError, ValueError) as error:
        why = getattr(error, "reason", "") or str(error)
        return told | {
            "answer": "closed" if isinstance(error, ssl.SSLError | ConnectionResetError) else "silent",
            "why": why,
        }


def looked(target: dict[str, str], roots: str) -> dict[str, object]:
    """What comes of one target: in usual packets, else in the largest ones that come through."""
    first = tried(target, roots, 0, FIRST)
    if first["answer"] != "stuck":
        return first
    with ThreadPoolExecutor(len(SMALLER)) as threads:
        again = list(threads.map(lambda size: tried(target, roots, size, AGAIN), SMALLER))
    return next((one for one in again if one["answer"] == "shown"), first)


if __name__ == "__main__":
    wish = json.loads(sys.argv[1])
    with ThreadPoolExecutor(8) as threads:
        print(json.dumps(list(threads.map(lambda target: looked(target, wish["roots"]), wish["targets"]))))
