// Who may report readings of which device: gateways, devices, applications; what is refused, how,
// and that nothing of it is kept. Each request comes on a connection of its own, to one of two loops.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { assertProblem, createKey, Server, until } from '../harness.mjs';
import { local } from '../60-admin/local.mjs';

const t0 = 1_700_000_000_000;
const readings = '/api/v1/readings';
const admin = '/api/v1/admin';
let server;
let gateway; // { id, auth } that may write
let device;  // an active one of no gateway
let number = 0;

const call = async (method, path, body, status) => {
  const answer = await local(server, method, `${admin}/${path}`, body);
  assert.equal(answer.status, status, answer.text);
  return answer.status === 204 ? null : answer.json();
};
const makeGateway = (body) => call('POST', 'gateways', body, 201);
const makeDevice = async (body = {}, active = true) => {
  const made = await call('POST', 'devices', { id: `d${++number}`, ...body }, 201);
  if (active) await call('PUT', `devices/${made.id}/config`, { state: true }, 200);
  return made;
};
const basic = (user, password) =>
  ({ authorization: `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}` });
const asGateway = ({ id, auth } = gateway) => basic(`gateway-${id}`, auth);
const item = ({ id, auth }, more = {}, metric = 'temp') =>
  ({ device: { id, auth }, readings: [{ time: t0, [metric]: 1 }], ...more });
const inBody = (one = gateway) => ({ gateway: { id: one.id, auth: one.auth } });
const post = (body, { headers, key = false } = {}) => server.post(readings, body, { headers, key });
const accepted = async (body, how) => {
  const answer = await post(body, how);
  assert.equal(answer.status, 202, answer.text);
  return answer.json();
};
const verdicts = async (body, how) => {
  const { accepted: count, rejected, rejected_count } = await accepted(body, how);
  assert.equal(rejected.length, rejected_count);
  return [count, ...rejected.map(({ index, reading, code }) =>
    reading === undefined ? `${index} ${code}` : `${index}.${reading} ${code}`)];
};
const stored = async (id, metric = 'temp') => {
  const answer = await server.get(`/api/v1/latest?metric=${metric}&device=${id}`);
  assert.equal(answer.status, 200, answer.text);
  return answer.json().series.length > 0;
};
const known = (id) => local(server, 'GET', `${admin}/devices/${id}`);

before(async () => {
  server = await Server.start({ args: ['--set', 'net.loops=2'] });
  gateway = await makeGateway();
  device = await makeDevice();
});
after(() => server.stop());

// ── gateways ──

for (const [how, wrap] of [
  ['in the head', (body, one) => [body, { headers: asGateway(one) }]],
  ['in the body', (body, one) => [[body].flat().map((each) => ({ ...inBody(one), ...each }))]],
]) {
  const ask = (body, one = gateway) => verdicts(...wrap(body, one));

  test(`a gateway with its credentials ${how} writes for devices with theirs`, async () => {
    const own = await makeDevice({ gateway: gateway.id });
    assert.deepEqual(await ask([item(device), item(own)]), [2]);
    assert.ok(await stored(device.id));
    assert.ok(await stored(own.id));
  });

  test(`a gateway with its credentials ${how}: each verdict`, async () => {
    const other = await makeGateway();
    const asleep = await makeDevice({}, false);
    const foreign = await makeDevice({ gateway: other.id });
    const mute = await makeDevice();
    const nobody = { id: `n${++number}`, auth: 'x' };
    assert.deepEqual(await ask([
      item(nobody), item({ id: mute.id }), item({ ...mute, auth: device.auth }), item(asleep),
      item(foreign), item(device), item({ ...asleep, auth: 'x' }), item({ id: '\u0001', auth: 'x' }),
      { ...item(device), readings: [{ time: t0, temp: null }, { time: t0, temp: 2 }] },
    ]), [2, '0 unknown_device', '1 bad_auth', '2 bad_auth', '3 inactive_device',
      '4 wrong_gateway', '6 bad_auth', '7 bad_device', '8.0 bad_value']);
    for (const { id } of [nobody, mute, asleep, foreign]) assert.equal(await stored(id), false);
    assert.equal((await known(nobody.id)).status, 404, 'a gateway registers nothing');
    assert.deepEqual(await ask(item(foreign), other), [1], 'its own gateway may');
  });

  test(`tokens that are integers of 17 digits are compared by their digits, ${how}`, async () => {
    const id = `9876543210987${1000 + ++number}`;
    await makeDevice({ id, auth: '12345678901234567' });
    const say = (auth) => {
      const [body, options] = wrap('@');
      const line = `{"device":{"id":${id},"auth":${auth}},"reading":{"t":1}}`;
      const front = options ? line
        : line.replace('{', `{"gateway":${JSON.stringify(body[0].gateway ?? inBody().gateway)},`);
      return verdicts(front, options);
    };
    assert.deepEqual(await say('12345678901234567'), [1]);
    assert.deepEqual(await say('"12345678901234567"'), [1]);
    assert.deepEqual(await say('12345678901234568'), [0, '0 bad_auth']);
    assert.deepEqual(await say('1.2345678901234567e16'), [0, '0 bad_auth']);
  });

  test(`credentials after the readings, as NDJSON, ${how}`, async () => {
    const late = await makeDevice();
    const line = (one, last) => {
      const [body] = wrap(item(one));
      const { gateway: named } = Array.isArray(body) ? body[0] : {};
      return JSON.stringify({
        readings: [{ time: t0, late: 1 }], device: { auth: one.auth, id: one.id },
        ...(named && !last ? { gateway: named } : {}),
      });
    };
    const text = `${line(late)}\n\n${line({ id: late.id, auth: 'no' })}\n{"x\n${line(late, true)}\n`;
    assert.deepEqual(await verdicts(text, wrap('')[1]), [2, '2 bad_auth', '3 bad_json']);
    assert.ok(await stored(late.id, 'late'));
  });
}

test('credentials of the head and of the body must name the same gateway', async () => {
  const other = await makeGateway();
  const with_ = (named) => verdicts(item(device, { gateway: named }), { headers: asGateway() });
  assert.deepEqual(await with_(inBody().gateway), [1]);
  assert.deepEqual(await with_({ id: gateway.id }), [1]);
  assert.deepEqual(await with_({ id: String(gateway.id), tenant: 'main' }), [1]);
  assert.deepEqual(await with_({ ...inBody().gateway, auth: other.auth }), [0, '0 bad_auth']);
  assert.deepEqual(await with_(inBody(other).gateway), [0, '0 bad_auth']);
  assert.deepEqual(await with_({ id: gateway.id, tenant: 'other' }), [0, '0 bad_auth']);
  assert.deepEqual(await with_({ auth: gateway.auth }), [0, '0 bad_auth']);
  assert.deepEqual(await with_(7), [0, '0 bad_auth']);
  const list = [item(device, inBody()), item(device), item(device, inBody(other)),
    item(device, { gateway: { ...inBody().gateway, auth: 'x' } }), item(device, inBody())];
  assert.deepEqual(await verdicts(list), [3, '2 bad_auth', '3 bad_auth']);
});

test('without valid credentials nothing is begun', async () => {
  const fresh = await makeDevice();
  const long = 'x'.repeat(70_000);
  const late = await makeGateway();
  await call('PUT', `gateways/${late.id}/config`, { State: 'Blocked' }, 200);
  for (const body of [
    item(fresh), [item(fresh), item(fresh, inBody())], '', '[]', '7', '{"gateway":', '{',
    item(fresh, { gateway: { id: gateway.id } }), item(fresh, { gateway: { auth: gateway.auth } }),
    item(fresh, inBody({ ...gateway, auth: `${gateway.auth}0` })), item(fresh, inBody(late)),
    item(fresh, inBody({ id: 99, auth: gateway.auth })), item(fresh, inBody(device)),
    item(fresh, { gateway: { ...inBody().gateway, tenant: 'other' } }),
    JSON.stringify({ v: long, ...item(fresh, inBody()) }),
    `${JSON.stringify(item(fresh))}\n${JSON.stringify(item(fresh, inBody()))}\n`,
  ]) assertProblem(await post(body), 401);
  for (const headers of [asGateway(late), asGateway({ ...gateway, auth: 'x' }),
    asGateway({ id: 99, auth: gateway.auth }), { authorization: 'Bearer x' }])
    assertProblem(await post(item(fresh, inBody()), { headers }), 401);
  assert.equal(await stored(fresh.id), false);
});

test('a body that is nobody\'s is not kept for longer than it takes to know', async () => {
  const raw = await server.connect();
  raw.send(`POST ${readings} HTTP/1.1\r\nHost: a\r\nContent-Length: 10000000\r\n\r\n{"v":"`);
  const piece = 'x'.repeat(16_000);
  for (let sent = 0; sent < 70_000; sent += piece.length) raw.send(piece);
  assert.equal((await raw.answer()).status, 401);
  raw.close();
  const slow = await server.connect();
  const text = JSON.stringify(item(device, inBody()));
  slow.send(`POST ${readings} HTTP/1.1\r\nHost: a\r\nContent-Length: ${text.length}\r\n\r\n`);
  for (const byte of text) slow.send(byte);
  assert.equal((await slow.answer()).status, 202, 'byte by byte');
  slow.close();
});

test('who leaves before he said who he is leaves nothing', async () => {
  const fresh = await makeDevice();
  const raw = await server.connect();
  raw.send(`POST ${readings} HTTP/1.1\r\nHost: a\r\nContent-Length: 9999\r\n\r\n` +
    `${JSON.stringify(item(fresh))}\n`);
  raw.close();
  assert.deepEqual(await verdicts(item(device, inBody())), [1]);
  assert.equal(await stored(fresh.id), false);
});

// ── what is revoked ──

test('a gateway that is blocked is refused with its next message and within a body', async () => {
  const one = await makeGateway();
  const long = await server.connect();
  const line = (i) => `${JSON.stringify(item(device, {}, `r${i % 4}`))}\n`;
  const lines = (from, count) => {
    const text = Array.from({ length: count }, (_, i) => line(from + i)).join('');
    return `${text.length.toString(16)}\r\n${text}\r\n`;
  };
  long.send(`POST ${readings} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n` +
    `Authorization: ${asGateway(one).authorization}\r\nContent-Type: application/x-ndjson\r\n\r\n`);
  long.send(lines(0, 20_000));
  await until(() => stored(device.id, 'r0'), 'the first lines');
  const kept = await server.connect();
  const text = JSON.stringify(item(device));
  const send = () => kept.send(`POST ${readings} HTTP/1.1\r\nHost: a\r\nAuthorization: ` +
    `${asGateway(one).authorization}\r\nContent-Length: ${text.length}\r\n\r\n${text}`);
  send();
  assert.equal((await kept.answer()).status, 202);
  await call('PUT', `gateways/${one.id}/config`, { State: 'Blocked' }, 200);
  send();
  assert.equal((await kept.answer()).status, 401);
  long.send(lines(0, 20_000));
  const answer = await long.answer();
  assert.equal(answer.status, 401, answer.body);
  assert.match(JSON.parse(answer.body).detail, /not valid any more/);
  assertProblem(await post(item(device, inBody(one))), 401);
  await call('PUT', `gateways/${one.id}/config`, { State: 'Active' }, 200);
  assert.deepEqual(await verdicts(item(device, inBody(one))), [1]);
  long.close();
  kept.close();
});

test('a device that is blocked or removed is refused with its next reading', async () => {
  const one = await makeDevice();
  const ask = () => verdicts(item(one), { headers: asGateway() });
  assert.deepEqual(await ask(), [1]);
  await call('PUT', `devices/${one.id}/config`, { state: false }, 200);
  assert.deepEqual(await ask(), [0, '0 inactive_device']);
  await call('PUT', `devices/${one.id}/config`, { state: true }, 200);
  await call('PUT', `devices/${one.id}`, { gateway: (await makeGateway()).id }, 200);
  assert.deepEqual(await ask(), [0, '0 wrong_gateway']);
  await call('DELETE', `devices/${one.id}`, undefined, 204);
  assert.deepEqual(await ask(), [0, '0 unknown_device']);
});

// ── devices ──

test('a device that speaks for itself writes itself and nothing else', async () => {
  const one = await makeDevice();
  const headers = basic(`device-${one.id}`, one.auth);
  assert.deepEqual(await verdicts([item({ id: one.id }), item({ id: device.id }), item(device),
    item({ id: `n${++number}` })], { headers }),
  [1, '1 bad_auth', '2 bad_auth', '3 bad_auth']);
  assert.ok(await stored(one.id));
  assertProblem(await post(item(one), { headers: basic(`device-${one.id}`, 'x') }), 401);
  await call('PUT', `devices/${one.id}/config`, { state: false }, 200);
  assertProblem(await post(item(one), { headers }), 401);
});

// ── applications ──

test('an application registers what it writes, once, active', async () => {
  const ids = Array.from({ length: 50 }, (_, i) => `a${i} ä${++number}`);
  const body = ids.flatMap((id) => [item({ id }), item({ id, auth: 'ignored' })]);
  await Promise.all(Array.from({ length: 4 }, async () =>
    assert.deepEqual(await verdicts(body, { key: server.key }), [100])));
  for (const id of ids) {
    const one = await known(encodeURIComponent(id));
    assert.equal(one.status, 200, one.text);
    assert.equal(one.json().state, true);
  }
  const audit = await call('GET', 'audit?limit=1000', undefined, 200);
  const mine = audit.items.filter(({ what, object }) =>
    what === 'device.register' && ids.includes(object));
  assert.equal(mine.length, ids.length, 'each once');
  assert.match(mine[0].who, /^app-/);
  assert.equal(mine[0].from, '127.0.0.1');
  assert.deepEqual(await verdicts(item({ id: ids[0], auth: 'x' }), { headers: asGateway() }),
    [0, '0 bad_auth'], 'it has no token');
});

test('an application meets inactive devices and ids that are none', async () => {
  const asleep = await makeDevice({}, false);
  const bad = 'x'.repeat(65);
  assert.deepEqual(await verdicts([item({ id: asleep.id }), item({ id: bad }),
    { device: { id: `b${++number}` }, readings: [{ time: t0, temp: 'x' }] }], { key: server.key }),
  [0, '0 inactive_device', '1 bad_device', '2.0 bad_value']);
  assert.equal((await known(`b${number}`)).status, 404, 'nothing of it was good');
  assert.equal((await known(bad)).status, 404);
  const reader = await createKey(server.data, 'read');
  assertProblem(await post(item(device), { key: reader }), 403);
});

test('a device that was removed is registered again by who writes it', async () => {
  const id = `a${++number}`;
  assert.deepEqual(await verdicts(item({ id }), { key: server.key }), [1]);
  await call('DELETE', `devices/${id}`, undefined, 204);
  assert.deepEqual(await verdicts(item({ id }), { key: server.key }), [1]);
  assert.equal((await known(id)).status, 200);
});

test('line protocol is for applications', async () => {
  for (const path of ['/write', '/api/v2/write']) {
    for (const headers of [asGateway(), basic(`device-${device.id}`, device.auth)]) {
      const answer = await server.post(path, 'm v=1', { headers, key: false });
      assert.match(assertProblem(answer, 403).detail, /line protocol is for applications/);
    }
    assert.equal((await server.post(path, 'm v=1')).status, 204);
  }
});

// ── afterwards ──

function* files(path) {
  for (const name of readdirSync(path)) {
    const one = join(path, name);
    const stat = statSync(one);
    if (stat.isDirectory()) yield* files(one);
    else if (stat.isFile()) yield one;
  }
}

test('after kill -9 the verdicts are the same, and no token is anywhere', async () => {
  const asleep = await makeDevice({}, false);
  const planted = 'planted-token-0123456789';
  const mine = await makeDevice({ auth: planted });
  const sender = await makeGateway({ auth: `${planted}-g` });
  const body = [item(mine, inBody(sender), 'k'), item(asleep, {}, 'k'),
    item({ id: mine.id, auth: `${planted}-wrong` }, {}, 'k'),
    { ...item(mine, {}, 'k2'), v: { auth: `${planted}-deep` } }];
  const want = [2, '1 inactive_device', '2 bad_auth'];
  assert.deepEqual(await verdicts(body), want);
  const app = `k${++number}`;
  assert.deepEqual(await verdicts(item({ id: app }), { key: server.key }), [1]);
  await server.kill9();
  await server.again();
  assert.ok(await stored(mine.id, 'k'));
  assert.equal(await stored(asleep.id, 'k'), false);
  assert.equal((await known(app)).status, 200);
  assert.deepEqual(await verdicts(body), want);
  const raw = await server.get('/api/v1/raw?from=-1h');
  assert.ok(raw.text.includes('***'));
  const metrics = await server.get('/metrics');
  const audit = await local(server, 'GET', `${admin}/audit?limit=1000`);
  for (const text of [raw.text, metrics.text, audit.text, server.log])
    assert.ok(!text.includes(planted));
  for (const path of files(server.data))
    assert.ok(!readFileSync(path).includes(planted), path);
});
