"""`@asset`: a function that makes a piece of data, as a DAG of one task and as the asset itself.

::

    @asset(schedule="@daily", uri="s3://lake/orders")
    def orders(self, context): ...

    @asset(schedule=orders)
    def report(orders, context):          # an inlet by the parameter's name
        context["inlet_events"][orders]
"""

from __future__ import annotations

import inspect
import weakref
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any, Final, cast, overload

from tradewind.authoring.assets import Asset, AssetAlias, AssetRef, AssetWatcher
from tradewind.authoring.dag import DAG
from tradewind.authoring.defaults import current_defaults
from tradewind.authoring.timetables import timetable_for
from tradewind.authoring.written_for import file_written_for
from tradewind.model.errors import AuthoringError
from tradewind.model.specs import Json
from tradewind.standard.python import PythonOperator

Outlet = Asset | AssetAlias

_OWN: Final = frozenset({"self", "context", "outlet_events"})
_made: weakref.WeakValueDictionary[str, Asset] = weakref.WeakValueDictionary()
"""Assets that `@asset` has made in this process, by name: what parameters are given."""


class AssetDefinition(Asset):
    """What `@asset` makes: an asset with the function that produces it and the DAG that runs it."""

    def __init__(self, function: Callable[..., Any], dag: DAG | None = None, **about: Any) -> None:
        super().__init__(**about)
        self.function = function
        self.dag = dag


class MultiAssetDefinition(Sequence[Outlet]):
    """What `@asset.multi` makes: the assets of one function, and its DAG."""

    def __init__(self, name: str, function: Callable[..., Any], outlets: Sequence[Outlet]) -> None:
        self.name = name
        self.function = function
        self.outlets = tuple(outlets)
        self.dag: DAG | None = None

    @overload
    def __getitem__(self, index: int) -> Outlet: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Outlet]: ...
    def __getitem__(self, index: int | slice) -> Outlet | Sequence[Outlet]:
        return self.outlets[index]

    def __len__(self) -> int:
        return len(self.outlets)


class _AssetDecorator:
    """`@asset(schedule=…)`, and `@asset.multi(outlets=[…], schedule=…)` for functions that make several."""

    def __call__(
        self,
        *,
        schedule: object,
        name: str | None = None,
        uri: str | None = None,
        group: str | None = None,
        extra: Mapping[str, Json] | None = None,
        watchers: Sequence[AssetWatcher] = (),
        **settings: Any,
    ) -> Callable[[Callable[..., Any]], AssetDefinition]:
        """The function's name is that of the asset, of the DAG and of its task. `settings` are arguments of the DAG.

        The parameter `self` gets the asset, `context` the context; any other without a default is an inlet: it
        gets the asset of that name.
        """

        def decorate(function: Callable[..., Any]) -> AssetDefinition:
            own = name or _name_of(function)
            made = AssetDefinition(function, name=own, uri=uri or own, group=group, extra=extra, watchers=watchers)
            made.dag = _dag_of(function, own, [made], {"schedule": schedule, **settings})
            _made[own] = made
            return made

        return decorate

    def multi(
        self, *, schedule: object, outlets: Sequence[Outlet], name: str | None = None, **settings: Any
    ) -> Callable[[Callable[..., Any]], MultiAssetDefinition]:
        """As `@asset`, for a function that makes all of `outlets`."""
        if not outlets:
            raise AuthoringError("@asset.multi: outlets= needs at least one asset")

        def decorate(function: Callable[..., Any]) -> MultiAssetDefinition:
            own = name or _name_of(function)
            made = MultiAssetDefinition(own, function, outlets)
            made.dag = _dag_of(function, own, outlets, {"schedule": schedule, **settings})
            return made

        return decorate


asset: Final = _AssetDecorator()


def _name_of(function: object) -> str:
    name = getattr(function, "__name__", "")
    if not callable(function) or not name.isidentifier():
        raise AuthoringError(f"@asset: a function with a name is needed, not {function!r}")
    return str(name)


def _dag_of(function: Callable[..., Any], name: str, outlets: Sequence[Outlet], settings: Mapping[str, Any]) -> DAG:
    given = dict(settings)
    dag_id = given.pop("dag_id", None) or name
    if isinstance(given["schedule"], str) and given.get("start_date") is None:
        by_file = file_written_for(_file_of(function) or "") != 3
        intervals = current_defaults().with_intervals(by_file).cron_intervals is not False
        # from now on: an asset has no past to make up for
        given["schedule"] = timetable_for(given["schedule"], cron_intervals=intervals)
    if given.get("doc_md") is None and function.__doc__:
        given["doc_md"] = inspect.cleandoc(function.__doc__)
    dag = DAG(dag_id, **cast("Any", given))
    dag.fileloc = _file_of(function) or dag.fileloc
    wanted = _parameters(function, name)
    inlets = [AssetRef(name=parameter) for parameter in wanted if parameter not in _OWN]
    with dag:
        PythonOperator(
            task_id=name, python_callable=_called(function, wanted, outlets[0]), inlets=inlets, outlets=list(outlets)
        )
    return dag


def _file_of(function: Callable[..., Any]) -> str | None:
    return getattr(getattr(function, "__code__", None), "co_filename", None)


def _parameters(function: Callable[..., Any], name: str) -> list[str]:
    wanted: list[str] = []
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
            known = "self, context, outlet_events or names of assets"
            raise AuthoringError(f"@asset {name!r}: parameters are {known}, not {parameter}")
        if parameter.name in _OWN or parameter.default is parameter.empty:
            wanted.append(parameter.name)
    return wanted


def _called(function: Callable[..., Any], wanted: Sequence[str], own: Outlet) -> Callable[..., Any]:
    """The function with its parameters filled in; a coroutine function where it is one."""

    def values(context: Mapping[str, Any]) -> dict[str, Any]:
        special: dict[str, Any] = {"self": own, "context": context, "outlet_events": context["outlet_events"]}
        return {name: special[name] if name in special else _made.get(name) or Asset(name) for name in wanted}

    if inspect.iscoroutinefunction(function):

        async def call_async(**context: Any) -> Any:
            return await function(**values(context))

        return call_async

    def call(**context: Any) -> Any:
        return function(**values(context))

    def call_yielding(**context: Any) -> Generator[Any, Any, Any]:
        return (yield from cast("Generator[Any, Any, Any]", function(**values(context))))

    return call_yielding if inspect.isgeneratorfunction(function) else call
