"""Tasks that call an HTTP endpoint."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, TypedDict, Unpack, cast

from tradewind.authoring.arguments import OperatorArguments
from tradewind.authoring.loop_clients import either_way
from tradewind.authoring.operator import BaseOperator
from tradewind.authoring.python_call import call_function
from tradewind.model.errors import AuthoringError, TaskFailed
from tradewind_providers.http.hook import AuthType, HttpHook
from tradewind_providers.http.response import HttpResponse

NextPage = Callable[..., Mapping[str, Any] | None]
ACCEPTED = ("deferrable", "tcp_keep_alive", "tcp_keep_alive_idle", "tcp_keep_alive_count", "tcp_keep_alive_interval")
"""Arguments of Airflow's operators that change nothing here: a coroutine waits, and connections are kept alive."""


class HttpOptions(TypedDict, total=False):
    """How the endpoint is called and what becomes of its answer."""

    method: str
    data: Any
    headers: Mapping[str, str] | None
    pagination_function: NextPage | None
    response_check: Callable[..., bool] | None
    response_filter: Callable[..., Any] | None
    extra_options: Mapping[str, Any] | None
    request_kwargs: Mapping[str, Any] | None
    http_conn_id: str
    log_response: bool
    auth_type: AuthType | None
    retry_args: Mapping[str, Any] | None
    deferrable: bool
    xcom_push: bool
    tcp_keep_alive: bool
    tcp_keep_alive_idle: int
    tcp_keep_alive_count: int
    tcp_keep_alive_interval: int


class HttpArguments(HttpOptions, OperatorArguments, total=False):
    """All arguments of `HttpOperator` beside the endpoint."""


class HttpOperator(BaseOperator):
    """Calls `endpoint` of a connection; the text of the answer is the task's result.

    A coroutine: it uses the session that all tasks of the runtime share. A status of 400 and above fails the task, and
    so does a `response_check` that gives something false. `response_filter` makes the result of the answer;
    `pagination_function` says how the next page is asked for (a dict with `endpoint`, `data`, `headers` or
    `extra_options`), or None after the last: then check and filter get a list of answers. These functions may name
    entries of the context; they run in a thread.
    """

    template_fields: Sequence[str] = ("endpoint", "data", "headers", "request_kwargs")
    template_fields_renderers: ClassVar[Mapping[str, str]] = {"headers": "json", "data": "py"}
    ui_color = "#f4a460"
    own_arguments: ClassVar[frozenset[str]] = frozenset(HttpOptions.__annotations__)

    def __init__(self, *, endpoint: str | None = None, **arguments: Unpack[HttpArguments]) -> None:
        given = cast("dict[str, Any]", arguments)
        own = {name: given.pop(name) for name in HttpOptions.__annotations__.keys() & given.keys()}
        if "xcom_push" in own:  # the spelling of old DAG files
            given.setdefault("do_xcom_push", own["xcom_push"])
        super().__init__(**given)
        self.endpoint = endpoint
        self.method: str = own.get("method", "POST")
        self.data: Any = own.get("data") if own.get("data") is not None else {}
        self.headers: Mapping[str, str] = own.get("headers") or {}
        self.pagination_function: NextPage | None = own.get("pagination_function")
        self.response_check: Callable[..., bool] | None = own.get("response_check")
        self.response_filter: Callable[..., Any] | None = own.get("response_filter")
        self.extra_options: Mapping[str, Any] = own.get("extra_options") or {}
        self.request_kwargs: Mapping[str, Any] = own.get("request_kwargs") or {}
        self.http_conn_id: str = own.get("http_conn_id", HttpHook.default_conn_name)
        self.log_response: bool = own.get("log_response", False)
        self.auth_type: AuthType | None = own.get("auth_type")
        for name in ("pagination_function", "response_check", "response_filter"):
            if own.get(name) is not None and not callable(own[name]):
                raise AuthoringError(f"{type(self).__name__} {self.task_id!r}: {name} must be a function")

    @property
    def hook(self) -> HttpHook:
        """The hook that makes the requests."""
        return HttpHook(self.method, http_conn_id=self.http_conn_id, auth_type=self.auth_type)

    @property
    def is_async(self) -> bool:
        """Whether it runs on the loop: unless a subclass has a plain `execute` of its own."""
        return type(self).execute is HttpOperator.execute or super().is_async

    def execute(self, context: Any) -> Any:
        """Calls the endpoint: on an event loop a coroutine, elsewhere its result. Raises TaskFailed where the check
        fails, HttpStatusError for bad statuses.
        """
        return either_way(lambda: self._execute(context))

    async def _execute(self, context: Any) -> Any:
        self.log.info("Calling HTTP method")
        hook = self.hook
        request = {"endpoint": self.endpoint, "data": self.data, "headers": self.headers}
        request["extra_options"] = self.extra_options
        answers = [await hook.send(**request, method=self.method, **self.request_kwargs)]
        while self.pagination_function is not None:
            following = await asyncio.to_thread(self.pagination_function, answers[-1])
            if not following:
                break
            request = merged_page(request, following)
            answers.append(await hook.send(**request, method=self.method, **self.request_kwargs))
        answer = answers if self.pagination_function is not None else answers[0]
        return await asyncio.to_thread(self.process_response, context, answer)

    def process_response(self, context: Mapping[str, Any], response: HttpResponse | list[HttpResponse]) -> Any:
        """The result of the answer, or of the answers of all pages. Raises TaskFailed where the check fails."""
        if self.log_response:
            self.log.info("%s", self.default_response_maker(response))
        if self.response_check is not None and not call_function(self.response_check, [response], {}, context):
            raise TaskFailed("Response check returned False.")
        if self.response_filter is not None:
            return call_function(self.response_filter, [response], {}, context)
        return self.default_response_maker(response)

    @staticmethod
    def default_response_maker(response: HttpResponse | list[HttpResponse]) -> str | list[str]:
        """The text, or the texts."""
        return [each.text for each in response] if isinstance(response, list) else response.text


def merged_page(request: Mapping[str, Any], following: Mapping[str, Any]) -> dict[str, Any]:
    """The request for the next page: what is said of it over what was asked before."""
    page = dict(request)
    for name, value in following.items():
        if name not in page:
            raise TaskFailed(f"pagination_function: it said {name!r}; known: {', '.join(page)}")
        before = page[name]
        both = isinstance(before, Mapping) and isinstance(value, Mapping)
        page[name] = {**cast("Mapping[str, Any]", before), **value} if both else value
    return page


SimpleHttpOperator = HttpOperator
