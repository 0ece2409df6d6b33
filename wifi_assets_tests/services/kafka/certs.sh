#!/usr/bin/env bash
# certs.sh FOLDER: certificates for the TLS listeners, made anew by openssl.
#   ca.pem                  the CA; clients trust it by ssl.ca.location
#   server.pem              the broker's key and chain; for 127.0.0.1 and localhost
#   client.pem, client.key  a client's certificate and key; its login is User:CN=client
#   other-ca.pem            a CA that signed none of them
set -euo pipefail
umask 077
mkdir -p "$1"
cd "$1"

authority() { # NAME
  openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -subj "/CN=wifi_assets test $1" \
    -addext keyUsage=critical,keyCertSign,cRLSign -keyout "$1.key" -out "$1.pem"
}

certificate() { # NAME SUBJECT-ALTERNATIVE-NAMES
  openssl req -newkey rsa:2048 -nodes -subj "/CN=$1" -keyout "$1.key" -out "$1.csr"
  openssl x509 -req -in "$1.csr" -days 3650 -CA ca.pem -CAkey ca.key -CAcreateserial \
    -extfile <(echo "subjectAltName=$2") -out "$1.pem"
  rm "$1.csr"
}

{
  authority ca
  authority other-ca
  certificate server IP:127.0.0.1,DNS:localhost
  certificate client DNS:client
  # Kafka reads a PEM keystore as one file: key, certificate, chain.
  cat server.key server.pem ca.pem > keystore
  mv keystore server.pem
  rm server.key other-ca.key
} > openssl.log 2>&1 || { cat openssl.log >&2; exit 1; }
