// A gateway registers devices that it hears for the first time.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { assertProblem, Server } from '../harness.mjs';
import { local } from './local.mjs';

const admin = '/api/v1/admin';
let server, may, mayNot;
const call = async (method, path, body, status) => {
  const answer = await local(server, method, `${admin}/${path}`, body);
  assert.equal(answer.status, status, answer.text);
  return answer.status === 204 ? null : answer.json();
};
const as = ({ id, auth }, who = 'gateway') =>
  ({ authorization: `Basic ${Buffer.from(`${who}-${id}:${auth}`).toString('base64')}` });
const enrol = (body, one = may) =>
  server.post('/api/v1/enrol/device', body, { headers: as(one), key: false });
const enrolled = async (body, status = 201, one = may) => {
  const answer = await enrol(body, one);
  assert.equal(answer.status, status, answer.text);
  return answer.json();
};
const write = async ({ id, auth }, one = may) => {
  const answer = await server.post('/api/v1/readings',
    { device: { id, auth }, readings: [{ t: 1 }] }, { headers: as(one), key: false });
  const { accepted, rejected } = answer.json();
  return accepted ? 'accepted' : rejected[0].code;
};

before(async () => {
  server = await Server.start({ args: ['--set', 'net.loops=2'] });
  may = await call('POST', 'gateways', { may_enrol: true }, 201);
  mayNot = await call('POST', 'gateways', {}, 201);
});
after(() => server.stop());

test('a new device is inactive, bound to its gateway, and writes once accepted', async () => {
  const one = await enrolled({ id: 'heard', name: 'Keller' });
  assert.deepEqual(Object.keys(one), ['id', 'auth', 'state']);
  assert.match(one.auth, /^[0-9a-f]{40}$/);
  assert.equal(one.state, false);
  assert.equal(await write(one), 'inactive_device');
  const shown = await call('GET', 'devices/heard', undefined, 200);
  assert.deepEqual(shown,
    { id: 'heard', state: false, name: 'Keller', group: '', place: '', gateway: may.id, users: [] });
  await call('PUT', 'devices/heard/config', { state: true }, 200);
  assert.equal(await write(one), 'accepted');
  assert.equal(await write(one, mayNot), 'wrong_gateway');
  const audit = await call('GET', 'audit', undefined, 200);
  const entry = audit.items.find(({ what, object }) => what === 'device.add' && object === 'heard');
  assert.equal(entry.who, `gateway-${may.id}`);
  assert.ok(!JSON.stringify(audit).includes(one.auth));
});

test('a token that is brought along is kept and not shown', async () => {
  const body = '{"id":12345678901234567,"auth":98765432109876543}';
  assert.deepEqual(await enrolled(body), { id: '12345678901234567', state: false });
  assert.deepEqual(await enrolled(body, 200), { id: '12345678901234567', state: false });
  const one = { id: '12345678901234567', auth: '98765432109876543' };
  await call('PUT', `devices/${one.id}/config`, { state: true }, 200);
  assert.deepEqual(await enrolled(body, 200), { id: one.id, state: true });
  assert.equal(await write(one), 'accepted');
  assertProblem(await enrol({ ...one, auth: 'other' }), 409);
});

test('after a lost answer the same question gives a token that is right', async () => {
  const lost = await enrolled({ id: 'lost' });
  const again = await enrolled({ id: 'lost' }, 200);
  assert.notEqual(again.auth, lost.auth);
  assert.equal(await write(lost), 'bad_auth');
  assert.equal(await write(again), 'inactive_device');
  await call('PUT', 'devices/lost/config', { state: true }, 200);
  assert.match(assertProblem(await enrol({ id: 'lost' }), 409).detail, /accepted/);
  assert.equal(await write(again), 'accepted');
});

test('what belongs to others is a conflict', async () => {
  await call('POST', 'devices', { id: 'admins' }, 201);
  await call('POST', 'devices', { id: 'theirs', gateway: mayNot.id, auth: 'x' }, 201);
  for (const body of [{ id: 'admins' }, { id: 'theirs' }, { id: 'theirs', auth: 'x' }])
    assert.equal(assertProblem(await enrol(body), 409).pointer, '/id');
});

test('without an id it gets the next one', async () => {
  const a = await enrolled();
  const b = await enrolled({});
  assert.equal(b.id, a.id + 1);
});

test('bad questions', async () => {
  assertProblem(await enrol('{'), 400);
  for (const body of [{ id: '' }, { id: '\n' }, { id: 'x'.repeat(65) }, { id: 1.5 }, { auth: null },
    { auth: [] }, { id: 'm', state: true }, { id: 'm', gateway: 1 }, { id: 'm', users: ['a'] }])
    assertProblem(await enrol(body), 422);
  assert.equal((await local(server, 'GET', `${admin}/devices/m`)).status, 404);
});

test('nobody else may', async () => {
  const path = '/api/v1/enrol/device';
  const device = await call('POST', 'devices', {}, 201);
  await call('PUT', `devices/${device.id}/config`, { state: true }, 200);
  assertProblem(await enrol({ id: 'n' }, mayNot), 403);
  assertProblem(await server.post(path, { id: 'n' }), 403);
  assertProblem(await server.post(path, { id: 'n' }, { headers: as(device, 'device'), key: false }), 403);
  assertProblem(await local(server, 'POST', path, { id: 'n' }), 403);
  assertProblem(await server.post(path, { id: 'n' }, { key: false }), 401);
  assertProblem(await enrol({ id: 'n' }, { ...may, auth: 'x' }), 401);
  await call('PUT', `gateways/${may.id}`, { may_enrol: false }, 200);
  assertProblem(await enrol({ id: 'n' }), 403);
  assert.equal((await local(server, 'GET', `${admin}/devices/n`)).status, 404);
});
