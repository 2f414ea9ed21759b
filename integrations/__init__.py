"""One folder per vendor. Each imports `hub.sdk` and nothing else of the hub."""
