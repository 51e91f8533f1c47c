"""What benchmarks report: statistics, the shape of their JSON, and errors before figures."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh_bench.figures import Figure, Report, Row, median, percentile
from mesh_bench.propagation_rows import alone_rows, burst_rows, change_row, export_row
from mesh_bench.requests import since, written
from mesh_bench.results import Burst, FirstPass, Memory, Restart, Samples
from mesh_bench.scene import endpoint_list, keys, namespaces

TIMES = st.lists(st.floats(min_value=0, max_value=100), min_size=1)


def row(**changed: object) -> Row:
    wanted: dict[str, object] = {"work": "w", "params": {"services": 10}, "metric": "m_ms"}
    wanted |= {"ours": Figure((1.0, 2.0, 9.0)), **changed}
    return Row(**wanted)  # type: ignore[arg-type]  # a test names any field


@pytest.mark.parametrize(
    ("values", "wanted"), [([3.0], 3.0), ([5.0, 1.0, 3.0], 3.0), ([4.0, 1.0, 3.0, 2.0], 2.5)]
)
def test_the_median_is_the_middle_or_the_mean_of_both_middles(values: list[float], wanted: float) -> None:
    assert median(values) == wanted


@pytest.mark.parametrize(("share", "wanted"), [(0.5, 100), (0.99, 198), (1.0, 200), (0.0, 1)])
def test_a_percentile_is_a_sample_by_nearest_rank(share: float, wanted: int) -> None:
    assert percentile(list(range(200, 0, -1)), share=share) == wanted


@given(TIMES, st.floats(min_value=0, max_value=1))
def test_at_least_that_share_is_not_above_the_percentile(values: list[float], share: float) -> None:
    found = percentile(values, share=share)
    assert found in values
    assert sum(value <= found for value in values) >= share * len(values) - 1e-9


def test_a_row_has_the_shape_that_all_benchmarks_share() -> None:
    ours = Figure((10.0, 30.0, 20.0), samples=(0.01, 0.02), cpu_us_per_op=12.34567)
    made = row(ours=ours, peers={"api_server": Figure((5.0,))}, load=1.23456).as_json()
    assert json.loads(json.dumps(made)) == {
        "work": "w",
        "params": {"services": 10},
        "metric": "m_ms",
        "better": "lower",
        "ours": {
            "median": 20.0,
            "min": 10.0,
            "max": 30.0,
            "cpu_us_per_op": 12.35,
            "p50_us": 10000,
            "p99_us": 20000,
            "samples": 2,
        },
        "peers": {"api_server": {"median": 5.0, "min": 5.0, "max": 5.0}},
        "ratio": {"api_server": 4.0},
        "errors": {"ours": 0},
        "load": 1.235,
    }


def test_a_figure_of_somebody_who_did_not_run_has_no_ratio() -> None:
    made = row(recorded={"lighthouse": "771 ms"}).as_json()
    assert made["recorded"] == {"lighthouse": "771 ms"}
    assert made["peers"] == made["ratio"] == {}


def test_errors_are_said_before_any_figure() -> None:
    wrong = row(errors={"ours": 3})
    report = Report("propagation", "abc", {"cores": 2}, "2026-01-01T00:00:00+00:00", (row(), wrong))
    head, first, *rows = report.as_text().splitlines()
    assert "propagation of abc" in head and "cores 2" in head
    assert first.startswith("3 ERRORS")
    assert [line.startswith("ERRORS") for line in rows] == [False, True]
    assert report.as_json()["rows"][1]["errors"] == {"ours": 3}


def test_a_work_in_which_nothing_came_is_reported_without_a_figure() -> None:
    made = change_row([Samples(errors=200)], services=10, cpu_us=0.0, load=0.0)
    assert made.as_json()["ours"]["median"] is None
    assert made.as_json()["ratio"] == {}
    assert "no figure" in made.as_text() and made.as_text().startswith("ERRORS")


def test_a_change_is_shown_beside_the_time_of_the_api_server_itself() -> None:
    runs = [Samples([0.02, 0.04, 0.03], [0.01, 0.01, 0.01]), Samples([0.05], [0.01], errors=1)]
    made = change_row(runs, services=1000, cpu_us=10.0, load=0.5).as_json()
    assert made["params"] == {"services": 1000, "clusters": 2}
    assert made["ours"] | {"median": 40.0, "min": 30.0, "max": 50.0, "samples": 4} == made["ours"]
    assert made["ratio"] == {"api_server": 4.0}
    assert made["errors"] == {"ours": 1}


def test_one_export_quotes_what_lighthouse_took() -> None:
    assert "lighthouse" in export_row([Samples([0.04])], load=0.0).as_json()["recorded"]


def burst(*, missing: int = 0) -> Burst:
    return Burst(
        created=2.0,
        imported={"east": 8.0, "west": 9.0},
        ready=4.0,
        missing=missing,
        cpu={"east controller": 6.0, "west controller": 4.0},
        writes={"east": {"POST services 201": 900}, "west": {"POST services 201": 1000}},
        load=1.0,
    )


def test_a_burst_says_its_times_its_writes_and_its_cpu_for_each_export() -> None:
    rows = burst_rows([burst(), burst()], exports=1000, errors=0, withdrawn=[5.0])
    medians = {row.metric: row.as_json()["ours"]["median"] for row in rows}
    assert medians == {
        "created_s": 2.0,
        "imported_in_east_s": 8.0,
        "imported_in_west_s": 9.0,
        "api_writes_per_export_in_east": 0.9,
        "api_writes_per_export_in_west": 1.0,
        "all_exports_ready_s": 4.0,
        "cpu_ms_per_export": 10.0,
        "withdrawn_everywhere_s": 5.0,
    }
    details = {row.metric: row.detail for row in rows}
    assert details["api_writes_per_export_in_east"] == {"POST services 201": 900}


def test_what_a_burst_misses_and_what_was_refused_are_errors_of_each_of_its_rows() -> None:
    rows = burst_rows([burst(missing=2), burst()], exports=1000, errors=1, withdrawn=[])
    assert {row.errors["ours"] for row in rows} == {3}


def test_a_controller_alone_says_memory_idle_and_both_kinds_of_start() -> None:
    memory = Memory(now=300.0, peak=400.0)
    first = FirstPass(ready=50.0, imported=60.0, missing=1, memory=memory, cpu={"etcd": 1.0})
    again = Restart(ready=8.0, memory=memory, idle=0.5, cpu=7.0, load=0.1)
    rows = alone_rows(first, [again] * 3, services=5000, endpoints=50_000, errors=0)
    medians = {row.metric: row.ours.median for row in rows}
    assert medians["resident_mib"] == 300.0 and medians["resident_peak_mib"] == 400.0
    assert medians["idle_percent_of_a_core"] == 0.5
    assert (medians["restart_to_ready_s"], medians["first_start_to_all_imported_s"]) == (8.0, 60.0)
    assert {row.errors["ours"] for row in rows} == {1}


def test_only_requests_that_change_something_are_counted_from_the_api_servers_metrics() -> None:
    scrape = "\n".join(
        [
            "# TYPE apiserver_request_total counter",
            'apiserver_request_total{code="201",component="apiserver",dry_run="",group="",resource="services",'
            'scope="resource",subresource="",verb="POST",version="v1"} 7',
            'apiserver_request_total{code="200",component="apiserver",dry_run="",group="x",resource="imports",'
            'scope="resource",subresource="status",verb="PATCH",version="v1"} 1.2e+03',
            'apiserver_request_total{code="200",component="apiserver",dry_run="",group="",resource="services",'
            'scope="cluster",subresource="",verb="LIST",version="v1"} 9',
            'apiserver_request_duration_seconds_count{verb="POST",resource="services"} 9',
        ]
    )
    after = written(scrape)
    assert since({("POST", "services", "", 201): 5}, after) == {
        "PATCH imports/status 200": 1200,
        "POST services 201": 2,
    }
    assert since(after, after) == {}


def test_a_thousand_services_lie_in_ten_namespaces_and_no_name_twice() -> None:
    names = keys(1000, prefix="many")
    assert len(set(names)) == 1000
    assert len(namespaces(names)) == 10


def test_some_endpoints_are_ready_and_all_have_addresses_of_their_own() -> None:
    made = endpoint_list(600, ready=2)
    assert [one["conditions"]["ready"] for one in made[:3]] == [True, True, False]
    assert len({one["addresses"][0] for one in made}) == 600
