// The local administrator: calls over DATA/admin.sock.
import http from 'node:http';
import { join } from 'node:path';
import { within } from '../harness.mjs';

/** One request: { status, headers, text, bytes, json() }. `body`: text or buffer as it is, else JSON. */
export function local(server, method, path, body, headers = {}) {
  return within(new Promise((done, fail) => {
    const payload = body === undefined || typeof body === 'string' || Buffer.isBuffer(body)
      ? body : JSON.stringify(body);
    const all = { ...headers };
    if (payload !== undefined) all['content-length'] ??= Buffer.byteLength(payload);
    const out = http.request(
      { socketPath: join(server.data, 'admin.sock'), method, path, headers: all, agent: false },
      (answer) => {
        const parts = [];
        answer.on('data', (part) => parts.push(part));
        answer.on('error', fail);
        answer.on('end', () => {
          const bytes = Buffer.concat(parts);
          const text = bytes.toString('utf8');
          done({
            status: answer.statusCode, headers: answer.headers, bytes, text,
            json: () => JSON.parse(text),
          });
        });
      });
    out.on('error', fail);
    out.end(payload);
  }), `${method} ${path}`);
}
