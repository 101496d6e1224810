// Floor plans: pictures that are served as pictures and nothing else.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { assertProblem, Server } from '../harness.mjs';
import { local } from './local.mjs';

const pictures = {
  'image/png': Buffer.from('89504e470d0a1a0a0000000d49484452', 'hex'),
  'image/jpeg': Buffer.from('ffd8ffe000104a464946', 'hex'),
  'image/webp': Buffer.concat([Buffer.from('RIFF\x04\0\0\0WEBPVP8 ', 'latin1')]),
  'image/svg+xml': Buffer.from('<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg">'
    + '<script>alert(1)</script></svg>'),
};
let server, venue;
const call = (method, path, body, headers) => local(server, method, path, body, headers);
const plan = (id = venue) => `/api/v1/venues/${id}/plan`;

before(async () => {
  server = await Server.start();
  venue = (await call('POST', '/api/v1/venues', { name: 'Haus' })).json().id;
});
after(() => server.stop());

for (const [type, bytes] of Object.entries(pictures)) {
  test(`a plan of ${type} comes back as it was`, async () => {
    const put = await call('PUT', plan(), bytes, { 'content-type': type });
    assert.equal(put.status, 204, put.text);
    const got = await call('GET', plan());
    assert.equal(got.status, 200, got.text);
    assert.equal(got.headers['content-type'], type);
    assert.deepEqual(got.bytes, bytes);
    assert.equal(got.headers.etag, put.headers.etag);
    assert.match(got.headers['content-security-policy'], /default-src 'none'.*sandbox/);
    assert.equal(got.headers['x-content-type-options'], 'nosniff');
    assert.equal(got.headers['content-disposition'], 'attachment');
    const same = await call('GET', plan(), undefined, { 'if-none-match': got.headers.etag });
    assert.deepEqual([same.status, same.text], [304, '']);
    assert.equal((await call('GET', plan(), undefined, { 'if-none-match': '"x"' })).status, 200);
    assert.equal((await call('GET', `/api/v1/venues/${venue}`)).json().plan, true);
  });
}

test('without a claim, or with curl’s, the bytes decide', async () => {
  for (const type of [undefined, 'application/x-www-form-urlencoded', 'application/octet-stream']) {
    const put = await call('PUT', plan(), pictures['image/jpeg'], type && { 'content-type': type });
    assert.equal(put.status, 204, put.text);
    assert.equal((await call('GET', plan())).headers['content-type'], 'image/jpeg');
  }
});

test('what is no picture, or another than it says, is refused', async () => {
  const before = (await call('GET', plan())).bytes;
  for (const [body, type] of [
    ['', 'image/png'], ['<html><script>alert(1)</script></html>', 'image/svg+xml'],
    ['GIF89a', 'image/gif'], ['{}', 'application/json'], [pictures['image/png'], 'image/jpeg'],
    [pictures['image/svg+xml'], 'image/png'], ['<!-- no picture -->', 'image/svg+xml'],
    [Buffer.from('<svg>\xff</svg>', 'latin1'), 'image/svg+xml'], ['%PDF-1.7', 'image/png'],
  ]) assertProblem(await call('PUT', plan(), body, { 'content-type': type }), 422);
  assert.deepEqual((await call('GET', plan())).bytes, before);
});

test('a plan has at most 8 MiB', async () => {
  const whole = Buffer.alloc(8 << 20);
  pictures['image/png'].copy(whole);
  assert.equal((await call('PUT', plan(), whole)).status, 204);
  assert.ok((await call('GET', plan())).bytes.equals(whole));
  assertProblem(await call('PUT', plan(), Buffer.concat([whole, Buffer.alloc(1)])), 413);
});

test('a plan is removed, by its version', async () => {
  const { headers } = await call('GET', plan());
  assertProblem(await call('DELETE', plan(), undefined, { 'if-match': '"0"' }), 412);
  assertProblem(await call('PUT', plan(), pictures['image/png'], { 'if-match': '"0"' }), 412);
  assert.equal((await call('DELETE', plan(), undefined, { 'if-match': headers.etag })).status, 204);
  assertProblem(await call('GET', plan()), 404);
  assertProblem(await call('DELETE', plan()), 404);
  assert.ok(!('plan' in (await call('GET', `/api/v1/venues/${venue}`)).json()));
  const { items } = (await call('GET', '/api/v1/admin/audit?limit=1')).json();
  assert.equal(items[0].what, 'venue.plan.remove');
  assert.deepEqual(items[0].before, { type: 'image/png', bytes: 8 << 20 });
});

test('there is no plan of what is not there', async () => {
  for (const id of ['0', '999', 'x', '-1', '1%27--']) {
    assertProblem(await call('GET', plan(id)), 404);
    assertProblem(await call('PUT', plan(id), pictures['image/png']), 404);
    assertProblem(await call('DELETE', plan(id)), 404);
  }
  assertProblem(await call('GET', `${plan()}?tenant=nobody`), 404);
});
