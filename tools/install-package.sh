#!/bin/sh
# install-package.sh PACKAGE WHO: one of Debian's packages, whose command has its name, where this user may install
# it; else one sentence, for only WHO needs it.
command -v "$1" > /dev/null && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null; then
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq && apt-get install -y -qq --no-install-recommends "$1" > /dev/null && exit 0
fi
echo "$1 is not here and could not be installed: $2 need it (Debian: apt install $1)" >&2
