# The API function as an image. Run in the repository's root: `docker build --file deploy/lambda.Dockerfile .`
# It contains the template's two layers, built by the same makefiles, and Lambda's runtime client.
#
# Built for the processor of the build machine, or for that of --platform (such as linux/arm64).
ARG VERSION=3.13

FROM python:${VERSION}-bookworm AS build
WORKDIR /build
COPY layers layers
COPY functions/api/app.py /var/task/
RUN if [ "$(uname -m)" = aarch64 ]; then architecture=arm64; else architecture=x86_64; fi \
  && make -C layers/dependencies build-DependenciesLayer ARTIFACTS_DIR=/opt ARCHITECTURE="$architecture" \
  && make -C layers/afterglow build-AfterglowLayer ARTIFACTS_DIR=/opt \
  && pip install --no-cache-dir --no-deps --require-hashes --only-binary :all: --target /opt/runtime \
    -r layers/dependencies/requirements-runtime.txt \
  && chmod -R a+rX /opt/python /opt/runtime /var/task

FROM python:${VERSION}-slim-bookworm
COPY --from=build /opt/python /opt/python
COPY --from=build /opt/runtime /opt/runtime
COPY --from=build /var/task /var/task
ENV PYTHONPATH=/opt/python:/opt/runtime LAMBDA_TASK_ROOT=/var/task PYTHONDONTWRITEBYTECODE=1
WORKDIR /var/task
# For other platforms; Lambda ignores this and uses a user of its own.
USER 10001:10001
ENTRYPOINT ["python", "-m", "awslambdaric"]
CMD ["app.handler"]
