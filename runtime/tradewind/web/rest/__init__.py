"""The REST API: one table of routes, from which both the handlers and the OpenAPI document come."""
