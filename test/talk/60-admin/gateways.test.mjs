// Gateways as Qold administers them, over the administrator's socket.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { assertProblem, Server } from '../harness.mjs';
import { local } from './local.mjs';

const gateways = '/api/v1/admin/gateways';
let server;
const call = (method, path, body, headers) => local(server, method, path, body, headers);
const make = async (body) => {
  const answer = await call('POST', gateways, body);
  assert.equal(answer.status, 201, answer.text);
  return answer.json();
};

before(async () => (server = await Server.start()));
after(() => server.stop());

test('a new gateway; its token is shown once', async () => {
  const made = await make();
  assert.deepEqual(Object.keys(made), ['id', 'auth']);
  assert.match(made.auth, /^[0-9a-f]{40}$/);
  const one = await call('GET', `${gateways}/${made.id}`);
  assert.deepEqual(one.json(), { id: made.id, name: '', may_enrol: false });
  const list = await call('GET', gateways);
  assert.deepEqual(list.json().find(({ id }) => id === made.id), { id: made.id });
  assert.ok(!`${one.text}${list.text}${server.log}`.includes(made.auth));
  assert.equal((await make()).id, made.id + 1);
});

test('a configuration is merged; the state stands beside it', async () => {
  const { id } = await make();
  const path = `${gateways}/${id}`;
  const put = async (body) => (await call('PUT', `${path}/config`, body)).json();
  const first = await put({ State: 'Active', connectivity: '4G' });
  assert.deepEqual(first,
    { id, state: 'Active', config: { connectivity: '4G' }, name: '', may_enrol: false });
  assert.deepEqual((await call('GET', path)).json(), first);
  const second = await put({ state: 'Blocked', connectivity: null, n: 7 });
  assert.equal(second.state, 'Blocked');
  assert.deepEqual(second.config, { n: '7' });
  const last = await put({ State: null, n: null });
  assert.deepEqual(last, { id, name: '', may_enrol: false });
});

test('name and the right to enrol', async () => {
  const { id } = await make({ name: 'Hof', may_enrol: true });
  const path = `${gateways}/${id}`;
  assert.deepEqual((await call('GET', path)).json(), { id, name: 'Hof', may_enrol: true });
  const changed = await call('PUT', path, { may_enrol: false });
  assert.deepEqual(changed.json(), { id, name: 'Hof', may_enrol: false });
});

test('a login tells whether the token is right', async () => {
  const { id, auth } = await make();
  const login = (body, who = id) => call('POST', `${gateways}/${who}/login`, body);
  assert.equal((await login({ auth })).status, 200);
  assertProblem(await login({ auth: auth.toUpperCase() === auth ? 'x' : auth.toUpperCase() }), 401);
  const other = await make();
  assertProblem(await login({ auth: other.auth }), 401);
  assertProblem(await login({ auth }, 99999), 401);
  assertProblem(await login({ auth }, 'x'), 401);
  assertProblem(await login({ auth, id: 1 }), 422);
  assertProblem(await login('nonsense'), 400);
});

test('a token that is brought along stays exact', async () => {
  const { id, auth } = (await call('POST', gateways, '{"auth":12345678901234567}')).json();
  assert.equal(auth, '12345678901234567');
  const login = (text) => call('POST', `${gateways}/${id}/login`, `{"auth":${text}}`);
  assert.equal((await login('12345678901234567')).status, 200);
  assertProblem(await login('12345678901234568'), 401);
});

test('a removed gateway is gone, and its id is not given again', async () => {
  const { id } = await make();
  assert.equal((await call('DELETE', `${gateways}/${id}`)).status, 204);
  assertProblem(await call('GET', `${gateways}/${id}`), 404);
  assert.ok((await make()).id > id);
});

test('a device is bound to a gateway that there is', async () => {
  const { id } = await make();
  const devices = '/api/v1/admin/devices';
  const device = (await call('POST', devices, { gateway: id })).json();
  const path = `${devices}/${device.id}`;
  assert.equal((await call('GET', path)).json().gateway, id);
  assert.equal((await call('PUT', path, { gateway: null })).json().gateway, undefined);
  assert.equal(assertProblem(await call('PUT', path, { gateway: 4711 }), 422).pointer, '/gateway');
});

for (const [body, pointer] of [
  [{ id: 1 }, '/id'], [{ hash: 'x' }, '/hash'], [{ state: 'Active' }, '/state'],
  [{ may_enrol: 'yes' }, '/may_enrol'], [{ may_enrol: null }, '/may_enrol'],
  [{ name: 'a\r\nb' }, '/name'], [{ name: 'x'.repeat(256) }, '/name'], [{ auth: '' }, '/auth'],
]) {
  test(`a new gateway may not have ${JSON.stringify(body).slice(0, 60)}`, async () => {
    const count = (await call('GET', gateways)).json().length;
    assert.equal(assertProblem(await call('POST', gateways, body), 422).pointer, pointer);
    assert.equal((await call('GET', gateways)).json().length, count);
  });
}

for (const [body, pointer] of [
  [{ State: 1 }, '/State'], [{ state: true }, '/state'], [{ State: '' }, '/State'],
  [{ State: 'a\nb' }, '/State'], [{ State: 'x'.repeat(65) }, '/State'], [{ a: [] }, '/a'],
]) {
  test(`a gateway's configuration may not have ${JSON.stringify(body).slice(0, 60)}`, async () => {
    const { id } = await make();
    const answer = await call('PUT', `${gateways}/${id}/config`, body);
    assert.equal(assertProblem(answer, 422).pointer, pointer);
  });
}

test('SQL is only text, and ids that there are not are 404', async () => {
  const evil = "'); DROP TABLE gateways; --";
  const { id } = await make({ name: evil });
  assert.equal((await call('GET', `${gateways}/${id}`)).json().name, evil);
  for (const bad of ['0', '-1', '01', '99999999999999999999', '9223372036854775808', 'x',
    encodeURIComponent("1' OR '1'='1")]) {
    assertProblem(await call('GET', `${gateways}/${bad}`), 404);
    assertProblem(await call('DELETE', `${gateways}/${bad}`), 404);
    assertProblem(await call('PUT', `${gateways}/${bad}`, {}), 404);
    assertProblem(await call('PUT', `${gateways}/${bad}/config`, {}), 404);
  }
});

test('If-Match keeps who comes late from undoing a change', async () => {
  const { id } = await make();
  const path = `${gateways}/${id}`;
  const { etag } = (await call('GET', path)).headers;
  const match = { 'if-match': etag };
  assert.equal((await call('PUT', `${path}/config`, { a: 1 }, match)).status, 200);
  assertProblem(await call('PUT', `${path}/config`, { a: 2 }, match), 412);
  assertProblem(await call('DELETE', path, undefined, match), 412);
});
