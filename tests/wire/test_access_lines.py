"""The lines of the access log: one for each stream of the sample, whatever its names hold."""

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from mesh_gateway.access_log import AccessEntry, AccessLog
from mesh_gateway.metrics import Direction
from mesh_gateway.opening import Reason, Source
from mesh_gateway.route import Address, ServicePort
from mesh_runtime.log import configure

ENTRY = AccessEntry(
    id="0123456789abcdef",
    direction=Direction.FROM_PEER,
    peer="west",
    service=ServicePort("demo", "hello", 80),
    endpoint=Address("10.0.0.1", 8080),
    source=Source(address="10.1.0.7", port=40000, namespace="shop", account="cart", pod="cart-1"),
    sent=1200,
    received=340,
    seconds=0.12345678,
    cleanly=True,
)


@contextmanager
def lines() -> Iterator[io.StringIO]:
    """What is logged; the process's logging is put back afterwards."""
    root = logging.getLogger()
    handlers, level = tuple(root.handlers), root.level
    stream = io.StringIO()
    configure(stream=stream)
    try:
        yield stream
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)


def test_a_line_says_who_what_and_how_much() -> None:
    with lines() as logged:
        AccessLog(1.0).ended(ENTRY)
    assert logged.getvalue().split(" ", 1)[1] == (
        'INFO mesh_gateway.access_log "stream ended" id=0123456789abcdef direction=from_peer peer=west '
        "service=demo/hello:80 endpoint=10.0.0.1:8080 namespace=shop account=cart pod=cart-1 "
        "address=10.1.0.7 sent=1200 received=340 seconds=0.123457 outcome=finished reason=-\n"
    )


def test_a_stream_that_was_cut_says_so_and_what_is_not_known_is_a_dash() -> None:
    entry = replace(ENTRY, source=None, endpoint=None, cleanly=False, reason=Reason.ENDPOINT_FAILED)
    with lines() as logged:
        AccessLog(1.0).ended(entry)
    assert "endpoint=- namespace=- account=- pod=- address=- " in logged.getvalue()
    assert logged.getvalue().endswith("outcome=reset reason=EndpointFailed\n")


@given(st.text(max_size=80), st.text(max_size=80))
def test_names_from_strangers_break_no_line_and_forge_no_field(name: str, address: str) -> None:
    source = Source(namespace=name, account=name, pod=name, address=address)
    entry = replace(ENTRY, id=name, service=ServicePort(name, name, 80, endpoint=name), source=source)
    with lines() as logged:
        AccessLog(1.0).ended(entry)
    (line,) = logged.getvalue().splitlines()
    assert line.isprintable()
    assert line.count(" outcome=finished ") == 1 or " outcome=finished " in name + address
    assert line.endswith(" outcome=finished reason=-")


def test_of_streams_without_an_id_every_nth_one_is_logged() -> None:
    log = AccessLog(0.25)
    with lines() as logged:
        for _ in range(100):
            log.ended(replace(ENTRY, id=""))
    assert len(logged.getvalue().splitlines()) == 25


def test_both_gateways_log_the_same_streams() -> None:
    ours, theirs = AccessLog(0.3), AccessLog(0.3)
    with lines() as here:
        for number in range(200):
            ours.ended(replace(ENTRY, id=f"{number:016x}", direction=Direction.TO_PEER))
    with lines() as there:
        for number in reversed(range(200)):
            theirs.ended(replace(ENTRY, id=f"{number:016x}"))
    assert 20 < len(here.getvalue().splitlines()) < 120
    assert _ids(here) == _ids(there)


def _ids(logged: io.StringIO) -> set[str]:
    return {line.split(" id=")[1].split()[0] for line in logged.getvalue().splitlines()}
