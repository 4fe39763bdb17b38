# Two images from one file: `headgate`, a static binary and certificates and
# nothing else, and `ci`, in which a CI job can run its lines and build images.
#
#   docker build -t headgate .
#   docker build -t headgate:ci --target ci .
#
# What they are built on can be given, so that they can be built where no
# registry is reached.
ARG BUILDER=docker.io/library/golang:1.26.8-trixie
ARG BASE=scratch
ARG CI_BASE=docker.io/library/debian:trixie-slim

# The binary is compiled here, for any platform, unless the context has it
# already for this one, as a release's has.
FROM --platform=$BUILDPLATFORM ${BUILDER} AS build
ARG TARGETOS
ARG TARGETARCH
ARG VERSION
ARG COMMIT
ARG DATE
WORKDIR /src
COPY . .
# One tree, because a folder keeps its mode only when it is below what is
# copied: /tmp must be everybody's.
RUN set -e; \
    mkdir -p /out/tmp /out/usr/local/bin /out/etc/ssl/certs; \
    chmod 1777 /out/tmp; \
    cp /etc/ssl/certs/ca-certificates.crt /out/etc/ssl/certs/; \
    ready="$TARGETOS/$TARGETARCH/headgate"; \
    if [ -f "$ready" ]; then \
      cp "$ready" /out/usr/local/bin/; \
    else \
      CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH go build -trimpath \
        -ldflags "-s -w -X main.version=$VERSION -X main.commit=$COMMIT -X main.date=$DATE" \
        -o /out/usr/local/bin/headgate ./cmd/headgate; \
    fi; \
    chmod 0755 /out/usr/local/bin/headgate

FROM ${BASE} AS headgate
LABEL org.opencontainers.image.title="headgate" \
      org.opencontainers.image.description="Makes releases safe from inside CI" \
      org.opencontainers.image.url="https://github.com/headgate-dev/headgate" \
      org.opencontainers.image.source="https://github.com/headgate-dev/headgate" \
      org.opencontainers.image.documentation="https://github.com/headgate-dev/headgate/tree/main/docs" \
      org.opencontainers.image.vendor="headgate-dev" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /out/ /
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/headgate"]

# What GitLab and Jenkins run their lines in: a shell, git, and what `build`
# stages build with, a docker client where there is an engine and buildah where
# there is none. No entrypoint, for theirs must be the shell.
FROM ${CI_BASE} AS ci
# The package with docker's client; docker.io on Debian before 13.
ARG DOCKER_CLIENT=docker-cli
# CI may run this as any user. Each has a home here, a name once it calls
# buildah (see image/), and a range of ids to build with. newuidmap works by
# capabilities: with the setuid bit it needs more than a container has.
RUN set -e; \
    apt-get update; \
    DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends \
      buildah ca-certificates crun "$DOCKER_CLIENT" git libcap2-bin libnss-extrausers netavark uidmap; \
    rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/ldconfig/aux-cache /var/log/apt /var/log/*.log; \
    chmod u-s /usr/bin/newuidmap /usr/bin/newgidmap; \
    setcap cap_setuid=ep /usr/bin/newuidmap; \
    setcap cap_setgid=ep /usr/bin/newgidmap; \
    groupadd --gid 65532 headgate; \
    useradd --uid 65532 --gid 65532 --key UID_MAX=65532 --no-create-home --home-dir /home/headgate --shell /bin/bash headgate; \
    mkdir --mode 1777 /home/headgate; \
    mkdir -p /var/lib/extrausers; \
    touch /var/lib/extrausers/passwd /var/lib/extrausers/group; \
    chmod 0666 /var/lib/extrausers/passwd; \
    sed -i '/^\(passwd\|group\):/ s/$/ extrausers/' /etc/nsswitch.conf; \
    printf 'headgate:100000:65536\nci:100000:65536\n' | tee /etc/subuid >/etc/subgid
LABEL org.opencontainers.image.title="headgate for CI" \
      org.opencontainers.image.description="Makes releases safe from inside CI; with a shell, git, docker's client and buildah" \
      org.opencontainers.image.url="https://github.com/headgate-dev/headgate" \
      org.opencontainers.image.source="https://github.com/headgate-dev/headgate" \
      org.opencontainers.image.documentation="https://github.com/headgate-dev/headgate/tree/main/docs" \
      org.opencontainers.image.vendor="headgate-dev" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY image/ /
COPY --from=build /out/usr/local/bin/headgate /usr/local/bin/headgate
ENV HOME=/home/headgate \
    BUILDAH_ISOLATION=chroot
USER 65532:65532
CMD ["bash"]

# The last one is what `docker build .` makes.
FROM headgate
