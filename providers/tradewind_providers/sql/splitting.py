"""One text of several SQL statements, taken apart where its semicolons separate statements."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

_TOKEN: Final = re.compile(
    r"""
      (?P<comment>--[^\n]*)
    | (?P<block>/\*)
    | (?P<escaped>\b[eE]'(?:[^'\\]|\\.|'')*(?:'|\Z))
    | (?P<text>'(?:[^']|'')*(?:'|\Z))
    | (?P<name>"(?:[^"]|"")*(?:"|\Z))
    | (?P<dollars>(?<![\w$])\$(?:[A-Za-z_\x80-\uffff][\w\x80-\uffff]*)?\$)
    | (?P<atomic>\bBEGIN\s+ATOMIC\b)
    | (?P<case>\bCASE\b)
    | (?P<end>\bEND\b)
    | (?P<semicolon>;)
    """,
    re.VERBOSE | re.DOTALL | re.IGNORECASE,
)
_ENDS_OF_BLOCKS: Final = re.compile(r"/\*|\*/")


def split_sql_string(sql: str) -> list[str]:
    """The statements, each without its semicolon; comments alone are none."""
    return [text for text, says_something in _pieces(sql) if says_something]


def _pieces(sql: str) -> Iterator[tuple[str, bool]]:
    begin = place = depth = 0
    said = False
    while True:
        found = _TOKEN.search(sql, place)
        stop = found.start() if found else len(sql)
        said = said or bool(sql[place:stop].strip())
        if found is None:
            yield sql[begin:].strip(), said
            return
        kind = found.lastgroup
        place = found.end()
        if kind == "semicolon" and not depth:
            yield sql[begin : found.start()].strip(), said
            begin, said = place, False
            continue
        if kind == "block":
            place = _end_of_block(sql, place)
        elif kind == "dollars":
            closing = sql.find(found.group(), place)
            place = len(sql) if closing < 0 else closing + len(found.group())
        elif kind == "atomic" or (kind == "case" and depth):
            depth += 1
        elif kind == "end" and depth:
            depth -= 1
        said = said or kind not in ("comment", "block")


def _end_of_block(sql: str, place: int) -> int:
    """Where the comment ends that began before: they nest."""
    depth = 1
    for found in _ENDS_OF_BLOCKS.finditer(sql, place):
        depth += 1 if found.group() == "/*" else -1
        if not depth:
            return found.end()
    return len(sql)
