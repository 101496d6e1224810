// Persons log in, and what their tokens and those of subscribers are worth.
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import http from 'node:http';
import { after, before, test } from 'node:test';
import { assertProblem, Events, serve, Server, until } from '../harness.mjs';
import { local } from './local.mjs';

const path = '/api/v1/admin/token';
const users = '/api/v1/admin/users';
const secrets = '/api/v1/admin/secrets';
const password = 'correct-horse-battery';
let server, secret;

const basic = (name, word = password) =>
  ({ authorization: `Basic ${Buffer.from(`${name}:${word}`).toString('base64')}` });
const bearer = (token) => ({ authorization: `Bearer ${token}` });
const ask = (method, at, headers = {}, on = server) => on.request(method, at, { key: false, headers });
const login = (name, word, on) => ask('POST', path, basic(name, word), on);

async function make(username, permission = 'user', on = server) {
  const made = await local(on, 'POST', users, { username, password, permission });
  assert.equal(made.status, 201, made.text);
}

async function tokenOf(name, on = server) {
  const answer = await login(name, password, on);
  assert.equal(answer.status, 200, answer.text);
  return answer.json().token;
}

const part = (value) => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');
const now = () => Math.floor(Date.now() / 1000);

/** A subscriber's token, with what a test changes. */
function sign(claims = {}, header = {}, { key = secret.secret, hash = 'sha256' } = {}) {
  const head = { alg: 'HS256', typ: 'JWT', kid: secret.id, ...header };
  const body = { aud: 'weir', exp: now() + 60, sub: 'eve', weir: { subscribe: ['a/#'] }, ...claims };
  const text = `${part(head)}.${part(body)}`;
  return `${text}.${createHmac(hash, key).update(text).digest('base64url')}`;
}

/** Of a subscriber: known, but without the right to read series; 401: unknown. */
const subscriberStatus = async (token) => (await ask('GET', '/api/v1/series', bearer(token))).status;

before(async () => {
  server = await Server.start();
  await make('ana', 'admin');
  await make('uwe', 'user');
  const made = await local(server, 'POST', secrets, { name: 'shop' });
  assert.equal(made.status, 201, made.text);
  secret = made.json();
});
after(() => server.stop());

test('name and password give a token that says whose it is', async () => {
  const answer = await login('ana');
  assert.equal(answer.status, 200, answer.text);
  assert.equal(answer.headers['cache-control'], 'no-store');
  assert.deepEqual(Object.keys(answer.json()), ['token']);
  const { token } = answer.json();
  const claims = JSON.parse(Buffer.from(token.split('.')[1], 'base64url'));
  assert.equal(claims.iss, 'weir');
  assert.equal(claims.sub, 'ana@main');
  assert.equal(claims.exp - claims.iat, 3600);
  const shown = await ask('GET', path, bearer(token));
  assert.equal(shown.status, 200, shown.text);
  assert.deepEqual(shown.json(),
    { username: 'ana', tenant: 'main', permission: 'admin', expires: claims.exp * 1000 });
  assert.equal((await ask('GET', users, bearer(token))).status, 200);
  assert.equal((await login('ana@main')).status, 200);
});

test('a user has a token, and no right to administer', async () => {
  const token = await tokenOf('uwe');
  assert.equal((await ask('GET', path, bearer(token))).json().permission, 'user');
  assertProblem(await ask('GET', users, bearer(token)), 403);
});

test('wrong, unknown and malformed logins are 401 alike', async () => {
  const wrong = [await login('ana', 'wrong-password'), await login('nobody'),
    await login('ana@acme'), await login("a' OR '1'='1"), await login('ana', 'x'.repeat(500))];
  const details = new Set(wrong.map((answer) => assertProblem(answer, 401).detail));
  assert.equal(details.size, 1);
  for (const headers of [{}, { authorization: 'Basic' }, { authorization: 'Basic !!!' },
    { authorization: 'Basic YW5h' }, bearer('x'), bearer(await tokenOf('ana'))]) {
    const answer = await ask('POST', path, headers);
    assertProblem(answer, 401);
    assert.match(answer.headers['www-authenticate'], /^Basic /);
  }
});

test('a password is no credential for anything but a login', async () => {
  assertProblem(await ask('GET', users, basic('ana')), 401);
  assertProblem(await ask('GET', path, basic('ana')), 401);
});

test('GET wants a person\'s token', async () => {
  assertProblem(await ask('GET', path), 401);
  assertProblem(await server.get(path), 401);
  assertProblem(await ask('GET', path, bearer(sign())), 401);
});

test('logins and the first of wrong ones are in the audit, without passwords', async () => {
  await make('otto');
  for (const word of ['planted-wrong-1', 'planted-wrong-2']) await login('otto', word);
  await tokenOf('otto');
  const entries = await until(async () => {
    const { items } = (await local(server, 'GET', '/api/v1/admin/audit')).json();
    const own = items.filter(({ object, what }) => object === 'otto' && what.startsWith('login'));
    return own.length >= 2 && own;
  }, 'the audit');
  assert.deepEqual(entries.map(({ what }) => what).sort(), ['login', 'login.failed']);
  assert.equal(entries.find(({ what }) => what === 'login').who, 'user-otto');
  assert.ok(entries.every(({ from }) => from === '127.0.0.1'), JSON.stringify(entries));
  const audit = (await local(server, 'GET', '/api/v1/admin/audit')).text;
  const metrics = (await server.get('/metrics')).text;
  for (const text of [audit, metrics, server.log]) assert.doesNotMatch(text, /planted-wrong/);
  assert.match(metrics, /weir_logins_total\{result="wrong"\} [1-9]/);
});

test('an altered token is nobody\'s', async () => {
  const token = await tokenOf('ana');
  const [head, claims, mac] = token.split('.');
  const admin = { ...JSON.parse(Buffer.from(claims, 'base64url')), uid: 1, gen: 1 };
  for (const bad of [
    `${head}.${part({ ...admin, exp: admin.exp + 1 })}.${mac}`, `${head}.${claims}.`,
    `${head}.${claims}`, `${part({ alg: 'none', kid: '1' })}.${claims}.`,
    `${part({ alg: 'none' })}.${claims}.`, `${part({ alg: 'HS512', kid: '1' })}.${claims}.${mac}`,
    `${head}.${claims}.${mac.slice(0, -1)}`, `${token}A`, `${head}.${claims}.${mac}.${mac}`,
    `${token} `.repeat(2).trim(),
  ]) assertProblem(await ask('GET', path, bearer(bad)), 401);
});

test('a subscriber has what its claim lists', async () => {
  assert.equal(await subscriberStatus(sign()), 403);
  assertProblem(await ask('GET', users, bearer(sign())), 403);
  const events = await Events.open(server, '/api/v1/subscribe?channel=a/x', { key: sign() });
  assert.equal(events.status, 200);
  events.close();
  const other = await ask('GET', `/api/v1/subscribe?channel=b/x&token=${sign()}`,
    { accept: 'text/event-stream' });
  assertProblem(other, 403);
});

for (const [what, make] of [
  ['alg none', () => `${sign({}, { alg: 'none' }).split('.').slice(0, 2).join('.')}.`],
  ['alg none with a signature', () => sign({}, { alg: 'none' })],
  ['alg in lower case', () => sign({}, { alg: 'hs256' })],
  ['HS384', () => sign({}, { alg: 'HS384' }, { hash: 'sha384' })],
  ['HS512', () => sign({}, { alg: 'HS512' }, { hash: 'sha512' })],
  ['RS256 signed with the secret', () => sign({}, { alg: 'RS256' })],
  ['another key', () => sign({}, {}, { key: 'another' })],
  ['an empty key', () => sign({}, {}, { key: '' })],
  ['no kid', () => sign({}, { kid: undefined })],
  ['the kid of the node\'s own secret', () => sign({}, { kid: '1' })],
  ['an unknown kid', () => sign({}, { kid: '4711' })],
  ['a path as kid', () => sign({}, { kid: '../../../dev/null' }, { key: '' })],
  ['crit', () => sign({}, { crit: ['exp'] })],
  ['jwk in the header', () => sign({}, { kid: undefined, jwk: { kty: 'oct', k: part('x') } }, { key: 'x' })],
  ['expired', () => sign({ exp: now() - 1 })],
  ['no exp', () => sign({ exp: undefined })],
  ['exp as a text', () => sign({ exp: `${now() + 60}` })],
  ['not yet valid', () => sign({ nbf: now() + 60 })],
  ['issued in the future', () => sign({ iat: now() + 3600 })],
  ['another audience', () => sign({ aud: 'mosquitto' })],
  ['no audience', () => sign({ aud: undefined })],
  ['a person\'s audience', () => sign({ aud: 'weir-user', iss: 'weir', uid: 1, gen: 1, sub: 'ana@main' })],
  ['no claim weir', () => sign({ weir: undefined })],
  ['patterns that are none', () => sign({ weir: { subscribe: ['a/#/b'] } })],
]) test(`a subscriber's token with ${what} is refused`, async () => {
  const token = make();
  assertProblem(await ask('GET', '/api/v1/series', bearer(token)), 401);
  assertProblem(await ask('GET', path, bearer(token)), 401);
  assertProblem(await ask('GET', `/api/v1/series?token=${token}`), 401);
});

test('a token ends with its time, on a kept connection, too', async () => {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  const headers = bearer(sign({ exp: now() + 2 }));
  const once = () => server.request('GET', '/api/v1/series', { key: false, headers, agent });
  assert.equal((await once()).status, 403);
  await until(async () => (await once()).status === 401, 'the end of the token');
  agent.destroy();
});

test('a removed secret voids what it signed', async () => {
  const made = (await local(server, 'POST', secrets, { name: 'short' })).json();
  const token = sign({}, { kid: made.id }, { key: made.secret });
  assert.equal(await subscriberStatus(token), 403);
  assert.equal((await local(server, 'DELETE', `${secrets}/short`)).status, 204);
  assert.equal(await subscriberStatus(token), 401);
  assertProblem(await local(server, 'DELETE', `${secrets}/short`), 404);
});

test('secrets are listed in pages and shown once', async () => {
  for (const name of ['s1', 's2', 's3'])
    assert.equal((await local(server, 'POST', secrets, { name })).status, 201);
  assert.equal(assertProblem(await local(server, 'POST', secrets, { name: 's1' }), 409).pointer, '/name');
  const names = [];
  for (let cursor = '0'; cursor !== null;) {
    const page = await local(server, 'GET', `${secrets}?limit=2&cursor=${cursor}`);
    assert.doesNotMatch(page.text, /"secret"/);
    names.push(...page.json().items.map(({ name }) => name));
    cursor = page.json().next;
  }
  assert.deepEqual(names, ['shop', 's1', 's2', 's3']);
  assert.doesNotMatch((await local(server, 'GET', '/api/v1/admin/audit')).text, new RegExp(secret.secret));
  for (const body of [{}, { name: 'A' }, { name: 7 }, { name: 'x', kind: 1 }])
    assertProblem(await local(server, 'POST', secrets, body), 422);
});

// What ends the tokens of a person: [what, how].
for (const [what, how] of [
  ['revocation by an administrator', (name) => local(server, 'POST', `${users}/${name}/revoke`)],
  ['his own revocation', (_, token) => ask('DELETE', path, bearer(token))],
  ['another password', (name) => local(server, 'PUT', `${users}/${name}`, { password: 'new-password' })],
  ['another permission', (name) => local(server, 'PUT', `${users}/${name}`, { permission: 'user' })],
  ['removal', (name) => local(server, 'DELETE', `${users}/${name}`)],
]) test(`${what} ends a person's tokens, on a kept connection, too`, async () => {
  const name = what.toLowerCase().replaceAll(/[^a-z]+/g, '-');
  await make(name, 'developer');
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  const [token, other] = [await tokenOf(name), await tokenOf(name)];
  const once = () => server.request('GET', path, { key: false, headers: bearer(token), agent });
  assert.equal((await once()).status, 200);
  const done = await how(name, other);
  assert.ok(done.status === 200 || done.status === 204, done.text);
  assertProblem(await once(), 401);
  assertProblem(await ask('GET', path, bearer(other)), 401);
  agent.destroy();
});

test('after a revocation a new login is good', async () => {
  await make('again');
  const old = await tokenOf('again');
  assert.equal((await local(server, 'POST', `${users}/again/revoke`)).status, 204);
  assert.equal((await ask('GET', path, bearer(await tokenOf('again')))).status, 200);
  assertProblem(await ask('GET', path, bearer(old)), 401);
  assertProblem(await local(server, 'POST', `${users}/nobody/revoke`), 404);
});

test('a new signing secret leaves old tokens their time; both survive a restart', async (t) => {
  const own = await serve(t);
  await make('ana', 'admin', own);
  const old = await tokenOf('ana', own);
  const rotated = await ask('POST', `${path}/rotate`, bearer(old), own);
  assert.equal(rotated.status, 200, rotated.text);
  const fresh = await tokenOf('ana', own);
  const kid = (token) => JSON.parse(Buffer.from(token.split('.')[0], 'base64url')).kid;
  assert.equal(kid(fresh), rotated.json().id);
  assert.notEqual(kid(old), kid(fresh));
  for (const token of [old, fresh])
    assert.equal((await ask('GET', path, bearer(token), own)).status, 200);
  await own.stop();
  await own.again();
  for (const token of [old, fresh])
    assert.equal((await ask('GET', path, bearer(token), own)).status, 200);
  assert.equal(kid(await tokenOf('ana', own)), kid(fresh));
});

test('who governs the node is changed only by those who do', async (t) => {
  const own = await serve(t);
  await make('chief', 'admin', own);
  const plain = await local(own, 'POST', users,
    { username: 'plain', password, permission: 'admin', node: false });
  assert.equal(plain.json().node, undefined);
  const token = bearer(await tokenOf('plain', own));
  const put = (name, body) => own.request('PUT', `${users}/${name}`, { key: false, headers: token, body });
  assert.equal((await local(own, 'GET', `${users}/chief`)).json().node, true);
  assertProblem(await put('chief', { password: 'taken-over' }), 403);
  assertProblem(await ask('DELETE', `${users}/chief`, token, own), 403);
  assertProblem(await ask('POST', `${users}/chief/revoke`, token, own), 403);
  assertProblem(await ask('POST', `${path}/rotate`, token, own), 403);
  const add = (body) => own.request('POST', users, { key: false, headers: token, body });
  const body = { username: 'mine', password, permission: 'admin' };
  assertProblem(await add({ ...body, node: true }), 403);
  assert.equal((await add(body)).json().node, undefined);
  await make('dev', 'developer', own);
  assert.equal((await put('dev', { permission: 'admin' })).json().node, undefined);
  const chief = bearer(await tokenOf('chief', own));
  const raised = await own.request('PUT', `${users}/mine`,
    { key: false, headers: chief, body: { permission: 'user' } });
  assert.equal(raised.status, 200, raised.text);
});

test('accounts may be taken from developers', async (t) => {
  const own = await serve(t, { args: ['--set', 'access.developer_manages_users=no'] });
  await make('dev', 'developer', own);
  const token = bearer(await tokenOf('dev', own));
  assertProblem(await ask('GET', users, token, own), 403);
  assertProblem(await ask('GET', secrets, token, own), 403);
  assertProblem(await ask('GET', '/api/v1/admin/keys', token, own), 403);
  assert.equal((await ask('GET', '/api/v1/admin/devices', token, own)).status, 200);
});

test('too many wrong passwords are 429, for known and unknown accounts alike', async (t) => {
  const own = await serve(t, { args: ['--set', 'net.loops=3'] });
  await make('ana', 'admin', own);
  for (const name of ['ana', 'nobody']) {
    for (let i = 0; i < 5; i++) assertProblem(await login(name, 'wrong-password', own), 401);
    const late = await login(name, 'wrong-password', own);
    assertProblem(late, 429);
    const wait = Number(late.headers['retry-after']);
    assert.ok(wait >= 1 && wait <= 30, `Retry-After ${wait}`);
  }
  assertProblem(await login('ana', password, own), 429);
  assert.match((await own.get('/metrics')).text, /weir_logins_total\{result="throttled"\} 3/);
});

test('tries at the same time do not pass the throttle together', async (t) => {
  const own = await serve(t, { args: ['--set', 'net.loops=3'] });
  await make('ana', 'admin', own);
  const answers = await Promise.all(
    Array.from({ length: 20 }, () => login('ana', 'wrong-password', own)));
  const counts = answers.map(({ status }) => status);
  assert.equal(counts.filter((status) => status === 401).length, 5);
  assert.equal(counts.filter((status) => status === 429).length, 15);
});

test('a right login does not count, however many there are', async () => {
  for (let i = 0; i < 8; i++) await tokenOf('ana');
});

test('logins that no hasher has time for are 503', async (t) => {
  const own = await serve(t, { args: ['--set', 'access.hashes_max=1'] });
  for (let i = 0; i < 6; i++) await local(own, 'POST', users, { username: `u${i}`, password, permission: 'user' });
  const answers = await Promise.all(
    Array.from({ length: 12 }, (_, i) => login(`u${i % 6}`, password, own)));
  for (const answer of answers) {
    if (answer.status === 200) continue;
    assertProblem(answer, 503);
    assert.ok(Number(answer.headers['retry-after']) >= 1);
  }
  assert.ok(answers.some(({ status }) => status === 200));
  assert.ok(answers.some(({ status }) => status === 503));
});

test('a device\'s login is throttled, too', async (t) => {
  const own = await serve(t);
  const { id, auth } = (await local(own, 'POST', '/api/v1/admin/devices', {})).json();
  const at = `/api/v1/admin/devices/${id}/login`;
  for (let i = 0; i < 5; i++) assertProblem(await local(own, 'POST', at, { auth: `wrong${i}` }), 401);
  const late = await local(own, 'POST', at, { auth });
  assertProblem(late, 429);
  assert.ok(Number(late.headers['retry-after']) >= 1);
});

test('who guesses the old password with a stolen token is throttled as one who logs in', async (t) => {
  const own = await serve(t);
  await make('ana', 'user', own);
  const key = await tokenOf('ana', own);
  const put = (old) => own.request('PUT', '/api/v1/me',
    { key, body: { password: { old, new: 'another-password' } } });
  for (let i = 0; i < 5; i++) assertProblem(await put(`wrong-${i}`), 403);
  const late = await put(password);
  assertProblem(late, 429);
  assert.ok(Number(late.headers['retry-after']) >= 1);
  assertProblem(await login('ana', password, own), 429);
});
