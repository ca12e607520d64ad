"""The web server: pages, REST API under ``/api/v1``, event streams and login, on aiohttp."""
