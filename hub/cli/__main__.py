"""`python -m hub.cli`: how the supervisor starts its processes."""

from hub.cli.main import main

main()
