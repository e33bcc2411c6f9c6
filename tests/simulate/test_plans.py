"""Plans: the same for one seed, of what a scenario names, and plain data."""

from __future__ import annotations

import json

import pytest

from mint.errors import InputError
from network.simulate.faults import CHEATS, DETECTOR_LIES, LIES, Plan, Size, from_json, to_json
from network.simulate.scenarios import SCENARIOS, draw_plan, scenario_of, turn

PLANS = [draw_plan(name, seed, 10.0) for name in SCENARIOS for seed in range(20)]


def test_one_seed_is_one_plan_and_another_is_another() -> None:
    assert [draw_plan(plan.scenario, plan.seed, 10.0) for plan in PLANS] == PLANS
    assert len({to_json(plan) for plan in PLANS}) == len(PLANS)


def test_a_plan_is_json() -> None:
    for plan in PLANS:
        data = to_json(plan)
        assert from_json(data, "plan") == plan
        assert json.loads(data)["scenario"] == plan.scenario


@pytest.mark.parametrize("data", [b"", b"{}", b'{"scenario": 1}'])
def test_what_is_no_plan_is_said(data: bytes) -> None:
    with pytest.raises(InputError, match=r"plan\.json: is no plan"):
        from_json(data, "plan.json")


def test_faults_stop_when_the_plan_says_so_and_cheats_may_begin_then() -> None:
    for plan in PLANS:
        for fault in plan.faults:
            goes_on = {*CHEATS, "fabricate"} if plan.scenario == "liar" else CHEATS
            assert fault.until_ms <= plan.stop_ms or fault.kind in goes_on
            assert fault.until_ms <= plan.end_ms


def test_faults_name_who_is_there() -> None:
    for plan in PLANS:
        there = {*plan.size.nodes, *plan.size.miner_names}
        assert all(set(fault.who) <= there for fault in plan.faults)


def test_someone_cheats_amid_the_faults_and_someone_after_them() -> None:
    for plan in PLANS:
        begins = [fault.at_ms < plan.stop_ms for fault in plan.of(CHEATS)]
        assert set(begins) == {True, False}


def test_no_more_than_f_detectors_lie() -> None:
    for plan in PLANS:
        assert len(plan.named(DETECTOR_LIES)) <= plan.size.f_detectors


def test_a_scenario_assumes_what_its_faults_leave_true() -> None:
    for plan in PLANS:
        assumed = scenario_of(plan.scenario).assumes
        assert ("log" in assumed) == (not plan.of({"fork", "omit", "invent"}))
        assert ("memory" in assumed) == (not plan.of({"backup"}))
        if plan.of(LIES - DETECTOR_LIES):
            assert assumed != scenario_of("calm").assumes


def test_colluders_are_as_many_as_the_scenario_says() -> None:
    for plan in PLANS:
        most = max((len(fault.who) for fault in plan.of(CHEATS)), default=0)
        if plan.scenario == "collude":
            assert most <= plan.size.f_miners
        if plan.scenario == "collude-past-f":
            assert most > plan.size.f_miners


def test_removing_one_fault_changes_no_other() -> None:
    plan = draw_plan("mixed", 4, 10.0)
    smaller = plan.with_faults(plan.faults[1:])
    assert smaller.faults == plan.faults[1:]
    assert isinstance(smaller, Plan)


def test_seeds_take_the_scenarios_in_turn() -> None:
    assert [turn(seed) for seed in range(len(SCENARIOS))] == list(SCENARIOS)


def test_the_figures_are_of_sixteen_miners_and_four_detectors() -> None:
    sizes = [plan.size for plan in PLANS]
    assert sizes.count(Size(16, 4, 4)) > len(sizes) // 3


def test_what_cannot_be_drawn_is_said() -> None:
    with pytest.raises(InputError, match="there is no 'storm'"):
        draw_plan("storm", 1, 10)
    for minutes in (0.5, float("nan")):
        with pytest.raises(InputError, match="too short"):
            draw_plan("calm", 1, minutes)
