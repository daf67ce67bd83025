#!/bin/sh
# Install what tests/slurm needs: Slurm and munge from Debian or Ubuntu. Starts no service.
set -eu
export DEBIAN_FRONTEND=noninteractive
packages="slurm-wlm munge slurm-wlm-basic-plugins"
# shellcheck disable=SC2086  # a list of words
apt-get install -y -q --no-install-recommends $packages ||
    { apt-get update -q && apt-get install -y -q --no-install-recommends $packages; }
