# One image with every program: anomaly-processor, ws-gateway, log-generator and barograph.
# Needs nothing of BuildKit: the classic builder makes the same image, with the same caching.

# --- the dashboard, which becomes part of ws-gateway
FROM node:20-bookworm-slim AS dashboard
WORKDIR /src/dashboard
COPY dashboard/package.json dashboard/package-lock.json ./
RUN npm ci --no-audit --no-fund
COPY dashboard ./
RUN npm run build

# --- what decides which dependencies there are: manifests, and empty crates around them
# COPY cannot pick the manifests out of the tree and keep their folders, so a stage does. Its result
# is the same as long as the manifests are, and with it the layer below that compiles dependencies.
FROM debian:bookworm-slim AS manifests
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
COPY .cargo .cargo
COPY crates crates
RUN find crates -type f ! -name Cargo.toml \
        ! -path 'crates/*/src/main.rs' ! -path 'crates/*/src/lib.rs' \
        ! -path 'crates/*/src/bin/*.rs' ! -path 'crates/*/build.rs' ! -path 'crates/*/benches/*.rs' -delete \
    && for file in $(find crates -name '*.rs'); do \
        case $file in *lib.rs) : ;; *) echo 'fn main() {}' ;; esac >"$file"; \
    done \
    && find crates -type d -empty -delete

# --- the programs
FROM rust:1.95-bookworm AS programs
WORKDIR /src
ENV PACKAGES="-p anomaly-processor -p ws-gateway -p log-generator -p barograph"
# How many compilers run at once; as many as there are CPUs when not given.
ARG CARGO_BUILD_JOBS
COPY --from=manifests /src ./
RUN cargo build --release --locked --bins $PACKAGES
COPY crates crates
COPY migrations migrations
COPY --from=dashboard /src/dashboard/dist dashboard/dist
# Cargo goes by modification times, and the sources can be older than the empty crates compiled above.
# Line numbers of stack traces stay in the programs, packed, which takes a third off their size.
RUN find crates -name '*.rs' -exec touch {} + \
    && cargo build --release --locked --bins $PACKAGES \
    && mkdir /programs \
    && for program in anomaly-processor ws-gateway log-generator barograph; do \
        objcopy --compress-debug-sections=zlib "target/release/$program" "/programs/$program" || exit 1; \
    done

# --- what runs
FROM debian:bookworm-slim
LABEL org.opencontainers.image.title="Barograph" \
      org.opencontainers.image.description="Finds anomalies in logs: anomaly-processor, ws-gateway, log-generator and the barograph command" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --system --gid 10001 barograph \
    && useradd --system --uid 10001 --gid barograph --home-dir /var/lib/barograph --create-home --shell /usr/sbin/nologin barograph
COPY deploy/barograph/healthy.sh /usr/local/bin/healthy
COPY --from=programs /programs/ /usr/local/bin/
# A program that cannot even say what it is, for a library that is missing here, must not become an image.
RUN for program in anomaly-processor ws-gateway log-generator barograph; do "$program" --help >/dev/null || exit 1; done
USER barograph
WORKDIR /var/lib/barograph
EXPOSE 8080 9101 9102 9103
CMD ["barograph", "--help"]
