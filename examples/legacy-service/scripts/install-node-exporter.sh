#!/bin/sh
# Download Prometheus' node_exporter: install-node-exporter.sh VERSION FOLDER
set -eu

version=$1
folder=$2
archive=node_exporter-$version.linux-amd64

curl -fsSL -o /tmp/node_exporter.tar.gz \
    "${GITHUB:-https://github.com}/prometheus/node_exporter/releases/download/v$version/$archive.tar.gz"
tar -xzf /tmp/node_exporter.tar.gz -C /tmp "$archive/node_exporter"
mv "/tmp/$archive/node_exporter" "$folder/node_exporter"
rm -r /tmp/node_exporter.tar.gz "/tmp/$archive"
