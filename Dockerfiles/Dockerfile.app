# Highest of three layers: changes daily, builds in a second.
ARG REGISTRY=localhost:5050
FROM ${REGISTRY}/wait-for AS wait-for

FROM ${REGISTRY}/tooling
COPY --from=wait-for /wait-for /usr/local/bin/
COPY docker/app/extensions/ /usr/local/lib/report/
COPY --chmod=755 docker/app/report.sh /usr/local/bin/report
USER app
WORKDIR /home/app
CMD ["report"]
