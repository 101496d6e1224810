// Limits on series: new ones beyond them are refused and the culprit is named, old ones go on, and
// who made what is known after a restart.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createKey, serve } from '../harness.mjs';

const t0 = 1_700_000_000_000;
const set = (...all) => all.flatMap((one) => ['--set', one]);

const lines = (measurement, first, count, more = '') => Array.from({ length: count },
  (_, i) => `${measurement},host=h${first + i}${more} v=${i} ${t0}`).join('\n');

const write = (server, body, key) =>
  server.post('/write?precision=ms', body, key ? { key } : undefined);

/** How many lines were refused, and what was said of the first. */
async function refused(server, body, key) {
  const answer = await write(server, body, key);
  if (answer.status === 204) return { count: 0 };
  assert.equal(answer.status, 400, answer.text);
  const { error, rejected } = answer.json();
  for (const one of rejected) assert.equal(one.code, 'too_many_series');
  return { count: Number(/dropped=(\d+)$/.exec(error)[1]), why: rejected[0].text };
}

async function metric(server, name) {
  const { text } = await server.get('/metrics');
  const escaped = name.replace(/[{}"]/g, '\\$&');
  return Number(new RegExp(`^${escaped} (\\d+)$`, 'm').exec(text)[1]);
}

test('each key makes so many series, also after a kill, and what others made goes on', async (t) => {
  const server = await serve(t, { args: set('series.principal_max=20') });
  const other = await createKey(server.data);
  assert.equal((await refused(server, lines('a', 0, 15))).count, 0);
  for (const kill of [true, false]) {
    if (kill) await server.kill9();
    else await server.stop();
    await server.again();
    // What is there is open to everybody.
    assert.equal((await refused(server, lines('a', 0, 15), other)).count, 0);
    assert.equal((await refused(server, lines('b', 0, 20), other)).count, 0);
    assert.equal((await refused(server, lines('a', 15, 5))).count, 0);
    const { count, why } = await refused(server, lines('c', 0, 30));
    assert.equal(count, 30);
    assert.match(why, /its sender made as many as it may \(20\); of its tags host has most/);
    assert.equal((await refused(server, lines('b', 0, 20))).count, 0);
    assert.equal(await metric(server, 'weir_series'), 40);
    assert.equal(await metric(server, 'weir_series_refused_total{limit="principal"}'), 30);
    assert.match(server.log, /event=limit what="points of app-\w+ \(tenant main\) are refused/);
  }
  // JSON is refused item by item, and told so.
  const answer = await server.post('/api/v1/readings', [
    { device: { id: 'new' }, readings: [{ time: t0, temp: 1 }] },
    { device: { id: 'h0' }, readings: [{ time: t0, temp: 1 }] },
  ]);
  assert.equal(answer.status, 202);
  const { accepted, rejected } = answer.json();
  assert.equal(accepted, 0);
  assert.deepEqual(rejected.map(({ index, code }) => [index, code]),
    [[0, 'too_many_series'], [1, 'too_many_series']]);
  assert.match(rejected[0].detail, /its sender made as many as it may \(20\)/);
});

test('a tag whose every value is new is named, and only its new values are refused', async (t) => {
  const server = await serve(t, { args: set('series.tag_values_max=10') });
  const request = (first, count) => Array.from({ length: count },
    (_, i) => `web,host=h${i % 3},request_id=${first + i} ms=${i} ${t0}`).join('\n');
  assert.equal((await refused(server, request(0, 10))).count, 0);
  for (const kill of [false, true]) {
    const { count, why } = await refused(server, request(5, 20));
    assert.equal(count, 15);
    assert.match(why, /the values of its tag request_id are as many as may be \(10\)/);
    assert.equal((await refused(server, `web,host=h1,request_id=7 status=200 ${t0}`)).count, 0);
    assert.equal((await refused(server, `web,host=h9 ms=1 ${t0}`)).count, 0);
    if (kill) await server.kill9();
    else await server.stop();
    await server.again();
  }
  // Devices may be as many as there are.
  const devices = Array.from({ length: 50 }, (_, i) => `d,device=${i} v=1 ${t0}`).join('\n');
  assert.equal((await refused(server, devices)).count, 0);
});
