"""Tasks that wait for a person: who chooses an option, approves, picks a branch or fills in a form.

The question is a wait of the task instance: no slot, no process and no trigger is held while it is open.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Final, NoReturn, TypedDict, Unpack, cast
from urllib.parse import urlencode

from tradewind.authoring.arguments import OperatorArguments
from tradewind.authoring.defaults import current_defaults
from tradewind.authoring.deferral import FAILED, TIMED_OUT
from tradewind.authoring.durable import Suspended
from tradewind.authoring.notifier import BaseNotifier
from tradewind.authoring.operator import BaseOperator, OutcomeForm
from tradewind.authoring.pace import now
from tradewind.authoring.params import NO_VALUE, ParamsDict
from tradewind.authoring.questions import Question, unsigned
from tradewind.model.errors import TradewindError
from tradewind.model.outcomes import Wait
from tradewind.model.specs import Json
from tradewind.model.waits import INPUT_KIND

NAME: Final = "response"
"""What the question of such a task is called in the API."""
_TOO_LATE: Final = "The timeout has passed, and the response has not yet been received."


class HITLUser(TypedDict):
    """A user, by login (`id`) and `name`."""

    id: str
    name: str


class HITLTriggerEventError(Exception):
    """There is no usable answer."""


class HITLTimeoutError(HITLTriggerEventError):
    """Nobody has answered in time, and there are no defaults."""


class HITLRejectException(TradewindError):
    """A person has said no."""


class HITLTriggerEventSuccessPayload(TypedDict, total=False):
    """What the task returns: the answer, when it came and from whom (None: nobody, the defaults were taken)."""

    chosen_options: list[str]
    params_input: dict[str, Any]
    responded_at: datetime
    responded_by_user: HITLUser | None
    timedout: bool


class HITLTriggerEventFailurePayload(TypedDict):
    """Why there is no answer."""

    error: str
    error_type: str


class HITLSettings(TypedDict, total=False):
    """What is asked, and of whom."""

    body: str | None
    defaults: str | Sequence[str] | None
    multiple: bool
    notifiers: Sequence[BaseNotifier] | BaseNotifier | None
    assigned_users: HITLUser | Sequence[HITLUser] | None
    respondents: str | Sequence[str] | None
    response_timeout: timedelta | None


class HITLArguments(HITLSettings, OperatorArguments, total=False):
    """All arguments beside subject and options."""


class HITLOperator(BaseOperator):
    """Asks a person to choose of `options` (several with `multiple`) and to fill in `params`.

    After `response_timeout` (or `execution_timeout`) it is `defaults`, or HITLTimeoutError where there are none.
    `notifiers` are called when the question is asked; `assigned_users` (or `respondents`, their logins) are the only
    ones who may answer. Returns `chosen_options`, `params_input`, `responded_at` and `responded_by_user`.
    Raises ValueError, while the DAG file is imported, for options and defaults that do not go together.
    """

    template_fields: Sequence[str] = ("subject", "body")
    own_arguments: ClassVar[frozenset[str]] = frozenset(HITLSettings.__annotations__)
    ui_color = "#f7e9c4"

    def __init__(self, *, subject: str, options: Sequence[str], **arguments: Unpack[HITLArguments]) -> None:
        given = cast("dict[str, Any]", arguments)
        own = {name: given.pop(name) for name in HITLSettings.__annotations__ if name in given}
        super().__init__(**given)
        self.subject = subject
        self.body: str | None = own.get("body")
        self.options = list(options)
        defaults: str | Sequence[str] | None = own.get("defaults")
        self.defaults = [defaults] if isinstance(defaults, str) else None if defaults is None else list(defaults)
        self.multiple = bool(own.get("multiple"))
        notifiers: Any = own.get("notifiers")
        self.notifiers: Sequence[BaseNotifier] = [notifiers] if isinstance(notifiers, BaseNotifier) else notifiers or []
        users: Any = own.get("assigned_users")
        self.assigned_users: Sequence[HITLUser] = [cast("HITLUser", users)] if isinstance(users, dict) else users or []
        self.respondents = _logins(own.get("respondents"), self.assigned_users)
        self.response_timeout: timedelta | None = own.get("response_timeout") or self.execution_timeout
        self.execution_timeout = None  # the wait has its limit; what comes before and after is short
        self.validate_options()
        self.validate_params()
        self.validate_defaults()

    # ------------------------------------------------------------------ what is asked

    def validate_options(self) -> None:
        """Raises ValueError where there is nothing to choose."""
        if not self.options:
            raise ValueError('"options" cannot be empty.')

    def validate_params(self) -> None:
        """Raises ValueError for a param whose name means something else."""
        if "_options" in self.params:
            raise ValueError('"_options" is not allowed in params')

    def validate_defaults(self) -> None:
        """Raises ValueError for defaults that nobody could choose."""
        if self.defaults is None:
            return
        if not set(self.defaults) <= set(self.options):
            raise ValueError(f'defaults "{self.defaults}" should be a subset of options "{self.options}"')
        if len(self.defaults) > 1 and not self.multiple:
            raise ValueError('More than one defaults given when "multiple" is set to False.')

    def execute(self, context: Any) -> Any:
        """Tells the notifiers, and waits. Raises Suspended, which has to leave `execute`."""
        deadline = None if self.response_timeout is None else now() + self.response_timeout
        self.log.info("Waiting for response")
        for notifier in self.notifiers:
            told: object = notifier(context)
            if inspect.iscoroutine(told):
                asyncio.run(told)
        self._wait(deadline)

    def _wait(self, deadline: datetime | None) -> NoReturn:
        question = Question(
            self.schema(), self.subject, body=self.body, respondents=tuple(self.respondents), signed=True
        )
        args = question.packed(f"{type(self).__name__} {self.task_id!r}: what is asked")
        raise Suspended(Wait(INPUT_KIND, args, "execute_complete", deadline=deadline, key=f"{INPUT_KIND}:{NAME}:0"))

    def schema(self) -> dict[str, Json]:
        """JSON schema of the answer: the options, and the params as a form."""
        chosen: dict[str, Json] = {
            "type": "array",
            "items": {"type": "string", "enum": self.options},
            "minItems": 1,
            "uniqueItems": True,
        }
        if not self.multiple:
            chosen["maxItems"] = 1
        if self.defaults is not None:
            chosen["default"] = self.defaults
        fields: dict[str, Json] = {}
        for name, param in self.params.params():
            fields[name] = dict(param.schema)
            if param.description is not None:
                fields[name].setdefault("description", param.description)
            if param.value is not NO_VALUE:
                fields[name]["default"] = param.value
        required = [name for name, param in self.params.params() if param.value is NO_VALUE]
        form: dict[str, Json] = {"type": "object", "properties": fields, "additionalProperties": False}
        properties: dict[str, Json] = {"chosen_options": chosen}
        if fields:
            properties["params_input"] = {**form, "required": required}
        return {
            "type": "object",
            "properties": properties,
            "required": ["chosen_options", *(["params_input"] if required else [])],
            "additionalProperties": False,
        }

    # ------------------------------------------------------------------ the answer

    def resume_execution(self, next_method: str, next_kwargs: Mapping[str, Any] | None, context: Any) -> Any:
        """Goes on with the answer as an event in Airflow's form; without one in time, with the defaults."""
        given = dict(next_kwargs or {})
        if next_method == FAILED and given.get("error") == TIMED_OUT:
            return self.execute_complete(context, event=self._too_late())
        if next_method != FAILED:
            given["event"] = self._event(given.get("event"))
        return super().resume_execution(next_method, given, context)

    def _too_late(self) -> dict[str, Any]:
        if self.defaults is None:
            return {"error": _TOO_LATE, "error_type": "timeout"}
        self.log.info("Nobody has answered in time: %s is taken", self.defaults)
        return {
            "chosen_options": self.defaults,
            "params_input": self.params.dump(),
            "responded_at": now(),
            "responded_by_user": None,
            "timedout": True,
        }

    def _event(self, value: Any) -> dict[str, Any]:
        answer, by, at = unsigned(value)
        told = cast("dict[str, Any]", answer) if isinstance(answer, dict) else {}
        if by is not None:
            self.log.info("%s has answered: %s", by.get("name"), told.get("chosen_options"))
        return {
            "chosen_options": told.get("chosen_options") or [],
            "params_input": {**self.params.dump(), **(told.get("params_input") or {})},
            "responded_at": datetime.now(UTC) if at is None else datetime.fromisoformat(at),
            "responded_by_user": by,
            "timedout": False,
        }

    def execute_complete(self, context: Any, event: dict[str, Any]) -> Any:
        """What the answer means. Raises HITLTimeoutError, HITLTriggerEventError, ValueError, ParamValidationError."""
        if "error" in event:
            self.process_trigger_event_error(event)
        chosen: list[str] = event["chosen_options"]
        params: dict[str, Any] = event["params_input"] or {}
        self.validate_chosen_options(chosen)
        self.validate_params_input(params)
        return HITLTriggerEventSuccessPayload(
            chosen_options=chosen,
            params_input=params,
            responded_at=event["responded_at"],
            responded_by_user=event["responded_by_user"],
        )

    def process_trigger_event_error(self, event: dict[str, Any]) -> None:
        """Raises HITLTimeoutError, or HITLTriggerEventError."""
        raise (HITLTimeoutError if event["error_type"] == "timeout" else HITLTriggerEventError)(event)

    def validate_chosen_options(self, chosen_options: Iterable[str]) -> None:
        """Raises ValueError for what was not to be chosen."""
        strange = set(chosen_options) - set(self.options)
        if strange:
            raise ValueError(f"Responses {strange} not in {self.options}")

    def validate_params_input(self, params_input: Mapping[str, Any]) -> None:
        """Takes the values over into `params`. Raises ValueError, ParamValidationError."""
        if self.params and params_input and set(self.params) != set(params_input):
            raise ValueError(f"params_input {params_input} does not match params {self.params}")
        filled = ParamsDict().merged(self.params)
        for name, value in params_input.items():
            filled[name] = value
        filled.validate()
        self.params = filled

    # ------------------------------------------------------------------ links

    def generate_link_to_ui(
        self,
        *,
        task_instance: Any,
        base_url: str | None = None,
        options: str | Iterable[str] | None = None,
        params_input: Mapping[str, Any] | None = None,
    ) -> str:
        """Address of the page on which the question is answered, for messages. Raises ValueError."""
        chosen = [options] if isinstance(options, str) else list(options or ())
        if strange := set(chosen) - set(self.options):
            raise ValueError(f"options {strange} are not valid options")
        values = dict(params_input or {})
        if strange := set(values) - set(self.params):
            raise ValueError(f"params {strange} are not valid params")
        base_url = base_url or current_defaults().base_url
        if not base_url:
            raise ValueError("Not able to retrieve base_url: give it, such as base_url='https://tradewind.example.com'")
        ti = task_instance
        place = {"dag_id": ti.dag_id, "dag_run_id": ti.run_id, "task_id": ti.task_id, "map_index": ti.map_index}
        query = {**place, **({"_options": chosen} if chosen else {}), **values}
        return f"{base_url.rstrip('/')}/inputs?{urlencode(query, doseq=True)}"

    @staticmethod
    def generate_link_to_ui_from_context(
        *,
        context: Any,
        base_url: str | None = None,
        options: str | Iterable[str] | None = None,
        params_input: Mapping[str, Any] | None = None,
    ) -> str:
        """The same, of the task whose context this is. Raises ValueError for a task of another kind."""
        task: object = context["task"]
        if not isinstance(task, HITLOperator):
            raise ValueError("This method only supports HITLOperator")
        return task.generate_link_to_ui(
            task_instance=context["task_instance"], base_url=base_url, options=options, params_input=params_input
        )


class ApprovalOperator(HITLOperator):
    """Asks for a yes. After a no what follows is skipped: directly, or with `ignore_downstream_trigger_rules` all of
    it; with `fail_on_reject` the task fails instead (HITLRejectException).
    """

    FIXED_ARGS: ClassVar[Sequence[str]] = ("options", "multiple")
    APPROVE: ClassVar[str] = "Approve"
    REJECT: ClassVar[str] = "Reject"
    outcome_kind: ClassVar[OutcomeForm] = "short_circuit"

    def __init__(
        self,
        *,
        subject: str,
        ignore_downstream_trigger_rules: bool = False,
        fail_on_reject: bool = False,
        **arguments: Unpack[HITLArguments],
    ) -> None:
        given = cast("dict[str, Any]", arguments)
        for name in self.FIXED_ARGS:
            if name in given:
                raise ValueError(f"Passing {name} to ApprovalOperator is not allowed.")
        self.ignore_downstream_trigger_rules = ignore_downstream_trigger_rules
        self.fail_on_reject = fail_on_reject
        super().__init__(subject=subject, options=[self.APPROVE, self.REJECT], **given)

    def lets_on(self, value: Any) -> bool:
        """Whether what the task has returned lets what follows run."""
        return self.APPROVE in value["chosen_options"]

    def execute_complete(self, context: Any, event: dict[str, Any]) -> Any:
        """As that of every such task. Raises HITLRejectException with `fail_on_reject`."""
        answer = super().execute_complete(context, event)
        if self.lets_on(answer):
            self.log.info("Approved: what follows may run")
        elif self.fail_on_reject:
            raise HITLRejectException('Receive "Reject"')
        return answer


class HITLBranchOperator(HITLOperator):
    """Asks which of the tasks that follow are to run: options are their ids, or `options_mapping` says which."""

    outcome_kind: ClassVar[OutcomeForm] = "branch"

    def __init__(
        self,
        *,
        subject: str,
        options: Sequence[str],
        options_mapping: Mapping[str, str] | None = None,
        **arguments: Unpack[HITLArguments],
    ) -> None:
        super().__init__(subject=subject, options=options, **arguments)
        self.options_mapping = dict(options_mapping or {})
        self.validate_options_mapping()

    def validate_options_mapping(self) -> None:
        """Raises ValueError for keys that are no options, and values that are no ids."""
        strange = sorted(set(self.options_mapping) - set(self.options))
        if strange:
            raise ValueError(f"`options_mapping` contains keys that are not in `options`: {strange}")
        values = cast("Mapping[str, object]", self.options_mapping)
        wrong = {key: (value, type(value).__name__) for key, value in values.items() if not isinstance(value, str)}
        if wrong:
            raise ValueError(f"`options_mapping` values must be strings (task_ids).\nInvalid entries: {wrong}")

    def execute_complete(self, context: Any, event: dict[str, Any]) -> Any:
        """The ids of the tasks to go on with."""
        answer = super().execute_complete(context, event)
        return [self.options_mapping.get(option, option) for option in answer["chosen_options"]]


class HITLEntryOperator(HITLOperator):
    """Asks for the `params` as a form; without `options` there is nothing else to choose than `OK`."""

    OK: ClassVar[str] = "OK"

    def __init__(
        self, *, subject: str, options: Sequence[str] | None = None, **arguments: Unpack[HITLArguments]
    ) -> None:
        if options is None and "defaults" not in arguments:
            arguments["defaults"] = [self.OK]
        super().__init__(subject=subject, options=[self.OK] if options is None else options, **arguments)


def _logins(given: str | Sequence[str] | None, users: Sequence[HITLUser]) -> list[str]:
    named = [given] if isinstance(given, str) else list(given or ())
    return [*named, *(user["id"] for user in users if user["id"] not in named)]
