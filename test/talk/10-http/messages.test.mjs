// What gateways report of themselves: accepted, live, as series, in raw, after a restart.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { assertProblem, Events, Server } from '../harness.mjs';
import { local } from '../60-admin/local.mjs';

const path = '/api/v1/gateway/messages';
const t0 = 1_700_000_000_000;
let server, gateway;
const call = async (method, what, body, status) => {
  const answer = await local(server, method, `/api/v1/admin/${what}`, body);
  assert.equal(answer.status, status, answer.text);
  return answer.json();
};
const as = ({ id, auth }, who = 'gateway') =>
  ({ authorization: `Basic ${Buffer.from(`${who}-${id}:${auth}`).toString('base64')}` });
const lines = (...list) => list.map((one) => JSON.stringify(one)).join('\n');
const post = (body, headers = as(gateway)) => server.post(path, body, { headers, key: false });
const accepted = async (body, headers) => {
  const answer = await post(body, headers);
  assert.equal(answer.status, 202, answer.text);
  return answer.json();
};
const listen = (pattern, options) =>
  Events.open(server, `/api/v1/subscribe?channel=${encodeURIComponent(pattern)}`, options);

before(async () => {
  server = await Server.start({ args: ['--set', 'net.loops=2'] });
  gateway = await call('POST', 'gateways', {}, 201);
});
after(() => server.stop());

test('good lines are accepted, bad ones listed', async () => {
  const body = `${lines({ topic: 'errors', time: t0, data: { code: 7 } }, { topic: '' })}\n` +
    `\n{"topic"\n${lines({ topic: 'logs', data: 'text', time: 'never' }, { topic: 'door' })}`;
  const { accepted: count, rejected, rejected_count } = await accepted(body);
  assert.equal(count, 2);
  assert.equal(rejected_count, 3);
  assert.deepEqual(rejected.map(({ index, code }) => `${index} ${code}`),
    ['1 bad_topic', '3 bad_json', '4 bad_time']);
});

test('each appears live on gateways/ID/TOPIC, in order, with rising ids', async () => {
  const other = await call('POST', 'gateways', {}, 201);
  const all = await listen('gateways/#');
  const mine = await listen(`gateways/${gateway.id}/logs`);
  const own = await listen(`gateways/${gateway.id}/+`, { key: false, headers: as(gateway) });
  assert.equal(own.status, 200);
  const many = Array.from({ length: 100 }, (_, i) =>
    ({ topic: i % 2 ? 'logs' : 'metrics', time: t0 + i, data: { n: i, s: 'x' } }));
  await accepted(lines(...many));
  await accepted(lines({ topic: 'a/b', time: t0, data: [1.50, null] }), as(other));
  const seen = (await all.next(101)).map(({ json }) => json);
  assert.deepEqual(seen.map(({ channels }) => channels[0]), [
    ...many.map(({ topic }) => `gateways/${gateway.id}/${topic}`), `gateways/${other.id}/a%2Fb`]);
  assert.deepEqual(seen.map(({ data }) => data), [
    ...many.map((one) => ({ gateway: gateway.id, ...one })),
    { gateway: other.id, topic: 'a/b', time: t0, data: [1.5, null] }]);
  const ids = seen.map(({ id }) => Number(id.slice(1)));
  assert.ok(ids.every((id, i) => i === 0 || id > ids[i - 1]));
  assert.equal((await mine.next(50))[0].json.data.data.n, 1);
  assert.equal((await own.next(100)).length, 100);
  for (const one of [all, mine, own]) one.close();
});

test('metrics become series of the gateway, and views as others do', async () => {
  const views = await listen('readings/-/load');
  await accepted(lines({ topic: 'metrics', time: t0, data: { load: 0.25, up: true, name: 'x' } }));
  const { series } = (await server.get(`/api/v1/latest?gateway=${gateway.id}&metric=load`)).json();
  assert.deepEqual(series,
    [{ metric: 'load', tags: { gateway: String(gateway.id) }, time: t0, value: 0.25 }]);
  const [{ json }] = await views.next(1);
  assert.equal(json.data.value, 0.25);
  assert.equal(json.data.device, null);
  views.close();
  const bad = await accepted(lines({ topic: 'metrics', data: 7 },
    { topic: 'metrics', data: { ok: 1 } }));
  assert.equal(bad.accepted, 1);
  assert.equal(bad.rejected[0].code, 'bad_value');
});

test('credentials in the first line, and the same ones or none in all others', async () => {
  const other = await call('POST', 'gateways', {}, 201);
  const { id, auth } = gateway;
  const named = { gateway: { id, auth } };
  const { accepted: count, rejected } = await accepted(lines(
    { topic: 'x', ...named }, { topic: 'x' }, { topic: 'x', gateway: { id: other.id, auth: other.auth } },
    { topic: 'x', gateway: { id, auth: `${auth}0` } }, { topic: 'x', ...named }), {});
  assert.equal(count, 3);
  assert.deepEqual(rejected.map(({ index, code }) => `${index} ${code}`), ['2 bad_auth', '3 bad_auth']);
  for (const body of ['', lines({ topic: 'x' }), lines({ topic: 'x' }, { topic: 'x', ...named }),
    lines({ topic: 'x', gateway: { id, auth: 'x' } })])
    assertProblem(await post(body, {}), 401);
});

test('nobody but a gateway', async () => {
  const device = await call('POST', 'devices', {}, 201);
  await call('PUT', `devices/${device.id}/config`, { state: true }, 200);
  const body = lines({ topic: 'x' });
  assertProblem(await server.post(path, body), 403);
  assertProblem(await post(body, as(device, 'device')), 403);
  assertProblem(await local(server, 'POST', path, body), 403);
  assertProblem(await post(body, as({ ...gateway, auth: 'x' })), 401);
  const blocked = await call('POST', 'gateways', {}, 201);
  await call('PUT', `gateways/${blocked.id}/config`, { State: 'Blocked' }, 200);
  assertProblem(await post(body, as(blocked)), 401);
});

test('after kill -9: series and raw are there, credentials are not', async () => {
  const planted = 'planted-token-987654321';
  const live = await listen(`gateways/${gateway.id}/secret`);
  await accepted(lines({ topic: 'secret', data: { deep: [{ auth: planted }], n: { auth: 1234567890123 } } },
    { topic: 'metrics', time: t0 + 5, data: { replayed: 3, auth: planted } }, { topic: 'x', time: 'never' }));
  const [{ json, data }] = await live.next(1);
  assert.ok(!data.includes(planted) && !data.includes('1234567890123'), data);
  assert.match(json.data.data.deep[0].auth, /^\*+$/);
  live.close();
  const raw = async () => (await server.get('/api/v1/raw?from=-1h')).text;
  const before_ = await raw();
  await server.kill9();
  await server.again();
  assert.equal(await raw(), before_);
  assert.ok(before_.includes('"topic":"secret"') && !before_.includes(planted));
  assert.ok(!before_.includes('"never"'), 'rejected lines are not shown');
  assert.ok(!server.log.includes(planted) && !(await server.get('/metrics')).text.includes(planted));
  const { series } = (await server.get('/api/v1/latest?metric=replayed')).json();
  assert.deepEqual(series.map(({ time, value }) => [time, value]), [[t0 + 5, 3]]);
  assert.equal((await server.get('/api/v1/raw?from=-1h&device=1')).text, '');
});
