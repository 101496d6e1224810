// Accounts of persons, over the administrator's socket.
import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { assertProblem, Server } from '../harness.mjs';
import { local } from './local.mjs';

const users = '/api/v1/admin/users';
const password = 'correct-horse-battery';
let server;
const call = (method, path, body, headers) => local(server, method, path, body, headers);
const make = (username, more = {}) =>
  call('POST', users, { username, password, permission: 'user', ...more });

before(async () => (server = await Server.start()));
after(() => server.stop());

test('a user is made, shown, changed, removed', async () => {
  const made = await make('ana', { contacts: { phone: '+43', sms: 1 }, language: 'de' });
  assert.equal(made.status, 201, made.text);
  const { created, ...rest } = made.json();
  assert.ok(Math.abs(created - Date.now()) < 60_000);
  assert.deepEqual(rest, {
    username: 'ana', permission: 'user', contacts: { phone: '+43', sms: '1' }, language: 'de',
  });
  const path = `${users}/ana`;
  assert.deepEqual((await call('GET', path)).json(), made.json());
  const body = { permission: 'developer', contacts: { sms: null }, tz: 'Europe/Vienna' };
  const put = await call('PUT', path, body);
  assert.equal(put.status, 200, put.text);
  assert.deepEqual(put.json(), {
    username: 'ana', permission: 'developer', contacts: { phone: '+43' }, language: 'de',
    tz: 'Europe/Vienna', created,
  });
  assert.deepEqual((await call('GET', path)).json(), put.json());
  assert.equal((await call('DELETE', path)).status, 204);
  assertProblem(await call('GET', path), 404);
  assertProblem(await call('DELETE', path), 404);
  assertProblem(await call('PUT', path, {}), 404);
});

test('neither password nor hash is shown or kept as it is', async () => {
  const secret = 'planted-secret-0815';
  const made = await make('carl', { password: secret });
  const path = `${users}/carl`;
  const texts = [made, await call('GET', path), await call('GET', users),
    await call('PUT', path, { password: `${secret}-2` })].map(({ text }) => text);
  texts.push(server.log, (await server.get('/metrics')).text);
  for (const text of texts) assert.doesNotMatch(text, /planted-secret|argon2|"hash"|"password"/);
  for (const name of readdirSync(server.data)) {
    if (!name.startsWith('weir.db')) continue;
    const bytes = readFileSync(join(server.data, name)).toString('latin1');
    assert.ok(!bytes.includes(secret), name);
  }
});

test('a name is taken once', async () => {
  assert.equal((await make('dora')).status, 201);
  assert.equal(assertProblem(await make('dora'), 409).pointer, '/username');
});

test('several at once, all of them made', async () => {
  const names = Array.from({ length: 6 }, (_, i) => `many-${i}`);
  const answers = await Promise.all(names.map((name) => make(name)));
  assert.deepEqual(answers.map(({ status }) => status), names.map(() => 201));
});

test('the list comes in pages', async () => {
  for (const name of ['page-a', 'page-b', 'page-c'])
    assert.equal((await make(name)).status, 201);
  const all = (await call('GET', users)).json();
  assert.equal(all.next, null);
  const names = all.items.map(({ username }) => username);
  assert.deepEqual(names, [...names].sort());
  const found = [];
  for (let cursor = ''; cursor !== null;) {
    const page = (await call('GET', `${users}?limit=2&cursor=${cursor}`)).json();
    assert.ok(page.items.length <= 2);
    found.push(...page.items.map(({ username }) => username));
    cursor = page.next;
  }
  assert.deepEqual(found, names);
  for (const limit of ['0', '1001', '-1', 'x', ''])
    assertProblem(await call('GET', `${users}?limit=${limit}`), 400);
});

test('a device is given to a user, and loses him with his account', async () => {
  assert.equal((await make('erik')).status, 201);
  const devices = '/api/v1/admin/devices';
  const { id } = (await call('POST', devices, { users: ['erik', 'erik'] })).json();
  assert.deepEqual((await call('GET', `${devices}/${id}`)).json().users, ['erik']);
  assert.equal((await call('DELETE', `${users}/erik`)).status, 204);
  assert.deepEqual((await call('GET', `${devices}/${id}`)).json().users, []);
});

for (const [body, pointer] of [
  [{}, '/username'], [{ username: 'a', password }, '/permission'],
  [{ username: 'a', permission: 'user' }, '/password'],
  [{ username: 'A' }, '/username'], [{ username: '' }, '/username'], [{ username: 7 }, '/username'],
  [{ username: 'a b' }, '/username'], [{ username: 'a\r\nb' }, '/username'],
  [{ username: "a'; DROP TABLE user; --" }, '/username'], [{ username: 'x'.repeat(65) }, '/username'],
  [{ password: 'short' }, '/password'], [{ password: 'x'.repeat(257) }, '/password'],
  [{ password: 12345678 }, '/password'], [{ password: null }, '/password'],
  [{ permission: 'root' }, '/permission'], [{ permission: 1 }, '/permission'],
  [{ permission: ['admin'] }, '/permission'], [{ node: true }, '/node'], [{ id: 1 }, '/id'],
  [{ hash: '' }, '/hash'], [{ tenant: 'x' }, '/tenant'], [{ generation: 9 }, '/generation'],
  [{ contacts: 7 }, '/contacts'], [{ contacts: { a: {} } }, '/contacts/a'],
  [{ language: 'x'.repeat(65) }, '/language'], [{ tz: 'a\nb' }, '/tz'],
]) {
  test(`a new user may not have ${JSON.stringify(body).slice(0, 60)}`, async () => {
    const whole = 'permission' in body || 'password' in body || !Object.keys(body).length;
    const answer = whole && Object.keys(body).length !== 1 ? await call('POST', users, body)
      : await make('refused', body);
    assert.equal(assertProblem(answer, 422).pointer, pointer);
    assertProblem(await call('GET', `${users}/refused`), 404);
  });
}

for (const [body, status] of [[{ username: 'b' }, 422], [{ permission: 'x' }, 422],
  [{ password: '' }, 422], [{ node: true }, 422], ['', 400], ['{"permission":', 400], ['[]', 422]]) {
  test(`a change may not be ${JSON.stringify(body)}`, async () => {
    const name = 'fixed';
    await make(name);
    const path = `${users}/${name}`;
    const first = (await call('GET', path)).text;
    assertProblem(await call('PUT', path, body), status);
    assert.equal((await call('GET', path)).text, first);
  });
}

test('names that there are not', async () => {
  for (const name of ['nobody', 'x'.repeat(300), encodeURIComponent("a' OR '1'='1"), '%25'])
    assertProblem(await call('GET', `${users}/${name}`), 404);
});

test('If-Match keeps who comes late from undoing a change', async () => {
  const made = await make('gerd');
  const path = `${users}/gerd`;
  const match = { 'if-match': made.headers.etag };
  assert.equal((await call('PUT', path, { tz: 'UTC' }, match)).status, 200);
  assertProblem(await call('PUT', path, { tz: 'UTC' }, match), 412);
  assertProblem(await call('DELETE', path, undefined, match), 412);
});

test('who leaves while his password is hashed harms nobody', async () => {
  const body = JSON.stringify({ username: 'hasty', password, permission: 'user' });
  const { connect } = await import('node:net');
  const socket = connect(join(server.data, 'admin.sock'));
  socket.on('error', () => {});
  socket.write(`POST ${users} HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    () => socket.destroy());
  assert.equal((await make('patient')).status, 201);
});
