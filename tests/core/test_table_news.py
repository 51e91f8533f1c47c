"""What a new table of routes has to tell a person: only what is new, and not more than can be read."""

import time
from dataclasses import replace

from mesh_core.ports import PortTarget
from mesh_fakes.route_objects import objects_of
from mesh_gateway.route import NameRefused, RouteTable
from mesh_gateway.route_table import route_table
from mesh_gateway.table_news import SHOWN, TableNews, table_news


def names(*numbers: int) -> tuple[NameRefused, ...]:
    return tuple(NameRefused(f"n{number:05}.example", "demo", "shop", "it is taken") for number in numbers)


def claims(*ports: int) -> tuple[tuple[int, PortTarget], ...]:
    return tuple((port, PortTarget("demo", "hello", "http")) for port in ports)


def table(
    *, refused: tuple[NameRefused, ...] = (), contested: tuple[tuple[int, PortTarget], ...] = ()
) -> RouteTable:
    return replace(route_table(objects_of()), names_refused=refused, contested=contested)


def test_what_was_told_is_not_told_again() -> None:
    before = table(refused=names(1, 2), contested=claims(20000))
    assert table_news(before, before=None) == TableNews(contested=claims(20000), names=names(1, 2))
    assert table_news(table(refused=names(1, 2), contested=claims(20000)), before=before) == TableNews()
    after = table(refused=names(1, 3), contested=claims(20000, 20001))
    assert table_news(after, before=before) == TableNews(contested=claims(20001), names=names(3))


def test_of_very_many_a_few_are_told_and_how_many_more_there_are() -> None:
    many = table(refused=names(*range(500)), contested=claims(*range(20000, 20300)))
    news = table_news(many, before=None)
    assert (news.names, news.more_names) == (names(*range(SHOWN)), 490)
    assert (len(news.contested), news.more_contested) == (SHOWN, 290)


def test_names_that_a_tenant_asks_for_in_vain_cost_time_in_proportion_to_their_number() -> None:
    """Twelve thousand took more than half a minute, each time that anything changed."""
    before, after = table(refused=names(*range(12_000))), table(refused=names(*range(12_000)))
    began = time.process_time()
    assert table_news(after, before=before) == TableNews()
    assert time.process_time() - began < 2.0
