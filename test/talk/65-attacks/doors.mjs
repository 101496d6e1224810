// What the attacks share: every call that the OpenAPI document knows, and what an answer must be
// whatever was sent.
import assert from 'node:assert/strict';
import net from 'node:net';
import { within } from '../harness.mjs';

const values = { id: '1', name: 'door', user: 'uma', tenant: 'main', path: 'docs', channel: 'door' };

/** Every call of the document: { method, path, operation, target, name }. */
export async function doors(server) {
  const document = (await server.get('/api/v1/openapi.json')).json();
  const resolve = (thing) => thing.$ref
    ? thing.$ref.slice(2).split('/').reduce((at, part) => at[part], document) : thing;
  return Object.entries(document.paths).flatMap(([path, item]) =>
    Object.entries(item).map(([verb, operation]) => {
      const method = verb.toUpperCase();
      const content = operation.requestBody?.content ?? {};
      const target = path.replace(/\{(\w+)\}/g, (_, parameter) => values[parameter] ?? 'x');
      return {
        method, path, target, name: `${method} ${path}`,
        parameters: (operation.parameters ?? []).map(resolve),
        body: Boolean(operation.requestBody),
        // Line protocol, CSV and pictures are no JSON.
        json: 'application/json' in content,
        schema: content['application/json'] && resolve(content['application/json'].schema),
      };
    }));
}

/** An answer that nobody need be ashamed of: no 5xx, no injected header, whole JSON in UTF-8. */
export function assertClean(answer, what) {
  const told = `${what}: ${answer.status} ${answer.text.slice(0, 300)}`;
  assert.ok(answer.status < 500, told);
  assert.ok(!('x-injected' in answer.headers) && !('set-cookie' in answer.headers), told);
  if (!/json/.test(answer.headers['content-type'] ?? '')) return;
  const text = new TextDecoder('utf-8', { fatal: true }).decode(answer.bytes);
  if (!/ndjson/.test(answer.headers['content-type'])) JSON.parse(text);
}

/** What came so far as an answer, or null while it is not whole: { status, headers, body, size }. */
function parse(bytes) {
  const end = bytes.indexOf('\r\n\r\n');
  if (end < 0) return null;
  const [first, ...rows] = bytes.toString('latin1', 0, end).split('\r\n');
  const headers = Object.fromEntries(rows.map((row) => {
    const colon = row.indexOf(':');
    return [row.slice(0, colon).toLowerCase(), row.slice(colon + 1).trim()];
  }));
  const answer = { status: Number(first.split(' ')[1]), headers };
  if (headers['transfer-encoding'] !== 'chunked') {
    const size = end + 4 + Number(headers['content-length'] ?? 0);
    return bytes.length >= size &&
      { ...answer, body: bytes.toString('latin1', end + 4, size), size };
  }
  let body = '';
  for (let at = end + 4; ;) {
    const line = bytes.indexOf('\r\n', at);
    if (line < 0) return null;
    const length = parseInt(bytes.toString('latin1', at, line), 16);
    at = line + 2 + length + 2;
    if (bytes.length < at) return null;
    body += bytes.toString('latin1', line + 2, line + 2 + length);
    if (length === 0) return { ...answer, body, size: at };
  }
}

/** Requests byte by byte, one after the other, on a connection that is kept while it lasts. */
export class Caller {
  constructor(port) {
    this.port = port;
  }

  #open() {
    this.bytes = Buffer.alloc(0);
    this.wake = () => {};
    const socket = this.socket = net.connect(this.port, '127.0.0.1').setNoDelay(true);
    socket.on('data', (part) => {
      this.bytes = Buffer.concat([this.bytes, part]);
      this.wake();
    });
    for (const name of ['error', 'close']) socket.on(name, () => this.wake());
  }

  ask(bytes) {
    if (!this.socket || this.socket.destroyed) this.#open();
    const { socket } = this;
    return within(new Promise((done, fail) => {
      this.wake = () => {
        const answer = parse(this.bytes);
        if (!answer) return socket.destroyed && fail(new Error(`closed within an answer: ${this.bytes}`));
        this.bytes = this.bytes.subarray(answer.size);
        if (answer.headers.connection === 'close') socket.destroy();
        done(answer);
      };
      socket.write(Buffer.from(bytes, 'latin1'));
    }), bytes.slice(0, 200));
  }

  close() {
    this.socket?.destroy();
  }
}

/** A JSON body that came as latin1 is JSON in UTF-8. */
export function assertJson({ headers, body }, what) {
  if (!/\bjson$/.test(headers['content-type'] ?? '') || body === '') return;
  const text = new TextDecoder('utf-8', { fatal: true }).decode(Buffer.from(body, 'latin1'));
  assert.doesNotThrow(() => JSON.parse(text), what);
}
