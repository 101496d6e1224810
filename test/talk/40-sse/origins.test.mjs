// Pages of other origins (CORS), and when an EventSource comes back.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Events, Server } from '../harness.mjs';

const friend = 'https://app.example';
let server, open;
before(async () => {
  server = await Server.start({ args: [
    '--set', `http.cors_origins=https://other.example ${friend}`, '--set', 'sse.retry_ms=1500'] });
  open = await Server.start({ args: ['--set', 'http.cors_origins=*'] });
});
after(() => Promise.all([server.stop(), open.stop()]));

const allowed = (answer) => answer.headers['access-control-allow-origin'];

test('a preflight says what may be sent, without credentials', async () => {
  const headers = { origin: friend, 'access-control-request-method': 'POST',
    'access-control-request-headers': 'authorization, content-type' };
  const answer = await server.request('OPTIONS', '/api/v1/publish', { headers, key: false });
  assert.equal(answer.status, 204);
  assert.equal(allowed(answer), friend);
  assert.match(answer.headers['access-control-allow-methods'], /\bPOST\b/);
  assert.match(answer.headers['access-control-allow-headers'], /Authorization/);
  assert.equal(answer.headers['access-control-allow-credentials'], 'true');
  assert.match(answer.headers.vary, /Origin/);
});

test('answers, mistakes too, may be read by pages of the list', async () => {
  const good = await server.post('/api/v1/publish', { channels: ['a'], data: 1 },
    { headers: { origin: friend } });
  assert.equal(good.status, 201);
  assert.equal(allowed(good), friend);
  for (const [path, status] of [['/api/v1/channels/nowhere', 404], ['/nowhere', 404]]) {
    const answer = await server.get(path, { headers: { origin: friend } });
    assert.equal(answer.status, status);
    assert.equal(allowed(answer), friend);
  }
  const stranger = await server.get('/api/v1/channels', { headers: { origin: friend }, key: false });
  assert.equal(stranger.status, 401);
  assert.equal(allowed(stranger), friend);
});

test('others get no leave', async () => {
  for (const origin of ['https://evil.example', 'https://app.example.evil', 'null',
    'http://app.example', 'https://app.example:8443']) {
    const answer = await server.get('/api/v1/channels', { headers: { origin } });
    assert.equal(answer.status, 200);
    assert.equal(allowed(answer), undefined, origin);
    assert.match(answer.headers.vary, /Origin/);
    const preflight = await server.request('OPTIONS', '/api/v1/publish',
      { headers: { origin, 'access-control-request-method': 'POST' }, key: false });
    assert.equal(allowed(preflight), undefined);
    assert.equal(preflight.headers['access-control-allow-methods'], undefined);
  }
  assert.equal(allowed(await server.get('/api/v1/channels')), undefined);
});

test('all may read where all are let in, but not with what their browser knows', async () => {
  const answer = await open.get('/api/v1/channels', { headers: { origin: 'https://any.example' } });
  assert.equal(allowed(answer), '*');
  assert.equal(answer.headers['access-control-allow-credentials'], undefined);
});

test('an event stream says who may read it and when to come back', async () => {
  const stream = await server.connect();
  stream.send('GET /api/v1/subscribe?channel=a HTTP/1.1\r\nHost: a\r\n' +
    `Accept: text/event-stream\r\nOrigin: ${friend}\r\nAuthorization: Bearer ${server.key}\r\n\r\n`);
  const head = await stream.answer({ head: true });
  assert.equal(head.headers['access-control-allow-origin'], friend);
  assert.equal(head.headers['access-control-allow-credentials'], 'true');
  assert.equal(await stream.take(13), 'retry: 1500\n\n');
  stream.close();
});

test('a stream whose channel is closed is told so', async () => {
  const { id } = (await server.post('/api/v1/channels', { name: 'ends' })).json();
  const events = await Events.open(server, '/api/v1/subscribe?channel=ends&channel=stays');
  await server.request('DELETE', `/api/v1/channels/${id}`);
  const [closed] = await events.next(1);
  assert.equal(closed.event, 'closed');
  assert.deepEqual(closed.json, { closed: [id] });
  await server.post('/api/v1/publish', { channels: ['ends'], data: 'of another one' });
  await server.post('/api/v1/publish', { channels: ['stays'], data: 2 });
  assert.equal((await events.next(1))[0].json.data, 2);
  events.close();
});
