# One image for every process: `hub web`, `hub worker`, `hub migrate`.
FROM python:3.12-slim AS build
WORKDIR /src
COPY requirements/runtime.lock requirements/runtime.lock
RUN python -m venv /opt/hub && /opt/hub/bin/pip install --no-cache-dir --require-hashes -r requirements/runtime.lock
COPY pyproject.toml README.md ./
COPY hub hub
COPY integrations integrations
COPY schemas schemas
RUN /opt/hub/bin/pip install --no-cache-dir --no-deps --no-build-isolation .

FROM python:3.12-slim
RUN useradd --create-home --uid 10001 hub && mkdir /data && chown hub /data
COPY --from=build /opt/hub /opt/hub
ENV PATH=/opt/hub/bin:$PATH PYTHONUNBUFFERED=1 HUB_DATA=/data HUB_HOST=0.0.0.0 HUB_LOG_FORMAT=json
USER hub
VOLUME /data
EXPOSE 8080
CMD ["hub", "web"]
