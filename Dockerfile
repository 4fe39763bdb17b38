# A static binary, certificates, and a place for temporary files; nothing that
# runs as root. `make image` prepares the context and builds it.
#
# GitLab and Jenkins run the lines of a container step with the image's shell,
# which scratch does not have: build with --build-arg BASE=<an image with sh>.
ARG BASE=scratch
FROM ${BASE}
COPY ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --chmod=1777 tmp /tmp
COPY --chmod=0755 headgate /usr/local/bin/headgate
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/headgate"]
