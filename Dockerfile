# A static binary, certificates, and a place for temporary files; nothing that
# runs as root. `make image` prepares the context and builds it.
#
# GitLab and Jenkins run the lines of a container step with the image's shell,
# which scratch does not have: build with --build-arg BASE=<an image with sh>.
ARG BASE=scratch
FROM ${BASE}
# One tree, because a folder keeps its mode only when it is below what is
# copied: /tmp must be everybody's.
COPY root/ /
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/headgate"]
