// The server's log over HTTP: what is kept, and what comes.
import assert from 'node:assert/strict';
import http from 'node:http';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { assertProblem, createKey, Server, until } from '../harness.mjs';
import { local } from './local.mjs';

const logs = '/api/v1/admin/logs';
let server;
const call = (path, headers) => local(server, 'GET', path, undefined, headers);
const lines = async (query = '') => {
  const answer = await call(`${logs}${query}`);
  assert.equal(answer.status, 200, answer.text);
  assert.match(answer.headers['content-type'], /^application\/x-ndjson/);
  return answer.text.split('\n').filter(Boolean).map((line) => JSON.parse(line));
};

before(async () => (server = await Server.start({ args: ['--log-level', 'debug'] })));
after(() => server.stop());

/** A stream of events: { events, close() }. */
function follow(query = '', headers = {}) {
  const stream = { events: [], text: '' };
  const out = http.request({
    socketPath: join(server.data, 'admin.sock'), path: `${logs}${query}`, agent: false,
    headers: { accept: 'text/event-stream', ...headers },
  }, (answer) => {
    stream.type = answer.headers['content-type'];
    answer.setEncoding('utf8').on('data', (part) => {
      stream.text += part;
      const whole = stream.text.split('\n\n');
      stream.text = whole.pop();
      for (const block of whole) {
        const found = /^id: (.*)\ndata: (.*)$/.exec(block);
        if (found) stream.events.push({ id: found[1], ...JSON.parse(found[2]) });
      }
    }).on('end', () => (stream.ended = true)).on('error', () => {});
  });
  out.on('error', () => {}).end();
  stream.close = () => out.destroy();
  return stream;
}

test('what was logged is there, in order, as it was', async () => {
  const all = await lines();
  assert.ok(all.every(({ source, time }) => source === 'server' && Number.isInteger(time)));
  const listening = all.find(({ event }) => event === 'listening');
  assert.deepEqual([listening.level, listening.address], ['info', server.url]);
  assert.ok(all.findIndex(({ event }) => event === 'starting') < all.indexOf(listening));
  const times = all.map(({ time }) => time);
  assert.deepEqual(times, [...times].sort((a, b) => a - b));
});

test('by level, time and text', async () => {
  const [first] = await lines();
  assert.ok((await lines('?level=debug')).some(({ level }) => level === 'debug'));
  assert.ok((await lines('?level=info')).every(({ level }) => level !== 'debug'));
  assert.deepEqual(await lines(`?to=${first.time}`), []);
  assert.deepEqual(await lines(`?from=${Date.now() + 60_000}`), []);
  const found = await lines('?q=listening&source=server&level=info');
  assert.deepEqual([...new Set(found.map(({ event }) => event))], ['listening']);
  assert.deepEqual(await lines('?q=%27%20OR%201%3D1'), []);
});

test('a stream goes on with what comes', async () => {
  const stream = follow('?level=debug');
  await until(() => stream.type, 'the stream to begin');
  assert.match(stream.type, /^text\/event-stream/);
  assert.equal((await server.get('/version?marked')).status, 200);
  await until(() => stream.events.some(({ event }) => event === 'request'), 'a line of a request');
  stream.close();
  const resumed = follow('', { 'last-event-id': stream.events[0].id });
  await until(() => resumed.events.length > 0, 'what came after');
  resumed.close();
  assert.ok(!resumed.events.some(({ id }) => id === stream.events[0].id));
  const old = follow('?from=0&q=listening');
  await until(() => old.events.length > 0, 'older lines');
  old.close();
});

test('a bad question is said', async () => {
  for (const query of ['level=all', 'from=x', 'to=', 'source=syslog', 'source=gateway-', 'source=gateway-x', 'source=gateway-0', `q=${'x'.repeat(129)}`])
    assertProblem(await call(`${logs}?${query}`), 400);
});

test('what a gateway said on its topic logs', async () => {
  const made = (await local(server, 'POST', '/api/v1/admin/gateways')).json();
  const basic = `Basic ${Buffer.from(`gateway-${made.id}:${made.auth}`).toString('base64')}`;
  const said = [
    { topic: 'logs', time: 1700000000000, data: { level: 'info', text: 'started', auth: 'planted' } },
    { topic: 'logs', time: 1700000001000, data: { level: 'warning', text: 'weak radio' } },
    { topic: 'logs', time: 1700000002000, data: 'a text' }, { topic: 'metrics', data: { load: 1 } },
  ];
  const sent = await server.request('POST', '/api/v1/gateway/messages', {
    key: false, headers: { authorization: basic }, body: said.map((one) => JSON.stringify(one)).join('\n'),
  });
  assert.equal(sent.status, 202, sent.text);
  assert.equal(sent.json().accepted, 4);
  const source = `source=gateway-${made.id}&from=0`;
  const all = await lines(`?${source}`);
  assert.deepEqual(all.map(({ time }) => time), [1700000000000, 1700000001000, 1700000002000]);
  assert.ok(all.every((line) => line.source === `gateway-${made.id}`));
  assert.deepEqual(all[1].data, said[1].data);
  assert.ok(!JSON.stringify(all).includes('planted'));
  assert.deepEqual((await lines(`?${source}&level=warn`)).map(({ data }) => data.text), ['weak radio']);
  assert.deepEqual((await lines(`?${source}&q=radio`)).length, 1);
  assert.deepEqual((await lines(`?${source}&to=1700000001000`)).length, 1);
  assert.deepEqual(await lines('?source=gateway-999&from=0'), []);
  assert.deepEqual(await lines(`?${source}&tenant=other`), []);
  assertProblem(await call(`${logs}?${source}`, { accept: 'text/event-stream' }), 400);
});

test('keys are no governors, and no line holds one', async () => {
  assertProblem(await server.request('GET', logs, { key: await createKey(server.data) }), 403);
  assertProblem(await server.request('GET', logs, { key: false }), 401);
  assert.ok(!(await call(logs)).text.includes(server.key));
});

test('a stream ends when the server stops', async () => {
  const stream = follow();
  await until(() => stream.type, 'the stream to begin');
  await server.stop();
  assert.ok(stream.ended);
});
