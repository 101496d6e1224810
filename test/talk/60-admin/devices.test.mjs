// Devices as Qold administers them, over the administrator's socket.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { assertProblem, createKey, Server } from '../harness.mjs';
import { local } from './local.mjs';

const devices = '/api/v1/admin/devices';
let server;
const call = (method, path, body, headers) => local(server, method, path, body, headers);
const make = async (body) => {
  const answer = await call('POST', devices, body);
  assert.equal(answer.status, 201, answer.text);
  return answer.json();
};

before(async () => (server = await Server.start()));
after(() => server.stop());

test('a new device is inactive; its token is shown once', async () => {
  const made = await make();
  assert.deepEqual(Object.keys(made), ['id', 'auth', 'state']);
  assert.equal(made.state, false);
  assert.match(made.auth, /^[0-9a-f]{40}$/);
  const one = await call('GET', `${devices}/${made.id}`);
  assert.equal(one.status, 200);
  assert.deepEqual(one.json(),
    { id: made.id, state: false, name: '', group: '', place: '', users: [] });
  const list = await call('GET', devices);
  assert.deepEqual(list.json().find(({ id }) => id === made.id), { id: made.id, state: false });
  const audit = `${one.text}${list.text}${server.log}`;
  assert.ok(!audit.includes(made.auth));
  assert.equal((await make()).id, made.id + 1);
});

test('a configuration is merged, null deletes, values are strings', async () => {
  const { id } = await make();
  const put = async (body) => {
    const answer = await call('PUT', `${devices}/${id}/config`, body);
    assert.equal(answer.status, 200, answer.text);
    return answer.json();
  };
  const config = { maxTemperature: '10.54', minTemperature: '-10.54' };
  assert.deepEqual((await put({ ...config, state: true })).config, config);
  const shown = { id, state: true, config };
  assert.deepEqual((await call('GET', devices)).json().find((one) => one.id === id), shown);
  const numbers = await put('{"maxTemperature":12345678901234567890,"x":1.50,"minTemperature":null}');
  assert.deepEqual(numbers.config, { maxTemperature: '12345678901234567890', x: '1.50' });
  assert.equal(numbers.state, true, 'what is not said stays');
  const empty = await put({ maxTemperature: null, x: null, never: null, state: false });
  assert.equal(empty.state, false);
  assert.ok(!('config' in empty), 'an empty configuration is left out');
});

test('name, group, place are replaced one by one', async () => {
  const { id } = await make({ name: 'Kühlschrank', group: 'Küche' });
  const path = `${devices}/${id}`;
  const answer = await call('PUT', path, { place: 'Regal 1', group: null });
  assert.equal(answer.status, 200, answer.text);
  const want = { id, state: false, name: 'Kühlschrank', group: '', place: 'Regal 1', users: [] };
  assert.deepEqual(answer.json(), want);
  assert.deepEqual((await call('GET', path)).json(), want);
});

test('a removed device is gone, and its id is not given again', async () => {
  const { id } = await make();
  const path = `${devices}/${id}`;
  assert.equal((await call('DELETE', path)).status, 204);
  assertProblem(await call('GET', path), 404);
  assertProblem(await call('DELETE', path), 404);
  assert.notEqual((await make()).id, id);
});

test('a login tells whether the token is right', async () => {
  const { id, auth } = await make();
  const login = (body, who = id) => call('POST', `${devices}/${who}/login`, body);
  assert.equal((await login({ auth })).status, 200);
  assertProblem(await login({ auth: `${auth.slice(1)}0` }), 401);
  assertProblem(await login({ auth: 1 }), 401);
  assertProblem(await login({ auth }, 'nobody'), 401);
  assertProblem(await login({}), 422);
  assertProblem(await login({ auth: null }), 422);
  assertProblem(await login({ auth: 1.5 }), 422);
  assertProblem(await login(), 400);
});

test('ids and tokens of 17 digits stay exact', async () => {
  const answer = await call('POST', devices, '{"id":98765432109876543,"auth":12345678901234567}');
  assert.equal(answer.status, 201, answer.text);
  assert.deepEqual(answer.json(),
    { id: '98765432109876543', auth: '12345678901234567', state: false });
  const path = `${devices}/98765432109876543`;
  assert.equal((await call('GET', path)).json().id, '98765432109876543');
  assertProblem(await call('GET', `${devices}/98765432109876544`), 404);
  for (const body of ['{"auth":12345678901234567}', '{"auth":"12345678901234567"}'])
    assert.equal((await call('POST', `${path}/login`, body)).status, 200);
  for (const body of ['{"auth":12345678901234568}', '{"auth":1.2345678901234567e16}'])
    assert.ok((await call('POST', `${path}/login`, body)).status >= 401);
  const again = await call('POST', devices, { id: '98765432109876543' });
  assert.equal(assertProblem(again, 409).pointer, '/id');
});

test('an id is a text', async () => {
  assert.equal((await make({ id: '007' })).id, '007');
  assertProblem(await call('GET', `${devices}/7007`), 404);
  const odd = 'a/b c"\';--';
  assert.equal((await make({ id: odd })).id, odd);
  assert.equal((await call('GET', `${devices}/${encodeURIComponent(odd)}`)).json().id, odd);
});

test('the legacy call makes a device with its comfort and its owner', async () => {
  const answer = await call('PUT', devices, {
    comfort_interval: { min: 1, max: 5 }, group: 'Beach', name: 'Kitchen',
    user: { name: 'Owner', phone: '+123456789' },
  });
  assert.equal(answer.status, 200, answer.text);
  const { Id, Auth, ...rest } = answer.json();
  assert.deepEqual(rest, { State: false, Config: { maxTemp: 5, minTemp: 1 } });
  assert.equal((await call('POST', `${devices}/${Id}/login`, { auth: Auth })).status, 200);
  assert.deepEqual((await call('GET', `${devices}/${Id}`)).json(), {
    id: Id, state: false, config: { maxTemp: '5', minTemp: '1' }, name: 'Kitchen',
    group: 'Beach', place: '', users: ['owner'],
  });
  const { Id: second } = (await call('PUT', devices, { user: { name: 'owner' } })).json();
  assert.deepEqual((await call('GET', `${devices}/${second}`)).json().users, ['owner']);
});

for (const [body, status, pointer] of [
  ['', 400], ['{', 400], ['nonsense', 400], ['{"name":"a"} {}', 400], ['{"name":"\\ud800"}', 400],
  ['[]', 422], ['"a"', 422], ['null', 422],
  ['{"comfort_interval":{"min":5,"max":1}}', 422, '/comfort_interval'],
  ['{"comfort_interval":{"min":1}}', 422, '/comfort_interval'],
  ['{"comfort_interval":{"min":"1","max":2}}', 422, '/comfort_interval/min'],
  ['{"comfort_interval":7}', 422, '/comfort_interval'],
  ['{"comfort_interval":{"min":1,"max":2,"mean":1}}', 422, '/comfort_interval/mean'],
  ['{"user":{}}', 422, '/user/name'], ['{"user":{"name":"O\'Neil; --"}}', 422, '/user/name'],
  ['{"user":{"name":"a","permission":"admin"}}', 422, '/user/permission'],
  ['{"name":7}', 422, '/name'], ['{"name":"a","name":"b"}', 422, '/name'],
]) {
  test(`the legacy call refuses ${body}`, async () => {
    const problem = assertProblem(await call('PUT', devices, body), status);
    assert.equal(problem.pointer, pointer);
    if (status === 400) assert.match(problem.detail, /line 1, column \d+/);
  });
}

for (const [body, pointer] of [
  [{ state: true }, '/state'], [{ hash: 'x' }, '/hash'], [{ tenant: 'other' }, '/tenant'],
  [{ created: 1 }, '/created'], [{ version: 1 }, '/version'], [{ config: {} }, '/config'],
  [{ __proto__x: 1 }, '/__proto__x'], [{ 'a/b~c': 1 }, '/a~1b~0c'],
  [{ id: '' }, '/id'], [{ id: -1 }, '/id'], [{ id: 1.5 }, '/id'], [{ id: [1] }, '/id'],
  [{ id: 'x'.repeat(65) }, '/id'], [{ id: 'a\nb' }, '/id'], [{ auth: '' }, '/auth'],
  [{ auth: 'x'.repeat(129) }, '/auth'], [{ auth: { a: 1 } }, '/auth'], [{ auth: true }, '/auth'],
  [{ name: 'x'.repeat(256) }, '/name'], [{ name: 'a\r\nSet-Cookie: b=c' }, '/name'],
  [{ name: 'a\u0000b' }, '/name'], [{ group: 5 }, '/group'], [{ place: ['a'] }, '/place'],
  [{ users: ['nobody'] }, '/users/0'], [{ users: 7 }, '/users'], [{ users: [7] }, '/users/0'],
  [{ users: ["x' OR '1'='1"] }, '/users/0'], [{ gateway: 99 }, '/gateway'],
  [{ gateway: -1 }, '/gateway'], [{ gateway: '1' }, '/gateway'],
]) {
  test(`a new device may not have ${JSON.stringify(body).slice(0, 60)}`, async () => {
    const count = (await call('GET', devices)).json().length;
    assert.equal(assertProblem(await call('POST', devices, body), 422).pointer, pointer);
    assert.equal((await call('GET', devices)).json().length, count, 'nothing is kept of it');
  });
}

for (const [body, pointer] of [
  [{ state: 'on' }, '/state'], [{ state: null }, '/state'], [{ state: 1 }, '/state'],
  [{ a: true }, '/a'], [{ a: {} }, '/a'], [{ a: [1] }, '/a'], [{ '': 1 }, '/'],
  [{ ['k'.repeat(65)]: 1 }, `/${'k'.repeat(65)}`], [{ a: 'x'.repeat(1025) }, '/a'],
  [{ a: 'b\r\nc: d' }, '/a'], [{ 'a\r\nb': 1 }, null],
]) {
  test(`a configuration may not have ${JSON.stringify(body).slice(0, 60)}`, async () => {
    const { id } = await make();
    const problem = assertProblem(await call('PUT', `${devices}/${id}/config`, body), 422);
    if (pointer !== null) assert.equal(problem.pointer, pointer);
    assert.deepEqual(Object.keys((await call('GET', `${devices}/${id}`)).json()),
      ['id', 'state', 'name', 'group', 'place', 'users'], 'nothing is kept of it');
  });
}

test('a configuration has bounds', async () => {
  const { id } = await make();
  const path = `${devices}/${id}/config`;
  const many = (from, to, value = 1) => Object.fromEntries(
    Array.from({ length: to - from }, (_, i) => [`k${i + from}`, value]));
  assert.equal((await call('PUT', path, many(0, 256))).status, 200);
  assertProblem(await call('PUT', path, many(256, 257)), 422);
  assertProblem(await call('PUT', path, many(0, 257)), 422);
  assertProblem(await call('PUT', path, many(0, 100, 'x'.repeat(1000))), 422);
  assert.equal((await call('PUT', path, { k0: null, new: 1 })).status, 200);
});

test('SQL is only text', async () => {
  const evil = "'); DROP TABLE devices; --";
  const { id } = await make({ name: evil, group: evil, place: evil });
  const answer = await call('PUT', `${devices}/${id}/config`, { [evil]: evil });
  const one = answer.json();
  assert.deepEqual([one.name, one.group, one.place, one.config],
    [evil, evil, evil, { [evil]: evil }]);
  assertProblem(await call('GET', `${devices}/${encodeURIComponent("1' OR '1'='1")}`), 404);
  assertProblem(await call('DELETE', `${devices}/${encodeURIComponent('%')}`), 404);
});

test('deep and large bodies', async () => {
  const deep = (levels) => `{"name":${'['.repeat(levels)}${']'.repeat(levels)}}`;
  assertProblem(await call('POST', devices, deep(63)), 422);
  assert.match(assertProblem(await call('POST', devices, deep(64)), 400).detail, /64/);
  assertProblem(await call('POST', devices, deep(100_000)), 400);
  assertProblem(await call('POST', devices, { name: 'x'.repeat(1_000_000) }), 422);
  assertProblem(await call('POST', devices, 'x'.repeat(17 << 20)), 413);
});

test('ids that there are not', async () => {
  for (const id of ['4711', 'x'.repeat(200), '%C3%A4', '-1', encodeURIComponent('../keys')]) {
    assertProblem(await call('GET', `${devices}/${id}`), 404);
    assertProblem(await call('DELETE', `${devices}/${id}`), 404);
    assertProblem(await call('PUT', `${devices}/${id}`, {}), 404);
    assertProblem(await call('PUT', `${devices}/${id}/config`, {}), 404);
  }
  for (const id of ['%00', '%ff', '%0d%0aX:y'])
    assert.ok([400, 404].includes((await call('GET', `${devices}/${id}`)).status), id);
});

test('If-Match keeps who comes late from undoing a change', async () => {
  const { id } = await make();
  const path = `${devices}/${id}`;
  const { etag } = (await call('GET', path)).headers;
  assert.match(etag, /^"\d+"$/);
  const first = await call('PUT', path, { name: 'a' }, { 'if-match': etag });
  assert.equal(first.status, 200);
  assert.notEqual(first.headers.etag, etag);
  assertProblem(await call('PUT', path, { name: 'b' }, { 'if-match': etag }), 412);
  assertProblem(await call('PUT', `${path}/config`, { x: 1 }, { 'if-match': etag }), 412);
  assertProblem(await call('DELETE', path, undefined, { 'if-match': etag }), 412);
  assert.equal((await call('PUT', path, { name: 'b' }, { 'if-match': '*' })).status, 200);
  const { headers } = await call('GET', path);
  assert.equal((await call('DELETE', path, undefined, { 'if-match': headers.etag })).status, 204);
});

test('an application key is no administrator; with read it may look', async () => {
  const writer = await createKey(server.data, 'write,publish,subscribe');
  for (const [method, path] of [['GET', devices], ['POST', devices], ['PUT', devices],
    ['GET', `${devices}/1`], ['PUT', `${devices}/1/config`], ['POST', `${devices}/1/login`]]) {
    const looks = method === 'GET';
    assertProblem(await server.request(method, path, { key: writer }), 403);
    if (looks) assert.equal((await server.request(method, path)).text, (await call(method, path)).text);
    else assertProblem(await server.request(method, path), 403);
    assertProblem(await server.request(method, `${path}?tenant=other`), 403);
    assertProblem(await server.request(method, path, { key: false }), 401);
  }
});

test('devices outlive a restart, in order of their ids', async () => {
  const list = (await call('GET', devices)).text;
  const ids = JSON.parse(list).map(({ id }) => String(id));
  const sorted = [...ids].sort((a, b) => a.length - b.length || (a < b ? -1 : 1));
  assert.deepEqual(ids, sorted);
  await server.stop();
  await server.again();
  assert.equal((await call('GET', devices)).text, list);
});
