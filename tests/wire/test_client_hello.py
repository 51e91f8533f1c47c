"""The ClientHello reader against hellos that real TLS libraries send, and against ones made by hand."""

import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterable

import pytest

from mesh_gateway.client_hello import (
    MAX_HELLO_BYTES,
    ClientHelloReader,
    Hello,
    NeedMore,
    Reading,
    Refused,
)

NAME = "80.hello.demo.svc.clusterset.local"


def read(*pieces: bytes) -> Reading:
    """What the reader says when it has got the pieces one after the other."""
    reader = ClientHelloReader()
    answer: Reading = NeedMore()
    for piece in pieces:
        answer = reader.feed(piece)
        if not isinstance(answer, NeedMore):
            break
    return answer


def from_python(*, name: str | None = NAME, alpn: Iterable[str] = (), newest: bool = True) -> bytes:
    """The hello that Python's ssl sends."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if not newest:
        context.maximum_version = ssl.TLSVersion.TLSv1_2
    if protocols := list(alpn):
        context.set_alpn_protocols(protocols)
    outgoing = ssl.MemoryBIO()
    tls = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()


def from_openssl(*arguments: str) -> bytes:
    """The hello that `openssl s_client` sends."""
    openssl = shutil.which("openssl")
    assert openssl is not None, "install openssl"
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(60)
        port = server.getsockname()[1]
        command = [openssl, "s_client", "-connect", f"127.0.0.1:{port}", *arguments]
        with subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as client:
            connection, _ = server.accept()
            with connection:
                connection.settimeout(60)
                hello = connection.recv(65536)
            client.kill()
    return hello


def record(fragment: bytes, *, kind: int = 22, version: int = 0x0301) -> bytes:
    return bytes([kind]) + version.to_bytes(2, "big") + len(fragment).to_bytes(2, "big") + fragment


def vector(data: bytes, *, prefix: int) -> bytes:
    return len(data).to_bytes(prefix, "big") + data


def extension(kind: int, data: bytes) -> bytes:
    return kind.to_bytes(2, "big") + vector(data, prefix=2)


def server_name(*names: bytes, kind: int = 0) -> bytes:
    return extension(0, vector(b"".join(bytes([kind]) + vector(name, prefix=2) for name in names), prefix=2))


def message(
    *extensions: bytes,
    session: bytes = b"",
    suites: bytes = b"\x13\x01",
    methods: bytes = b"\x00",
    behind: bytes = b"",
) -> bytes:
    """A ClientHello message with these parts, not yet in records."""
    body = b"\x03\x03" + bytes(32) + vector(session, prefix=1) + vector(suites, prefix=2)
    body += vector(methods, prefix=1)
    if extensions:
        body += vector(b"".join(extensions), prefix=2)
    return b"\x01" + vector(body + behind, prefix=3)


TLS13 = extension(43, b"\x02\x03\x04")


def test_a_hello_of_pythons_ssl_is_read() -> None:
    answer = read(from_python(alpn=["meshctl/1", "h2"]))
    assert isinstance(answer, Hello)
    assert answer.server_name == NAME
    assert answer.protocols == (b"meshctl/1", b"h2")
    assert answer.offers_tls13


def test_a_hello_without_names_is_read() -> None:
    answer = read(from_python(name=None))
    assert isinstance(answer, Hello)
    assert answer.server_name is None
    assert answer.protocols == ()


def test_a_hello_of_tls_1_2_is_told_by_what_it_offers() -> None:
    answer = read(from_python(newest=False))
    assert isinstance(answer, Hello)
    assert not answer.offers_tls13


@pytest.mark.parametrize(
    "arguments",
    [
        ("-servername", NAME, "-alpn", "meshctl-peer/1,h2"),
        ("-servername", NAME, "-alpn", "meshctl-peer/1,h2", "-groups", "P-521:P-384:X25519"),
        ("-servername", NAME, "-alpn", "meshctl-peer/1,h2", "-status"),
    ],
)
def test_a_hello_of_openssl_is_read(arguments: tuple[str, ...]) -> None:
    answer = read(from_openssl(*arguments))
    assert isinstance(answer, Hello)
    assert answer.server_name == NAME
    assert answer.protocols == (b"meshctl-peer/1", b"h2")
    assert answer.offers_tls13


def test_a_hello_of_openssl_without_tls_1_3_is_told() -> None:
    answer = read(from_openssl("-servername", NAME, "-tls1_2"))
    assert isinstance(answer, Hello)
    assert not answer.offers_tls13


def test_a_truncated_client_hello_asks_for_more() -> None:
    hello = from_python()
    for cut in range(len(hello)):
        assert read(hello[:cut]) == NeedMore(), f"after {cut} bytes"


def test_a_hello_split_over_many_records_is_read() -> None:
    whole = message(server_name(NAME.encode()), TLS13)
    pieces = b"".join(record(whole[at : at + 1]) for at in range(len(whole)))
    answer = read(pieces)
    assert isinstance(answer, Hello)
    assert answer.server_name == NAME


def test_grease_is_passed_over() -> None:
    grease = extension(0x0A0A, b"") + extension(0xFAFA, b"\x00")
    answer = read(
        record(
            message(
                grease,
                server_name(NAME.encode()),
                extension(16, vector(vector(b"\x0a\x0a", prefix=1) + b"\x02h2", prefix=2)),
                extension(43, b"\x04\x7a\x7a\x03\x04"),
                suites=b"\x0a\x0a\x13\x01",
            )
        )
    )
    assert isinstance(answer, Hello)
    assert answer.protocols == (b"\x0a\x0a", b"h2")
    assert answer.versions == (0x7A7A, 0x0304)


def test_of_an_encrypted_hello_the_outer_name_counts() -> None:
    # RFC 9849 section 5: type outer, suite, config id, enc, payload.
    outer = (
        b"\x00" + b"\x00\x01\x00\x01" + b"\x2a" + vector(bytes(32), prefix=2) + vector(bytes(208), prefix=2)
    )
    for ech in (extension(0xFE0D, outer), extension(0xFE0D, b""), extension(0xFE0D, b"\x01")):
        answer = read(record(message(ech, server_name(b"public.example"), TLS13)))
        assert isinstance(answer, Hello)
        assert answer.server_name == "public.example"
        alone = read(record(message(ech, TLS13)))
        assert isinstance(alone, Hello)
        assert alone.server_name is None


@pytest.mark.parametrize(
    "name",
    [
        b"a.example\0.b.example",
        b"\0",
        b"a.example\0",
        b"a\nb",
        b"a b",
        b"\ta",
        b"a\x7f",
        b"a\x80",
        b"\xef\xbb\xbfa.example",
        "b\u00fccher.example".encode(),
        "\u212aube.example".encode(),
    ],
)
def test_a_name_with_a_byte_that_no_host_name_has_is_refused(name: bytes) -> None:
    assert read(record(message(server_name(name), TLS13))) == Refused("a server name that is no host name")


@pytest.mark.parametrize(
    "name", ["A.Example", "a.example.", ".", "..", "xn--bcher-kva.example", "*.example", "[::1]"]
)
def test_a_name_of_other_letters_is_given_on_as_it_was_sent(name: str) -> None:
    answer = read(record(message(server_name(name.encode()), TLS13)))
    assert isinstance(answer, Hello)
    assert answer.server_name == name


def test_what_follows_the_hello_in_later_records_is_left_alone() -> None:
    early_data = record(b"\x00" * 100, kind=23, version=0x0303)
    answer = read(record(message(TLS13)) + early_data * 1000)
    assert isinstance(answer, Hello)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        pytest.param(b"GET / HTTP/1.1\r\n\r\n", "not a TLS handshake", id="plain HTTP"),
        pytest.param(b"G", "not a TLS handshake", id="its first byte"),
        pytest.param(b"\x80\x2e\x01\x00\x02", "not a TLS handshake", id="an SSLv2 hello"),
        pytest.param(b"\x16\x02", "not a version of TLS", id="a version that is none"),
        pytest.param(b"\x15\x03\x01\x00\x02\x02\x28", "not a TLS handshake", id="an alert"),
        pytest.param(record(b""), "a record of a forbidden length", id="an empty record"),
        pytest.param(b"\x16\x03\x01\x40\x01", "a record of a forbidden length", id="a record too long"),
        pytest.param(record(b"\x02"), "a handshake that does not begin with a ClientHello", id="ServerHello"),
        pytest.param(record(b"\x01\xff\xff\xff"), "a ClientHello longer than is read", id="16 MiB promised"),
        pytest.param(
            record(message(TLS13) + b"\x01"), "bytes behind the ClientHello in its record", id="a tail"
        ),
        pytest.param(record(message(TLS13, behind=b"x")), "bytes behind the last field", id="an inner tail"),
        pytest.param(
            record(message(session=bytes(33))), "a session id longer than 32 bytes", id="session id"
        ),
        pytest.param(record(message(suites=b"")), "no list of cipher suites", id="no suite"),
        pytest.param(record(message(suites=b"\x13")), "no list of cipher suites", id="half a suite"),
        pytest.param(record(message(methods=b"")), "no list of compression methods", id="no method"),
        pytest.param(record(message(TLS13, TLS13)), "an extension twice", id="twice"),
        pytest.param(record(message(server_name(b"a", b"b"))), "bytes behind the last field", id="two names"),
        pytest.param(
            record(message(server_name(b""))), "a server name that is no host name", id="an empty name"
        ),
        pytest.param(
            record(message(server_name(b"a", kind=7))), "a server name that is no host name", id="its type"
        ),
        pytest.param(
            record(message(server_name("ä".encode()))), "a server name that is no host name", id="not ASCII"
        ),
        pytest.param(record(message(extension(0, b""))), "a field that ends too early", id="no name"),
        pytest.param(
            record(message(extension(16, b"\x00\x01\x00"))),
            "an empty name of an application protocol",
            id="an empty protocol",
        ),
        pytest.param(
            record(message(extension(43, b"\x03\x03\x04\x03"))), "a field that ends too early", id="a version"
        ),
    ],
)
def test_what_is_no_client_hello_is_refused(data: bytes, reason: str) -> None:
    assert read(data) == Refused(reason)


def test_no_more_than_16_kib_are_read() -> None:
    padding = extension(21, bytes(MAX_HELLO_BYTES))
    big = record(message(padding)[:16000]) + record(message(padding)[16000:])
    assert read(big) == Refused("a ClientHello longer than is read")
    # The same in records of one byte each: the headers count too.
    many = b"".join(record(bytes([byte])) for byte in message(extension(21, bytes(4000))))
    assert len(many) > MAX_HELLO_BYTES
    assert read(many) == Refused("a ClientHello longer than is read")
    assert read(*(many[at : at + 1] for at in range(len(many)))) == Refused(
        "a ClientHello longer than is read"
    )
