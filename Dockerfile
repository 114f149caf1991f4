# One image for each controller: docker build --target kruise-statefulset -t REGISTRY/kruise-statefulset:VERSION .
# hack/image/build makes the same without Docker, reproducibly.
FROM rust:1.95-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends musl-tools && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN rustup target add "$(uname -m)-unknown-linux-musl" \
 && TARGET="$(uname -m)-unknown-linux-musl" hack/image/build --out /images \
 && mkdir /binaries && cd target/*/release && for name in kruise-statefulset kruise-broadcastjob kruise-sidecarset kruise-crds kruise-doctor; do \
      if [ -x "$name" ]; then install -m 0755 "$name" /binaries; fi; done

FROM scratch AS kruise-statefulset
COPY --from=build /binaries/kruise-statefulset /binaries/kruise-crds /binaries/kruise-docto[r] /
USER 65532:65532
ENTRYPOINT ["/kruise-statefulset"]

FROM scratch AS kruise-broadcastjob
COPY --from=build /binaries/kruise-broadcastjob /binaries/kruise-crds /binaries/kruise-docto[r] /
USER 65532:65532
ENTRYPOINT ["/kruise-broadcastjob"]

FROM scratch AS kruise-sidecarset
COPY --from=build /binaries/kruise-sidecarset /binaries/kruise-crds /binaries/kruise-docto[r] /
USER 65532:65532
ENTRYPOINT ["/kruise-sidecarset"]
