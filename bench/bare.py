"""The line to be measured against: a Litestar handler that only reads the body."""

import sys

import uvicorn
from litestar import Litestar, Request, post


@post("/", status_code=202)
async def receive(request: Request) -> None:
    await request.body()


app = Litestar([receive], openapi_config=None, logging_config=None)

if __name__ == "__main__":
    uvicorn.run(
        app, port=int(sys.argv[1]), loop="uvloop", http="httptools", log_config=None,
        access_log=False,
    )  # fmt: skip
