"""The integration hub for product teams: webhooks in, one shared schema, routes, syncs out."""

__version__ = "0.1.0"
