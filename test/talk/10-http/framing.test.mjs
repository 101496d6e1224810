// What could be read in two ways is refused with 400, and the connection is closed: nothing
// behind it is ever taken for a request.
import assert from 'node:assert/strict';
import { before, after, test } from 'node:test';
import { Raw, Server } from '../harness.mjs';

let server;
before(async () => (server = await Server.start()));
after(() => server.stop());

const smuggled = 'GET /version HTTP/1.1\r\nHost: smuggled\r\n\r\n';
const post = (rows, body = '') =>
  `POST /write HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${server.key}\r\n${rows}\r\n${body}`;
const get = (rows) => `GET /healthz HTTP/1.1\r\nHost: a\r\n${rows}\r\n`;

const refused = {
  'both lengths': () => post('Content-Length: 4\r\nTransfer-Encoding: chunked\r\n', '0\r\n\r\n'),
  'both lengths, other order': () =>
    post('Transfer-Encoding: chunked\r\nContent-Length: 4\r\n', '0\r\n\r\n'),
  'two different lengths': () => post('Content-Length: 4\r\nContent-Length: 5\r\n', 'abcd'),
  'two equal lengths': () => post('Content-Length: 4\r\nContent-Length: 4\r\n', 'abcd'),
  'a list of lengths': () => post('Content-Length: 4, 4\r\n', 'abcd'),
  'a length with a plus': () => post('Content-Length: +4\r\n', 'abcd'),
  'a negative length': () => post('Content-Length: -1\r\n', ''),
  'a hexadecimal length': () => post('Content-Length: 0x4\r\n', 'abcd'),
  'a length beyond 64 bits': () => post('Content-Length: 99999999999999999999\r\n', ''),
  'an empty length': () => post('Content-Length: \r\n', ''),
  'an unknown transfer coding': () => post('Transfer-Encoding: cow\r\n', '0\r\n\r\n'),
  'chunked twice': () => post('Transfer-Encoding: chunked, chunked\r\n', '0\r\n\r\n'),
  'chunked not last': () => post('Transfer-Encoding: chunked, identity\r\n', '0\r\n\r\n'),
  'two transfer codings': () =>
    post('Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n', '0\r\n\r\n'),
  'chunked under HTTP/1.0': () =>
    'POST /write HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
  'a chunk size that is none': () => post('Transfer-Encoding: chunked\r\n', 'zz\r\nab\r\n0\r\n\r\n'),
  'an empty chunk size': () => post('Transfer-Encoding: chunked\r\n', '\r\n\r\n'),
  'a negative chunk size': () => post('Transfer-Encoding: chunked\r\n', '-1\r\na\r\n0\r\n\r\n'),
  'a chunk size beyond 64 bits': () =>
    post('Transfer-Encoding: chunked\r\n', '10000000000000001\r\na\r\n0\r\n\r\n'),
  'a chunk longer than its size': () =>
    post('Transfer-Encoding: chunked\r\n', '1\r\nabc\r\n0\r\n\r\n'),
  'a chunk size ended by bare LF': () =>
    post('Transfer-Encoding: chunked\r\n', '1\na\r\n0\r\n\r\n'),
  'chunk data ended by bare LF': () =>
    post('Transfer-Encoding: chunked\r\n', '1\r\na\n0\r\n\r\n'),
  'a header line ended by bare LF': () => 'GET /healthz HTTP/1.1\r\nHost: a\nX: b\r\n\r\n',
  'a request line ended by bare LF': () => 'GET /healthz HTTP/1.1\nHost: a\r\n\r\n',
  'a bare CR in a value': () => get('X: a\rb\r\n'),
  'a folded header line': () => get('X: a\r\n b\r\n'),
  'a blank before the colon': () => get('X : a\r\n'),
  'a header line without colon': () => get('X\r\n'),
  'an empty header name': () => get(': a\r\n'),
  'a NUL in a value': () => get('X: a\0b\r\n'),
  'a NUL in a name': () => get('X\0: a\r\n'),
  'a NUL in the target': () => 'GET /a\0b HTTP/1.1\r\nHost: a\r\n\r\n',
  'no host': () => 'GET /healthz HTTP/1.1\r\n\r\n',
  'two hosts': () => 'GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n',
  'an unknown version': () => 'GET /healthz HTTP/1.2.3\r\nHost: a\r\n\r\n',
  'no version': () => 'GET /healthz\r\nHost: a\r\n\r\n',
  'two blanks in the request line': () => 'GET  /healthz HTTP/1.1\r\nHost: a\r\n\r\n',
  'a method with odd characters': () => 'G(T /healthz HTTP/1.1\r\nHost: a\r\n\r\n',
  'not HTTP at all': () => '\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03\r\n\r\n',
};

for (const [name, bytes] of Object.entries(refused)) {
  test(`refused: ${name}`, async () => {
    const raw = await server.connect();
    raw.send(Buffer.from(bytes() + smuggled, 'latin1'));
    const answer = await raw.answer();
    assert.ok([400, 501, 505].includes(answer.status), `${answer.status} ${answer.body}`);
    assert.equal(await raw.rest(), '', 'the connection is closed and nothing follows');
    raw.close();
  });
}

test('refused also when it comes byte by byte', async () => {
  const raw = await server.connect();
  for (const byte of Buffer.from(refused['both lengths'](), 'latin1')) {
    if (raw.closed) break;
    raw.send(Buffer.from([byte]));
    await new Promise(setImmediate);
  }
  assert.equal((await raw.answer()).status, 400);
  assert.equal(await raw.rest(), '');
  raw.close();
});

test('a head that never ends is refused with 431 or 400', async () => {
  const raw = await server.connect();
  raw.socket.on('error', () => undefined);
  raw.send('GET /healthz HTTP/1.1\r\nHost: a\r\n');
  for (let i = 0; i < 200 && !raw.closed; i++) raw.send(`X-${i}: ${'y'.repeat(4000)}\r\n`);
  assert.ok([400, 431].includes((await raw.answer()).status));
  raw.close();
});

test('a target that never ends is refused with 414 or 431', async () => {
  const raw = await server.connect();
  raw.socket.on('error', () => undefined);
  raw.send(`GET /${'a'.repeat(300_000)} HTTP/1.1\r\nHost: a\r\n\r\n`);
  assert.ok([400, 414, 431].includes((await raw.answer()).status));
  raw.close();
});

test('the server goes on after all of that', async () => {
  assert.equal((await server.get('/healthz')).status, 200);
});

test('an empty line before a request is ignored, as RFC 9112 asks', async () => {
  const raw = await Raw.connect(server.port);
  raw.send('\r\nGET /healthz HTTP/1.1\r\nHost: a\r\n\r\n');
  assert.equal((await raw.answer()).status, 200);
  raw.close();
});
