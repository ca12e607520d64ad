"""The whole job: fetch a list over HTTP, fetch the pictures that it names at the same time, tell how many there are."""

from __future__ import annotations

import asyncio
import hashlib
import os
import socket
import tempfile
from datetime import timedelta
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from tradewind import DAG, FailWithoutRetry, Param, TaskFailed, Variable, get_current_context, task

if TYPE_CHECKING:
    import aiohttp

LAUNCH_LIBRARY = "https://ll.thespacedevs.com/2.0.0/launch/upcoming/"
AT_ONCE = 8
LIST_SECONDS = 30.0
PICTURE_SECONDS = 30.0
LARGEST_PICTURE = 20 * 1024 * 1024


class BadPictureError(Exception):
    """Why one picture could not be fetched."""


def host_of(address: str) -> str:
    """The part of an address that a person looks for when it cannot be reached."""
    return urlsplit(address).netloc or address


def cause_of(error: BaseException, seconds: float) -> str:
    """What went wrong, in the words of whoever knows best."""
    if isinstance(error, TimeoutError):
        return f"no answer within {seconds:g} s"
    below = getattr(error, "os_error", error)  # set where aiohttp could not connect
    if isinstance(below, OSError) and below.errno:
        plain = below.strerror if isinstance(below, socket.gaierror) else os.strerror(below.errno)
        return plain or str(below)
    return str(error) or type(error).__name__


def file_name(address: str, taken: set[str]) -> str:
    """The last part of the address, or one with a hash where that is taken or empty."""
    name = PurePosixPath(unquote(urlsplit(address).path)).name.replace("\0", "")[-120:]
    if not name or name in (".", "..") or name in taken:
        name = f"{hashlib.sha256(address.encode()).hexdigest()[:12]}-{name or 'picture'}"
    taken.add(name)
    return name


async def fetch_picture(session: aiohttp.ClientSession, address: str, target: Path) -> None:
    """Writes one picture. Raises BadPictureError, with the reason."""
    import aiohttp

    try:
        async with asyncio.timeout(PICTURE_SECONDS), session.get(address) as answer:
            if answer.status != 200:
                raise BadPictureError(f"{answer.url.host} answered {answer.status} {answer.reason}")
            if not answer.content_type.startswith("image/"):
                raise BadPictureError(f"{answer.url.host} sent {answer.content_type}, which is no picture")
            body = await answer.content.read(LARGEST_PICTURE + 1)
            while len(body) <= LARGEST_PICTURE and (more := await answer.content.read(LARGEST_PICTURE)):
                body += more
    except aiohttp.InvalidURL as error:
        raise BadPictureError("this is no address of a web server") from error
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise BadPictureError(f"{host_of(address)}: {cause_of(error, PICTURE_SECONDS)}") from error
    if len(body) > LARGEST_PICTURE:
        raise BadPictureError(f"larger than {LARGEST_PICTURE >> 20} MiB")
    await asyncio.to_thread(write_whole, target, body)


def write_whole(target: Path, body: bytes) -> None:
    """All of the file or nothing of it, whatever happens in between."""
    target.parent.mkdir(parents=True, exist_ok=True)
    half = target.with_name(f".{target.name}.part")
    half.write_bytes(body)
    half.replace(target)


with DAG(
    "example_12_rocket_launches",
    "Fetch the pictures of upcoming rocket launches, at the same time",
    schedule=None,
    tags=["example"],
    is_paused_upon_creation=False,
    max_active_runs=1,  # runs write into the same folder
    params={
        "address": Param(
            "",
            "address of the list; empty: the variable launches_address, else the Launch Library",
            type="string",
        ),
        "folder": Param("", "where the pictures go; empty: a folder for temporary files", type="string"),
    },
    doc_md=f"""
### Rocket launches

`fetch_launches` reads a JSON list of upcoming rocket launches from a web service ({LAUNCH_LIBRARY}),
`fetch_pictures` fetches the pictures that it names, {AT_ONCE} at a time, and `notify` tells how many there are. A
picture that cannot be fetched is reported with the reason and stops nothing. A service that cannot be reached fails
the run, and the error names the host and the cause.

Another list: `tradewind dags trigger example_12_rocket_launches --conf '{{"address":
"http://localhost:8000/launches.json"}}'`, or `TRADEWIND_VAR_LAUNCHES_ADDRESS` in the environment.
""",
):

    @task(retries=1, retry_delay=timedelta(seconds=2))
    async def fetch_launches() -> list[dict[str, Any]]:
        """The launches, each with `name` and `image`. Raises TaskFailed naming the host and the cause."""
        import aiohttp

        address = get_current_context()["params"]["address"]
        address = address or await Variable.aget("launches_address", LAUNCH_LIBRARY)
        print(f"reading {address}")
        try:
            async with (
                asyncio.timeout(LIST_SECONDS),
                aiohttp.ClientSession(trust_env=True) as session,
                session.get(address) as answer,
            ):
                if answer.status != 200:
                    raise TaskFailed(f"{host_of(address)} answered {answer.status} {answer.reason} for {address}")
                listing: Any = await answer.json(content_type=None)
        except aiohttp.InvalidURL as error:
            raise FailWithoutRetry(f"{address!r} is no address of a web server") from error
        except ValueError as error:
            raise FailWithoutRetry(f"{host_of(address)} sent something that is no JSON: {error}") from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise TaskFailed(f"{host_of(address)} cannot be reached: {cause_of(error, LIST_SECONDS)}") from error
        try:
            launches = [{"name": str(one["name"]), "image": one.get("image")} for one in listing["results"]]
        except (KeyError, TypeError, AttributeError) as error:
            raise FailWithoutRetry(f"{host_of(address)} sent JSON that is no list of launches: {address}") from error
        print(f"{len(launches)} launches, {sum(bool(one['image']) for one in launches)} with a picture")
        return launches

    @task
    async def fetch_pictures(launches: list[dict[str, Any]]) -> dict[str, Any]:
        """The folder, the files saved in it, and for each picture that is missing the reason."""
        import aiohttp

        chosen = get_current_context()["params"]["folder"]
        folder = Path(chosen or Path(tempfile.gettempdir()) / "tradewind-launches")
        taken: set[str] = set()
        targets = {one: folder / file_name(one, taken) for one in dict.fromkeys(i["image"] for i in launches) if one}
        problems: dict[str, str] = {}
        free = asyncio.Semaphore(AT_ONCE)

        async def fetch(address: str) -> str | None:
            async with free:
                try:
                    await fetch_picture(session, address, targets[address])
                except BadPictureError as error:
                    problems[address] = str(error)
                    print(f"no picture from {address}: {error}")
                    return None
            print(f"{address} is saved as {targets[address]}")
            return targets[address].name

        async with aiohttp.ClientSession(trust_env=True) as session:
            fetched = await asyncio.gather(*(fetch(address) for address in targets))
        saved = [name for name in fetched if name is not None]
        return {"folder": str(folder), "saved": saved, "problems": problems}

    @task
    def notify(result: dict[str, Any]) -> int:
        """Tells how many pictures there are; returns their number."""
        count = len(result["saved"])
        print(f"There are now {count} images in {result['folder']}.")
        for address, why in result["problems"].items():
            print(f"Missing: {address} ({why})")
        return count

    notify(fetch_pictures(fetch_launches()))
