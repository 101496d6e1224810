// POST /api/v1/readings: every shape of body, exact answers, nothing of the bad stored.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { assertProblem, Server } from '../harness.mjs';

let server;
before(async () => (server = await Server.start()));
after(() => server.stop());

const t0 = 1_700_000_000_000;
const post = (body, options) => server.post('/api/v1/readings', body, options);
const readings = (id, ...list) => ({ device: { id, auth: 'x' }, readings: list });

async function points(device, metric = 'temp') {
  const path = `/api/v1/query?metric=${metric}&device=${device}&from=0&to=${t0 * 2}`;
  const { series } = (await server.get(path)).json();
  assert.ok(series.length <= 1);
  return series[0]?.points ?? [];
}

test('one object', async () => {
  const answer = await post(readings(1, { time: t0, temp: 4.2, batt: 75 }));
  assert.equal(answer.status, 202, answer.text);
  assert.deepEqual(answer.json(), { accepted: 1, rejected: [], rejected_count: 0 });
  assert.deepEqual(await points(1), [[t0, 4.2]]);
  assert.deepEqual(await points(1, 'batt'), [[t0, 75]]);
});

test('an array', async () => {
  const body = [readings(2, { time: t0, temp: 1 }), readings(3, { time: t0, temp: 2 })];
  assert.equal((await post(body)).json().accepted, 2);
  assert.deepEqual(await points(2), [[t0, 1]]);
  assert.deepEqual(await points(3), [[t0, 2]]);
});

test('NDJSON, by its type or by a second value', async () => {
  const body = [4, 5].map((id) => JSON.stringify(readings(id, { time: t0, temp: id }))).join('\n');
  for (const type of ['application/x-ndjson', 'application/x-www-form-urlencoded']) {
    const answer = await post(body, { headers: { 'content-type': type } });
    assert.equal(answer.status, 202, answer.text);
    assert.equal(answer.json().accepted, 2);
  }
  assert.deepEqual(await points(4), [[t0, 4]]);
  assert.deepEqual(await points(5), [[t0, 5]]);
});

test('the Qold message, whose time is in seconds', async () => {
  const text = '{"device":{"id":6,"auth":789},"reading":{"temp":15,"time":1700000000,"batt":75}}';
  assert.equal((await post(text)).json().accepted, 1);
  assert.deepEqual(await points(6), [[t0, 15]]);
});

test('a reading without a time has that of its arrival', async () => {
  const before = Date.now() - 1000;
  await post(readings(7, { temp: 3 }));
  const [[time, value]] = await points(7);
  assert.equal(value, 3);
  assert.ok(time >= before && time <= Date.now() + 1000);
});

test('the same again changes nothing; the later of one millisecond wins', async () => {
  for (const temp of [1, 1, 2]) await post(readings(8, { time: t0, temp }));
  assert.deepEqual(await points(8), [[t0, 2]]);
});

test('late points come into their order', async () => {
  for (const offset of [5, 1, 3, 2, 4]) await post(readings(9, { time: t0 + offset, temp: offset }));
  assert.deepEqual(await points(9), [1, 2, 3, 4, 5].map((i) => [t0 + i, i]));
});

test('a metric that is no number makes that reading bad, the others are stored', async () => {
  const answer = await post(readings(10,
    { time: t0, temp: 1 }, { time: t0 + 1, temp: 'warm' }, { time: t0 + 2, temp: 3 }));
  assert.equal(answer.status, 202);
  const { accepted, rejected, rejected_count } = answer.json();
  assert.equal(accepted, 2);
  assert.equal(rejected_count, 1);
  assert.equal(rejected[0].index, 0);
  assert.equal(rejected[0].reading, 1);
  assert.equal(rejected[0].code, 'bad_value');
  assert.ok(rejected[0].detail);
  assert.deepEqual(await points(10), [[t0, 1], [t0 + 2, 3]]);
});

test('integers beyond 2^53 are bad values, booleans are 0 and 1', async () => {
  const text = `{"device":{"id":11},"readings":[{"time":${t0},"n":9007199254740993},` +
    `{"time":${t0},"n":9007199254740992},{"time":${t0},"on":true,"off":false}]}`;
  const answer = (await post(text)).json();
  assert.equal(answer.accepted, 2);
  assert.deepEqual(answer.rejected.map((one) => one.reading), [0]);
  assert.deepEqual(await points(11, 'on'), [[t0, 1]]);
  assert.deepEqual(await points(11, 'off'), [[t0, 0]]);
});

test('a bad item among good ones is listed by its index', async () => {
  const body = [readings(12, { time: t0, temp: 1 }), { no: 'device' },
    readings(12, { time: t0 + 1, temp: 2 }), 17, readings(12, { time: 'yesterday', temp: 1 })];
  const answer = await post(body);
  assert.equal(answer.status, 202, answer.text);
  const { accepted, rejected } = answer.json();
  assert.equal(accepted, 2);
  assert.deepEqual(rejected.map((one) => one.index), [1, 3, 4]);
  assert.deepEqual(await points(12), [[t0, 1], [t0 + 1, 2]]);
});

test('a single bad object is 202 with one rejected', async () => {
  const answer = await post({ no: 'device' });
  assert.equal(answer.status, 202);
  assert.equal(answer.json().accepted, 0);
  assert.equal(answer.json().rejected_count, 1);
});

test('a hundred rejected are listed, all are counted', async () => {
  const bad = Array.from({ length: 250 }, () => ({ temp: 'x' }));
  const { accepted, rejected, rejected_count } = (await post(readings(13, ...bad))).json();
  assert.deepEqual([accepted, rejected.length, rejected_count], [0, 100, 250]);
});

for (const [name, body] of Object.entries({
  'no JSON': 'hello', 'half an object': '{"device":{"id":14}', 'an array cut off': '[{"a":1},',
  'a trailing comma': '[1,]', 'a bare word': 'nul', 'bad UTF-8': Buffer.from([0x22, 0xff, 0x22]),
  'empty': '', 'a lone surrogate': '{"device":{"id":"\\ud800"},"readings":[{"a":1}]}',
  'too deep': '['.repeat(5000),
})) {
  test(`not JSON is 400: ${name}`, async () => assertProblem(await post(body), 400));
}

test('a bad line of NDJSON is rejected, its neighbours stay', async () => {
  const body = [JSON.stringify(readings(15, { time: t0, temp: 1 })), '{"device":',
    JSON.stringify(readings(15, { time: t0 + 1, temp: 2 }))].join('\n');
  const answer = await post(body, { headers: { 'content-type': 'application/x-ndjson' } });
  assert.equal(answer.status, 202, answer.text);
  assert.equal(answer.json().accepted, 2);
  assert.equal(answer.json().rejected[0].index, 1);
});

test('times: milliseconds, RFC 3339; finer ones are floored', async () => {
  const times = [t0, '2023-11-14T22:13:21Z', '2023-11-15T00:13:22.999999+02:00'];
  const answer = await post(readings(16, ...times.map((time, i) => ({ time, temp: i }))));
  assert.equal(answer.json().accepted, 3, answer.text);
  assert.deepEqual(await points(16), [[t0, 0], [t0 + 1000, 1], [t0 + 2999, 2]]);
});

test('tokens of 17 digits never pass through a double, and are kept starred', async () => {
  const text = `{"device":{"id":17,"auth":12345678901234567},"readings":[{"time":${t0},"temp":1}]}`;
  assert.equal((await post(text)).json().accepted, 1);
  const raw = await server.get(`/api/v1/raw?device=17&from=0&to=${Date.now() + 60_000}`);
  assert.equal(raw.status, 200, raw.text);
  assert.doesNotMatch(raw.text, /12345678901234567/);
  const [row] = raw.text.trim().split('\n').map((line) => JSON.parse(line));
  assert.equal(row.message.device.id, 17);
  assert.ok(Math.abs(row.time - Date.now()) < 60_000);
});

test('doubles come back to the bit', async () => {
  const values = [0.1, -0, 1e-308, 5e-324, 1.7976931348623157e308, 1 / 3, 123456789.123456789];
  const list = values.map((v, i) => `{"time":${t0 + i},"v":${Object.is(v, -0) ? '-0.0' : v}}`);
  await post(`{"device":{"id":18},"readings":[${list}]}`);
  const answer = await server.get(`/api/v1/query?metric=v&device=18&from=0&to=${t0 * 2}`);
  const back = answer.json().series[0].points.map(([, v]) => v);
  assert.equal(back.length, values.length);
  values.forEach((v, i) => assert.ok(Object.is(v, back[i]), `${v} became ${back[i]}`));
});

test('gzip and chunked, whatever the type says', async () => {
  const body = gzipSync(JSON.stringify(readings(19, { time: t0, temp: 9 })));
  const answer = await post(body, {
    headers: { 'content-encoding': 'gzip', 'content-type': 'image/png' },
  });
  assert.equal(answer.json().accepted, 1);
  assert.deepEqual(await points(19), [[t0, 9]]);
});

test('a device id may be text', async () => {
  await post(readings('fridge/7 "a"', { time: t0, temp: 5 }));
  assert.deepEqual(await points(encodeURIComponent('fridge/7 "a"')), [[t0, 5]]);
});

test('NDJSON: when the connection breaks, complete lines stay', async () => {
  const raw = await server.connect();
  raw.send('POST /api/v1/readings HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n' +
    `Authorization: Bearer ${server.key}\r\n\r\n`);
  const lines = [0, 1, 2].map((i) => JSON.stringify(readings('cut', { time: t0 + i, temp: i })));
  const body = lines.join('\n').slice(0, -5);
  raw.send(`${body.length.toString(16)}\r\n${body}`);
  raw.socket.end();
  await raw.ended();
  raw.close();
  for (let i = 0; (await points('cut')).length !== 2; i++) {
    assert.ok(i < 500, 'the complete lines are stored');
    await new Promise((wake) => setTimeout(wake, 10));
  }
});
