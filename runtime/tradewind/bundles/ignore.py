"""Ignore files: which paths of a folder bundle hold no DAG files.

A `.tradewindignore` (always in the syntax of `.gitignore`) or `.airflowignore` (regular expressions
searched in the path, or globs, by configuration) applies to its own folder and everything below it.
``#`` begins a comment. Of globs the last one that matches decides, so ``!name`` takes a path back in.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

IGNORE_FILES: Final = (".airflowignore", ".tradewindignore")
Syntax = Literal["glob", "regexp"]


@dataclass(frozen=True, slots=True)
class IgnoreRules:
    """The rules of one ignore file; paths are relative to its folder, with `/` at the end of folders."""

    base: str
    """The folder of the file relative to the bundle's root, `''` or ending with `/`."""
    patterns: tuple[re.Pattern[str], ...] = ()
    globs: GitIgnoreSpec | None = None

    def verdict(self, path: str) -> bool | None:
        """Whether `path` (relative to the root) is ignored; None where no rule of this file says."""
        inner = path[len(self.base) :]
        if any(pattern.search(inner) for pattern in self.patterns):
            return True
        return self.globs.check_file(inner).include if self.globs is not None else None


def read_rules(folder: Path, base: str, syntax: Syntax) -> tuple[list[IgnoreRules], dict[str, str]]:
    """The rules that the ignore files of this folder add, and what is wrong with these files, by their paths.

    A line that is no expression leaves nothing out, the others of its file do.
    """
    rules: list[IgnoreRules] = []
    problems: dict[str, str] = {}
    for name in IGNORE_FILES:
        file = folder / name
        try:
            text = file.read_text(encoding="utf-8")
        except (FileNotFoundError, NotADirectoryError):
            continue
        except (OSError, UnicodeDecodeError) as error:
            problems[base + name] = f"{file} cannot be read: {error}"
            continue
        lines = [line for raw in text.splitlines() if (line := re.sub(r"(?:^|\s)#.*", "", raw).strip())]
        if name == ".airflowignore" and syntax == "regexp":
            found = [_compile(line) for line in lines]
            rules.append(IgnoreRules(base, patterns=tuple(one for one in found if isinstance(one, re.Pattern))))
            bad = [why for why in found if isinstance(why, str)]
            if bad:
                problems[base + name] = f"{file}: {'; '.join(bad)}. For globs set dags.ignore_file_syntax = glob."
        else:
            from pathspec import GitIgnoreSpec  # a start is quicker without it, and most folders have no such file

            rules.append(IgnoreRules(base, globs=GitIgnoreSpec.from_lines(lines)))
    return rules, problems


def is_ignored(path: str, rules: Sequence[IgnoreRules]) -> bool:
    """Whether the path (relative to the root; folders end with `/`) is ignored; inner rules win."""
    ignored = False
    for rule in rules:
        verdict = rule.verdict(path)
        ignored = ignored if verdict is None else verdict
    return ignored


def _compile(line: str) -> re.Pattern[str] | str:
    """The expression, or why it is none."""
    try:
        return re.compile(line)
    except re.error as error:
        return f"{line!r} is not a regular expression ({error})"
