# The server as an image: `docker build --tag afterglow .`. See docs/deploying.md for how to run it.
#
# The base tag moves with patch releases. For a reproducible image, name the base by digest:
# --build-arg PYTHON=python:3.13-slim-bookworm@sha256:…
ARG PYTHON=python:3.13-slim-bookworm

FROM ${PYTHON} AS build
WORKDIR /build
COPY layers/dependencies/requirements.txt layers/dependencies/requirements-build.txt ./
RUN python -m venv --without-pip /opt/afterglow \
  && pip install --no-cache-dir --require-hashes --only-binary :all: -r requirements-build.txt \
  && pip --python /opt/afterglow install --no-cache-dir --require-hashes --only-binary :all: -r requirements.txt
COPY pyproject.toml README.md LICENSE ./
COPY layers/afterglow layers/afterglow
RUN pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir wheels . \
  && pip --python /opt/afterglow install --no-cache-dir --no-deps --no-index wheels/*.whl \
  && find /opt/afterglow -name tests -type d -prune -exec rm -rf {} +

FROM ${PYTHON}
COPY --from=build /opt/afterglow /opt/afterglow
# A new volume gets its owner from this directory. 10001 is not the id of any existing user.
RUN install --directory --owner=10001 --group=10001 --mode=0700 /data
ENV PATH=/opt/afterglow/bin:/usr/local/bin:/usr/bin:/bin PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s --retries=3 \
  CMD ["python", "-I", "-c", "import http.client, sys; c = http.client.HTTPConnection('127.0.0.1', 8000, timeout=4); c.request('GET', '/api/v2/healthcheck'); sys.exit(c.getresponse().status != 200)"]
ENTRYPOINT ["afterglow"]
CMD ["run", "--path", "/data", "--host", "0.0.0.0", "--port", "8000"]
