// kill -9 amid changes of administration over HTTP: afterwards each change that was answered is
// there, each that was not is there wholly or not at all, and the audit tells of just those.
import assert from 'node:assert/strict';
import http from 'node:http';
import { test } from 'node:test';
import { logIn, settle } from '../15-rights/inhabitants.mjs';
import { long, request, serve } from '../harness.mjs';

const kills = long ? 300 : 30;
const admin = '/api/v1/admin';
const password = 'correct-horse-battery';

/** mulberry32: the same seed gives the same moments. */
function random(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** One who changes things, one after the other, until the server is gone. */
class Changer {
  constructor(server, token) {
    this.server = server;
    this.token = token;
    this.agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    // path → what may be there: the answered state and, when one was not answered, the next.
    this.things = new Map();
    this.secrets = [];
    this.answered = 0;
  }

  /** An answer, with the status it must have. */
  async call(method, path, body, status, headers = {}) {
    const answer = await request(this.server.port, method, `${admin}/${path}`,
      { key: this.token, body, headers, agent: this.agent });
    assert.equal(answer.status, status, `${method} ${path}: ${answer.text}`);
    this.answered++;
    return answer.text ? answer.json() : null;
  }

  /** A change of the thing at `path` to `next`; null: it is gone. Missing members do not matter. */
  async change(path, next, method, at, body, status) {
    const now = this.things.get(path)?.at(-1) ?? null;
    this.things.set(path, [now, next]);
    const answer = await this.call(method, at, body, status);
    this.things.set(path, [next]);
    return answer;
  }

  async run(lane) {
    try {
      for (let n = 0; ; n++) await lane(this, n);
    } catch (error) {
      if (error instanceof assert.AssertionError) throw error;
    } finally {
      this.agent.destroy();
    }
  }
}

const lanes = {
  async devices(changer, n, round) {
    const id = `d${round}-${n}`;
    const path = `devices/${id}`;
    const named = { name: `name-${n}`, group: `group-${n}`, place: `place-${n}` };
    const { auth } = await changer.change(path, { ...named, state: false, users: ['uma'] },
      'POST', 'devices', { id, ...named, users: ['uma'] }, 201);
    changer.secrets.push([path, `devices/${id}/login`, auth]);
    await changer.change(path, { ...named, state: true, users: ['uma'], config: { a: '1', b: 'x', c: '2.5' } },
      'PUT', `${path}/config`, { state: true, a: 1, b: 'x', c: '2.5' }, 200);
    await changer.change(path, { name: 'other', group: 'other', place: 'other', state: true, users: ['olga', 'uma'], config: { a: '1', b: 'x', c: '2.5' } },
      'PUT', path, { name: 'other', group: 'other', place: 'other', users: ['uma', 'olga'] }, 200);
    if (n % 3 === 0) await changer.change(path, null, 'DELETE', path, undefined, 204);
  },
  async gateways(changer, n, round) {
    // Its id is known from the answer only: what was not answered is found by name.
    const name = `g${round}-${n}`;
    const { id, auth } = await changer.call('POST', 'gateways', { name }, 201);
    const path = `gateways/${id}`;
    changer.things.set(path, [{ name, may_enrol: false }]);
    changer.secrets.push([path, `gateways/${id}/login`, auth]);
    await changer.change(path, { name, may_enrol: false, config: { net: '4G', site: 'x' } },
      'PUT', `${path}/config`, { net: '4G', site: 'x' }, 200);
    await changer.change(path, { name: `${name}!`, may_enrol: true, config: { net: '4G', site: 'x' } },
      'PUT', path, { name: `${name}!`, may_enrol: true }, 200);
    if (n % 3 === 0) await changer.change(path, null, 'DELETE', path, undefined, 204);
  },
  async users(changer, n, round) {
    const username = `u${round}-${n}`;
    const path = `users/${username}`;
    const made = { username, permission: 'user', language: 'de', tz: 'UTC', contacts: { mail: 'x@y' } };
    await changer.change(path, made, 'POST', 'users', { ...made, password }, 201);
    await changer.change(path, { ...made, permission: 'developer', language: 'en', contacts: { phone: '5' } },
      'PUT', path, { permission: 'developer', language: 'en', contacts: { mail: null, phone: '5' } }, 200);
    if (n % 2 === 0) await changer.change(path, null, 'DELETE', path, undefined, 204);
  },
  async keys(changer, n, round) {
    const name = `k${round}-${n}`;
    const list = changer.keys ??= new Map();
    list.set(name, [null, 'there']);
    const { key } = await changer.call('POST', 'keys', { name, rights: ['read', 'write'], channels: ['a/#'] }, 201);
    list.set(name, ['there', 'there', key]);
    if (n % 2) return;
    list.set(name, ['there', null, key]);
    await changer.call('DELETE', `keys/${name}`, undefined, 204);
    list.set(name, [null, null, key]);
  },
  async imports(changer, n, round) {
    const ids = Array.from({ length: 200 }, (_, i) => `i${round}-${n}-${i}`);
    const all = changer.imports ??= [];
    const one = { ids, whole: false };
    all.push(one);
    const rows = ids.map((id) => JSON.stringify({ id, name: `of ${id}`, group: 'imported', state: true,
      users: ['uma', 'olga'], config: { a: '1', b: '2' } }));
    const { added } = await changer.call('POST', 'devices/import', rows.join('\n'), 200,
      { 'content-type': 'application/x-ndjson' });
    assert.equal(added, ids.length);
    one.whole = true;
  },
};

/** What of `found` the model speaks of. */
const like = (found, model) => Object.fromEntries(Object.keys(model).map((name) =>
  [name, name === 'users' ? [...found[name] ?? []].sort() : found[name]]));

const same = (found, model) => model === null ? found === null
  : found !== null && JSON.stringify(like(found, model)) === JSON.stringify(model);

async function everyAudit(server, token, from) {
  const all = [];
  for (let cursor = ''; cursor !== null;) {
    const page = (await server.get(`${admin}/audit?limit=1000&from=${from}${cursor}`, { key: token })).json();
    all.push(...page.items);
    cursor = page.next && `&cursor=${page.next}`;
  }
  return all;
}

async function check(server, token, changers, from) {
  const get = async (path) => {
    const answer = await server.get(`${admin}/${path}`, { key: token });
    assert.ok(answer.status === 200 || answer.status === 404, answer.text);
    return answer.status === 200 ? answer.json() : null;
  };
  const audit = await everyAudit(server, token, from);
  // The newest entry of a thing tells what there is: neither more nor less.
  const last = new Map();
  for (const entry of audit) {
    const path = `${entry.what.split('.')[0]}s/${entry.object}`;
    if (!last.has(path)) last.set(path, entry);
  }
  for (const { things } of changers)
    for (const [path, states] of things) {
      const found = await get(path);
      assert.ok(states.some((state) => same(found, state)), `${path}: ${JSON.stringify({ found, states })}`);
      const entry = last.get(path);
      if (!entry) assert.equal(found, null, path);
      else assert.deepEqual(found && like(found, entry.after ?? {}), entry.after && like(entry.after, entry.after), path);
    }
  for (const { secrets } of changers)
    for (const [path, login, auth] of secrets) {
      const { status } = await server.post(`${admin}/${login}`, { auth }, { key: token });
      assert.equal(status, (await get(path)) ? 200 : 401, path);
    }
  // Nothing that the audit does not know of, nor the other way round.
  const told = audit.filter(({ what }) => what === 'gateway.add').map(({ object }) => object);
  const removed = audit.filter(({ what }) => what === 'gateway.remove').map(({ object }) => object);
  const gateways = (await get('gateways')).map(({ id }) => String(id));
  for (const id of told) assert.equal(gateways.includes(id), !removed.includes(id), `gateway ${id}`);
  const names = new Set();
  for (let cursor = ''; cursor !== null;) {
    const page = await get(`keys?limit=1000${cursor}`);
    for (const { name } of page.items) names.add(name);
    cursor = page.next && `&cursor=${page.next}`;
  }
  for (const { keys } of changers)
    for (const [name, [one, other, key]] of keys ?? []) {
      assert.ok([one, other].includes(names.has(name) ? 'there' : null), `key ${name}`);
      const entry = last.get(`keys/${name}`);
      assert.equal(names.has(name), Boolean(entry?.after), `key ${name}`);
      if (!key) continue;
      assert.equal((await server.get('/api/v1/series', { key })).status, names.has(name) ? 200 : 401, `key ${name}`);
    }
  const imported = new Set(audit.filter(({ what }) => what === 'devices.import').flatMap(({ after }) => after));
  for (const { imports } of changers)
    for (const { ids, whole } of imports ?? []) {
      const there = [];
      for (const id of ids) {
        // What was answered is looked at in samples.
        if (whole && Math.random() > 0.1) continue;
        const found = await get(`devices/${id}`);
        assert.ok(found || !whole, `${id} was imported`);
        assert.equal(Boolean(found), imported.has(id), `${id} and its audit`);
        if (!found) continue;
        there.push(id);
        assert.ok(same(found, { name: `of ${id}`, group: 'imported', state: true, users: ['olga', 'uma'],
          config: { a: '1', b: '2' } }), JSON.stringify(found));
      }
      // Lines are taken in their order.
      if (!whole) assert.deepEqual(there, ids.slice(0, there.length));
    }
}

test(`${kills} kills`, async (t) => {
  const seed = Date.now() & 0xffffff;
  t.diagnostic(`seed ${seed}`);
  const next = random(seed);
  const server = await serve(t, { args: ['--set', 'rate.failures_per_s=100000'] });
  await settle(server);
  const token = await logIn(server, 'adam');
  let answered = 0;
  for (let round = 0; round < kills; round++) {
    const from = Date.now() - 1;
    const changers = Object.values(lanes).map(() => new Changer(server, token));
    const work = Object.values(lanes).map((lane, i) =>
      changers[i].run((changer, n) => lane(changer, n, round)));
    await new Promise((wake) => setTimeout(wake, 5 + next() * 120));
    await server.kill9();
    await Promise.all(work);
    await server.again();
    await check(server, token, changers, from);
    answered += changers.reduce((sum, one) => sum + one.answered, 0);
  }
  t.diagnostic(`${answered} changes answered`);
  assert.ok(answered > kills);
});
