"""The aiohttp side: REST, pages and the task API, served from the runtime's own loop."""
