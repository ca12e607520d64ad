"""HTTP: the shared client of a connection, and the hook, operator and sensor that use it.

::

    async with http("launch_api") as session:          # an aiohttp.ClientSession, one for the connection and loop
        async with session.get("launches") as reply: ...
"""

from __future__ import annotations

from tradewind_providers.http.hook import HttpAsyncHook as HttpAsyncHook
from tradewind_providers.http.hook import HttpHook as HttpHook
from tradewind_providers.http.hook import http as http
from tradewind_providers.http.operators import HttpOperator as HttpOperator
from tradewind_providers.http.response import HttpResponse as HttpResponse
from tradewind_providers.http.response import HttpStatusError as HttpStatusError
from tradewind_providers.http.sensors import HttpSensor as HttpSensor
