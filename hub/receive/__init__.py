"""Stage 1: a webhook request is verified, deduplicated, committed, acknowledged."""
