// gzip in both directions, and static files that a browser may keep.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { gunzipSync, gzipSync } from 'node:zlib';
import { Server } from '../harness.mjs';

let server;
before(async () => {
  server = await Server.start();
  const lines = [];
  for (let i = 0; i < 2000; i++) lines.push(`zip,device=z v=${i % 17} ${1700000000 + i}000000000`);
  const answer = await server.post('/write', gzipSync(lines.join('\n')), {
    headers: { 'content-encoding': 'gzip' },
  });
  assert.equal(answer.status, 204, answer.text);
});
after(() => server.stop());

const path = '/api/v1/query?metric=zip.v&from=1700000000000&to=1800000000000';

test('a gzip body was stored to the last line', async () => {
  const { series } = (await server.get(path)).json();
  assert.equal(series[0].points.length, 2000);
  assert.deepEqual(series[0].points.at(-1), [1700001999000, 1999 % 17]);
});

test('an answer is compressed on request, and equal', async () => {
  const plain = await server.get(path);
  const zipped = await server.get(path, { headers: { 'accept-encoding': 'gzip' } });
  assert.equal(plain.headers['content-encoding'], undefined);
  assert.equal(zipped.headers['content-encoding'], 'gzip');
  assert.match(zipped.headers.vary ?? '', /accept-encoding/i);
  assert.equal(gunzipSync(zipped.bytes).toString(), plain.text);
  assert.ok(zipped.bytes.length < plain.bytes.length / 3);
});

test('gzip;q=0 is not wanted', async () => {
  const answer = await server.get(path, { headers: { 'accept-encoding': 'gzip;q=0' } });
  assert.equal(answer.headers['content-encoding'], undefined);
});

for (const [name, bytes] of Object.entries({
  'cut off': gzipSync('zip v=1\n'.repeat(500)).subarray(0, -12),
  'not gzip': Buffer.from('zip v=1'),
  'with a wrong checksum': (() => {
    const bytes = gzipSync('zip,device=bad v=1 1700000000000000000\n');
    bytes[bytes.length - 5] ^= 1;
    return bytes;
  })(),
})) {
  test(`a gzip body ${name} is 400`, async () => {
    const answer = await server.post('/write', bytes, { headers: { 'content-encoding': 'gzip' } });
    assert.equal(answer.status, 400, answer.text);
  });
}

test('a small body that unpacks to more than the limit is 413', async () => {
  const bomb = gzipSync(Buffer.alloc(64 << 20, ' '), { level: 9 });
  const answer = await server.post('/api/v1/readings', bomb, {
    headers: { 'content-encoding': 'gzip' },
  });
  assert.equal(answer.status, 413);
});

test('the page has a type, an ETag, and is not sent twice', async () => {
  const page = await server.get('/', { key: false });
  assert.equal(page.status, 200);
  assert.match(page.headers['content-type'], /^text\/html/);
  const { etag } = page.headers;
  assert.match(etag, /^(W\/)?".+"$/);
  for (const sent of [etag, `"other", ${etag}`, '*']) {
    const again = await server.get('/', { key: false, headers: { 'if-none-match': sent } });
    assert.equal(again.status, 304, sent);
    assert.equal(again.bytes.length, 0);
  }
  const other = await server.get('/', { key: false, headers: { 'if-none-match': '"other"' } });
  assert.equal(other.status, 200);
});

test('what the page refers to is there, compressed on request', async () => {
  const page = await server.get('/', { key: false });
  const names = [...page.text.matchAll(/(?:src|href)="(\/[^"]+)"/g)].map((m) => m[1]);
  assert.ok(names.some((name) => name.endsWith('.js')));
  for (const name of names) {
    const plain = await server.get(name, { key: false });
    assert.equal(plain.status, 200, name);
    const headers = { 'accept-encoding': 'gzip, deflate, br' };
    const zipped = await server.get(name, { key: false, headers });
    const bytes = zipped.headers['content-encoding'] === 'gzip'
      ? gunzipSync(zipped.bytes) : zipped.bytes;
    assert.deepEqual(bytes, plain.bytes, name);
  }
});

test('HEAD of the page states its length', async () => {
  const page = await server.get('/', { key: false });
  const head = await server.request('HEAD', '/', { key: false });
  assert.equal(head.status, 200);
  assert.equal(Number(head.headers['content-length']), page.bytes.length);
  assert.equal(head.bytes.length, 0);
});

test('no path leads out of the page', async () => {
  for (const name of ['/../README.md', '/%2e%2e/README.md', '/..%2fREADME.md', '//etc/passwd']) {
    const answer = await server.get(name, { key: false });
    assert.ok([400, 404].includes(answer.status), `${name}: ${answer.status}`);
  }
});
