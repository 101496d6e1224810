// weir admin: the first administrator, secrets for subscribers, with a server running or not; and
// the administrator of the demonstration.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { assertProblem, binary, request, serve, Server, tempDir, weir } from '../harness.mjs';
import { local } from './local.mjs';

const password = 'correct-horse-battery';
const path = '/api/v1/admin/token';

const basic = (name, word = password) =>
  ({ authorization: `Basic ${Buffer.from(`${name}:${word}`).toString('base64')}` });
const login = (server, name, word) =>
  request(server.port, 'POST', path, { headers: basic(name, word) });

function passwordFile(text = `${password}\n`) {
  const file = join(tempDir(), 'password');
  writeFileSync(file, text, { mode: 0o600 });
  return file;
}

const create = (data, user, file = passwordFile()) =>
  weir(['admin', 'create', '--data', data, '--user', user, '--password-file', file]);
const secret = (data, verb, name) =>
  weir(['admin', 'secret', verb, '--data', data, ...(name ? ['--name', name] : [])]);

/** What a token of this person may: the status of a call that only who governs the node may make. */
async function governs(server, name) {
  const answer = await login(server, name);
  assert.equal(answer.status, 200, answer.text);
  const { token } = answer.json();
  return (await server.request('POST', `${path}/rotate`, { key: token })).status;
}

function sign({ id, text }) {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const exp = Math.floor(Date.now() / 1000) + 60;
  const body = `${part({ alg: 'HS256', kid: id })}.${part({ aud: 'weir', exp, weir: { subscribe: ['a'] } })}`;
  return `${body}.${createHmac('sha256', text).update(body).digest('base64url')}`;
}

test('the first administrator is made without a server and governs the node', async (t) => {
  const data = tempDir();
  const made = await create(data, 'ana');
  assert.equal(made.code, 0, made.stderr);
  assert.equal(made.stdout, '');
  const again = await create(data, 'ana');
  assert.equal(again.code, 1);
  assert.match(again.stderr, /there is a user 'ana' already/);
  const server = await serve(t, { data });
  assert.equal(await governs(server, 'ana'), 200);
  const { items } = (await local(server, 'GET', '/api/v1/admin/audit')).json();
  const entry = items.find(({ what }) => what === 'user.add');
  assert.deepEqual([entry.who, entry.object, entry.after.node], ['local', 'ana', true]);
});

test('and with a running server', async (t) => {
  const server = await serve(t);
  const made = await create(server.data, 'ana', passwordFile(`${password}\r\nmore lines\n`));
  assert.equal(made.code, 0, made.stderr);
  assert.equal(await governs(server, 'ana'), 200);
  const again = await create(server.data, 'ana');
  assert.equal(again.code, 1);
  assert.match(again.stderr, /there is a user 'ana' already/);
  assert.doesNotMatch(server.log, new RegExp(password));
});

test('the password may come from stdin', async (t) => {
  const data = tempDir();
  const made = spawnSync(binary,
    ['admin', 'create', '--data', data, '--user', 'ana', '--password-file', '-'],
    { input: password, encoding: 'utf8' });
  assert.equal(made.status, 0, made.stderr);
  const server = await serve(t, { data });
  assert.equal((await login(server, 'ana')).status, 200);
});

for (const [what, text, says] of [
  ['short', 'short\n', /8 bytes or more/], ['empty', '', /no password/], ['an empty line', '\n', /8 bytes/],
  ['the name', 'administrator\n', /it is the name/], ['of few characters', 'aaaabbbb\n', /4 different/],
  ['too long', `${'abcd'.repeat(65)}\n`, /256/],
]) test(`a password that is ${what} is refused`, async () => {
  const data = tempDir();
  const run = await create(data, 'administrator', passwordFile(text));
  assert.equal(run.code, 2);
  assert.match(run.stderr, says);
  assert.doesNotMatch(run.stderr, /aaaabbbb|abcdabcd/);
});

test('a password file that is not there, a name that is none', async () => {
  const file = await create(tempDir(), 'ana', join(tempDir(), 'nothing'));
  assert.equal(file.code, 2);
  assert.match(file.stderr, /cannot be read/);
  const name = await create(tempDir(), 'Ana B');
  assert.equal(name.code, 2);
  assert.match(name.stderr, /is no name/);
});

test('secrets are made, listed, removed, with a server running or not', async (t) => {
  const data = tempDir();
  const read = (run) => {
    assert.equal(run.code, 0, run.stderr);
    const [, id, text] = /^(\d+) (\S{43})\n$/.exec(run.stdout) ?? assert.fail(run.stdout);
    return { id, text };
  };
  const first = read(await secret(data, 'create', 'first'));
  const server = await serve(t, { data });
  const second = read(await secret(data, 'create', 'second'));
  const status = async (one) => (await server.get('/api/v1/series', { key: sign(one) })).status;
  assert.deepEqual([await status(first), await status(second)], [403, 403]);
  const list = await secret(data, 'list');
  assert.match(list.stdout, new RegExp(`^id .*\\n${first.id} +first +\\d{4}-.*\\n${second.id} +second +\\d{4}-.*\\n$`));
  assert.doesNotMatch(list.stdout, new RegExp(first.text));
  const taken = await secret(data, 'create', 'first');
  assert.equal(taken.code, 1);
  assert.match(taken.stderr, /there is a secret named 'first' already/);
  assert.equal((await secret(data, 'remove', 'first')).code, 0);
  assert.deepEqual([await status(first), await status(second)], [401, 403]);
  await server.stop();
  assert.equal((await secret(data, 'list')).stdout.trim().split('\n').length, 2);
  assert.equal((await secret(data, 'remove', 'second')).code, 0);
  const gone = await secret(data, 'remove', 'second');
  assert.equal(gone.code, 1);
  assert.match(gone.stderr, /there is no secret named 'second'/);
  await server.again();
  assert.equal(await status(second), 401);
});

test('the secret for persons is rotated, with a server running or not', async (t) => {
  const data = tempDir();
  assert.equal((await create(data, 'ana')).code, 0);
  const server = await serve(t, { data });
  const tokens = [(await login(server, 'ana')).json().token];
  const online = await secret(data, 'rotate');
  assert.equal(online.code, 0, online.stderr);
  tokens.push((await login(server, 'ana')).json().token);
  await server.stop();
  const offline = await secret(data, 'rotate');
  assert.equal(offline.code, 0, offline.stderr);
  assert.ok(Number(offline.stdout) > Number(online.stdout));
  await server.again();
  tokens.push((await login(server, 'ana')).json().token);
  const kids = tokens.map((token) => JSON.parse(Buffer.from(token.split('.')[0], 'base64url')).kid);
  assert.deepEqual(kids.slice(1), [online.stdout.trim(), offline.stdout.trim()]);
  for (const token of tokens) assert.equal((await server.get(path, { key: token })).status, 200);
});

test('the demonstration has an administrator, whom an ordinary server removes', async (t) => {
  const data = tempDir();
  const demo = await Server.start({ command: 'demo', data, key: 'weir-demo-key' });
  assert.match(demo.child.text.stdout, /administrator demo with the password weir-demo/);
  assert.equal((await login(demo, 'demo', 'weir-demo')).status, 200);
  await demo.stop();
  const server = await serve(t, { data });
  assertProblem(await login(server, 'demo', 'weir-demo'), 401);
  assert.match(server.log, /demo_user_removed/);
});

test('a person who is called demo and has a password of his own stays', async (t) => {
  const data = tempDir();
  assert.equal((await create(data, 'demo')).code, 0);
  const server = await serve(t, { data });
  assert.equal((await login(server, 'demo')).status, 200);
});
