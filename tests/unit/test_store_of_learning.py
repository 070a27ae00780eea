"""What the tables of learning keep, and what they answer: in SQLite and in Postgres the same."""

from __future__ import annotations

from dataclasses import replace

from tenure.learn.recording import Recording, Step
from tenure.runtime import learning
from tenure.runtime.store import Connection, capabilities, recordings, trials, verdicts, writings
from tenure.runtime.store.capabilities import Kept, RolloutRow
from tenure.runtime.store.trials import Tried
from tenure.runtime.store.writings import Draft, Family, Writing

WHO = "acme", "desk"
KEPT = Kept(*WHO, "cancel", 1, "d1", "one", "{}", "{}", "{}", 10)
ROW = RolloutRow(*WHO, "cancel", 1, "d1", "canary", "canary", 10, "approved by sam", "{}", 3, 0, 20)
FAMILY = Family(*WHO, "one", "cancel")
WRITING = Writing(1, 12, 90, "d2", ["run1", "run2"], 100)
TRIED = Tried("acme:run:desk:1", *WHO, "cancel", 1, "canary", 30)


def recording(last: str, at: int = 10, fingerprint: str = "one") -> Recording:
    step = Step(tool="close", effect="write", arguments={"id": last}, result={"ok": True})
    return Recording(
        run=f"acme:run:desk:{last}", agent="desk", fingerprint=fingerprint, request="close it", steps=[step], at=at
    )


def test_only_runs_that_somebody_called_good_and_nobody_bad_teach(db: Connection) -> None:
    for last in ("good", "bad", "both", "unsaid", "failed"):
        recordings.put(db, "acme", recording(last), teaches=last != "failed")
    for last, source, good in (
        ("good", "evaluate", True), ("bad", "evaluate", False), ("both", "evaluate", True), ("both", "person:sam", False),
        ("failed", "evaluate", True),
    ):  # fmt: skip
        verdicts.put(db, f"acme:run:desk:{last}", source, good, "", 11)
    assert [one.run for one in recordings.verified(db, WHO, "one", 0, 10)] == ["acme:run:desk:good"]
    assert recordings.count(db, WHO, 0) == (5, 1)


def test_recordings_are_of_one_tenant_one_build_and_a_time(db: Connection) -> None:
    for last, at, fingerprint in (("old", 5, "one"), ("new", 20, "one"), ("other", 20, "two")):
        recordings.put(db, "acme", recording(last, at, fingerprint), teaches=True)
        verdicts.put(db, f"acme:run:desk:{last}", "evaluate", True, "", 30)
    assert [one.run for one in recordings.verified(db, WHO, "one", 10, 10)] == ["acme:run:desk:new"]
    assert recordings.verified(db, ("globex", "desk"), "one", 0, 10) == []
    assert recordings.tenants(db, "desk", 0) == ["acme"]


def test_the_newest_recordings_are_kept_in_order(db: Connection) -> None:
    for at in range(5):
        recordings.put(db, "acme", recording(str(at), at), teaches=True)
        verdicts.put(db, f"acme:run:desk:{at}", "evaluate", True, "", 30)
    assert [one.at for one in recordings.verified(db, WHO, "one", 0, 3)] == [2, 3, 4]


def test_each_tenant_has_a_key_of_its_own(db: Connection) -> None:
    assert recordings.key(db, "acme") == recordings.key(db, "acme") != recordings.key(db, "globex")


def test_a_version_is_never_changed(db: Connection) -> None:
    capabilities.add(db, KEPT)
    capabilities.add(db, replace(KEPT, digest="forged"))
    capabilities.add(db, replace(KEPT, version=2, digest="d2"))
    assert capabilities.get(db, WHO, "cancel", 1) == KEPT
    assert [one.digest for one in capabilities.every(db)] == ["d2"]
    assert capabilities.get(db, WHO, "cancel", 3) is None


def test_what_a_late_worker_keeps_of_a_rollout_is_not_kept(db: Connection) -> None:
    assert capabilities.keep(db, ROW, "sam")
    assert not capabilities.keep(db, replace(ROW, number=2, stage="shadow"), "")
    assert capabilities.rollout(db, WHO, "cancel") == ROW
    assert [(one.stage, one.by) for one in capabilities.changes(db, WHO, "cancel")] == [("canary", "sam")]


def test_only_what_is_rolled_out_for_this_build_is_live(db: Connection) -> None:
    capabilities.add(db, KEPT)
    capabilities.keep(db, ROW, "sam")
    assert capabilities.live(db, WHO, "one") == [(ROW, KEPT)]
    assert capabilities.live(db, WHO, "two") == []
    capabilities.stop(db, WHO, "cancel", 1, "it wrote what nobody approved")
    assert capabilities.live(db, WHO, "one") == []


def test_a_run_is_tried_once_in_the_way_that_was_said_first(db: Connection) -> None:
    assert trials.try_on(db, TRIED) == TRIED
    assert trials.try_on(db, replace(TRIED, mode="shadow")) == TRIED


def test_trials_are_numbered_and_said_once(db: Connection) -> None:
    trials.try_on(db, TRIED)
    for kind in ("finished", "finished", "bad"):
        trials.add(db, TRIED, kind, "", 40)
    found = trials.after(db, WHO, "cancel", 1, 0, 10)
    assert [(one.kind, one.mode) for one in found] == [("finished", "canary"), ("bad", "canary")]
    assert trials.after(db, WHO, "cancel", 1, found[0].seq, 10) == found[1:]
    assert trials.after(db, WHO, "cancel", 2, 0, 10) == []


def test_a_rollout_with_something_to_read_is_told_by_one_worker_and_not_too_often(db: Connection) -> None:
    capabilities.keep(db, ROW, "")
    assert capabilities.take_due(db, {"desk": "one"}, 100_000) == []
    trials.try_on(db, TRIED)
    trials.add(db, TRIED, "finished", "", 40)
    assert capabilities.take_due(db, {"desk": "one"}, 100_000) == [ROW]
    assert capabilities.take_due(db, {"desk": "one"}, 100_001) == []
    assert capabilities.take_due(db, {"desk": "one"}, 100_000 + capabilities.TOLD_MS) == [ROW]
    capabilities.keep(db, replace(ROW, number=4, read_to=9), "")
    assert capabilities.take_due(db, {"desk": "one"}, 200_000) == []


def test_a_rollout_for_another_build_than_is_served_is_told(db: Connection) -> None:
    capabilities.add(db, KEPT)
    capabilities.keep(db, ROW, "")
    assert capabilities.take_due(db, {"desk": "one"}, 100_000) == []
    assert capabilities.take_due(db, {"desk": "two"}, 100_000) == [ROW]


def test_a_rollout_that_is_over_is_told_nothing(db: Connection) -> None:
    trials.try_on(db, TRIED)
    trials.add(db, TRIED, "bad", "", 40)
    capabilities.keep(db, replace(ROW, stage="rolled_back", serving="no"), "")
    assert capabilities.take_due(db, {"desk": "one"}, 100_000) == []


def test_what_claude_was_asked_to_write_is_kept_as_it_was_begun_and_ends_once(db: Connection) -> None:
    assert writings.last(db, FAMILY) is None
    assert writings.begin(db, FAMILY, WRITING) == WRITING
    assert writings.begin(db, FAMILY, replace(WRITING, shown=["run3"])) == WRITING
    writings.end(db, FAMILY, 1, "refused", "it loops")
    writings.end(db, FAMILY, 1, "proposed", "late")
    assert writings.last(db, FAMILY) == replace(WRITING, outcome="refused", why="it loops")
    second = replace(WRITING, number=2)
    assert writings.begin(db, FAMILY, second) == second
    assert writings.last(db, replace(FAMILY, fingerprint="two")) is None
    assert writings.last(db, replace(FAMILY, tenant="globex")) is None


def test_an_answer_that_stands_wins_over_a_late_one(db: Connection) -> None:
    first = Draft("claude", "{}", "end_turn")
    assert writings.draft_of(db, FAMILY, 1, 1) is None
    assert writings.keep(db, FAMILY, 1, 1, first, 10) == first
    assert writings.keep(db, FAMILY, 1, 1, Draft("claude", "other", "end_turn"), 11) == first
    assert writings.draft_of(db, FAMILY, 1, 1) == first
    assert writings.draft_of(db, FAMILY, 1, 2) is None


def test_what_a_rollout_has_not_heard_of_yet_keeps_it_out_of_service(db: Connection) -> None:
    trials.try_on(db, TRIED)
    learning.judged(db, TRIED.workflow, good=False, severe=True, note="wrong", at=31)
    assert capabilities.keep(db, replace(ROW, number=4), "")
    assert [one.serving for one in capabilities.rollouts(db)] == ["no"], (
        "an event that was on its way changes nothing of it"
    )
    assert capabilities.keep(db, replace(ROW, number=5, read_to=99), "")
    assert [one.serving for one in capabilities.rollouts(db)] == ["canary"], "heard, it is for the rollout to say"


def test_an_unsafe_run_is_that_of_the_capability_where_it_made_it_or_had_changed_something(db: Connection) -> None:
    for at, (kind, wrote, unsafe) in enumerate(
        [
            ("finished", False, True),
            ("left", False, False),
            ("left", True, True),
            ("failed", False, False),
            ("in_doubt", True, True),
        ]
    ):
        run = replace(TRIED, workflow=f"acme:run:desk:{at}")
        trials.try_on(db, run)
        trials.add(db, run, kind, "", 31, wrote=wrote)  # pyright: ignore[reportArgumentType]  # of the literals
        learning.judged(db, run.workflow, good=False, severe=True, note="", at=32)
        assert ("unsafe" in trials.kinds(db, run.workflow)) is unsafe, (kind, wrote)
    looked_on = replace(TRIED, workflow="acme:run:desk:9", mode="shadow")
    trials.try_on(db, looked_on)
    learning.judged(db, looked_on.workflow, good=False, severe=True, note="", at=32)
    assert trials.kinds(db, looked_on.workflow) == {"bad"}
