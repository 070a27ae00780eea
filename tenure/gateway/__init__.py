"""Gateway: HTTP API, webhooks, dashboard and codec server in one ASGI app."""
