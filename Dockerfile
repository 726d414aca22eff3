FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
# The caches live beside the layers, so the binary is copied out of them in the same step. Cargo goes by the times of files:
# one that changed while the cache was made would look older than what was built without the change.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    find . -path ./target -prune -o -type f -exec touch {} + \
    && cargo build --locked --profile dist --package quarterdeck \
    && install -D -m 755 target/dist/quarterdeck /out/quarterdeck

FROM debian:bookworm-slim AS server
LABEL org.opencontainers.image.title="quarterdeck" \
      org.opencontainers.image.description="Session orchestration server for the Agents API" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && install -d -o 10001 -g 10001 /var/lib/quarterdeck
COPY --from=build /out/quarterdeck /usr/local/bin/quarterdeck
COPY LICENSE /usr/share/doc/quarterdeck/LICENSE

USER 10001:10001
ENV QUARTERDECK_LISTEN=0.0.0.0:8430 \
    QUARTERDECK_DATA_DIR=/var/lib/quarterdeck
VOLUME /var/lib/quarterdeck
EXPOSE 8430
# Drains: running steps get a grace period, leases are released, waiters are answered.
STOPSIGNAL SIGTERM
# Without --start-interval, which engines before 25 do not know.
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 \
    CMD ["quarterdeck", "health"]
ENTRYPOINT ["quarterdeck"]
CMD ["serve"]

# docker build --target browser: the same with a browser, and fonts, without which pages are white. Its sandbox needs user
# namespaces, which Docker's usual seccomp profile forbids: see docs/web.md.
FROM server AS browser
USER root
RUN apt-get update \
    && apt-get install -y --no-install-recommends \
        chromium-headless-shell fonts-liberation fonts-noto-core fonts-noto-cjk fonts-noto-color-emoji \
    && rm -rf /var/lib/apt/lists/*
USER 10001:10001

FROM server
