"""Retry policies: code that looks at what went wrong and says whether, and when, there is another try.

::

    @task(retries=5, retry_policy={PermissionError: False, ConnectionError: timedelta(seconds=30)})
    def fetch(): ...

A policy is evaluated in the attempt that has failed. It can end the tries early and change the wait; how many
tries there are in all remains a matter of `retries`.
"""

from __future__ import annotations

import enum
import inspect
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, cast

from tradewind.model.errors import AuthoringError


class RetryAction(enum.StrEnum):
    """What a policy may say."""

    RETRY = "retry"
    """Another try, if `retries` leaves one."""
    FAIL = "fail"
    """No other try."""
    DEFAULT = "default"
    """What the task's own `retries` and `retry_delay` say."""


@dataclass(frozen=True, slots=True)
class RetryDecision:
    """What a policy says, how long to wait first (None: as the task says), and why."""

    action: RetryAction = RetryAction.DEFAULT
    retry_delay: timedelta | None = None
    reason: str | None = None


class RetryPolicy(ABC):
    """Base of policies of one's own."""

    @abstractmethod
    def evaluate(
        self, exception: BaseException, try_number: int, max_tries: int, context: Mapping[str, Any] | None = None
    ) -> RetryDecision:
        """The decision after the try `try_number` (from 1) of `max_tries` in all has ended with `exception`."""


ExceptionKind = type[BaseException] | str
"""A class, or its import path: of a library that DAG files should not have to import."""


@dataclass(frozen=True, slots=True)
class RetryRule:
    """For these exceptions (and classes below them): the action, the wait, the reason."""

    exception: ExceptionKind | Sequence[ExceptionKind]
    action: RetryAction = RetryAction.RETRY
    retry_delay: timedelta | None = None
    reason: str | None = None
    match_subclasses: bool = True

    def __post_init__(self) -> None:
        for kind in self._kinds():
            if isinstance(kind, str):
                if "." not in kind.strip("."):
                    raise AuthoringError(f"RetryRule: {kind!r} is no import path such as 'builtins.ValueError'")
            elif not _is_exception(kind):
                raise AuthoringError(f"RetryRule: {kind!r} is no exception class")

    def matches(self, exception: BaseException) -> bool:
        """Whether the rule is for this exception. A class that cannot be imported matches nothing."""
        return any(self._is(exception, kind) for kind in self._kinds())

    def _kinds(self) -> Sequence[ExceptionKind]:
        given = self.exception
        return (given,) if isinstance(given, (str, type)) else given

    def _is(self, exception: BaseException, kind: ExceptionKind) -> bool:
        candidates = type(exception).__mro__ if self.match_subclasses else (type(exception),)
        if isinstance(kind, type):
            return kind in candidates
        if any(f"{base.__module__}.{base.__qualname__}" == kind for base in candidates):
            return True
        try:
            found: object = pkgutil.resolve_name(kind)
        except (ImportError, AttributeError, ValueError):
            return False
        return found in candidates


def _is_exception(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseException)


class ExceptionRetryPolicy(RetryPolicy):
    """Rules by exception; the first that matches decides, else `default`."""

    def __init__(self, rules: Sequence[RetryRule], default: RetryAction = RetryAction.DEFAULT) -> None:
        self.rules = tuple(rules)
        self.default = RetryAction(default)

    def evaluate(
        self, exception: BaseException, try_number: int, max_tries: int, context: Mapping[str, Any] | None = None
    ) -> RetryDecision:
        """See RetryPolicy."""
        for rule in self.rules:
            if rule.matches(exception):
                reason = rule.reason or f"there is a rule for {type(exception).__name__}"
                return RetryDecision(RetryAction(rule.action), rule.retry_delay, reason)
        return RetryDecision(self.default)


class ChainRetryPolicy(RetryPolicy):
    """Asks one policy after the other; the first that says RETRY or FAIL decides. One that raises says nothing."""

    def __init__(self, policies: Sequence[RetryPolicy]) -> None:
        self.policies = tuple(policies)
        if not self.policies or not all(isinstance(cast("object", one), RetryPolicy) for one in self.policies):
            raise AuthoringError(f"ChainRetryPolicy needs a list of policies, not {policies!r}")

    def evaluate(
        self, exception: BaseException, try_number: int, max_tries: int, context: Mapping[str, Any] | None = None
    ) -> RetryDecision:
        """See RetryPolicy."""
        heard: list[str] = []
        for policy in self.policies:
            name = type(policy).__name__
            try:
                decision = policy.evaluate(exception, try_number, max_tries, context)
            except Exception as broken:
                heard.append(f"{name} raised {type(broken).__name__}: {broken}")
                continue
            if decision.action is not RetryAction.DEFAULT:
                after = f" (after {'; '.join(heard)})" if heard else ""
                reason = f"{name}: {decision.reason or decision.action.value}{after}"
                return RetryDecision(decision.action, decision.retry_delay, reason)
            heard.append(f"{name} had nothing to say")
        return RetryDecision(reason="; ".join(heard))


class FunctionPolicy(RetryPolicy):
    """A function `(exception, try_number)`, or one that takes `max_tries` and `context` too, as a policy."""

    def __init__(self, function: Callable[..., object]) -> None:
        self.function = function

    def evaluate(
        self, exception: BaseException, try_number: int, max_tries: int, context: Mapping[str, Any] | None = None
    ) -> RetryDecision:
        """See RetryPolicy. The function may answer as `decision_of` understands it."""
        given = (exception, try_number, max_tries, context)
        kinds = [p.kind for p in inspect.signature(self.function).parameters.values()]
        by_place = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
        count = 4 if inspect.Parameter.VAR_POSITIONAL in kinds else min(sum(kind in by_place for kind in kinds), 4)
        name = getattr(self.function, "__qualname__", repr(self.function))
        return decision_of(self.function(*given[:count]), f"retry_policy {name}")


def decision_of(answer: object, where: str) -> RetryDecision:
    """A decision from itself, an action or its name, a bool, a wait (timedelta or seconds), or None: as the task says.

    Raises AuthoringError for anything else.
    """
    if isinstance(answer, RetryDecision):
        return answer
    if answer is None:
        return RetryDecision(reason=where)
    if isinstance(answer, bool):
        return RetryDecision(RetryAction.RETRY if answer else RetryAction.FAIL, reason=where)
    if isinstance(answer, timedelta):
        return RetryDecision(RetryAction.RETRY, answer, where)
    if isinstance(answer, (int, float)):
        return RetryDecision(RetryAction.RETRY, timedelta(seconds=answer), where)
    if isinstance(answer, str) and answer.lower() in [action.value for action in RetryAction]:
        return RetryDecision(RetryAction(answer.lower()), reason=where)
    raise AuthoringError(
        f"{where}: {answer!r} is no decision; one of 'retry', 'fail', 'default', True, False, None, "
        "a timedelta or a RetryDecision is needed"
    )


def retry_policy(value: object, where: str) -> RetryPolicy | None:
    """The policy of a task's `retry_policy`: one, a dict from exceptions to answers, a function, or None.

    Raises AuthoringError for anything else.
    """
    if value is None or isinstance(value, RetryPolicy):
        return value
    if isinstance(value, Mapping):
        rules: list[RetryRule] = []
        for kind, answer in cast("Mapping[Any, object]", value).items():
            said = decision_of(answer, where)
            rules.append(RetryRule(kind, said.action, said.retry_delay))
        return ExceptionRetryPolicy(rules)
    if callable(value):
        return FunctionPolicy(value)
    raise AuthoringError(
        f"{where}: a RetryPolicy, a dict from exceptions to answers or a function is needed, not {value!r}"
    )
