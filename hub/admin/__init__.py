"""The admin config API under `/api/v1`."""
