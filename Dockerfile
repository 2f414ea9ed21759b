# One image for every process: `hub web`, `hub worker`, `hub migrate`.
FROM python:3.12-slim

ENV PYTHONUNBUFFERED=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1

# The libraries change less often than the code, and have a layer of their own.
WORKDIR /app
COPY requirements/runtime.lock requirements/runtime.lock
RUN pip install --require-hashes -r requirements/runtime.lock

COPY pyproject.toml README.md ./
COPY schemas schemas
COPY hub hub
COPY integrations integrations
RUN pip install --no-deps --no-build-isolation .

# Volumes take their owner from the folder they are mounted on.
RUN useradd --uid 10001 --create-home hub && install -d -o hub -g hub -m 0700 /data
USER hub
WORKDIR /home/hub

ENV HUB_DATA=/data \
    HUB_HOST=0.0.0.0
VOLUME /data
EXPOSE 8080
STOPSIGNAL SIGTERM
ENTRYPOINT ["hub"]
CMD ["web"]
