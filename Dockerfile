# wifi_assets with tshark and Dagster: one image for the code location, the webserver, the daemon and the capture.
FROM python:3.11.13-slim-bookworm AS build
WORKDIR /src
COPY requirements.lock pyproject.toml README.md ./
COPY wifi_assets wifi_assets
# The lock also holds the developers' tools, so it only constrains.
RUN python -m venv /opt/venv \
    && /opt/venv/bin/pip install --no-cache-dir --constraint requirements.lock .

FROM python:3.11.13-slim-bookworm
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends tshark \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 1000 wifi \
    && install --directory --owner wifi /data /opt/dagster /opt/dagster/storage
COPY --from=build /opt/venv /opt/venv
COPY deploy/dagster.yaml deploy/workspace.yaml /opt/dagster/
ENV PATH=/opt/venv/bin:$PATH DAGSTER_HOME=/opt/dagster PYTHONUNBUFFERED=1
USER wifi
WORKDIR /data
CMD ["wifi-assets", "--help"]
