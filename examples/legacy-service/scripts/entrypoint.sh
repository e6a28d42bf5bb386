#!/bin/sh
# What the container does: serve (the default), report, or any other command.
set -eu

case "${1:-serve}" in
    serve)
        node_exporter --log.level=warn --web.listen-address="${METRICS_ADDRESS:-:9100}" &
        exec gosu nobody stationd "${PORT:-8080}"
        ;;
    report)
        cat /etc/station-release
        stationd --version
        exec dumb-init -- duf --only local
        ;;
    *)
        exec "$@"
        ;;
esac
