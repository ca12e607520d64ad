"""A service of film ratings with pages and a password, and the package that users wrote for it."""

from __future__ import annotations

import base64
import http.server
import json
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import cast
from urllib.parse import parse_qs, urlsplit

LOGIN = "ada:pass word"

RATINGS = [
    {
        "date": f"2019-01-0{day}",
        "movieId": movie,
        "rating": float((movie * day) % 5 + 1),
        "timestamp": 1546214400 + 86400 * day + user,
        "userId": user,
    }
    for day in range(1, 6)
    for user, movie in enumerate((1, 2, 3, 4, 5, 6, 6), 1)
]
"""Seven ratings of each of five days."""


class RatingsServer(http.server.ThreadingHTTPServer):
    """What was asked for, and how it answers: nothing found for so many requests, or broken."""

    def __init__(self) -> None:
        self.paths: list[str] = []
        self.empty_answers = 0
        self.broken = False
        super().__init__(("127.0.0.1", 0), _Answers)

    @property
    def connection(self) -> str:
        """As users set it in `AIRFLOW_CONN_…`."""
        return f"http://{LOGIN.replace(' ', '%20')}@127.0.0.1:{self.server_port}/http"


class _Answers(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        """A page of the ratings from `start_date` up to but without `end_date`."""
        service = cast("RatingsServer", self.server)
        service.paths.append(self.path)
        if self.headers["Authorization"] != f"Basic {base64.b64encode(LOGIN.encode()).decode()}":
            self._answer(401, {"error": "who are you?"})
        elif service.broken:
            self._answer(500, {"error": "out of order"})
        else:
            self._answer(200, self._page(service))

    def _page(self, service: RatingsServer) -> dict[str, object]:
        query = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
        first, after = query.get("start_date", ""), query.get("end_date", "9")
        found = [rating for rating in RATINGS if first <= str(rating["date"]) < after]
        if service.empty_answers > 0:
            service.empty_answers -= 1
            found = []
        offset, limit = int(query["offset"]), int(query["limit"])
        return {"result": found[offset : offset + limit], "offset": offset, "limit": limit, "total": len(found)}

    def _answer(self, status: int, content: dict[str, object]) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


@contextmanager
def ratings_service() -> Generator[RatingsServer]:
    """The service, on a port of its own."""
    server = RatingsServer()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


HOOKS = """
import base64
import json
import urllib.error
import urllib.parse
import urllib.request

from airflow.hooks.base_hook import BaseHook


class MovielensHook(BaseHook):
    DEFAULT_SCHEMA = "http"
    DEFAULT_PORT = 5000

    def __init__(self, conn_id):
        super().__init__()
        self._conn_id = conn_id
        self._headers = None
        self._base_url = None

    def __enter__(self):
        return self

    def __exit__(self, exc_type, exc_val, exc_tb):
        self.close()

    def get_conn(self):
        if self._headers is None:
            config = self.get_connection(self._conn_id)
            if not config.host:
                raise ValueError(f"No host specified in connection {self._conn_id}")
            schema = config.schema or self.DEFAULT_SCHEMA
            port = config.port or self.DEFAULT_PORT
            self._base_url = f"{schema}://{config.host}:{port}"
            self._headers = {}
            if config.login:
                pair = base64.b64encode(f"{config.login}:{config.password}".encode()).decode()
                self._headers["Authorization"] = f"Basic {pair}"
        return self._headers, self._base_url

    def close(self):
        self.log.info("closed the hook of %s", self._conn_id)
        self._headers = None
        self._base_url = None

    def get_ratings(self, start_date=None, end_date=None, batch_size=100):
        params = {"start_date": start_date, "end_date": end_date}
        yield from self._pages("/ratings", {k: v for k, v in params.items() if v is not None}, batch_size)

    def _pages(self, endpoint, params, batch_size):
        headers, base_url = self.get_conn()
        offset, total = 0, None
        while total is None or offset < total:
            query = urllib.parse.urlencode({**params, "offset": offset, "limit": batch_size})
            request = urllib.request.Request(f"{base_url}{endpoint}?{query}", headers=headers)
            try:
                with urllib.request.urlopen(request, timeout=60) as response:
                    page = json.load(response)
            except urllib.error.HTTPError as error:
                with error:
                    raise RuntimeError(str(error)) from None
            yield from page["result"]
            offset += batch_size
            total = page["total"]
"""

OPERATORS = """
import json
import os
from collections import defaultdict

from airflow.models import BaseOperator
from airflow.utils.decorators import apply_defaults

from PACKAGE.hooks import MovielensHook


class MovielensFetchRatingsOperator(BaseOperator):
    template_fields = ("_start_date", "_end_date", "_output_path")

    @apply_defaults
    def __init__(self, conn_id, output_path, start_date="{{ds}}", end_date="{{next_ds}}", batch_size=1000, **kwargs):
        super(MovielensFetchRatingsOperator, self).__init__(**kwargs)
        self._conn_id = conn_id
        self._output_path = output_path
        self._start_date = start_date
        self._end_date = end_date
        self._batch_size = batch_size

    def execute(self, context):
        hook = MovielensHook(self._conn_id)
        try:
            self.log.info(f"Fetching ratings for {self._start_date} to {self._end_date}")
            ratings = list(hook.get_ratings(self._start_date, self._end_date, batch_size=self._batch_size))
            self.log.info(f"Fetched {len(ratings)} ratings")
        finally:
            hook.close()
        os.makedirs(os.path.dirname(self._output_path), exist_ok=True)
        with open(self._output_path, "w") as out:
            json.dump(ratings, fp=out)


class MovielensPopularityOperator(BaseOperator):
    def __init__(self, conn_id, start_date, end_date, min_ratings=4, top_n=5, **kwargs):
        super().__init__(**kwargs)
        self._conn_id = conn_id
        self._start_date = start_date
        self._end_date = end_date
        self._min_ratings = min_ratings
        self._top_n = top_n

    def execute(self, context):
        with MovielensHook(self._conn_id) as hook:
            sums = defaultdict(list)
            for rating in hook.get_ratings(start_date=self._start_date, end_date=self._end_date):
                sums[rating["movieId"]].append(rating["rating"])
        means = {
            movie: (sum(given) / len(given), len(given))
            for movie, given in sums.items()
            if len(given) >= self._min_ratings
        }
        return sorted(means.items(), key=lambda item: item[1], reverse=True)[: self._top_n]
"""

SENSORS = """
from airflow.sensors.base import BaseSensorOperator
from airflow.utils.decorators import apply_defaults

from PACKAGE.hooks import MovielensHook


class MovielensRatingsSensor(BaseSensorOperator):
    template_fields = ("_start_date", "_end_date")

    @apply_defaults
    def __init__(self, conn_id, start_date="{{ds}}", end_date="{{next_ds}}", **kwargs):
        super().__init__(**kwargs)
        self._conn_id = conn_id
        self._start_date = start_date
        self._end_date = end_date

    def poke(self, context):
        hook = MovielensHook(self._conn_id)
        try:
            next(hook.get_ratings(start_date=self._start_date, end_date=self._end_date, batch_size=1))
            self.log.info(f"Found ratings for {self._start_date} to {self._end_date}, continuing!")
            return True
        except StopIteration:
            self.log.info(f"Didn't find any ratings for {self._start_date} to {self._end_date}, waiting...")
            return False
        finally:
            hook.close()
"""

RANKING = """
from collections import defaultdict


def rank_movies_by_rating(ratings, min_ratings=2):
    given = defaultdict(list)
    for rating in ratings:
        given[rating["movieId"]].append(rating["rating"])
    found = [(sum(of) / len(of), movie) for movie, of in given.items() if len(of) >= min_ratings]
    return [movie for _, movie in sorted(found, reverse=True)]
"""


def write_package(folder: Path, name: str) -> None:
    """The package of users, by its name, in that folder."""
    package = folder / name
    package.mkdir(parents=True)
    modules = {"__init__": "", "hooks": HOOKS, "operators": OPERATORS, "sensors": SENSORS, "ranking": RANKING}
    for module, text in modules.items():
        (package / f"{module}.py").write_text(text.replace("PACKAGE", name).lstrip())
