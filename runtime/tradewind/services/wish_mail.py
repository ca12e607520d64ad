"""What mail between runtimes says: wishes as bodies, and as they are read again, side by side."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from tradewind.control_ports import TriggerRequest
from tradewind.model import errors
from tradewind.model.errors import TradewindError
from tradewind.model.outcomes import EncodedValue
from tradewind.model.states import RunType
from tradewind.model.waits import Signal
from tradewind.rules.due import dag_run_id_of


def mail_key_of(dag_id: str, dag_run_id: str) -> str:
    """The idempotency key of a wish for the one run of this name."""
    return f"run:{dag_id}:{dag_run_id}"


def trigger_mail(request: TriggerRequest, now: datetime) -> tuple[str, dict[str, Any]]:
    """The name of the run that is wished for, and the wish as the body of a mail of kind ``trigger``."""
    logical = request.logical_date or now
    dag_run_id = request.dag_run_id or dag_run_id_of(request.run_type, logical)
    return dag_run_id, {
        "conf": request.conf,
        "dag_run_id": dag_run_id,
        "logical_date": logical.isoformat(),
        "unpause": request.unpause,
        "while_paused": request.while_paused,
        "note": request.note,
        "run_type": request.run_type.value,
        "external": request.external,
        "data_interval": request.data_interval,
        "partition_key": request.partition_key,
        "run_after": None if request.run_after is None else request.run_after.isoformat(),
    }


def request_in(dag_id: str, body: Mapping[str, Any]) -> TriggerRequest:
    """What `trigger_mail` has made a body of."""
    logical, interval, after = body.get("logical_date"), body.get("data_interval"), body.get("run_after")
    return TriggerRequest(
        dag_id,
        conf=body.get("conf"),
        dag_run_id=body.get("dag_run_id"),
        logical_date=_moment(logical) if logical else None,
        unpause=bool(body.get("unpause")),
        while_paused=bool(body.get("while_paused")),
        note=body.get("note"),
        run_type=RunType(body.get("run_type", "manual")),
        external=body.get("external", True),
        data_interval=None if interval is None else (_moment(interval[0]), _moment(interval[1])),
        partition_key=body.get("partition_key"),
        run_after=_moment(after) if after else None,
    )


def signal_mail(dag_run_id: str, signal: Signal) -> dict[str, Any]:
    """A signal to a run as the body of a mail of kind ``signal``."""
    value = [signal.value.codec, b64encode(signal.value.data).decode()]
    return {"dag_run_id": dag_run_id, **signal._asdict(), "value": value}


def signal_in(body: Mapping[str, Any]) -> Signal:
    """What `signal_mail` has made a body of."""
    codec, data = body["value"]
    value = EncodedValue(codec, b64decode(data))
    return Signal(body["task_id"], body["map_index"], body["kind"], body["name"], value, body.get("asked", ""))


def error_in(answer: Mapping[str, str]) -> TradewindError:
    """The error that a wish met at its owner."""
    kind = getattr(errors, answer["kind"], TradewindError)
    if isinstance(kind, type) and issubclass(kind, TradewindError):
        made = TradewindError.__new__(kind)
        made.args = (answer["message"],)
        return made
    return TradewindError(answer["message"])


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)
