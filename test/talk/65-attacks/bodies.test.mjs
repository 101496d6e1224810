// Bodies that are too large, too deep, or no JSON, at every route that takes one; members that
// nobody may set.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { settle } from '../15-rights/inhabitants.mjs';
import { assertProblem, Raw, Server } from '../harness.mjs';
import { assertClean, doors } from './doors.mjs';

const wholeMax = 16 * 1024 * 1024;
let server, world, all;

before(async () => {
  server = await Server.start();
  world = await settle(server);
  all = (await doors(server)).filter(({ body }) => body);
  assert.ok(all.length > 20);
  await world.call('POST', '/api/v1/admin/devices', { id: 1 });
  await world.call('POST', '/api/v1/venues', { name: 'hall' });
  await world.call('POST', '/api/v1/channels', { name: 'door' });
});
after(() => server.stop());

/** Who gets as far as the body: a user where it is his own. */
const roleOf = ({ path }) => /(enrol.device|gateway.messages)$/.test(path) ? 'gateway' : 'admin';
const send = (door, body, headers = {}) =>
  world.ask(roleOf(door), door.method, door.target, body, headers);

/** Every answer must be clean, and one of these. */
async function sendAll(some, body, headers, statuses) {
  for (const door of some) {
    const answer = await send(door, body, headers);
    assertClean(answer, door.name);
    const known = [...statuses, ...(door.path.endsWith('/enrol/device') ? [403] : [])];
    assert.ok(known.includes(answer.status), `${door.name}: ${answer.status} ${answer.text}`);
  }
}

// What is read line by line, or into a file, has limits of its own.
const isWhole = ({ json, path }) => json && !/(readings|messages)$/.test(path);

test('a length over 16 MiB is refused before the body comes', async () => {
  for (const door of all.filter(isWhole)) {
    const raw = await Raw.connect(server.port);
    raw.send(`${door.method} ${door.target} HTTP/1.1\r\nHost: x\r\nContent-Length: ${wholeMax + 1}\r\n` +
      `Authorization: ${world.headers.admin.authorization}\r\n\r\n`);
    const { status } = await raw.answer();
    assert.ok(status === 413 || (door.path.endsWith('/enrol/device') && status === 403), door.name);
    raw.close();
  }
});

test('so is what becomes larger than that when it is unpacked', async () => {
  const bomb = gzipSync(Buffer.alloc(wholeMax + 4096, ' '));
  await sendAll(all.filter(isWhole), bomb, { 'content-encoding': 'gzip' }, [413]);
});

test('a stream of lines stands a bomb, too', async () => {
  const bomb = gzipSync(Buffer.alloc(wholeMax, 'x'));
  await sendAll(all.filter((door) => !isWhole(door)), bomb, { 'content-encoding': 'gzip' },
    [200, 202, 400, 413, 422]);
});

const nested = (depth, inner = '1') => `${'['.repeat(depth)}${inner}${']'.repeat(depth)}`;
const members = (depth) => `${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}`;

test('JSON deeper than 64 levels is 400, however deep', async () => {
  const json = all.filter(({ json }) => json);
  for (const body of [nested(65), members(65), `{"x":${nested(64)}}`, nested(100_000), '['.repeat(1_000_000),
    '{"a":'.repeat(200_000), `{"name":${members(64)}}`])
    await sendAll(json, body, {}, [400]);
});

test('a message of 64 levels is taken as it is', async () => {
  const body = `{"channels":["talk/in"],"data":${nested(63)}}`;
  assert.equal((await world.ask('application', 'POST', '/api/v1/publish', body)).status, 201);
});

// What is no JSON, or hardly; the answer quotes it and must still be JSON.
const garbage = {
  'no UTF-8': Buffer.from('{"name":"\xff\xfe"}', 'latin1'),
  'no UTF-8 as a name': Buffer.from('{"\xc3":1}', 'latin1'),
  'overlong UTF-8': Buffer.from('7b226e616d65223a22c0af227d', 'hex'),
  'half a surrogate': '{"name":"\\ud800"}',
  'half a surrogate as a name': '{"\\udfff\\ud800":1}',
  'NUL in a name': '{"\\u0000evil":1}',
  'NUL in the text': '{"name":"a\0b"}',
  'a long name in three-byte letters': `{"${'€'.repeat(1000)}":1}`,
  'a long name of slashes': `{"${'/~'.repeat(1000)}":1}`,
  'another name behind bytes that shift it': `{"a${'€'.repeat(1000)}":1}`,
  'and again': `{"ab${'𝄞'.repeat(1000)}":1}`,
  'format directives': '{"%s%n%s%n%1$p":"%s%n"}',
  'a number of many digits': `{"id":${'9'.repeat(100_000)},"name":${'9'.repeat(5000)}}`,
  'an exponent without end': '{"id":1e999999999,"name":1e-999999999}',
  'a byte order mark': '\ufeff{"name":1}',
  'an answer\'s head': '{"name":"a\r\nX-Injected: 1\r\n\r\n"}',
  'an escaped head': '{"\\r\\nX-Injected: 1\\r\\n\\r\\n":"\\r\\nX-Injected: 1"}',
  'ten thousand members': `{${Array.from({ length: 10_000 }, (_, i) => `"m${i}":${i}`)}}`,
  'the same member ten thousand times': `{${Array.from({ length: 10_000 }, () => '"name":1')}}`,
  'a list': '[1,2,3]', 'a number': '7', 'null': 'null', 'half an object': '{"name":', 'two': '{}{',
};
for (const [what, body] of Object.entries(garbage)) {
  test(`a body that is or holds ${what} is told so`, async () => {
    const told = all.filter(({ json, path }) => json && !/(import|readings|messages|config|publish)$/.test(path));
    await sendAll(told, body, {}, [400, 422]);
    await sendAll(all.filter((door) => !told.includes(door)), body, {}, [200, 201, 202, 400, 422]);
  });
}

// Members that are the server's to set, or that languages make something of.
const reserved = ['id', 'tenant', 'node', 'hash', 'auth_hash', 'password_hash', 'generation', 'gen', 'uid',
  'version', 'created', 'permission', 'rights', 'role', 'admin', 'isAdmin', 'username', 'owner', 'secret',
  'key', 'auth', 'token', 'state', 'may_enrol', 'users', 'kind', 'expires', '__proto__', 'constructor',
  'Name', 'NAME', 'name ', ' name', 'n\u0430me', 'name\u0000', ''];
const minimal = {
  'POST /api/v1/admin/keys': { name: 'mass', rights: 'read' },
  'POST /api/v1/admin/devices': { id: 'mass' },
  'PUT /api/v1/admin/devices': { name: 'mass' },
  'PUT /api/v1/admin/devices/{id}': {},
  'POST /api/v1/admin/devices/{id}/login': { auth: 'x' },
  'POST /api/v1/admin/gateways': {},
  'PUT /api/v1/admin/gateways/{id}': {},
  'POST /api/v1/admin/gateways/{id}/login': { auth: 'x' },
  'POST /api/v1/admin/users': { username: 'mass', password: 'long-enough-word', permission: 'user' },
  'PUT /api/v1/admin/users/{user}': {},
  'POST /api/v1/admin/secrets': { name: 'mass' },
  'POST /api/v1/venues': { name: 'mass' },
  'PUT /api/v1/venues/{id}': {},
  'PUT /api/v1/venues/{id}/users': { users: [] },
  'POST /api/v1/admin/tenants': { name: 'mass' },
  'PUT /api/v1/me': {},
  'PUT /api/v1/devices/{id}/thresholds': {},
  'POST /api/v1/enrol/device': { id: 'mass' },
};

test('what is not in the document cannot be set', async () => {
  await world.call('PUT', `/api/v1/admin/gateways/${world.gateways.own}`, { may_enrol: true });
  const everything = () => Promise.all(['users', 'devices', 'gateways', 'keys', 'secrets', 'tenants']
    .map(async (list) => JSON.stringify(await world.call('GET', `/api/v1/admin/${list}`))));
  const earlier = await everything();
  const objects = all.filter(({ schema }) => schema?.properties && !schema.additionalProperties);
  // Channels and publications have nobody's rights in them.
  const known = objects.filter(({ path }) => !/publish$|channels/.test(path));
  assert.deepEqual(known.map(({ name }) => name).sort(), Object.keys(minimal).sort());
  for (const door of known)
    for (const member of reserved.filter((one) => !(Object.hasOwn(door.schema.properties, one)))) {
      const whole = JSON.stringify({ ...minimal[door.name] }).slice(0, -1);
      const extra = `${JSON.stringify(member)}:${/^(node|admin|isAdmin)$/.test(member) ? true : '"admin"'}`;
      const body = `${whole}${whole === '{' ? '' : ','}${extra}}`;
      const problem = assertProblem(await send(door, body), 422);
      if (!member.includes('\0'))
        assert.equal(problem.pointer, `/${member}`, `${door.name} ${body}`);
    }
  assert.deepEqual(await everything(), earlier);
});

test('what one line of an import may not set is refused line by line', async () => {
  for (const member of ['tenant', 'node', 'hash', 'generation', 'permission', 'version', '__proto__']) {
    const answer = await world.ask('admin', 'POST', '/api/v1/admin/devices/import',
      `{"id":"good-${member}"}\n{"id":"mass","${member}":"admin"}`, { 'content-type': 'application/x-ndjson' });
    assertClean(answer, member);
    assert.equal(answer.json().rejected_count, 1, answer.text);
    assert.equal(answer.json().added, 1, answer.text);
  }
  assertProblem(await world.ask('admin', 'GET', '/api/v1/admin/devices/mass'), 404);
});
