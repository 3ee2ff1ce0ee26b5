# syntax=docker/dockerfile:1
# hipp-prune with all it needs; docs/install.md says how to build and run it. For an NVIDIA GPU:
#   docker build --build-arg BASE=nvidia/cuda:12.8.1-runtime-ubuntu24.04 --build-arg TORCH_INDEX=https://pypi.org/simple …
ARG BASE=python:3.12-slim

FROM ${BASE} AS python
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
# The base decides the version of Python, and so of Debian's or Ubuntu's package.
# hadolint ignore=DL3008
RUN if ! python3 -c 'import ensurepip' 2> /dev/null; then \
        apt-get update && apt-get install --yes --no-install-recommends python3 python3-venv && rm -rf /var/lib/apt/lists/*; \
    fi

FROM python AS build
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
WORKDIR /source
COPY constraints.txt ./
RUN python3 -m venv /opt/hipp-prune \
    && /opt/hipp-prune/bin/pip install --no-cache-dir --index-url "$TORCH_INDEX" "$(grep '^torch==' constraints.txt)"
COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN /opt/hipp-prune/bin/pip install --no-cache-dir --constraint constraints.txt .

FROM python
COPY --from=build /opt/hipp-prune /opt/hipp-prune
# Whoever runs it with --user writes there too.
RUN useradd --no-create-home --uid 10001 pruner && install --directory --mode 1777 /cache /work
ENV PATH=/opt/hipp-prune/bin:$PATH HOME=/cache HF_HOME=/cache/huggingface PYTHONUNBUFFERED=1
USER 10001
WORKDIR /work
RUN hipp-prune --version
ENTRYPOINT ["hipp-prune"]
CMD ["--help"]
