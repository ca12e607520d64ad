"""Ids belong to the file that had them first."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tradewind.bundles.claims import DagClaims
from tradewind.bundles.parser import FileToParse

FILES = [FileToParse("dags", "/d", f"{n}.py") for n in range(4)]
STEPS = st.lists(st.tuples(st.sampled_from(FILES), st.sets(st.sampled_from("abc")) | st.none()), max_size=30)


def test_taken_and_freed() -> None:
    claims = DagClaims()
    a, b, c, _ = FILES
    assert claims.claim(a, ["x", "y"]) == ({}, set())
    assert claims.claim(b, ["x"]).taken == {"x": a}
    assert claims.claim(c, ["y"]).taken == {"y": a}
    assert claims.claim(a, ["y"]).freed == {b}
    assert claims.claim(b, ["x"]).taken == {}
    assert claims.release(a) == {c}


@given(STEPS)
def test_after_retrying_what_is_freed_every_wanted_id_has_one_holder(
    steps: list[tuple[FileToParse, set[str] | None]],
) -> None:
    claims = DagClaims()
    wanted: dict[FileToParse, set[str]] = {}
    held: dict[FileToParse, set[str]] = {}

    def apply(file: FileToParse, ids: set[str] | None) -> None:
        if ids is None:
            wanted.pop(file, None)
            held.pop(file, None)
            again = claims.release(file)
        else:
            wanted[file] = ids
            outcome = claims.claim(file, sorted(ids))
            held[file] = ids - outcome.taken.keys()
            again = outcome.freed
        for other in sorted(again):
            if other in wanted:
                apply(other, wanted[other])

    for file, ids in steps:
        apply(file, ids)
    for dag_id in "abc":
        holders = [file for file, ids in held.items() if dag_id in ids]
        assert len(holders) == (1 if any(dag_id in ids for ids in wanted.values()) else 0)
