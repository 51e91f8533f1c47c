"""UDP through the two halves of gateways: real sockets at both ends, streams in memory between them.

What carries the streams is the tunnels' affair, and told in their own stories.
"""

import asyncio
import os
from functools import partial

from hypothesis import given, settings
from hypothesis import strategies as st

from mesh_fakes.gateways import LOOPBACK, on_both_loops
from mesh_fakes.udp import UdpHalves, free_udp_port, udp_halves, udp_program
from mesh_fakes.waiting import until
from mesh_gateway.datagrams import LONGEST_DATAGRAM, framed
from mesh_gateway.limits import Limits
from mesh_gateway.route import Address
from mesh_gateway.udp_ports import REST
from mesh_gateway.udp_queue import MOST_WAITING


def local(port: int) -> Address:
    return Address(LOOPBACK, port)


def more_than(halves: UdpHalves, number: int) -> bool:
    """Whether more datagrams than that did not reach their endpoint."""
    return halves.dropped("unsent") > number


@on_both_loops
async def test_an_answer_comes_from_the_socket_that_was_asked() -> None:
    port, other = free_udp_port(), free_udp_port()
    with udp_program(echoes=True) as there, udp_program() as client:
        async with udp_halves(port, other, endpoint=there.address) as halves:
            assert await client.asks(b"hello", of=local(port)) == (b"hello", local(port))
            assert await client.asks(b"again", of=local(other)) == (b"again", local(other))
            assert await client.asks(b"hello", of=local(port)) == (b"hello", local(port))
            assert halves.asked == [client.address] * 2, "one flow for each port"


@on_both_loops
async def test_two_clients_do_not_mix() -> None:
    port = free_udp_port()
    with udp_program(echoes=True) as there, udp_program() as one, udp_program() as two:
        async with udp_halves(port, endpoint=there.address) as halves:
            for number in range(50):
                one.send(b"one %d" % number, to=local(port))
                two.send(b"two %d" % number, to=local(port))
            await until(lambda: len(one.inbox) == len(two.inbox) == 50)
            assert one.payloads == [b"one %d" % number for number in range(50)]
            assert two.payloads == [b"two %d" % number for number in range(50)]
            assert len({sender for _, sender in there.inbox}) == 2, "the program sees two callers"
            assert halves.carried == (2, 2)


@on_both_loops
async def test_datagrams_of_any_length_come_whole() -> None:
    port = free_udp_port()
    with udp_program(echoes=True) as there, udp_program() as client:
        async with udp_halves(port, endpoint=there.address):
            for size in (0, 1, 1472, 9000, LONGEST_DATAGRAM, 0):
                payload = os.urandom(size)
                assert await client.asks(payload, of=local(port)) == (payload, local(port))


@on_both_loops
async def test_a_program_that_speaks_first_or_often_is_heard() -> None:
    port = free_udp_port()
    with udp_program() as there, udp_program() as client:
        async with udp_halves(port, endpoint=there.address):
            client.send(b"", to=local(port))
            await until(lambda: len(there.inbox) == 1)
            ((_, caller),) = there.inbox
            for number in range(20):
                there.send(b"%d" % number, to=caller)
            await until(lambda: len(client.inbox) == 20)
            assert client.payloads == [b"%d" % number for number in range(20)]


@on_both_loops
async def test_while_a_stream_stalls_the_oldest_datagrams_are_dropped_and_little_waits_ruling_30() -> None:
    port = free_udp_port()
    with udp_program() as there, udp_program() as client:
        async with udp_halves(port, endpoint=there.address) as halves:
            client.send(b"first", to=local(port))
            await until(lambda: there.payloads == [b"first"])
            ((near, _),) = halves.streams
            near.hold()
            sent = [bytes([number]) * 8000 for number in range(12)]
            for payload in sent:
                client.send(payload, to=local(port))
            await until(lambda: halves.dropped("queue_full") + halves.dropped("late") >= 4)
            assert near.unsent == 0, "nothing is kept where it could not be dropped"
            assert halves.ports.flows.held <= MOST_WAITING
            near.let_go()
            client.send(b"last", to=local(port))
            await until(lambda: there.payloads[-1] == b"last")
            came = there.payloads[1:-1]
            assert len(came) <= 8
            assert came == sent[len(sent) - len(came) :], "the youngest, in order"
            assert halves.ports.flows.held == 0


@on_both_loops
async def test_what_waits_for_200_ms_is_dropped_and_its_memory_is_free_ruling_30() -> None:
    port = free_udp_port()
    with udp_program() as there, udp_program() as client:
        async with udp_halves(port, endpoint=there.address) as halves:
            client.send(b"first", to=local(port))
            await until(lambda: there.payloads == [b"first"])
            ((near, _),) = halves.streams
            near.hold()
            client.send(b"too late", to=local(port))
            await until(lambda: halves.ports.flows.held == 2 + len(b"too late"))
            await until(lambda: halves.dropped("late") == 1)
            assert halves.ports.flows.held == 0
            near.let_go()
            client.send(b"in time", to=local(port))
            await until(lambda: there.payloads == [b"first", b"in time"])


@on_both_loops
async def test_all_flows_together_keep_a_bounded_number_of_bytes() -> None:
    port = free_udp_port()
    with udp_program() as there, udp_program() as one, udp_program() as two:
        async with udp_halves(port, endpoint=there.address, udp_waiting=10_000) as halves:
            for client in (one, two):
                client.send(b"first", to=local(port))
            await until(lambda: len(there.inbox) == 2)
            for near, _ in halves.streams:
                near.hold()
            one.send(bytes(6000), to=local(port))
            await until(lambda: halves.ports.flows.held > 0 or halves.dropped("late") > 0)
            two.send(bytes(6000), to=local(port))
            await until(lambda: halves.dropped("queue_full") + halves.dropped("late") > 0)
            assert halves.ports.flows.held <= 10_000


@on_both_loops
async def test_answers_wait_and_are_dropped_like_questions() -> None:
    port = free_udp_port()
    with udp_program(echoes=True) as there, udp_program() as client:
        async with udp_halves(port, endpoint=there.address) as halves:
            await client.asks(b"first", of=local(port))
            ((_, far),) = halves.streams
            far.hold()
            for _ in range(12):
                client.send(bytes(8000), to=local(port))
            await until(lambda: halves.dropped("queue_full") + halves.dropped("late") >= 4)
            assert halves.endpoints.flows.held <= MOST_WAITING
            far.let_go()
            await until(lambda: halves.endpoints.flows.held == 0)


@on_both_loops
async def test_an_idle_flow_ends_at_both_halves_and_its_client_finds_a_new_one() -> None:
    port = free_udp_port()
    limits = Limits(udp_idle=0.3, udp_unanswered=0.3)
    with udp_program(echoes=True) as there, udp_program() as client:
        async with udp_halves(port, endpoint=there.address, limits=limits) as halves:
            await client.asks(b"one", of=local(port))
            await until(lambda: halves.carried == (0, 0))
            await until(lambda: len(halves.ended) == halves.ended_there == 1)
            assert halves.streams[0][0].is_gone
            await client.asks_until_answered(b"two", of=local(port))
            assert there.inbox[0][1] != there.inbox[-1][1], "another socket"


@on_both_loops
async def test_a_flow_that_nobody_answers_ends_earlier_than_one_that_is_used() -> None:
    port = free_udp_port()
    limits = Limits(udp_idle=60.0, udp_unanswered=0.2)
    with udp_program() as there, udp_program() as quiet, udp_program() as heard:
        async with udp_halves(port, endpoint=there.address, limits=limits) as halves:
            heard.send(b"heard", to=local(port))
            await until(lambda: len(there.inbox) == 1)
            there.send(b"yes", to=there.inbox[0][1])
            await until(lambda: heard.payloads == [b"yes"])
            quiet.send(b"quiet", to=local(port))
            await until(lambda: len(there.inbox) == 2)
            await until(lambda: halves.carried == (1, 1))
            there.send(b"still", to=there.inbox[0][1])
            await until(lambda: heard.payloads == [b"yes", b"still"])


@on_both_loops
async def test_beyond_the_bound_the_flow_that_is_idle_longest_goes() -> None:
    port, other = free_udp_port(), free_udp_port()
    with udp_program(echoes=True) as there, udp_program() as a, udp_program() as b, udp_program() as c:
        async with udp_halves(port, other, endpoint=there.address, udp_flows=2) as halves:
            await a.asks(b"1", of=local(port))
            await b.asks(b"1", of=local(other))
            await a.asks(b"2", of=local(port))
            await c.asks(b"1", of=local(port))
            assert halves.carried == (2, 2)
            assert halves.streams[1][0].is_gone, "b's, since a was heard of later"
            await a.asks(b"3", of=local(port))
            assert len(halves.asked) == 3


@on_both_loops
async def test_one_source_and_one_peer_have_a_bound_of_their_own() -> None:
    port, other = free_udp_port(), free_udp_port()
    with udp_program(echoes=True) as there, udp_program() as a, udp_program("127.0.0.2") as b:
        async with udp_halves(port, other, endpoint=there.address, udp_flows_each=1) as halves:
            await a.asks(b"1", of=local(other))
            halves.peer = "north"
            await b.asks(b"1", of=local(other))
            assert halves.carried == (2, 2), "neither the source nor the peer is the same"
            halves.peer = "south"
            await a.asks(b"1", of=local(port))
            assert [near.is_gone for near, _ in halves.streams] == [True, False, False]
            assert halves.metrics.numbers.refusals["udp"] == {"Overload": 1}
            halves.peer = "north"
            with udp_program("127.0.0.3") as c:
                await c.asks(b"1", of=local(port))
            assert [near.is_gone for near, _ in halves.streams] == [True, True, False, False], "both north's"


@on_both_loops
async def test_a_source_that_opens_flows_without_end_drives_out_its_own() -> None:
    port = free_udp_port()
    with udp_program(echoes=True) as there, udp_program("127.0.0.2") as calm:
        async with udp_halves(port, endpoint=there.address, udp_flows=4) as halves:
            await calm.asks(b"1", of=local(port))
            halves.peer = "wild"
            for _ in range(12):
                with udp_program() as wild:
                    await wild.asks(b"1", of=local(port))
            assert halves.carried[0] == 4
            assert not halves.streams[0][0].is_gone, "though it has been idle longest"
            halves.peer = "west"
            with udp_program("127.0.0.2") as second:
                await second.asks(b"1", of=local(port))
            assert [near.is_gone for near, _ in halves.streams].count(False) == 4
            assert not halves.streams[0][0].is_gone


@on_both_loops
async def test_a_flow_that_is_refused_is_asked_for_again_only_after_a_rest() -> None:
    port = free_udp_port()
    with udp_program(echoes=True) as there, udp_program() as client:
        async with udp_halves(port, endpoint=there.address) as halves:
            halves.refuses = True
            began = asyncio.get_running_loop().time()
            for _ in range(10):
                client.send(b"anybody?", to=local(port))
            await until(lambda: halves.dropped("refused") == 10)
            assert len(halves.asked) == 1
            halves.refuses = False
            await client.asks_until_answered(b"now?", of=local(port))
            assert asyncio.get_running_loop().time() - began >= REST
            assert len(halves.asked) == 2


@on_both_loops
async def test_a_flow_whose_stream_breaks_is_opened_anew_after_a_rest() -> None:
    port = free_udp_port()
    with udp_program(echoes=True) as there, udp_program() as client:
        async with udp_halves(port, endpoint=there.address) as halves:
            await client.asks(b"one", of=local(port))
            broken = asyncio.get_running_loop().time()
            halves.streams[0][1].abort()
            assert halves.carried == (0, 0)
            await client.asks_until_answered(b"two", of=local(port))
            assert asyncio.get_running_loop().time() - broken >= REST
            assert len(halves.asked) == 2


@on_both_loops
async def test_what_is_no_datagram_ends_its_own_flow_and_no_other() -> None:
    port = free_udp_port()
    with udp_program(echoes=True) as there, udp_program() as client, udp_program() as bad:
        async with udp_halves(port, endpoint=there.address) as halves:
            await client.asks(b"one", of=local(port))
            await bad.asks(b"one", of=local(port))
            near, far = halves.streams[1]
            near.write(framed(b"before") + b"\xff\xff" + bytes(100))
            await until(lambda: near.is_gone and far.is_gone)
            assert halves.carried == (1, 1)
            assert halves.metrics.numbers.refusals["udp"] == {"Broken": 1}
            await client.asks(b"two", of=local(port))


@on_both_loops
async def test_a_program_that_is_not_there_is_no_reason_to_end_a_flow() -> None:
    port, late = free_udp_port(), free_udp_port()
    with udp_program() as client:
        async with udp_halves(port, endpoint=local(late)) as halves:
            for number in range(3):
                client.send(b"%d" % number, to=local(port))
                # The kernel says by ICMP that nobody is there.
                await until(partial(more_than, halves, number))
            assert halves.carried == (1, 1)
            with udp_program(port=late, echoes=True):
                assert await client.asks(b"now", of=local(port)) == (b"now", local(port))
                assert len(halves.asked) == 1


@on_both_loops
async def test_a_flow_ends_with_its_endpoint_and_the_next_datagram_finds_another() -> None:
    port = free_udp_port()
    with udp_program(echoes=True) as old, udp_program(echoes=True) as new, udp_program() as client:
        async with udp_halves(port, endpoint=old.address) as halves:
            await client.asks(b"one", of=local(port))
            assert halves.endpoints.open_flows == {old.address: 1}
            halves.endpoints.keep({old.address, new.address})
            await client.asks(b"two", of=local(port))
            halves.endpoint = new.address
            halves.endpoints.keep({new.address})
            assert halves.carried[1] == 0
            await client.asks_until_answered(b"three", of=local(port))
            assert old.payloads == [b"one", b"two"]
            assert b"three" in new.payloads


@on_both_loops
async def test_ports_are_opened_and_closed_to_match_and_one_that_is_taken_is_tried_again() -> None:
    port, taken = free_udp_port(), free_udp_port()
    with udp_program(echoes=True) as there, udp_program() as client:
        async with udp_halves(port, endpoint=there.address) as halves:
            await client.asks(b"one", of=local(port))
            with udp_program(port=taken):
                await halves.ports.match([taken])
                assert not halves.ports.ports
                assert halves.ports.failing == {taken}
                await until(lambda: halves.carried == (0, 0))
            await halves.ports.match([taken, port])
            assert halves.ports.ports == {taken, port}
            assert not halves.ports.failing
            assert await client.asks(b"two", of=local(taken)) == (b"two", local(taken))


@on_both_loops
async def test_when_a_worker_is_gone_another_one_opens_its_flows_anew() -> None:
    port = free_udp_port()
    with udp_program(echoes=True) as there, udp_program() as client:
        async with udp_halves(endpoint=there.address) as halves:
            workers = [halves.worker(reuse_port=True) for _ in range(2)]
            for worker in workers:
                await worker.match([port])
            assert await client.asks(b"one", of=local(port)) == (b"one", local(port))
            # The kernel keeps the client with one of the two.
            (its,) = [worker for worker in workers if len(worker.flows)]
            await client.asks(b"two", of=local(port))
            assert len(its.flows) == len(halves.asked) == 1
            its.close()
            assert await client.asks(b"three", of=local(port)) == (b"three", local(port))
            assert len(halves.asked) == 2
            for worker in workers:
                worker.close()


@on_both_loops
async def test_a_datagram_from_one_of_our_own_ports_does_not_go_in_circles() -> None:
    port, other = free_udp_port(), free_udp_port()
    with udp_program(echoes=True) as there, udp_program() as client:
        async with udp_halves(port, endpoint=there.address) as halves:
            worker = halves.worker(reuse_port=True)
            await worker.match([port, other])
            assert worker.ports == {other}, "the first port is taken"
            await halves.ports.match([])
            await worker.match([port, other])
            # Somebody else has the address of one of the ports, and sends to another one.
            with udp_program(port=other, reuse_port=True) as impostor:
                impostor.send(b"round", to=local(port))
                await until(lambda: halves.dropped("refused") == 1)
            assert await client.asks(b"hello", of=local(port)) == (b"hello", local(port))
            assert halves.asked == [client.address]
            worker.close()


@given(pieces=st.lists(st.binary(max_size=300), max_size=12))
@settings(max_examples=60, deadline=None)
def test_whatever_a_peer_sends_in_a_stream_costs_no_more_than_its_own_flow(pieces: list[bytes]) -> None:
    async def story() -> None:
        port = free_udp_port()
        with udp_program(echoes=True) as there, udp_program() as client:
            async with udp_halves(port, endpoint=there.address) as halves:
                client.send(b"one", to=local(port))
                await until(lambda: len(halves.streams) == 1)
                ((near, _),) = halves.streams
                for piece in pieces:
                    near.write(piece)
                with udp_program() as other:
                    assert await other.asks(b"fine", of=local(port)) == (b"fine", local(port))

    asyncio.run(story())
