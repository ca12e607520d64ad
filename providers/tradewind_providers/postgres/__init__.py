"""PostgreSQL: the shared pool of a connection, and the hook, operator and sensor that use it.

::

    async with postgres("warehouse") as pool:          # an asyncpg.Pool, one for the connection and loop
        await pool.fetch("select …")
"""

from __future__ import annotations

from tradewind_providers.postgres.hook import PostgresHook as PostgresHook
from tradewind_providers.postgres.listening import listening as listening
from tradewind_providers.postgres.operators import PostgresOperator as PostgresOperator
from tradewind_providers.postgres.pool import postgres as postgres
