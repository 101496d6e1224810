// SQL in every member and parameter of administration: it comes back as it was, or is refused as
// any other text; the registry is as it was.
import assert from 'node:assert/strict';
import http from 'node:http';
import { after, before, test } from 'node:test';
import { settle } from '../15-rights/inhabitants.mjs';
import { long, Server } from '../harness.mjs';
import { assertClean, doors } from './doors.mjs';

const every = ["'", "''", "' OR '1'='1", "'; DROP TABLE users; --", "x'); DELETE FROM devices; --", '" OR ""="', '\\\'',
  "1; ATTACH DATABASE '/tmp/weir-attack.db' AS x; --", "' UNION SELECT hash,hash,hash FROM users --", '%', '_', '%%', '*',
  "a' COLLATE NOCASE --", '/*', '-- ', ';', "$1", '?1', ':name', '@x', "'||(SELECT hash FROM users)||'", "\u2019 OR 1=1",
  "\uff07 OR 1=1", 'NULL', 'null', '0', '-1', '1e309', '9223372036854775808', '{"a":1}', 'X\'41\'', "'a' = 'a", 'main.users',
  'sqlite_master', 'randomblob(1000000000)', '<>"&', "a'b\"c`d"];
// In a short run some of them.
const texts = every.filter((_, i) => long || i < 6 || i % 4 === 0);

let server, world, all;
before(async () => {
  server = await Server.start();
  world = await settle(server);
  all = await doors(server);
  await world.call('POST', '/api/v1/admin/devices', { id: 1 });
  await world.call('POST', '/api/v1/venues', { name: 'hall', users: ['uma'] });
});
after(() => {
  agent.destroy();
  return server.stop();
});

const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
const ask = (method, path, body) => server.request(method, path,
  { key: false, headers: world.headers.admin, body, agent });
const lists = ['admin/users', 'admin/devices', 'admin/gateways', 'admin/keys', 'admin/secrets', 'admin/tenants', 'venues'];
const everything = () => Promise.all(lists.map(async (path) =>
  JSON.stringify(await world.call('GET', `/api/v1/${path}`))));

/** A body of the schema with `text` for every string, and the names of free maps. */
function filled(schema, text) {
  const one = schema.anyOf ? schema.anyOf.find(({ type }) => type === 'string') ?? schema.anyOf[0] : schema;
  if (one.type === 'array') return [text];
  if (one.type === 'boolean') return true;
  if (one.type === 'number' || one.type === 'integer') return text;
  if (one.type !== 'object') return text;
  const members = Object.entries(one.properties ?? {}).map(([name, inner]) => [name, filled(inner, text)]);
  if (one.additionalProperties) members.push([text, text]);
  return Object.fromEntries(members);
}

test('in every member of every body, all at once and one at a time', async () => {
  const earlier = await everything();
  // Configurations and contacts are free maps; what is stored there is looked at below.
  // So is the owner that a device of Qold's first version brings along: a user.
  const known = all.filter(({ schema, path, name }) => schema?.properties &&
    !/(config|publish|enrol.device)$/.test(path) && name !== 'PUT /api/v1/admin/devices');
  assert.ok(known.length > 12);
  for (const door of known)
    // What is a good name makes what it says.
    for (const text of texts.filter((one) => !/^[a-z0-9._-]+$/.test(one))) {
      const whole = filled(door.schema, text);
      assertClean(await ask(door.method, door.target, whole), `${door.name} ${text}`);
      // Never a whole one: what is right in each but this is refused for this, or changes nothing.
      for (const name of Object.keys(door.schema.properties).filter((one) => !/^(id|name|group|place|language|tz|contacts|auth)$/.test(one))) {
        const answer = await ask(door.method, door.target, { [name]: whole[name] });
        assertClean(answer, `${door.name} ${name} ${text}`);
      }
    }
  const later = await everything();
  for (const [i, list] of lists.entries())
    if (/users|keys|secrets|tenants/.test(list)) assert.equal(later[i], earlier[i], list);
});

test('in every parameter of the query and part of the path', async () => {
  const earlier = await everything();
  for (const { method, path, parameters } of all.filter(({ path }) => /\/(admin|venues|me|devices|series|latest|query|raw)/.test(path))) {
    if (path === '/api/v1/admin/token') continue;
    const names = [...parameters.filter((one) => one.in === 'query').map(({ name }) => name), 'tenant', 'q'];
    for (const text of texts) {
      const encoded = encodeURIComponent(text);
      const body = method === 'GET' || method === 'DELETE' ? undefined : '{}';
      if (path.includes('{')) {
        // A number may be that of something: everything() tells, and of these only text is sent.
        const target = path.replace(/\{\w+\}/g, encoded);
        const answer = await ask(method, target, body);
        assertClean(answer, `${method} ${target}`);
        assert.ok(answer.status >= 400, `${method} ${target}: ${answer.status} ${answer.text}`);
      }
      if (method !== 'GET') continue;
      for (const name of new Set(names))
        assertClean(await ask(method, `${path.replace(/\{\w+\}/g, '1')}?${name}=${encoded}`), `${path} ${name}=${text}`);
    }
  }
  assert.deepEqual(await everything(), earlier);
});

test('names, groups, places, configurations, contacts and audit give back what was put', async () => {
  await world.call('POST', '/api/v1/admin/devices', { id: 'texts' });
  for (const text of texts) {
    const device = await world.call('PUT', '/api/v1/admin/devices/texts', { name: text, group: text, place: text });
    assert.deepEqual([device.name, device.group, device.place], [text, text, text]);
    const config = await world.call('PUT', '/api/v1/admin/devices/texts/config', { [text]: text });
    assert.equal(config.config[text], text);
    assert.deepEqual((await world.call('GET', '/api/v1/admin/devices/texts')).config, { [text]: text });
    await world.call('PUT', '/api/v1/admin/devices/texts/config', { [text]: null });
    const user = await world.call('PUT', '/api/v1/admin/users/uma', { contacts: { [text]: text } });
    assert.deepEqual(user.contacts, { [text]: text });
    await world.call('PUT', '/api/v1/admin/users/uma', { contacts: { [text]: null } });
    const venue = await world.call('PUT', '/api/v1/venues/1', { name: text });
    assert.equal(venue.name, text);
    // Found by what it is called, and not by what the text would mean in a pattern.
    const { items } = (await ask('GET', `/api/v1/admin/devices?q=${encodeURIComponent(text)}`)).json();
    for (const { id, name, group, place } of items)
      assert.ok([String(id), name, group, place].some((one) => one?.toLowerCase().includes(text.toLowerCase())), `${text} finds ${id}`);
    assert.ok(items.some(({ id }) => id === 'texts'), text);
  }
  const { items } = await world.call('GET', '/api/v1/admin/audit');
  assert.ok(items.some(({ after }) => after?.name === texts.at(-1)));
});

test('as ids that are taken as they are', async () => {
  for (const text of texts.filter((one) => !/^[\s\d-]*$/.test(one))) {
    const made = await ask('POST', '/api/v1/admin/devices', { id: text });
    assertClean(made, text);
    if (made.status !== 201) continue;
    assert.equal(String(made.json().id), text);
    const path = `/api/v1/admin/devices/${encodeURIComponent(text)}`;
    assert.equal(String((await world.call('GET', path)).id), text);
    await world.call('PUT', `${path}/config`, { state: true });
    const written = await world.ask('application', 'POST', '/api/v1/readings', { device: { id: text }, readings: [{ time: 1_700_000_000_000, x: 7 }] });
    assert.equal(written.json().accepted, 1, written.text);
    const { series } = (await ask('GET', `/api/v1/latest?metric=x&device=${encodeURIComponent(text)}`)).json();
    assert.deepEqual(series.map(({ tags, value }) => [tags.device, value]), [[text, 7]]);
    await world.call('DELETE', path);
    assert.equal((await ask('GET', path)).status, 404);
  }
});

test('the registry reads back whole after a restart', async () => {
  const earlier = await everything();
  await server.stop();
  await server.again();
  assert.deepEqual(await everything(), earlier);
  assert.doesNotMatch(server.log, /registry_unreadable|damage/);
});
