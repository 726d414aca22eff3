// A reverse proxy as operators put one in front: a path before all paths, which it takes away or leaves, and TLS.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createServer, request as ask } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { join } from 'node:path';

/** A certificate of nobody's, for `localhost`. */
function certificate(folder) {
  const [key, cert] = ['key.pem', 'cert.pem'].map((name) => join(folder, name));
  execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2', '-subj', '/CN=localhost', '-keyout', key, '-out', cert], { stdio: 'ignore' });
  return { key: readFileSync(key), cert: readFileSync(cert) };
}

/** Listens before the server it leads to is there, since that one must be told the address. */
export async function openProxy({ prefix, strips, tls = false, folder }) {
  let port = 0;
  const pass = (request, response) => {
    if (!request.url.startsWith(`${prefix}/`)) { response.writeHead(404).end('not of this proxy'); return; }
    const path = strips ? request.url.slice(prefix.length) : request.url;
    const onward = ask({ host: '127.0.0.1', port, path, method: request.method, headers: request.headers }, (answer) => {
      response.writeHead(answer.statusCode, answer.headers);
      answer.pipe(response);
    });
    onward.on('error', () => response.destroy());
    response.on('close', () => onward.destroy());
    request.pipe(onward);
  };
  const server = tls ? createTlsServer(certificate(folder), pass) : createServer(pass);
  await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  return {
    url: `${tls ? 'https' : 'http'}://localhost:${server.address().port}${prefix}`,
    leadTo(url) { port = Number(new URL(url).port); },
    close: () => new Promise((resolve) => { server.closeAllConnections(); server.close(resolve); }),
  };
}
