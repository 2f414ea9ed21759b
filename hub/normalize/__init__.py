"""Stage 2: a raw webhook becomes shared events, by the integration's pure function."""
