"""The rows of the specification and the tests that prove them."""

from __future__ import annotations

from docs import coverage
from tests.architecture.tree import ROOT

PROOFS = coverage.proofs()


def test_markers_name_rows_that_exist() -> None:
    known = {row.key for row in coverage.rows()}
    assert not [(proof.test, key) for proof in PROOFS for key in proof.rows if key not in known]


def test_a_test_proves_a_few_rows_only() -> None:
    crowded = [proof.test for proof in PROOFS if len(proof.rows) > coverage.MOST_ROWS_A_TEST]
    assert not crowded, f"at most {coverage.MOST_ROWS_A_TEST} rows a test"


def test_reasons_stand_for_rows_without_a_proof() -> None:
    proved = coverage.tests_of_rows()
    sections = {row.section_key for row in coverage.rows()}
    keys = {row.key for row in coverage.rows()}
    for key in coverage.reasons():
        if key in keys:
            assert key not in proved, f"{key} has both a proof and a reason"
        else:
            assert any(section.startswith(key) for section in sections), f"{key} is neither a row nor a section"


def test_the_readme_says_the_share() -> None:
    assert coverage.sentence() in (ROOT / "README.md").read_text(encoding="utf-8"), "run: python -m docs.generate"


def test_rows_have_one_key_each() -> None:
    keys = [row.key for row in coverage.rows()]
    assert len(keys) == len(set(keys))
