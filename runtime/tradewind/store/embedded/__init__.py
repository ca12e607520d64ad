"""The PostgreSQL that comes with Tradewind: used when no database is configured.

`EmbeddedServer.join(home)` starts the server of a home folder, or joins the one that other processes
of the same home already use. The last one to leave stops it, however it leaves.

Who reads what here: `binaries` finds an installed PostgreSQL, `places` decides where things live and
under which user they run, `cluster` makes and checks the data directory, `keeper` is the small process
that is the parent of the server, `server` is what the rest of the product holds in its hand.
"""

from __future__ import annotations

from tradewind.store.embedded.errors import EmbeddedError
from tradewind.store.embedded.server import EmbeddedServer

__all__ = ["EmbeddedError", "EmbeddedServer"]
