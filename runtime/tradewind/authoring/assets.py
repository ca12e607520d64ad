"""Assets: named pieces of data that tasks produce and that DAGs can be scheduled on.

::

    orders = Asset("orders", uri="s3://lake/orders.parquet")

    with DAG("report", schedule=orders & clients): ...
    load = PythonOperator(task_id="load", python_callable=f, outlets=[orders])

`Dataset` is the same by its older name and is known by its URI alone. An asset is known by its URI: two with one URI
are the same asset.
"""

from __future__ import annotations

import urllib.parse
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final, NoReturn, cast

import orjson

from tradewind.authoring.triggers import BaseEventTrigger
from tradewind.model.assets import AssetUse
from tradewind.model.errors import AuthoringError
from tradewind.model.specs import Json

LONGEST: Final = 1500
"""Characters that a URI, a name or an alias may have."""


class BaseAsset(ABC):
    """What a schedule can be made of: an asset, an alias, a reference, or several of them with `&` and `|`."""

    @abstractmethod
    def condition(self) -> dict[str, Json]:
        """The condition as data; see `rules.assets`."""

    @abstractmethod
    def leaves(self) -> Iterator[Asset | AssetAlias | AssetRef]:
        """All assets, aliases and references in it, in order."""

    def __and__(self, other: object) -> AssetAll:
        return AssetAll(self, _part(other, "&"))

    def __or__(self, other: object) -> AssetAny:
        return AssetAny(self, _part(other, "|"))

    def as_expression(self) -> Json:
        """The condition as the API shows it: URIs as texts, ``{"any": […]}``, ``{"all": […]}``, ``{"alias": name}``."""
        return expression_of(self.condition())

    def iter_assets(self) -> Iterator[tuple[str, Asset]]:
        """(URI, asset) of all assets in it."""
        for leaf in self.leaves():
            if isinstance(leaf, Asset):
                yield leaf.uri, leaf

    iter_datasets = iter_assets


class Asset(BaseAsset):
    """A named piece of data. Without `uri` the name is the URI, and the other way round.

    Args:
        name: what people call it.
        uri: where it is. Normalised: a password is dropped, the path has no slash at its end, queries are sorted.
        group: a word that views put it under.
        extra: more to say about it, as JSON.
        watchers: triggers whose events are events of this asset, see `AssetWatcher`.
        access_control: kept without effect: there are no teams here.

    Raises:
        AuthoringError: neither name nor URI, or one that cannot be stored.
    """

    default_group: ClassVar[str] = "asset"
    word: ClassVar[str] = "asset"

    def __init__(
        self,
        name: str | None = None,
        uri: str | None = None,
        *,
        group: str | None = None,
        extra: Mapping[str, Json] | None = None,
        watchers: Sequence[AssetWatcher] = (),
        access_control: AssetAccessControl | None = None,
    ) -> None:
        kind = type(self).__name__
        if name is None and uri is None:
            raise AuthoringError(
                f"{kind}: a name or a uri is needed, for example {kind}('orders', uri='s3://lake/orders')"
            )
        self.uri = normalised(uri if uri is not None else cast("str", name), f"{kind}: uri")
        self.name = checked(name, f"{kind}: name") if name is not None else self.uri
        self.group = checked(group, f"{kind}: group") if group else self.default_group
        extra_bytes({} if extra is None else extra, f"{kind} {self.name!r}: extra")
        self.extra: dict[str, Json] = dict(extra or {})
        self.watchers = watchers_from(watchers, f"{kind} {self.name!r}")
        self.access_control = access_control

    @staticmethod
    def ref(*, name: str | None = None, uri: str | None = None) -> AssetRef:
        """A reference to an asset that is defined elsewhere."""
        return AssetRef(name=name, uri=uri)

    def condition(self) -> dict[str, Json]:
        """See BaseAsset."""
        return {"asset": self.uri}

    def leaves(self) -> Iterator[Asset | AssetAlias | AssetRef]:
        """See BaseAsset."""
        yield self

    @property
    def normalized_uri(self) -> str:
        """The URI as it is stored."""
        return self.uri

    def __fspath__(self) -> str:
        return self.uri

    def __eq__(self, other: object) -> bool:
        return self.uri == other.uri if isinstance(other, Asset) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.uri)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(name={self.name!r}, uri={self.uri!r})"


class Dataset(Asset):
    """An asset by its older name: known by its URI alone."""

    default_group: ClassVar[str] = ""
    word: ClassVar[str] = "dataset"

    def __init__(self, uri: str, extra: Mapping[str, Json] | None = None) -> None:
        super().__init__(uri=uri, extra=extra)

    def __repr__(self) -> str:
        return f"Dataset(uri={self.uri!r}, extra={self.extra!r})"


class Model(Asset):
    """An asset that is a trained model."""

    default_group: ClassVar[str] = "model"


class AssetAlias(BaseAsset):
    """A name under which tasks send events of assets that are known only when they run."""

    word: ClassVar[str] = "asset"

    def __init__(self, name: str, group: str = "") -> None:
        self.name = checked(name, f"{type(self).__name__}: name")
        self.group = group

    def condition(self) -> dict[str, Json]:
        """See BaseAsset."""
        return {"alias": self.name}

    def leaves(self) -> Iterator[Asset | AssetAlias | AssetRef]:
        """See BaseAsset."""
        yield self

    def __eq__(self, other: object) -> bool:
        return self.name == other.name if isinstance(other, AssetAlias) else NotImplemented

    def __hash__(self) -> int:
        return hash(("alias", self.name))

    def __repr__(self) -> str:
        return f"{type(self).__name__}(name={self.name!r})"


class DatasetAlias(AssetAlias):
    """An alias by its older name."""

    word: ClassVar[str] = "dataset"


class AssetRef(BaseAsset):
    """An asset that is defined elsewhere, by its name or its URI."""

    def __init__(self, *, name: str | None = None, uri: str | None = None) -> None:
        if (name is None) == (uri is None):
            raise AuthoringError("Asset.ref: either name= or uri= is needed")
        self.name = None if name is None else checked(name, "Asset.ref: name")
        self.uri = None if uri is None else normalised(uri, "Asset.ref: uri")

    def condition(self) -> dict[str, Json]:
        """See BaseAsset."""
        return {"name": self.name} if self.name is not None else {"uri": self.uri}

    def leaves(self) -> Iterator[Asset | AssetAlias | AssetRef]:
        """See BaseAsset."""
        yield self

    def __eq__(self, other: object) -> bool:
        return (self.name, self.uri) == (other.name, other.uri) if isinstance(other, AssetRef) else NotImplemented

    def __hash__(self) -> int:
        return hash(("ref", self.name, self.uri))

    def __repr__(self) -> str:
        return f"Asset.ref({'name' if self.name is not None else 'uri'}={self.name or self.uri!r})"


class _Several(BaseAsset):
    how: ClassVar[str] = ""

    def __init__(self, *parts: BaseAsset) -> None:
        self.objects: tuple[BaseAsset, ...] = tuple(_part(part, type(self).__name__) for part in parts)

    def condition(self) -> dict[str, Json]:
        """See BaseAsset."""
        return {self.how: [part.condition() for part in self.objects]}

    def leaves(self) -> Iterator[Asset | AssetAlias | AssetRef]:
        """See BaseAsset."""
        for part in self.objects:
            yield from part.leaves()

    def __eq__(self, other: object) -> bool:
        return self.objects == other.objects if isinstance(other, type(self)) else NotImplemented

    def __hash__(self) -> int:
        return hash((self.how, self.objects))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(map(repr, self.objects))})"


class AssetAll(_Several):
    """Satisfied when each of its parts is."""

    how: ClassVar[str] = "all"

    def __and__(self, other: object) -> AssetAll:
        return AssetAll(*self.objects, _part(other, "&"))


class AssetAny(_Several):
    """Satisfied when one of its parts is."""

    how: ClassVar[str] = "any"

    def __or__(self, other: object) -> AssetAny:
        return AssetAny(*self.objects, _part(other, "|"))


@dataclass(frozen=True, slots=True)
class AssetAccessControl:
    """Whose events an asset takes where runtimes are shared by teams. Kept as data: there are no teams here."""

    producer_teams: Sequence[str] = ()
    consumer_teams: Sequence[str] | None = None
    allow_global: bool = True


@dataclass(frozen=True)
class AssetWatcher:
    """A trigger whose events are events of the asset: `Asset("orders", watchers=[AssetWatcher("queue", trigger)])`.

    The runtime that owns the DAG runs it for as long as the DAG is there. Each event is committed first and then
    acknowledged to where it came from (`TriggerEvent(…, ack=…)`). `name` tells the watchers of an asset apart.
    Raises AuthoringError for a trigger that is no BaseEventTrigger.
    """

    name: str
    trigger: BaseEventTrigger

    def __post_init__(self) -> None:
        checked(self.name, "AssetWatcher: name")
        given = cast("object", self.trigger)
        if not isinstance(given, BaseEventTrigger):
            raise AuthoringError(
                f"AssetWatcher {self.name!r}: trigger has to be one that fires again and again, a BaseEventTrigger "
                f"(`class Mine(Trigger, BaseEventTrigger)`), not {given!r}"
            )


def watchers_from(given: object, where: str) -> tuple[AssetWatcher, ...]:
    """What stands in `watchers=`. Raises AuthoringError for what is none, and for two with one name."""
    if not isinstance(given, (list, tuple)):
        raise AuthoringError(f"{where}: watchers: a list of AssetWatchers is needed, not {given!r}")
    watchers = tuple(cast("Sequence[object]", given))
    names: set[str] = set()
    for watcher in watchers:
        if not isinstance(watcher, AssetWatcher):
            raise AuthoringError(f"{where}: watchers: {watcher!r} is no AssetWatcher")
        if watcher.name in names:
            raise AuthoringError(f"{where}: watchers: two are called {watcher.name!r}")
        names.add(watcher.name)
    return cast("tuple[AssetWatcher, ...]", watchers)


@dataclass(frozen=True, eq=False)
class Metadata:
    """What a task yields to say more about an event of one of its outlets."""

    asset: Asset | AssetRef | str
    extra: Mapping[str, Json] | None = None
    alias: AssetAlias | str | None = None

    def __iter__(self) -> NoReturn:
        raise TypeError("Metadata is one value: `yield Metadata(asset, extra)`, not `yield from`")


def asset_schedule(schedule: object) -> BaseAsset | None:
    """A DAG's `schedule` as a condition over assets, if it is one: an asset, a condition, or a collection of them.

    Raises:
        AuthoringError: a collection that has something else in it, or nothing.
    """
    if isinstance(schedule, BaseAsset):
        return schedule
    if not isinstance(schedule, (list, tuple, set, frozenset)):
        return None
    parts = list(cast("Iterable[object]", schedule))
    if isinstance(schedule, (set, frozenset)):
        parts.sort(key=repr)
    odd = next((part for part in parts if not isinstance(part, BaseAsset)), None)
    if odd is not None or not parts:
        raise AuthoringError(
            f"schedule={schedule!r}: a list of assets is needed, such as [Asset('orders')]"
            + (f"; {odd!r} is none" if odd is not None else "")
        )
    return AssetAll(*cast("list[BaseAsset]", parts))


def use_of(leaf: Asset | AssetAlias | AssetRef, role: str, task_id: str = "") -> AssetUse:
    """A part of a condition, or an inlet or outlet, as data."""
    if isinstance(leaf, Asset):
        return AssetUse(role, "asset", leaf.uri, task_id, leaf.name, leaf.group, leaf.extra)
    if isinstance(leaf, AssetAlias):
        return AssetUse(role, "alias", leaf.name, task_id, group=leaf.group)
    if leaf.name is not None:
        return AssetUse(role, "name", leaf.name, task_id)
    return AssetUse(role, "uri", leaf.uri or "", task_id)


def assets_among(values: object) -> list[Asset | AssetAlias | AssetRef]:
    """The assets, aliases and references in what stands in `inlets` or `outlets`; other things are left out."""
    many = isinstance(values, (list, tuple, set, frozenset))
    items = cast("Iterable[object]", values) if many else (values,)
    return [item for item in items if isinstance(item, (Asset, AssetAlias, AssetRef))]


def expression_of(condition: Mapping[str, Json]) -> Json:
    """A condition as the API shows it."""
    ((kind, value),) = condition.items()
    if kind in ("any", "all"):
        return {kind: [expression_of(part) for part in value]}
    return value if kind == "asset" else {kind: value}


def checked(text: object, where: str) -> str:
    """A name that can be stored. Raises AuthoringError."""
    if not isinstance(text, str) or not text or text.isspace():
        raise AuthoringError(f"{where}: a text is needed that is not empty, not {text!r}")
    if len(text) > LONGEST or not text.isascii() or not text.isprintable():
        raise AuthoringError(f"{where}: {text!r} must be at most {LONGEST} printable ASCII characters")
    return text


def extra_bytes(extra: object, where: str) -> bytes:
    """Extra as it is stored: a JSON object. Raises AuthoringError naming `where`."""
    if not isinstance(extra, Mapping):
        raise AuthoringError(f"{where}: a mapping is needed, not {extra!r}")
    try:
        return orjson.dumps(dict(cast("Mapping[object, object]", extra)), option=orjson.OPT_SORT_KEYS)
    except (TypeError, ValueError) as error:
        raise AuthoringError(f"{where}: {extra!r} cannot be written as JSON ({error})") from error


def normalised(uri: object, where: str) -> str:
    """The URI that an asset is known by. A text that looks like no URI stays as it is. Raises AuthoringError."""
    text = checked(uri, where)
    try:
        parts = urllib.parse.urlsplit(text)
    except ValueError as error:
        raise AuthoringError(f"{where}: {text!r} is no URI: {error}") from error
    scheme = parts.scheme.lower()
    if not scheme or not (parts.netloc or text[len(scheme) :].startswith("://")) or scheme.startswith("x-"):
        return text
    if scheme == "airflow":
        raise AuthoringError(f"{where}: the scheme of {text!r} is reserved")
    query = urllib.parse.urlencode(sorted(urllib.parse.parse_qsl(parts.query)))
    netloc = parts.netloc.rpartition("@")[2]
    return urllib.parse.urlunsplit((scheme, netloc, parts.path.rstrip("/") or "/", query, ""))


def _part(value: object, where: str) -> BaseAsset:
    if not isinstance(value, BaseAsset):
        raise AuthoringError(f"{where}: an Asset, AssetAlias or a condition of them is needed, not {value!r}")
    return value


def same_kind(leaves: Iterable[Asset | AssetAlias | AssetRef]) -> str:
    """How runs are named that these cause: `dataset` where the file speaks of datasets, else `asset`."""
    return "dataset" if any(getattr(leaf, "word", "") == "dataset" for leaf in leaves) else "asset"
