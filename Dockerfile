# syntax=docker/dockerfile:1
# The collector alone, for a ClickHouse of your own (26.7 or newer): no shell, not root, nothing to write but /data.
# The embedded engine is not in it: it is 570 MB, and what restarts containers should not restart a database with them.
#
#   docker build --build-arg CONSENTRY_COMMIT=$(git rev-parse --short=12 HEAD) -t consentry .

# What runs in a browser.
FROM node:22-bookworm-slim AS web
WORKDIR /src/web
COPY web/package.json web/package-lock.json ./
RUN npm ci --omit=dev --ignore-scripts --no-audit --no-fund
COPY web ./
RUN mkdir -p /dist && node build.mjs /dist

# The program.
FROM rust:1.95-bookworm AS build
WORKDIR /src
ARG CONSENTRY_COMMIT=unknown
ENV CONSENTRY_COMMIT=${CONSENTRY_COMMIT} CONSENTRY_WEB_DIST=/dist CARGO_TARGET_DIR=/target
COPY --from=web /dist /dist
COPY Cargo.toml Cargo.lock build.rs ./
COPY build build
COPY src src
COPY schema schema
COPY benches benches
COPY loadtest loadtest
COPY deploy/build-release deploy/build-release
RUN deploy/build-release && mkdir -p /out/data && cp /target/release/consentry /out/consentry

# glibc, root certificates, a user; no shell and no package manager.
FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /out/consentry /usr/bin/consentry
COPY --from=build --chown=65532:65532 --chmod=0700 /out/data /data
# The admin address stays within the container until a token is set and CONSENTRY_ADMIN_LISTEN opens it.
ENV CONSENTRY_LISTEN=0.0.0.0:8080 \
    CONSENTRY_ADMIN_LISTEN=127.0.0.1:8081 \
    CONSENTRY_DATA_DIR=/data \
    CONSENTRY_LOG_FORMAT=json
USER 65532:65532
VOLUME ["/data"]
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["/usr/bin/consentry", "health"]
ENTRYPOINT ["/usr/bin/consentry"]
CMD ["serve"]
