// Connections: how long they live, in which order answers come, what each version is given.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Server, until } from '../harness.mjs';

let server;
before(async () => (server = await Server.start()));
after(() => server.stop());

const get = (path, rows = '') => `GET ${path} HTTP/1.1\r\nHost: a\r\n${rows}\r\n`;
const auth = () => `Authorization: Bearer ${server.key}\r\n`;

test('a connection is kept for many requests', async () => {
  const raw = await server.connect();
  for (let i = 0; i < 20; i++) {
    raw.send(get('/healthz'));
    assert.equal((await raw.answer()).status, 200);
  }
  assert.equal(raw.closed, false);
  raw.close();
});

test('Connection: close is obeyed, and said', async () => {
  const raw = await server.connect();
  raw.send(get('/healthz', 'Connection: close\r\n'));
  const answer = await raw.answer();
  assert.equal(answer.status, 200);
  assert.match(answer.headers.connection, /close/i);
  await raw.ended();
  raw.close();
});

test('pipelined requests are answered in order, also when some wait for the disk', async () => {
  const raw = await server.connect();
  const line = 'pipe,device=p1 v=1 1700000000000000000\n';
  const write = `POST /write HTTP/1.1\r\nHost: a\r\n${auth()}Content-Length: ${line.length}\r\n\r\n${line}`;
  raw.send(get('/nothing') + write + get('/healthz') + write + get('/version'));
  const statuses = [];
  for (let i = 0; i < 5; i++) statuses.push((await raw.answer()).status);
  assert.deepEqual(statuses, [404, 204, 200, 204, 200]);
  raw.close();
});

test('a request in pieces of one byte is understood', async () => {
  const raw = await server.connect();
  for (const byte of get('/healthz', 'X-A: b\r\n')) {
    raw.send(byte);
    await new Promise(setImmediate);
  }
  assert.equal((await raw.answer()).status, 200);
  raw.close();
});

test('HTTP/1.0 closes after the answer, whose length is stated', async () => {
  const raw = await server.connect();
  raw.send('GET /version HTTP/1.0\r\n\r\n');
  const answer = await raw.answer();
  assert.equal(answer.status, 200);
  assert.equal(answer.headers['transfer-encoding'], undefined);
  await raw.ended();
  raw.close();
});

test('HTTP/1.0 with keep-alive is kept', async () => {
  const raw = await server.connect();
  for (let i = 0; i < 3; i++) {
    raw.send('GET /version HTTP/1.0\r\nConnection: keep-alive\r\n\r\n');
    const answer = await raw.answer();
    assert.equal(answer.status, 200);
    assert.match(answer.headers.connection ?? '', /keep-alive/i);
    assert.equal(answer.headers['transfer-encoding'], undefined);
  }
  assert.equal(raw.closed, false);
  raw.close();
});

test('HTTP/1.0 is never answered in chunks, not even by a query', async () => {
  const raw = await server.connect();
  raw.send(`GET /api/v1/query?metric=pipe.v&from=0 HTTP/1.0\r\n${auth()}\r\n`);
  const answer = await raw.answer();
  assert.equal(answer.status, 200);
  assert.equal(answer.headers['transfer-encoding'], undefined);
  assert.ok(Array.isArray(JSON.parse(answer.body).series));
  raw.close();
});

test('HEAD is GET without the body', async () => {
  const raw = await server.connect();
  raw.send('HEAD /version HTTP/1.1\r\nHost: a\r\n\r\n' + get('/version'));
  const head = await raw.answer({ head: true });
  const full = await raw.answer();
  assert.equal(head.status, 200);
  assert.equal(head.headers['content-type'], full.headers['content-type']);
  assert.equal(head.headers['content-length'], full.headers['content-length']);
  assert.ok(full.body.length > 0);
  raw.close();
});

test('100-continue is asked for before the body', async () => {
  const raw = await server.connect();
  const line = 'cont,device=c1 v=1 1700000000000000000\n';
  raw.send(`POST /write HTTP/1.1\r\nHost: a\r\n${auth()}Expect: 100-continue\r\n` +
    `Content-Length: ${line.length}\r\n\r\n`);
  assert.equal((await raw.answer()).status, 100);
  raw.send(line);
  assert.equal((await raw.answer()).status, 204);
  raw.close();
});

test('100-continue is not said to a request that is refused', async () => {
  const raw = await server.connect();
  raw.send('POST /write HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n');
  assert.equal((await raw.answer()).status, 401);
  raw.close();
});

test('a chunked body with extensions and a trailer, in pieces', async () => {
  const raw = await server.connect();
  raw.send(`POST /write HTTP/1.1\r\nHost: a\r\n${auth()}Transfer-Encoding: chunked\r\n\r\n`);
  for (const part of ['5;a=b\r\nchunk', '\r\n', '1\r\n', 'e\r\n', '1f\r\n',
    'd,device=k v=7 1700000000000000', '\r\n4\r\n000\n\r\n', '0\r\nX-Trailer: 1\r\n', '\r\n']) {
    raw.send(part);
    await new Promise(setImmediate);
  }
  assert.equal((await raw.answer()).status, 204);
  raw.send(get('/healthz'));
  assert.equal((await raw.answer()).status, 200, 'the connection is still in step');
  const found = await server.get('/api/v1/latest?metric=chunked.v&device=k');
  assert.equal(found.json().series[0].value, 7);
  raw.close();
});

test('a client that closes its writing side still gets the answer', async () => {
  const raw = await server.connect();
  raw.socket.end(get('/healthz'));
  assert.equal((await raw.answer()).status, 200);
  raw.close();
});

test('errors: 404, 405 with Allow, 401, in this order', async () => {
  const unknown = await server.get('/api/v1/nothing', { key: false });
  assert.equal(unknown.status, 404);
  assert.match(unknown.headers['content-type'], /problem\+json/);
  const method = await server.request('DELETE', '/api/v1/query', { key: false });
  assert.equal(method.status, 405);
  assert.match(method.headers.allow, /GET/);
  const credentials = await server.get('/api/v1/query?metric=a', { key: false });
  assert.equal(credentials.status, 401);
  assert.ok(credentials.headers['www-authenticate']);
  const wrong = await server.get('/api/v1/query?metric=a', { key: 'wrong' });
  assert.equal(wrong.status, 401);
});

test('a body in an unknown coding is 415', async () => {
  const answer = await server.post('/write', 'a v=1', { headers: { 'content-encoding': 'br' } });
  assert.equal(answer.status, 415);
});

test('a whole body over the limit is 413', async () => {
  const raw = await server.connect();
  raw.send(`POST /api/v1/readings HTTP/1.1\r\nHost: a\r\n${auth()}Content-Length: 20000000\r\n\r\n[`);
  const half = Buffer.alloc(1 << 20, ' ');
  raw.socket.on('error', () => undefined);
  for (let i = 0; i < 19 && !raw.closed && !raw.bytes.length; i++) {
    raw.send(half);
    await new Promise(setImmediate);
  }
  assert.equal((await raw.answer()).status, 413);
  raw.close();
});

test('a slow head is cut off', { timeout: 40_000 }, async (t) => {
  const slow = await Server.start({ args: ['--set', 'http.head_ms=300'] });
  t.after(() => slow.stop());
  const raw = await slow.connect();
  raw.send('GET /healthz HTTP/1.1\r\nHo');
  await until(() => raw.closed, 'the slow connection to be closed', 20_000);
  raw.close();
});
