#!/bin/sh
# tshark from Debian's packages where this user may install it; else one sentence, for only captures need it.
command -v tshark > /dev/null && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null; then
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq && apt-get install -y -qq --no-install-recommends tshark > /dev/null && exit 0
fi
echo "tshark is not here and could not be installed: 'wifi-assets capture' needs it (Debian: apt install tshark)" >&2
